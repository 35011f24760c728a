//! What stands behind a keyword: flags, lists, here-documents, variables. `None` and `Err`: not certain.

use std::collections::BTreeMap;

/// By name; None: it has a value, but which one is not certain.
pub type Scope = BTreeMap<String, Option<String>>;

/// More than can be told apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear;

/// The flags, without `--`, and what follows them.
pub fn flags(rest: &str) -> Result<(Vec<&str>, &str), Unclear> {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        if flag.contains(['"', '\'', '\\', '`']) {
            return Err(Unclear);
        }
        if flag.is_empty() {
            break;
        }
        flags.push(flag);
    }
    Ok((flags, rest))
}

/// `["a", "b"]`; None: not in that form.
pub fn json(rest: &str) -> Option<Vec<String>> {
    let rest = rest.trim();
    rest.starts_with('[').then(|| serde_json::from_str(rest).ok()).flatten()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HereDocument {
    pub delimiter: String,
    /// Leading tabs of its end do not count.
    pub tabs: bool,
}

/// Those that begin in an instruction: `<<EOF`, `<<-EOF`, `<<"EOF"`, each a word of its own.
pub fn here_documents(rest: &str) -> Result<Vec<HereDocument>, Unclear> {
    if !rest.contains("<<") || flags(rest).is_ok_and(|(_, rest)| json(rest).is_some()) {
        return Ok(Vec::new());
    }
    let found: Vec<HereDocument> =
        split(rest)?.iter().filter_map(|word| here_document(word).transpose()).collect::<Result<_, _>>()?;
    if !found.is_empty() && !has_plain_variables(rest) {
        return Err(Unclear);
    }
    Ok(found)
}

/// A modifier that an engine does not know keeps it from seeing here-documents.
fn has_plain_variables(text: &str) -> bool {
    text.split("${").skip(1).all(|inner| {
        let end = inner.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(inner.len());
        end > 0 && [":-", ":+", "}"].iter().any(|after| inner[end..].starts_with(after))
    })
}

/// One word.
pub fn here_document(word: &str) -> Result<Option<HereDocument>, Unclear> {
    let Some(after) = word.trim_start_matches(|char: char| char.is_ascii_digit()).strip_prefix("<<") else {
        return Ok(None);
    };
    let (tabs, name) = after.strip_prefix('-').map_or((false, after), |name| (true, name));
    if name.is_empty() || name.contains('<') {
        return Ok(None);
    }
    let delimiter = unquote(name).filter(|name| !name.contains('$')).ok_or(Unclear)?;
    Ok(Some(HereDocument { delimiter: delimiter.to_owned(), tabs }))
}

/// Words with their quotes, as a shell would split them.
pub fn split(text: &str) -> Result<Vec<String>, Unclear> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', None | Some('"')) => {
                word.push(char);
                word.push(chars.next().ok_or(Unclear)?);
                continue;
            }
            (char, Some(open)) if char == open => quote = None,
            ('"' | '\'', None) => quote = Some(char),
            (char, None) if char.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            _ => {}
        }
        word.push(char);
    }
    if quote.is_some() {
        return Err(Unclear);
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}

/// Of a word that is quoted as a whole, or not at all. None: in part, or with escapes.
pub fn unquote(word: &str) -> Option<&str> {
    let inner = ['"', '\''].iter().find_map(|quote| word.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(word);
    (!inner.contains(['"', '\'', '\\', '`'])).then_some(inner)
}

/// `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}`, `${NAME+other}`.
pub fn expand(word: &str, scope: &Scope) -> Option<String> {
    if word.starts_with('\'') && word.contains('$') {
        return None;
    }
    expand_plain(unquote(word)?, scope)
}

fn expand_plain(text: &str, scope: &Scope) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(braced) = after.strip_prefix('{') {
            let (inner, after) = split_brace(braced)?;
            result.push_str(&expand_braced(inner, scope)?);
            rest = after;
        } else {
            let (name, after) = name(after)?;
            result.push_str(&value(name, scope)?.unwrap_or_default());
            rest = after;
        }
    }
    result.push_str(rest);
    Some(result)
}

/// The name of a variable at the beginning.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
    let starts = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    starts.then(|| text.split_at(end))
}

/// The outer None: not certain; the inner one: not set.
fn value(name: &str, scope: &Scope) -> Option<Option<String>> {
    match scope.get(name) {
        None => Some(None),
        Some(value) => value.clone().map(Some),
    }
}

/// Up to the brace that closes the one already read.
fn split_brace(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    for (index, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..index], &text[index + 1..]));
        }
    }
    None
}

fn expand_braced(inner: &str, scope: &Scope) -> Option<String> {
    let (name, operator) = name(inner)?;
    let value = value(name, scope)?;
    if operator.is_empty() {
        return Some(value.unwrap_or_default());
    }
    let (empty_counts_as_unset, operator) = match operator.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let set = value.as_ref().is_some_and(|value| !(empty_counts_as_unset && value.is_empty()));
    match (operator.chars().next()?, set) {
        ('-', false) | ('+', true) => expand_plain(&operator[1..], scope),
        ('+', false) => Some(String::new()),
        ('-', true) => value,
        // Patterns and the like, which not all engines know.
        _ => None,
    }
}
