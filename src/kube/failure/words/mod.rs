//! What the API server says, without the inside of the program that says it.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use regex::{Captures, Regex};

fn regex(pattern: &str) -> Regex {
    #[allow(clippy::expect_used, reason = "the patterns are constants, and a test uses each")]
    Regex::new(pattern).expect("a pattern")
}

/// A field by its path, where the message has one, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub field: Option<String>,
    pub why: String,
}

impl Problem {
    pub fn line(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: {}", self.why),
            None => self.why.clone(),
        }
    }
}

static UNMARSHAL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"json: cannot unmarshal ([a-z]+)(?: [^ ]+)? into Go (?:struct field [A-Za-z0-9_]+\.([^ ]+)|value) of type ([^ ,;]+)",
    )
});
static EXPECTED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)expected (string|numeric \(int or float\)|boolean|map|list), got (.*)"));
static QUANTITY: LazyLock<Regex> = LazyLock::new(|| regex(r"quantities must match the regular expression '[^']*'"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"parsing time "\\?"?([^"\\]*)\\?"?" as "[^"]*": cannot parse "[^"]*" as "[^"]*""#));
static BASE64: LazyLock<Regex> = LazyLock::new(|| regex(r"illegal base64 data at input byte [0-9]+"));
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"strconv\.Parse[A-Za-z]+: parsing ("[^"]*"): (?:invalid syntax|value out of range)"#));
static HANDLED: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^[A-Za-z]+ in version "[^"]*" cannot be handled as a [A-Za-z]+: "#));

static CONVERTED: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^(?:failed to convert new object \([^)]*\) to proper version: )?",
        r"unable to convert unstructured object to [^:]*: (?:error decoding from json: )?"
    ))
});

/// Whether the message is about what an object holds, and not about who sent it or where to.
pub fn is_about_content(message: &str) -> bool {
    CONVERTED.is_match(message) || problems(message).iter().all(|problem| problem.field.is_some())
}

/// Of a message that refuses a whole request: what is wrong, field by field where it says so.
pub fn problems(message: &str) -> Vec<Problem> {
    if let Some((_, list)) = message.split_once("failed to create typed patch object (") {
        let list = list.split_once("): ").map_or(list, |(_, list)| list);
        let list = list.strip_prefix("errors:\n").unwrap_or(list);
        return list.lines().map(str::trim).filter(|line| !line.is_empty()).map(of_typed_patch).collect();
    }
    let message = HANDLED.replace(message, "");
    let message = CONVERTED.replace(&message, "");
    if let Some(found) = UNMARSHAL.captures(&message) {
        let field = found.get(2).map(|field| field.as_str().to_owned());
        let why = must_be(go_type(&found[3]), &format!("is {}", json_type(&found[1])));
        return vec![Problem { field, why: quoted(&found[3], &found[1], why) }];
    }
    vec![Problem { field: None, why: plain(&message) }]
}

/// `.spec.replicas: expected numeric (int or float), got string`
fn of_typed_patch(line: &str) -> Problem {
    let Some(rest) = line.strip_prefix('.') else { return Problem { field: None, why: plain(line) } };
    let (field, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let field = Some(field.to_owned());
    let Some(found) = EXPECTED.captures(why) else { return Problem { field, why: plain(why) } };
    let got = found[2].trim();
    let value = got.strip_prefix("&value.valueUnstructured{Value:").and_then(|value| value.strip_suffix('}'));
    let value = value.or(got.strip_prefix("&{").and_then(|value| value.strip_suffix('}'))).unwrap_or(got);
    let is = match value {
        "string" => "is a string".to_owned(),
        "bool" => "is true or false".to_owned(),
        "" | "<nil>" => "is empty".to_owned(),
        value if value.starts_with("map[") => "is a map".to_owned(),
        value if value.starts_with('[') => "is a list".to_owned(),
        value => format!("is {value}"),
    };
    let wanted = match &found[1] {
        "string" => "a string",
        "boolean" => "true or false",
        "map" => "a map",
        "list" => "a list",
        _ => "a number",
    };
    let is_scalar = !matches!(is.as_str(), "is a map" | "is a list" | "is empty");
    let why = must_be(wanted, &is);
    Problem { field, why: if wanted == "a string" && is_scalar { format!("{why}: put it in quotes") } else { why } }
}

fn must_be(wanted: &str, is: &str) -> String {
    format!("must be {wanted}, but {is}")
}

fn quoted(go: &str, json: &str, why: String) -> String {
    if go == "string" && matches!(json, "number" | "bool") { format!("{why}: put it in quotes") } else { why }
}

fn go_type(name: &str) -> &'static str {
    match name {
        "string" => "a string",
        "bool" => "true or false",
        name if name.starts_with("[]") => "a list",
        name if name.starts_with("int") || name.starts_with("uint") => "a whole number",
        name if name.starts_with("float") => "a number",
        _ => "a map",
    }
}

fn json_type(name: &str) -> &'static str {
    match name {
        "number" => "a number",
        "string" => "a string",
        "bool" => "true or false",
        "array" => "a list",
        "object" => "a map",
        _ => "something else",
    }
}

/// The text with what only a reader of the server's source understands put otherwise or left out.
pub fn plain(message: &str) -> String {
    // Below the first line come dumps of the server's own structures.
    let first = message.split(['\n', '\u{a0}']).next().unwrap_or_default().trim_end();
    let text = without_value(first);
    let text = UNMARSHAL.replace(&text, |found: &Captures<'_>| {
        let field = found.get(2).map_or(String::new(), |field| format!("{}: ", field.as_str()));
        format!("{field}{}", must_be(go_type(&found[3]), &format!("is {}", json_type(&found[1]))))
    });
    let text = QUANTITY.replace(&text, "it must be a quantity such as 100m, 1.5 or 2Gi");
    let text = TIME.replace(&text, "\"$1\" is no time such as 2026-11-20T10:00:00Z");
    let text = BASE64.replace(&text, "it is not base64");
    NUMBER.replace(&text, "$1 is no number that fits").into_owned()
}

/// A value that is no scalar is a dump of the object that everybody has before them: only what is said of it stays.
fn without_value(message: &str) -> String {
    let Some((label, rest)) = message.split_once(": ") else { return message.to_owned() };
    if !matches!(label, "Invalid value" | "Unsupported value" | "Duplicate value" | "Not found") {
        return message.to_owned();
    }
    // `v1.X{…}`, `map[…]`, `[]string{…}`, `{…}`
    let opens = rest.find(['{', '[']).filter(|&at| !rest[..at].contains([' ', '"']));
    let Some(mut at) = opens else { return message.to_owned() };
    loop {
        let Some(end) = closing(&rest[at..]) else { return label.to_owned() };
        at += end;
        // A type such as `[]string` goes on with its value.
        match rest[at..].find(['{', '[']).filter(|&next| !rest[at..at + next].contains([' ', '"', ':'])) {
            Some(next) => at += next,
            None => break,
        }
    }
    rest[at..].strip_prefix(": ").map_or_else(|| label.to_owned(), str::to_owned)
}

/// Where the bracket that opens the text is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts of `a (x, y), b` at the commas outside of brackets that begin a new one.
pub fn split(list: &str) -> Vec<String> {
    let (mut depth, mut in_string) = (0, false);
    let mut parts = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => in_string = !in_string,
            '(' | '[' | '{' if !in_string => depth += 1,
            ')' | ']' | '}' if !in_string => depth -= 1,
            // `…, but limit is 4` goes on.
            ',' if depth == 0 && !in_string && !chars.clone().skip(1).take(4).eq("but ".chars()) => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}
