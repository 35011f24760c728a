//! Makes a tree of what the parser of YAML sees.

use std::collections::HashMap;

use serde_json::Value;
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StrInput, Tag};

use super::{Content, Entry, MAX_ALIASED, MAX_DEPTH, Mark, Node};
use crate::stack::{plain::Scalars, problems::Problems};

pub enum Parsed {
    Document,
    Broken,
    End,
}

enum Frame {
    Sequence { mark: Mark, anchor: usize, items: Vec<Node> },
    Mapping { mark: Mark, anchor: usize, entries: Vec<Entry>, seen: HashMap<String, Mark>, key: Option<(String, Mark)> },
}

/// One document, from the parser's events.
pub struct Builder<'a> {
    file: &'a str,
    scalars: Scalars,
    problems: &'a mut Problems,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    pub root: Option<Node>,
    /// What anchors and aliases of the file added so far.
    pub aliased: usize,
}

impl<'a> Builder<'a> {
    pub fn new(file: &'a str, scalars: Scalars, problems: &'a mut Problems, aliased: usize) -> Self {
        Builder { file, scalars, problems, frames: Vec::new(), anchors: HashMap::new(), root: None, aliased }
    }

    pub fn document<'t>(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Parsed {
        loop {
            let (event, span) = match parser.next_event() {
                None => return Parsed::End,
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    let message = match error.kind() {
                        ErrorKind::RecursionLimitExceeded => format!("nested deeper than {MAX_DEPTH} levels"),
                        _ => format!("not well-formed YAML: {}", error.info()),
                    };
                    self.problem(error.marker().into(), message);
                    return Parsed::Broken;
                }
            };
            let mark = Mark::from(&span.start);
            let fine = match event {
                Event::StreamEnd => return Parsed::End,
                Event::DocumentEnd => return Parsed::Document,
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
                return Parsed::Broken;
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
        if self.scalars == Scalars::Kubectl {
            // go-yaml v2 lets `<<` overwrite what stands before it, against the specification.
            for entry in entries[..index].iter().filter(|entry| brings(&merged.value, &entry.key)) {
                let message = format!("kubectl would take the `{}` that `<<` brings; put `<<` first", entry.key);
                self.problem(entry.mark, message);
            }
        }
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
                    Content::Scalar { raw, value } => {
                        let kept = self.scalars.keeps_key(&raw, &value);
                        *key = Some((raw.clone(), node.mark));
                        if value.is_null() && self.scalars == Scalars::Kubectl {
                            self.problem(node.mark, "a key must not be null");
                        } else if !kept {
                            // A key is a string to whoever writes it, whatever YAML 1.1 says.
                            let message = format!(
                                "the key `{raw}` stays as it is written, where kubectl reads {value}; write \"{raw}\" in quotes"
                            );
                            self.problems.note(node.mark.in_file(self.file), message);
                        }
                    }
                    _ => {
                        *key = Some((String::new(), node.mark));
                        self.problem(node.mark, "a key must be a plain value, not a list or a map");
                    }
                },
                Some((key, mark)) => match seen.get(&key).copied() {
                    Some(first) => {
                        self.problem(mark, format!("duplicate key `{key}`, first on line {}", first.line));
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
        let text = || Value::String(raw.to_owned());
        let value = match tag.map(|tag| tag.core_suffix()) {
            None if style != ScalarStyle::Plain => return text(),
            Some(None | Some("str")) => return text(),
            None | Some(Some(_)) => self.scalars.resolve(raw),
        };
        let Some(value) = value else {
            self.problem(mark, format!("{raw} is no value in Kubernetes; write \"{raw}\" in quotes if it is a string"));
            return text();
        };
        let fits = match tag.and_then(|tag| tag.core_suffix()) {
            None => true,
            Some("bool") => value.is_boolean(),
            Some("int") => value.is_i64() || value.is_u64(),
            Some("float") => value.is_number(),
            Some("null") => value.is_null(),
            Some(_) => false,
        };
        if !fits {
            self.problem(mark, format!("the value does not fit its tag: `{raw}`"));
        }
        value
    }
}

/// Whether the map, or one of the maps, that `<<` names has the key.
fn brings(merged: &Node, key: &str) -> bool {
    match &merged.content {
        Content::Sequence(items) => items.iter().any(|item| item.get(key).is_some()),
        _ => merged.get(key).is_some(),
    }
}
