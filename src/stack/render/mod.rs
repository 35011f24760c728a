//! Objects as YAML that people and `kubectl apply` read.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

/// Documents separated by `---`; within an object apiVersion, kind, metadata, spec first, other keys by name.
///
/// Written by hand, as serde_yaml leaves texts such as `yes` and `1_000` bare: kubectl reads YAML 1.1, in which they
/// are a boolean and a number.
pub fn to_yaml<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    let mut out = String::new();
    for object in objects {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        block(object, 0, &mut out);
    }
    out
}

/// A value on lines of its own.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for key in ordered(map) {
                out.push_str(&" ".repeat(indent));
                out.push_str(&text(key));
                out.push(':');
                match &map[key] {
                    // Lists stand at their key's indent, as kubectl writes them.
                    Value::Array(items) if !items.is_empty() => after_key(&map[key], indent, out),
                    value => after_key(value, indent + 2, out),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                match literal(item, indent + 2) {
                    Some(literal) => inner = format!("{}{literal}", " ".repeat(indent + 2)),
                    None => block(item, indent + 2, &mut inner),
                }
                // The item's first line begins with its indent, where the dash goes.
                out.push_str(&" ".repeat(indent));
                out.push_str("- ");
                out.push_str(&inner[indent + 2..]);
            }
        }
        value => {
            out.push_str(&" ".repeat(indent));
            out.push_str(&flow(value));
            out.push('\n');
        }
    }
}

fn after_key(value: &Value, indent: usize, out: &mut String) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(value, indent, out);
    } else {
        out.push(' ');
        out.push_str(&literal(value, indent).unwrap_or_else(|| flow(value) + "\n"));
    }
}

fn ordered(map: &Map<String, Value>) -> Vec<&String> {
    const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "name", "namespace", "spec"];
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort_by_key(|key| (rank(key), *key));
    keys
}

/// A scalar or an empty collection on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        value => value.to_string(),
    }
}

/// Text of several lines as `|`, if that loses nothing.
fn literal(value: &Value, indent: usize) -> Option<String> {
    let text = value.as_str()?;
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = |c: char| !escaped(c) || c == '\n';
    if !text.contains('\n')
        || body.is_empty()
        || body.starts_with([' ', '\t', '\n'])
        || body.ends_with('\n')
        || !text.chars().all(plain)
    {
        return None;
    }
    let mut out = String::from(if body.len() == text.len() { "|-\n" } else { "|\n" });
    for line in body.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}

/// Bare where no reader of YAML 1.1 or 1.2 can take it for anything but this text, else in double quotes.
fn text(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    // A number needs a digit or a sign or a point in front; `64Mi` and `1.2.3` are no numbers.
    let safe_start = match text.chars().next() {
        Some(c) if c.is_ascii_alphabetic() || c == '/' => true,
        Some('1'..='9') => {
            text.contains(|c: char| c.is_ascii_alphabetic() && !"eE".contains(c)) || text.matches('.').count() > 1
        }
        _ => false,
    };
    // `a:b` is text as long as no space follows the colon.
    let colons = !text.ends_with(':') && !text.starts_with(|c: char| c.is_ascii_digit());
    let fine = |c: char| word(c) || c == ':' && colons || c == '@';
    if safe_start && text.chars().all(fine) && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if escaped(c) => {
                let code = u32::from(c);
                out.push_str(&if code < 0x1_0000 { format!("\\u{code:04x}") } else { format!("\\U{code:08x}") });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What YAML does not take, or takes for a line break.
fn escaped(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
