//! `.dockerignore`, with the semantics of moby's patternmatcher: Go's `filepath.Match` plus `**`, exceptions by `!`,
//! the last matching pattern decides, and what matches a directory holds for all beneath it.

#[cfg(test)]
mod tests;

use regex::Regex;

use crate::error::{Error, Kind, Result};

#[derive(Debug, Clone)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// Cleaned, without `!`.
    text: String,
    exception: bool,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Exact,
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

/// Which patterns matched a directory, for the paths beneath it. The default is that of the root.
#[derive(Debug, Clone, Default)]
pub struct Above(Vec<bool>);

impl Matcher {
    /// Reads the text of a `.dockerignore`; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Matcher> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only a `#` in the first column is a comment, as moby has it.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let pattern = Pattern::new(line).ok_or_else(|| {
                Error::new(Kind::Usage, format!("{file}:{}:1: `{line}` is not a valid pattern", index + 1))
                    .hint("Patterns are those of .dockerignore: `*`, `?`, `[a-z]`, `**`, and `!` for exceptions")
            })?;
            patterns.push(pattern);
        }
        Ok(Matcher { patterns })
    }

    /// Whether the path is left out, given what matched its parent directory, and what its own children need to know.
    pub fn excludes(&self, path: &str, above: &Above) -> (bool, Above) {
        let mut excluded = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut matches = above.0.get(index).copied().unwrap_or(false);
            if !matches {
                // A pattern that cannot change the verdict is not asked, and so says nothing to the children either.
                if pattern.exception != excluded {
                    continue;
                }
                matches = pattern.matches(path);
            }
            matched[index] = matches;
            if matches {
                excluded = !pattern.exception;
            }
        }
        (excluded, Above(matched))
    }

    /// Whether something beneath an excluded directory could be wanted back.
    pub fn may_except_beneath(&self, directory: &str) -> bool {
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| {
            let text = pattern.text.strip_suffix("/**").unwrap_or(&pattern.text);
            let text = text.strip_suffix("/*").unwrap_or(text);
            text.contains(['*', '[', ']', '?', '^', '\\'])
                || text == directory
                || text.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl Pattern {
    /// None when the pattern is malformed.
    fn new(line: &str) -> Option<Pattern> {
        let (exception, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if text.is_empty() {
            return None;
        }
        let cleaned = clean(text);
        let text = if cleaned.len() > 1 { cleaned.trim_start_matches('/').to_owned() } else { cleaned };
        if !well_formed(&text) {
            return None;
        }
        let rule = compile(&text)?;
        Some(Pattern { text, exception, rule })
    }

    fn matches(&self, path: &str) -> bool {
        match &self.rule {
            Rule::Exact => path == self.text,
            Rule::Prefix(prefix) => path.starts_with(prefix.as_str()),
            // `**/foo` also matches `foo`.
            Rule::Suffix(suffix) => path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path),
            Rule::Regex(regex) => regex.is_match(path),
        }
    }
}

/// Go's `path.Clean`: no empty, `.` or inner `..` elements.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// The syntax that Go's `filepath.Match` accepts.
fn well_formed(pattern: &str) -> bool {
    // One character of a bracket expression; something must follow it.
    fn bracket_char(chars: &mut std::iter::Peekable<std::str::Chars>) -> bool {
        let read = match chars.next() {
            None | Some('-' | ']') => false,
            Some('\\') => chars.next().is_some(),
            Some(_) => true,
        };
        read && chars.peek().is_some()
    }
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.next().is_none() => return false,
            '[' => {
                chars.next_if_eq(&'^');
                let mut ranges = 0;
                while !(ranges > 0 && chars.next_if_eq(&']').is_some()) {
                    if !bracket_char(&mut chars) || (chars.next_if_eq(&'-').is_some() && !bracket_char(&mut chars)) {
                        return false;
                    }
                    ranges += 1;
                }
            }
            _ => {}
        }
    }
    true
}

/// Most patterns need no regular expression.
fn compile(pattern: &str) -> Option<Rule> {
    #[derive(PartialEq)]
    enum Shape {
        Exact,
        Prefix,
        Suffix,
        Regex,
    }
    let mut shape = Shape::Exact;
    let mut regex = String::from("^(?s:");
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(char) = chars.next() {
        match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` stands for any number of directories, none included.
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    regex.push_str("(.*/)?");
                    shape = Shape::Regex;
                } else if shape == Shape::Exact {
                    shape = Shape::Prefix;
                } else {
                    regex.push_str(".*");
                    shape = Shape::Regex;
                }
                if first {
                    shape = Shape::Suffix;
                }
            }
            '*' => {
                regex.push_str("[^/]*");
                shape = Shape::Regex;
            }
            '?' => {
                regex.push_str("[^/]");
                shape = Shape::Regex;
            }
            '[' => {
                regex.push_str(&bracket(&mut chars));
                shape = Shape::Regex;
            }
            '\\' => {
                regex.push_str(&escaped(chars.next()?)?);
                shape = Shape::Regex;
            }
            char => regex.push_str(&regex::escape(&char.to_string())),
        }
        first = false;
    }
    regex.push_str(")$");
    Some(match shape {
        Shape::Exact => Rule::Exact,
        Shape::Prefix => Rule::Prefix(pattern[..pattern.len() - 2].to_owned()),
        Shape::Suffix => Rule::Suffix(pattern[2..].to_owned()),
        Shape::Regex => Rule::Regex(Regex::new(&regex).ok()?),
    })
}

/// moby hands `\\x` to Go's regexp as it is, so a letter means what it means there, not itself.
fn escaped(char: char) -> Option<String> {
    Some(match char {
        'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'A' | 'z' => format!("\\{char}"),
        'b' => "(?-u:\\b)".to_owned(),
        'B' => "(?-u:\\B)".to_owned(),
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        's' => "[\\t\\n\\f\\r ]".to_owned(),
        'S' => "[^\\t\\n\\f\\r ]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        char if char.is_ascii_alphanumeric() => return None,
        char => regex::escape(&char.to_string()),
    })
}

/// A well-formed bracket expression after its `[`, with all that the regex syntax would read otherwise escaped.
fn bracket(chars: &mut std::iter::Peekable<std::str::Chars>) -> String {
    let mut class = String::from("[");
    if chars.next_if_eq(&'^').is_some() {
        class.push('^');
    }
    let mut read = 0;
    while let Some(char) = chars.next() {
        match char {
            ']' if read > 0 => break,
            '-' => class.push('-'),
            '\\' => class.extend(chars.next().map(|char| regex::escape(&char.to_string()))),
            char => class.push_str(&regex::escape(&char.to_string())),
        }
        read += 1;
    }
    class.push(']');
    class
}
