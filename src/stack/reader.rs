//! Typed access to a located tree: each getter reports what is wrong and goes on.

use std::time::Duration;

use crate::object::Origin;
use crate::stack::{
    located::{Content, Entry, Node},
    problems::{Problems, closest, suggestion},
    scalar,
};

/// A value read from a file, with its place.
#[derive(Debug, Clone)]
pub struct Located<T> {
    pub value: T,
    pub origin: Origin,
}

/// A node and the path of keys that led to it.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub file: &'a str,
    pub path: String,
}

impl<'a> Item<'a> {
    pub fn document(node: &'a Node, file: &'a str) -> Self {
        Item { node, file, path: String::new() }
    }

    pub fn origin(&self) -> Origin {
        self.node.mark.in_file(self.file)
    }

    pub fn located<T>(&self, value: T) -> Located<T> {
        Located { value, origin: self.origin() }
    }

    pub fn problem(&self, problems: &mut Problems, message: impl AsRef<str>) {
        problems.at(self.origin(), with_field(message.as_ref(), &self.path));
    }

    fn expected<T>(&self, problems: &mut Problems, what: &str) -> Option<T> {
        self.problem(problems, format!("expected {what}, found {}", self.node.describe()));
        None
    }

    fn child(&self, node: &'a Node, step: &str) -> Item<'a> {
        let path = if self.path.is_empty() || step.starts_with('[') {
            format!("{}{step}", self.path)
        } else {
            format!("{}.{step}", self.path)
        };
        Item { node, file: self.file, path }
    }

    pub fn text(&self, problems: &mut Problems) -> Option<String> {
        match (&self.node.content, self.node.as_str()) {
            (_, Some(text)) => Some(text.to_owned()),
            (Content::Scalar { raw, .. }, _) if !self.node.is_null() => {
                self.problem(
                    problems,
                    format!("expected text, found {}; write \"{raw}\" in quotes", self.node.describe()),
                );
                None
            }
            _ => self.expected(problems, "text"),
        }
    }

    /// Any scalar, as written.
    pub fn raw(&self, problems: &mut Problems) -> Option<String> {
        match &self.node.content {
            Content::Scalar { raw, .. } if !self.node.is_null() => Some(raw.clone()),
            _ => self.expected(problems, "a plain value"),
        }
    }

    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        self.node.to_scalar().and_then(|value| value.as_bool()).or_else(|| self.expected(problems, "true or false"))
    }

    pub fn integer(&self, problems: &mut Problems) -> Option<i64> {
        self.node.to_scalar().and_then(|value| value.as_i64()).or_else(|| self.expected(problems, "an integer"))
    }

    pub fn integer_within(&self, range: std::ops::RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
        let number = self.integer(problems)?;
        if !range.contains(&number) {
            self.problem(problems, format!("{number} is not within {} to {}", range.start(), range.end()));
            return None;
        }
        Some(number)
    }

    /// A number greater than 0.
    pub fn positive(&self, problems: &mut Problems) -> Option<f64> {
        let number = self.node.to_scalar().and_then(|value| value.as_f64()).filter(|number| *number > 0.0);
        number.or_else(|| self.expected(problems, "a number greater than 0"))
    }

    pub fn number(&self, problems: &mut Problems) -> Option<f64> {
        self.node.to_scalar().and_then(|value| value.as_f64()).or_else(|| self.expected(problems, "a number"))
    }

    pub fn duration(&self, problems: &mut Problems) -> Option<Duration> {
        let raw = self.raw(problems)?;
        scalar::duration(&raw).or_else(|| self.expected(problems, "a duration such as `500ms`, `60s` or `1m30s`"))
    }

    /// `0.1%` as 0.001.
    pub fn percentage(&self, problems: &mut Problems) -> Option<f64> {
        let raw = self.raw(problems)?;
        scalar::percentage(&raw).or_else(|| self.expected(problems, "a percentage such as `0.1%`"))
    }

    /// Lower-case letters, digits and `-`, at most 63 (RFC 1123).
    pub fn name(&self, problems: &mut Problems) -> Option<String> {
        let text = self.text(problems)?;
        if !scalar::is_label(&text) {
            self.problem(
                problems,
                format!(
                    "`{text}` is no valid name: lower-case letters, digits and `-`, at most 63, no `-` at the ends"
                ),
            );
            return None;
        }
        Some(text)
    }

    pub fn one_of(&self, words: &[&'static str], problems: &mut Problems) -> Option<&'static str> {
        let text = self.text(problems)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let hint = suggestion(&text, words.iter().copied());
            self.problem(problems, format!("expected one of {}, found `{text}`{hint}", words.join(", ")));
        }
        found
    }

    pub fn list(&self, problems: &mut Problems) -> Vec<Item<'a>> {
        match &self.node.content {
            Content::Sequence(items) => {
                items.iter().enumerate().map(|(index, node)| self.child(node, &format!("[{index}]"))).collect()
            }
            _ => self.expected(problems, "a list").unwrap_or_default(),
        }
    }

    pub fn texts(&self, problems: &mut Problems) -> Vec<Located<String>> {
        let items = self.list(problems);
        items.iter().filter_map(|item| item.text(problems).map(|text| item.located(text))).collect()
    }

    /// A map with free keys.
    pub fn entries(&self, problems: &mut Problems) -> Vec<(Located<String>, Item<'a>)> {
        match &self.node.content {
            Content::Mapping(entries) => entries.iter().map(|entry| self.entry(entry)).collect(),
            _ => self.expected(problems, "a map").unwrap_or_default(),
        }
    }

    fn entry(&self, entry: &'a Entry) -> (Located<String>, Item<'a>) {
        let key = Located { value: entry.key.clone(), origin: entry.mark.in_file(self.file) };
        (key, self.child(&entry.value, &entry.key))
    }

    /// A map with known keys.
    pub fn fields(&self, problems: &mut Problems) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Mapping(entries) => {
                Some(Fields { item: self.clone(), entries, known: Vec::new(), missing: Vec::new() })
            }
            _ => self.expected(problems, "a map"),
        }
    }
}

/// Remembers which keys were asked for, to report the others.
pub struct Fields<'a> {
    pub item: Item<'a>,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// An empty value counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then(|| self.item.child(&entry.value, key))
    }

    pub fn required(&mut self, key: &'static str) -> Option<Item<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.missing.push(key);
        }
        found
    }

    /// Reports unknown keys and missing ones; a missing key that was misspelt is one mistake, not two.
    pub fn finish(self, problems: &mut Problems) {
        let mut misspelt = Vec::new();
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let present = |word: &str| self.entries.iter().any(|other| other.key == word);
            let near = closest(&entry.key, self.known.iter().copied().filter(|word| !present(word)));
            misspelt.extend(near);
            let hint = match near {
                Some(word) => format!("; did you mean `{word}`?"),
                None => format!("; known keys: {}", self.known.join(", ")),
            };
            let message = format!("unknown key `{}`{hint}", entry.key);
            problems.at(entry.mark.in_file(self.item.file), with_field(&message, &self.item.path));
        }
        for key in self.missing.iter().filter(|key| !misspelt.contains(*key)) {
            self.item.problem(problems, format!("`{key}` is missing"));
        }
    }
}

pub fn with_field(message: &str, path: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{message} ({path})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{located, plain::Scalars};

    fn check(text: &str, read: impl FnOnce(&Item, &mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        let (documents, _) = located::parse("f.yaml", text.as_bytes(), Scalars::Core, &mut problems);
        read(&Item::document(&documents[0], "f.yaml"), &mut problems);
        problems.lines()
    }

    #[test]
    fn each_getter_says_what_it_expected() {
        let lines = check("a: 3\nb: x\nc: [1]\nd: 5x\ne: 7\nf: Name_\ng: {h: y}\n", |item, problems| {
            let mut fields = item.fields(problems).unwrap();
            assert_eq!(fields.get("a").unwrap().text(problems), None);
            assert_eq!(fields.get("b").unwrap().integer(problems), None);
            assert_eq!(fields.get("c").unwrap().boolean(problems), None);
            assert_eq!(fields.get("d").unwrap().duration(problems), None);
            assert_eq!(fields.get("e").unwrap().integer_within(1..=5, problems), None);
            assert_eq!(fields.get("f").unwrap().name(problems), None);
            let inner = fields.get("g").unwrap().entries(problems);
            assert_eq!(inner[0].1.one_of(&["x", "z"], problems), None);
            fields.finish(problems);
        });
        assert_eq!(
            lines,
            [
                "f.yaml:1:4: expected text, found the number 3; write \"3\" in quotes (a)",
                "f.yaml:2:4: expected an integer, found the string `x` (b)",
                "f.yaml:3:4: expected true or false, found a list (c)",
                "f.yaml:4:4: expected a duration such as `500ms`, `60s` or `1m30s`, found the string `5x` (d)",
                "f.yaml:5:4: 7 is not within 1 to 5 (e)",
                "f.yaml:6:4: `Name_` is no valid name: lower-case letters, digits and `-`, at most 63, no `-` at the ends (f)",
                "f.yaml:7:8: expected one of x, z, found `y` (g.h)",
            ]
        );
    }

    #[test]
    fn a_misspelt_required_key_is_one_problem() {
        let lines = check("nmae: x\nwhat: y\n", |item, problems| {
            let mut fields = item.fields(problems).unwrap();
            fields.required("name");
            fields.required("manifests");
            fields.finish(problems);
        });
        assert_eq!(
            lines,
            [
                "f.yaml:1:1: `manifests` is missing",
                "f.yaml:1:1: unknown key `nmae`; did you mean `name`?",
                "f.yaml:2:1: unknown key `what`; known keys: name, manifests",
            ]
        );
    }
}
