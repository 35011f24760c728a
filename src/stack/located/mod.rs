//! YAML as a tree in which every key and value knows its place in the file.

mod builder;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Marker, Options, Parser};

use builder::{Builder, Parsed};

use crate::object::Origin;
use crate::stack::{plain::Scalars, problems::Problems};

/// Kubernetes objects are about 20 levels deep; this bounds every recursion over a tree.
const MAX_DEPTH: usize = 100;
/// What the anchors and aliases of one file may add in nodes, against aliases of aliases of aliases.
const MAX_ALIASED: usize = 50_000;
const MAX_BYTES: usize = 16 << 20;

/// 1-based.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

impl Mark {
    pub fn in_file(self, file: &str) -> Origin {
        Origin { file: file.to_owned(), line: self.line, column: self.column }
    }
}

impl From<&Marker> for Mark {
    fn from(marker: &Marker) -> Self {
        Mark { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

#[derive(Debug, Clone)]
pub struct Node {
    pub mark: Mark,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    /// `raw`: as written, unescaped; `value`: null, boolean, number or text.
    Scalar {
        raw: String,
        value: Value,
    },
    Sequence(Vec<Node>),
    /// Keys are unique.
    Mapping(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub mark: Mark,
    pub value: Node,
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { value: Value::Null, .. })
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { value: Value::String(text), .. } => Some(text),
            _ => None,
        }
    }

    pub fn to_scalar(&self) -> Option<&Value> {
        match &self.content {
            Content::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar { value, .. } => value.clone(),
            Content::Sequence(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Content::Mapping(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// What a reader found in place of what it expected.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Sequence(_) => "a list".into(),
            Content::Mapping(_) => "a map".into(),
            Content::Scalar { value: Value::Null, .. } => "nothing".into(),
            Content::Scalar { value: Value::String(text), .. } => {
                let short: String = text.chars().take(40).collect();
                format!("the string `{short}`")
            }
            Content::Scalar { raw, value: Value::Number(_) } => format!("the number {raw}"),
            Content::Scalar { raw, .. } => raw.clone(),
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar { .. } => 0,
            Content::Sequence(items) => items.iter().map(Node::size).sum(),
            Content::Mapping(entries) => entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }

    fn height(&self) -> usize {
        match &self.content {
            Content::Scalar { .. } => 0,
            Content::Sequence(items) => 1 + items.iter().map(Node::height).max().unwrap_or(0),
            Content::Mapping(entries) => 1 + entries.iter().map(|entry| entry.value.height()).max().unwrap_or(0),
        }
    }
}

/// The documents of a file, empty ones left out. A document that is not well-formed is reported and left out; the
/// flag says whether there was one.
pub fn parse(file: &str, bytes: &[u8], scalars: Scalars, problems: &mut Problems) -> (Vec<Node>, bool) {
    if bytes.len() > MAX_BYTES {
        problems.at(Mark { line: 1, column: 1 }.in_file(file), format!("larger than {} MiB", MAX_BYTES >> 20));
        return (Vec::new(), true);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            problems.at(Mark { line, column }.in_file(file), "not UTF-8 text");
            return (Vec::new(), true);
        }
    };
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    let mut broken = false;
    let mut aliased = 0;
    loop {
        let mut builder = Builder::new(file, scalars, problems, aliased);
        let outcome = builder.document(&mut parser);
        aliased = builder.aliased;
        match outcome {
            Parsed::Document => documents.extend(builder.root.filter(|node| !node.is_null())),
            Parsed::End => return (documents, broken),
            Parsed::Broken => {
                broken = true;
                if !parser.proceed_next_document().unwrap_or(false) {
                    return (documents, broken);
                }
            }
        }
    }
}
