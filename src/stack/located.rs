//! YAML 1.2 as a tree in which every key and value knows its place in the file.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, StrInput, Tag};

use crate::stack::{model::Origin, problems::Problems};

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
    /// `raw`: as written, unescaped; `value`: null, boolean, number or text by YAML 1.2's core schema.
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
                format!("the text `{short}`")
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
pub fn parse(file: &str, bytes: &[u8], problems: &mut Problems) -> (Vec<Node>, bool) {
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
        let mut builder = Builder { file, problems, frames: Vec::new(), anchors: HashMap::new(), root: None, aliased };
        let outcome = builder.document(&mut parser);
        aliased = builder.aliased;
        match outcome {
            Outcome::Document => documents.extend(builder.root.filter(|node| !node.is_null())),
            Outcome::End => return (documents, broken),
            Outcome::Broken => {
                broken = true;
                if !parser.proceed_next_document().unwrap_or(false) {
                    return (documents, broken);
                }
            }
        }
    }
}

enum Outcome {
    Document,
    Broken,
    End,
}

enum Frame {
    Sequence { mark: Mark, anchor: usize, items: Vec<Node> },
    Mapping { mark: Mark, anchor: usize, entries: Vec<Entry>, seen: HashMap<String, Mark>, key: Option<(String, Mark)> },
}

struct Builder<'a> {
    file: &'a str,
    problems: &'a mut Problems,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    aliased: usize,
}

impl Builder<'_> {
    fn document<'t>(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Outcome {
        loop {
            let (event, span) = match parser.next_event() {
                None => return Outcome::End,
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    let message = match error.kind() {
                        ErrorKind::RecursionLimitExceeded => format!("nested deeper than {MAX_DEPTH} levels"),
                        _ => format!("not well-formed YAML: {}", error.info()),
                    };
                    self.problem(error.marker().into(), message);
                    return Outcome::Broken;
                }
            };
            let mark = Mark::from(&span.start);
            let fine = match event {
                Event::StreamEnd => return Outcome::End,
                Event::DocumentEnd => return Outcome::Document,
                Event::Scalar(raw, style, anchor, tag) => {
                    let value = self.scalar(&raw, style, tag.as_deref(), mark);
                    self.finish(Node { mark, content: Content::Scalar { raw: raw.into_owned(), value } }, anchor);
                    true
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.check_tag(tag.as_deref(), mark);
                    self.open(mark, Frame::Sequence { mark, anchor, items: Vec::new() })
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.check_tag(tag.as_deref(), mark);
                    let (entries, seen) = (Vec::new(), HashMap::new());
                    self.open(mark, Frame::Mapping { mark, anchor, entries, seen, key: None })
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.close();
                    true
                }
                Event::Alias(id) => self.alias(id, mark),
                _ => true,
            };
            if !fine {
                return Outcome::Broken;
            }
        }
    }

    fn problem(&mut self, mark: Mark, message: impl Into<String>) {
        self.problems.at(mark.in_file(self.file), message);
    }

    fn open(&mut self, mark: Mark, frame: Frame) -> bool {
        if self.frames.len() >= MAX_DEPTH {
            self.problem(mark, format!("nested deeper than {MAX_DEPTH} levels"));
            return false;
        }
        self.frames.push(frame);
        true
    }

    fn close(&mut self) {
        let (node, anchor) = match self.frames.pop() {
            Some(Frame::Sequence { mark, anchor, items }) => (Node { mark, content: Content::Sequence(items) }, anchor),
            Some(Frame::Mapping { mark, anchor, mut entries, .. }) => {
                self.merge(&mut entries);
                (Node { mark, content: Content::Mapping(entries) }, anchor)
            }
            None => return,
        };
        self.finish(node, anchor);
    }

    /// `<<: *defaults`, which kubectl understands: the entries of the map, or maps, that are not there already.
    fn merge(&mut self, entries: &mut Vec<Entry>) {
        let Some(index) = entries.iter().position(|entry| entry.key == "<<") else { return };
        let merged = entries.remove(index);
        let sources = match merged.value.content {
            Content::Sequence(items) => items,
            _ => vec![merged.value],
        };
        for source in sources {
            match source.content {
                Content::Mapping(more) => {
                    for entry in more {
                        if entries.iter().all(|present| present.key != entry.key) {
                            entries.push(entry);
                        }
                    }
                }
                _ => self.problem(source.mark, "`<<` merges a map or a list of maps"),
            }
        }
    }

    fn alias(&mut self, id: usize, mark: Mark) -> bool {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.problem(mark, "an alias within the value that it names");
            return false;
        };
        if !self.afford(&node) {
            return false;
        }
        if self.frames.len() + node.height() > MAX_DEPTH {
            self.problem(mark, format!("nested deeper than {MAX_DEPTH} levels"));
            return false;
        }
        self.finish(node, 0);
        true
    }

    /// Both remembering an anchored value and repeating it cost its size.
    fn afford(&mut self, node: &Node) -> bool {
        let before = self.aliased;
        self.aliased += node.size();
        if before <= MAX_ALIASED && self.aliased > MAX_ALIASED {
            self.problem(node.mark, format!("anchors and aliases add more than {MAX_ALIASED} values"));
        }
        self.aliased <= MAX_ALIASED
    }

    /// Hands a complete node to what contains it.
    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor != 0 && self.afford(&node) {
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence { items, .. }) => items.push(node),
            Some(Frame::Mapping { entries, seen, key, .. }) => match key.take() {
                None => match node.content {
                    Content::Scalar { raw, .. } => *key = Some((raw, node.mark)),
                    _ => {
                        *key = Some((String::new(), node.mark));
                        self.problem(node.mark, "a key must be a plain value, not a list or a map");
                    }
                },
                Some((key, mark)) => match seen.get(&key).copied() {
                    Some(first) => {
                        self.problem(mark, format!("key `{key}` is there twice, first on line {}", first.line));
                    }
                    None => {
                        seen.insert(key.clone(), mark);
                        entries.push(Entry { key, mark, value: node });
                    }
                },
            },
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, mark: Mark) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.problem(mark, format!("tag `{}` has no meaning here", tag.original()));
        }
    }

    fn scalar(&mut self, raw: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Value {
        self.check_tag(tag, mark);
        let text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
        if text { Value::String(raw.to_owned()) } else { resolve(raw) }
    }
}

/// A plain scalar by YAML 1.2's core schema, except that a number with a leading zero stays text: YAML 1.1 reads it as
/// octal and 1.2 as decimal, and neither may be guessed. `.inf` and `.nan`, which JSON lacks, stay text as well.
pub fn resolve(raw: &str) -> Value {
    match raw {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(raw).map_or_else(|| Value::String(raw.to_owned()), Value::Number)
}

fn number(raw: &str) -> Option<Number> {
    let radix = |digits: &str, radix| {
        let fine = digits.chars().all(|c| c.is_digit(radix));
        fine.then(|| u64::from_str_radix(digits, radix).ok()).flatten().map(Number::from)
    };
    if let Some(digits) = raw.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = raw.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = raw.strip_prefix(['-', '+']).unwrap_or(raw);
    let bytes = unsigned.as_bytes();
    let starts =
        bytes.first().is_some_and(|c| c.is_ascii_digit() || *c == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit));
    if !starts || bytes[0] == b'0' && bytes.get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        let digits = raw.strip_prefix('+').unwrap_or(raw);
        if let Ok(integer) = digits.parse::<i64>() {
            return Some(integer.into());
        }
        if let Ok(integer) = digits.parse::<u64>() {
            return Some(integer.into());
        }
    }
    if !bytes.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'-' | b'+')) {
        return None;
    }
    let float = raw.parse::<f64>().ok().filter(|float| float.is_finite())?;
    // As kubectl does on the way through JSON: 1.0 and 1e3 are integers.
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Some((float as i64).into());
    }
    Number::from_f64(float)
}

#[cfg(test)]
mod tests;
