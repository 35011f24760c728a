//! Changes one entry of `auths` in docker's config.json and leaves every other byte of it as it is.

use std::ops::Range;

use serde_json::Value;

/// A member of an object: where its key begins, where its value is.
#[derive(Debug)]
struct Member {
    key: String,
    start: usize,
    value: Range<usize>,
}

/// `text` with `auths.SERVER` set to `entry` (JSON). An empty text is a new file. None: not an object, or not JSON.
pub fn with_auth(text: &str, server: &str, entry: &Value) -> Option<String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let mut new = text.to_owned();
    let top = members(text)?;
    match auths(text, &top)? {
        None => insert(&mut new, text.find('{')?, top.is_empty(), 1, "auths", &nested(server, entry)),
        Some((start, entries)) => match entries.iter().find(|member| member.key == server) {
            Some(member) => new.replace_range(member.value.clone(), &pretty(entry, 2)),
            None => insert(&mut new, start, entries.is_empty(), 2, server, &pretty(entry, 2)),
        },
    }
    Some(new)
}

/// `text` without `auths.SERVER` for each of these; the same text where there is none of them.
pub fn without_auth(text: &str, servers: &[String]) -> Option<String> {
    if text.trim().is_empty() {
        return Some(text.to_owned());
    }
    let mut new = text.to_owned();
    loop {
        let Some((_, entries)) = auths(&new, &members(&new)?)? else { return Some(new) };
        let Some(at) = entries.iter().position(|member| servers.contains(&member.key)) else { return Some(new) };
        let member = &entries[at];
        let range = match (entries.get(at + 1), at.checked_sub(1)) {
            (Some(next), _) => member.start..next.start,
            (None, Some(before)) => entries[before].value.end..member.value.end,
            (None, None) => member.start..member.value.end,
        };
        new.replace_range(range, "");
    }
}

/// Where the object `auths` begins, with its members. The outer None: it is no object.
#[allow(clippy::type_complexity, reason = "an answer and its absence")]
fn auths(text: &str, top: &[Member]) -> Option<Option<(usize, Vec<Member>)>> {
    let Some(auths) = top.iter().find(|member| member.key == "auths") else { return Some(None) };
    let inner = members(&text[auths.value.clone()])?;
    let offset = auths.value.start;
    let moved = |member: Member| Member {
        key: member.key,
        start: member.start + offset,
        value: member.value.start + offset..member.value.end + offset,
    };
    Some(Some((offset, inner.into_iter().map(moved).collect())))
}

/// Puts a member first into the object whose brace is at `brace`, indented as docker does it.
fn insert(text: &mut String, brace: usize, empty: bool, depth: usize, key: &str, value: &str) {
    let indent = "\t".repeat(depth);
    let end = if empty { format!("\n{}", "\t".repeat(depth - 1)) } else { ",".to_owned() };
    let mut member = format!("\n{indent}{}: {value}{end}", Value::from(key));
    let after = &text[brace + 1..];
    if !empty && !after.starts_with('\n') && !after.starts_with("\r\n") {
        member.push('\n');
        member.push_str(&indent);
    }
    // An empty object may hold spaces.
    let rest = if empty { after.len() - after.trim_start().len() } else { 0 };
    text.replace_range(brace + 1..brace + 1 + rest, &member);
}

fn nested(server: &str, entry: &Value) -> String {
    format!("{{\n\t\t{}: {}\n\t}}", Value::from(server), pretty(entry, 2))
}

/// An object of strings, each on its own line.
fn pretty(entry: &Value, depth: usize) -> String {
    let fields = entry.as_object().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else { return entry.to_string() };
    let indent = "\t".repeat(depth + 1);
    let lines: Vec<String> =
        fields.iter().map(|(key, value)| format!("{indent}{}: {value}", Value::from(key.as_str()))).collect();
    format!("{{\n{}\n{}}}", lines.join(",\n"), "\t".repeat(depth))
}

/// The members of the object that `text` is; None for all else.
fn members(text: &str) -> Option<Vec<Member>> {
    // What follows may then rely on the grammar.
    serde_json::from_str::<serde_json::Map<String, Value>>(text).ok()?;
    let bytes = text.as_bytes();
    let mut members = Vec::new();
    let mut at = skip_space(bytes, text.find('{')? + 1);
    while bytes[at] != b'}' {
        let start = at;
        let end = value_end(bytes, at);
        let key = serde_json::from_str(&text[start..end]).ok()?;
        // Past the colon.
        let value = skip_space(bytes, skip_space(bytes, end) + 1);
        let end = value_end(bytes, value);
        members.push(Member { key, start, value: value..end });
        at = skip_space(bytes, end);
        if bytes[at] == b',' {
            at = skip_space(bytes, at + 1);
        }
    }
    Some(members)
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| !byte.is_ascii_whitespace()).map_or(bytes.len(), |length| from + length)
}

/// The end of the value that begins at `from`, in valid JSON.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at, mut quoted) = (0usize, from, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ODD: &str = "{\n  \"currentContext\" : \"x\",\r\n    \"auths\":{ \"a.example\":{\"auth\":\"QQ==\"} ,\"b\\\"}\": { } },\n \"plugins\": {\"x\": [1, 2.50, {\"}\": null}]}}\n\n";

    #[test]
    fn a_new_file_looks_as_docker_writes_it() {
        let text = with_auth("", "ghcr.io", &json!({"auth": "bWU6c2VjcmV0"})).unwrap();
        assert_eq!(text, "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \"bWU6c2VjcmV0\"\n\t\t}\n\t}\n}\n");
        assert_eq!(with_auth("{}", "x", &json!({})).unwrap(), "{\n\t\"auths\": {\n\t\t\"x\": {}\n\t}\n}");
    }

    #[test]
    fn all_other_bytes_stay() {
        let added = with_auth(ODD, "ghcr.io", &json!({"auth": "x"})).unwrap();
        let (before, after) = ODD.split_at(ODD.find("{ \"a.example").unwrap() + 1);
        assert!(added.starts_with(before) && added.ends_with(after), "{added}");
        assert_eq!(without_auth(ODD, &["none".to_owned()]).unwrap(), ODD);
        let changed = with_auth(ODD, "a.example", &json!({})).unwrap();
        assert_eq!(changed, ODD.replace("{\"auth\":\"QQ==\"}", "{}"));
        let removed = without_auth(ODD, &["a.example".to_owned(), "b\"}".to_owned()]).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&removed).unwrap()["auths"], json!({}));
        assert!(removed.contains("\"plugins\": {\"x\": [1, 2.50, {\"}\": null}]}}\n\n"));
    }

    #[test]
    fn what_is_not_an_object_is_left_alone() {
        for text in ["{", "[]", "null", "{\"auths\": []}", "{\"auths\": null}"] {
            assert_eq!(with_auth(text, "x", &json!({})), None, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn only_the_entry_changes_whatever_is_around_it(
            others in prop::collection::btree_map(".{0,6}", any_json(), 0..5),
            auths in prop::collection::btree_map("[a-c]\\.example", any_json(), 0..3),
            compact in any::<bool>(),
        ) {
            let mut whole: serde_json::Map<String, Value> = others.into_iter().filter(|(key, _)| key != "auths").collect();
            if !auths.is_empty() {
                whole.insert("auths".to_owned(), Value::Object(auths.into_iter().collect()));
            }
            let whole = Value::Object(whole);
            let text = if compact { whole.to_string() } else { serde_json::to_string_pretty(&whole).unwrap() };
            let entry = json!({"auth": "QQ=="});
            let mut expected = whole.clone();
            expected["auths"]["a.example"] = entry.clone();
            let with = with_auth(&text, "a.example", &entry).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&with).unwrap(), expected.clone());
            let without = without_auth(&with, &["a.example".to_owned()]).unwrap();
            expected["auths"].as_object_mut().unwrap().remove("a.example");
            prop_assert_eq!(serde_json::from_str::<Value>(&without).unwrap(), expected);
        }
    }
}
