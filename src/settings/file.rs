//! The configuration file: a map whose keys are those of the settings. What only one provider has may also stand in a map of
//! that provider's name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    error::{self, Context, Kind, Result},
    setting::{Declared, Environment, FileLayer, Section, Text},
    stack::{
        Problems, Scalars,
        located::{self, Content, Entry, Node},
        suggestion,
    },
};

/// `STACKCTL_CONFIG`, which must exist when it is set, or `$XDG_CONFIG_HOME/stackctl/config.yaml`, which need not.
pub fn read(environment: Environment<'_>, sections: &[&'static Section]) -> Result<Option<FileLayer>> {
    let named = environment("STACKCTL_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || {
        let base = environment("XDG_CONFIG_HOME")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".config")))?;
        Some(base.join("stackctl/config.yaml")).filter(|path| path.exists())
    };
    let Some(path) = named.or_else(usual) else { return Ok(None) };
    let bytes =
        std::fs::read(&path).context(Kind::Usage, || format!("cannot read the configuration {}", path.display()))?;
    let file = path.display().to_string();
    let mut reader = Reader { file: &file, sections, values: BTreeMap::new(), problems: Problems::default() };
    reader.read(&bytes);
    let Reader { values, problems, .. } = reader;
    error::mistakes(problems.lines(), |count| format!("{count} problems in the configuration {file}"))?;
    Ok(Some(FileLayer { path, values }))
}

struct Reader<'a> {
    file: &'a str,
    sections: &'a [&'static Section],
    values: BTreeMap<&'static str, Vec<Text>>,
    problems: Problems,
}

impl Reader<'_> {
    fn read(&mut self, bytes: &[u8]) {
        let (documents, _) = located::parse(self.file, bytes, Scalars::Core, &mut self.problems);
        if let Some(second) = documents.get(1) {
            self.problem(second, "expected one document, found another");
        }
        let Some(document) = documents.first() else { return };
        let Some(entries) = self.map(document, "the configuration") else { return };
        let sections = self.sections;
        let keys: BTreeMap<String, &'static Declared> = sections
            .iter()
            .flat_map(|section| section.declared())
            .map(|declared| (declared.key.to_owned(), declared))
            .collect();
        for entry in entries {
            let of_provider = || sections.iter().filter(|section| section.provider == Some(entry.key.as_str()));
            match keys.get(&entry.key) {
                Some(declared) => self.setting(entry, declared, &entry.key),
                None if of_provider().next().is_some() => self.provider(entry, of_provider()),
                None => {
                    let maps = sections.iter().filter_map(|section| section.provider);
                    self.unknown(entry, "", keys.keys().map(String::as_str).chain(maps));
                }
            }
        }
    }

    /// The map of what one provider has.
    fn provider<'a>(&mut self, entry: &Entry, sections: impl Iterator<Item = &'a &'static Section>) {
        if entry.value.is_null() {
            return;
        }
        let Some(entries) = self.map(&entry.value, &entry.key) else { return };
        let keys: BTreeMap<String, &'static Declared> = sections
            .flat_map(|section| section.declared().map(|declared| (section.key_within(declared), declared)))
            .collect();
        for inner in entries {
            let path = format!("{}.{}", entry.key, inner.key);
            match keys.get(&inner.key) {
                Some(declared) => self.setting(inner, declared, &path),
                None => self.unknown(inner, &format!("{}: ", entry.key), keys.keys().map(String::as_str)),
            }
        }
    }

    /// `path`: the keys that led to it. An empty value counts as absent.
    fn setting(&mut self, entry: &Entry, declared: &'static Declared, path: &str) {
        let texts = match (&entry.value.content, declared.is_list) {
            _ if entry.value.is_null() => return,
            (Content::Sequence(items), true) => items.iter().filter_map(|item| self.text(item, path)).collect(),
            (_, true) => return self.expected(&entry.value, path, "a list"),
            (_, false) => self.text(&entry.value, path).into_iter().collect(),
        };
        if self.values.insert(declared.key, texts).is_some() {
            let mark = entry.mark.in_file(self.file);
            self.problems.at(mark, format!("{path}: `{}` is set twice", declared.key));
        }
    }

    fn text(&mut self, node: &Node, path: &str) -> Option<Text> {
        match &node.content {
            Content::Scalar { raw, .. } if !node.is_null() => {
                Some(Text { text: raw.clone(), place: format!("{}: {path}", node.mark.in_file(self.file)) })
            }
            _ => {
                self.expected(node, path, "a plain value");
                None
            }
        }
    }

    fn map<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a [Entry]> {
        if let Content::Mapping(entries) = &node.content {
            return Some(entries);
        }
        self.expected(node, path, "a map");
        None
    }

    fn expected(&mut self, node: &Node, path: &str, what: &str) {
        self.problem(node, &format!("{path}: expected {what}, found {}", node.describe()));
    }

    /// What was meant, or all that is known.
    fn unknown<'a>(&mut self, entry: &Entry, path: &str, known: impl Iterator<Item = &'a str> + Clone) {
        let hint = match suggestion(&entry.key, known.clone()) {
            near if near.is_empty() => format!("; known keys: {}", known.collect::<Vec<_>>().join(", ")),
            near => near,
        };
        self.problems.at(entry.mark.in_file(self.file), format!("{path}unknown key `{}`{hint}", entry.key));
    }

    fn problem(&mut self, node: &Node, message: &str) {
        self.problems.at(node.mark.in_file(self.file), message);
    }
}
