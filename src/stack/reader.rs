//! Typed access to a located tree: each getter reports what is wrong and goes on.

use crate::object::Origin;
use crate::stack::{
    located::{Content, Entry, Node},
    problems::{Problems, suggestion},
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

    pub fn problem(&self, problems: &mut Problems, message: impl AsRef<str>) {
        problems.at(self.origin(), with_field(message.as_ref(), &self.path));
    }

    pub fn expected<T>(&self, problems: &mut Problems, what: &str) -> Option<T> {
        self.problem(problems, format!("expected {what}, found {}", self.node.describe()));
        None
    }

    pub fn child(&self, node: &'a Node, step: &str) -> Item<'a> {
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

    /// An RFC 1123 label.
    pub fn name(&self, problems: &mut Problems) -> Option<String> {
        let text = self.text(problems)?;
        match scalar::label(&text) {
            Ok(()) => Some(text),
            Err(message) => {
                self.problem(problems, message);
                None
            }
        }
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

    /// A map of which some keys are of interest.
    pub fn fields(&self, problems: &mut Problems) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Mapping(entries) => Some(Fields { item: self.clone(), entries }),
            _ => self.expected(problems, "a map"),
        }
    }
}

pub struct Fields<'a> {
    pub item: Item<'a>,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// An empty value counts as absent.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then(|| self.item.child(&entry.value, key))
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
        let lines = check("a: 3\nb: x\nc: [1]\ne: 7\nf: Name_\ng: {h: y}\n", |item, problems| {
            let fields = item.fields(problems).unwrap();
            assert_eq!(fields.get("a").unwrap().text(problems), None);
            assert_eq!(fields.get("b").unwrap().integer(problems), None);
            assert_eq!(fields.get("c").unwrap().boolean(problems), None);
            assert_eq!(fields.get("e").unwrap().integer_within(1..=5, problems), None);
            assert_eq!(fields.get("f").unwrap().name(problems), None);
            let inner = fields.get("g").unwrap().entries(problems);
            assert_eq!(inner[0].1.one_of(&["x", "z"], problems), None);
        });
        assert_eq!(
            lines,
            [
                "f.yaml:1:4: expected text, found the number 3; write \"3\" in quotes (a)",
                "f.yaml:2:4: expected an integer, found the string `x` (b)",
                "f.yaml:3:4: expected true or false, found a list (c)",
                "f.yaml:4:4: 7 is not within 1 to 5 (e)",
                "f.yaml:5:4: `Name_` is no valid name: lower-case letters, digits and `-`, at most 63, no `-` at the ends (f)",
                "f.yaml:6:8: expected one of x, z, found `y` (g.h)",
            ]
        );
    }
}
