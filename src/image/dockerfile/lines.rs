//! From lines to instructions, by the rules of BuildKit's parser.

use std::{collections::BTreeSet, fmt};

use super::words;

/// One instruction, continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// 1-based.
    pub line: usize,
    /// Upper case.
    pub keyword: String,
    pub rest: String,
}

impl Instruction {
    pub fn parse(text: &str, line: usize) -> Instruction {
        let text = text.trim();
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        Instruction { line, keyword: keyword.to_ascii_uppercase(), rest: rest.trim().to_owned() }
    }
}

/// Why it is not certain what a build depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

#[derive(Debug, Default)]
pub struct Lines {
    pub instructions: Vec<Instruction>,
    /// The first one.
    pub doubt: Option<Doubt>,
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];
/// Those that say what a build depends on.
const INPUTS: [&str; 6] = ["ADD", "ARG", "COPY", "FROM", "ONBUILD", "RUN"];

pub fn read(text: &str) -> Lines {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { lines: text.lines().enumerate(), directives: Directives::default(), found: Lines::default() };
    reader.run();
    reader.found
}

struct Reader<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    directives: Directives,
    found: Lines,
}

impl Reader<'_> {
    fn run(&mut self) {
        while let Some((index, line)) = self.lines.next() {
            self.directive(index, line.trim_start());
            if is_comment(line) {
                continue;
            }
            let (mut joined, mut open) = self.without_continuation(line.trim_start());
            if !open && joined.is_empty() {
                continue;
            }
            while open {
                let Some((index, line)) = self.lines.next() else { break };
                self.directive(index, line);
                // Comments and blank lines inside an instruction are skipped.
                if is_comment(line) || line.trim_start().is_empty() {
                    continue;
                }
                let (next, more) = self.without_continuation(line);
                joined.push_str(&next);
                open = more;
            }
            self.instruction(index + 1, &joined);
        }
    }

    fn instruction(&mut self, line: usize, text: &str) {
        let unusual = |char: char| (char.is_control() && char != '\t') || (char.is_whitespace() && !char.is_ascii());
        if text.contains(unusual) {
            self.doubt(line, "it holds an unusual kind of space or a control character");
        }
        let instruction = Instruction::parse(text, line);
        if instruction.keyword.is_empty() {
            return;
        }
        if !KEYWORDS.contains(&instruction.keyword.as_str()) {
            self.doubt(line, format!("`{}` is no known instruction", instruction.keyword));
        }
        let inner = match instruction.keyword.as_str() {
            "ONBUILD" => Instruction::parse(&instruction.rest, line),
            _ => instruction.clone(),
        };
        if matches!(inner.keyword.as_str(), "RUN" | "COPY" | "ADD") {
            self.skip_documents(&inner);
        }
        self.found.instructions.push(instruction);
    }

    fn skip_documents(&mut self, instruction: &Instruction) {
        let line = instruction.line;
        let Ok(documents) = words::here_documents(&instruction.rest) else {
            return self.doubt(line, "it is not certain whether a here-document begins here");
        };
        for document in documents {
            let mut body = Vec::new();
            let ended = self.lines.by_ref().any(|(index, text)| {
                let possible_end = if document.tabs { text.trim_start_matches('\t') } else { text };
                body.push((index + 1, text));
                possible_end == document.delimiter
            });
            if !ended {
                return self.doubt(line, format!("the here-document has no end `{}`", document.delimiter));
            }
            if let Some((line, keyword)) = self.otherwise_read(&body) {
                let why = format!("`{keyword}` in a here-document may be an instruction, which depends on the engine");
                self.doubt(line, why);
            }
        }
    }

    /// An engine that knows no here-documents reads instructions in there, if it gets past the first line and past the
    /// last one, which is the end. Returns the first instruction that would matter.
    fn otherwise_read(&self, body: &[(usize, &str)]) -> Option<(usize, String)> {
        let keyword = |text: &str| Instruction::parse(text, 0).keyword;
        let is_known = |text: &str| KEYWORDS.contains(&keyword(text).as_str());
        let mut lines = body.iter().filter(|(_, text)| !text.trim().is_empty() && !is_comment(text));
        let first = lines.clone().next()?;
        let (_, end) = body.last()?;
        let goes_on = |(_, text): &(usize, &str)| text.trim_end().ends_with(self.directives.escape);
        if !is_known(first.1) || !(is_known(end) || is_comment(end) || body.iter().any(goes_on)) {
            return None;
        }
        let found = lines.find(|(_, text)| INPUTS.contains(&keyword(text).as_str()))?;
        Some((found.0, keyword(found.1)))
    }

    /// Without the escape character at the end, and whether there was one. Two of them are no continuation.
    fn without_continuation(&self, line: &str) -> (String, bool) {
        let escape = self.directives.escape;
        match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
            Some(before) if !before.ends_with(escape) => (before.to_owned(), true),
            _ => (line.to_owned(), false),
        }
    }

    fn directive(&mut self, index: usize, line: &str) {
        if let Err(why) = self.directives.read(index, line) {
            self.doubt(index + 1, why);
        }
    }

    fn doubt(&mut self, line: usize, why: impl Into<String>) {
        self.found.doubt.get_or_insert(Doubt { line, why: why.into() });
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// `# syntax=`, `# escape=` and `# check=` count as long as no other line came before them.
struct Directives {
    escape: char,
    seen: BTreeSet<String>,
    done: bool,
    /// After `#!` in the first line, newer engines read on.
    shebang: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Directives { escape: '\\', seen: BTreeSet::new(), done: false, shebang: false }
    }
}

impl Directives {
    fn read(&mut self, index: usize, line: &str) -> Result<(), String> {
        self.shebang |= index == 0 && line.starts_with("#!");
        let found = directive(line).filter(|(name, _)| matches!(name.as_str(), "syntax" | "escape" | "check"));
        if self.done && self.shebang && found.is_some() {
            return Err("after `#!`, it depends on the engine whether this counts".to_owned());
        }
        let Some((name, value)) = found.filter(|_| !self.done) else {
            self.done = true;
            return Ok(());
        };
        if !self.seen.insert(name.clone()) {
            return Err(format!("`{name}` is there twice"));
        }
        match name.as_str() {
            "escape" if self.seen.contains("check") => {
                Err("older engines stop looking for `escape` at `check`".to_owned())
            }
            "escape" if value == "`" || value == "\\" => {
                self.escape = if value == "`" { '`' } else { '\\' };
                Ok(())
            }
            "escape" => Err(format!("`{value}` is no escape character")),
            "syntax" if !is_docker_syntax(&value) => Err(format!("it is written in another language, {value}")),
            _ => Ok(()),
        }
    }
}

/// `# name = value`
fn directive(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value.to_owned()))
}

/// Docker's own frontends read what the engine reads.
fn is_docker_syntax(value: &str) -> bool {
    let image = value.split_whitespace().next().unwrap_or_default();
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    let name = image.split([':', '@']).next().unwrap_or_default();
    matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream")
}
