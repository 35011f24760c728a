//! The values of settings: flags over variables over the configuration file over defaults, each with its origin.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Declared, Entry, Fallback, Origin, Section, Setting};
use crate::error::{self, Error, Kind, Result};

/// The flags given, by the key of the setting; absent ones are not in the map.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// Reads the environment's part of the settings.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the configuration file says, by the key of the setting.
#[derive(Debug)]
pub struct FileLayer {
    pub path: PathBuf,
    pub values: BTreeMap<&'static str, Vec<Text>>,
}

/// A value as it was written.
#[derive(Debug, Clone)]
pub struct Text {
    pub text: String,
    /// Names the flag, the variable, or the file with line, column and key.
    pub place: String,
}

/// Stands for a value that is not there.
const ABSENT: &str = "–";

/// The values of all settings, each of which can be parsed.
#[derive(Debug, Default)]
pub struct Values {
    found: BTreeMap<&'static str, Vec<Text>>,
    /// (key, value as text, where from), in the order of the sections.
    pub provenance: Vec<(&'static str, String, Origin)>,
}

impl Values {
    /// Fails with `Kind::Usage` naming the place (flag, variable or line of the file) of all that is wrong.
    pub fn resolve(
        sections: &[&'static Section],
        flags: &Flags,
        environment: Environment<'_>,
        file: Option<&FileLayer>,
    ) -> Result<Values> {
        let mut values = Values::default();
        let mut wrong = Vec::new();
        for setting in sections.iter().flat_map(|section| section.settings) {
            let declared = setting.declared();
            match find(declared, flags, environment, file) {
                Some((texts, origin)) => {
                    wrong.extend(mistakes(*setting, &texts));
                    let shown: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
                    let shown = if shown.is_empty() { ABSENT.to_owned() } else { shown.join(", ") };
                    values.provenance.push((declared.key, shown, origin));
                    values.found.insert(declared.key, texts);
                }
                None => {
                    let shown = if let Fallback::Value(default) = declared.default { default } else { ABSENT };
                    values.provenance.push((declared.key, shown.to_owned(), Origin::Default));
                }
            }
        }
        error::mistakes(wrong, |count| format!("{count} settings have values that cannot be used"))?;
        Ok(values)
    }

    /// Of a setting that is a list.
    pub fn list<T>(&self, setting: &Setting<T>) -> Result<Vec<T>> {
        let texts = self.found.get(setting.key()).map(Vec::as_slice).unwrap_or_default();
        texts
            .iter()
            .map(|text| (setting.parse)(&text.text).map_err(|why| Error::new(Kind::Usage, wrong(text, &why))))
            .collect()
    }

    /// Of a setting that may be absent.
    pub fn optional<T>(&self, setting: &Setting<T>) -> Result<Option<T>> {
        Ok(self.list(setting)?.pop())
    }

    /// Of a setting that has a default.
    pub fn required<T>(&self, setting: &Setting<T>) -> Result<T> {
        if let Some(value) = self.optional(setting)? {
            return Ok(value);
        }
        let default = if let Fallback::Value(default) = setting.declared.default { default } else { "" };
        (setting.parse)(default)
            .map_err(|why| Error::new(Kind::Unexpected, format!("default of {}: {why}", setting.key())))
    }

    /// How a value is shown, and where it came from.
    pub fn shown<T>(&self, setting: &Setting<T>) -> Option<(&str, &Origin)> {
        let row = self.provenance.iter().find(|(key, ..)| *key == setting.key())?;
        Some((row.1.as_str(), &row.2))
    }

    /// Sets what follows from another setting.
    pub fn imply<T>(&mut self, setting: &Setting<T>, value: &str, by: Origin) {
        let by = Origin::Implied(Box::new(by));
        let text = Text { text: value.to_owned(), place: by.to_string() };
        self.found.insert(setting.key(), vec![text]);
        for row in self.provenance.iter_mut().filter(|(key, ..)| *key == setting.key()) {
            (row.1, row.2) = (value.to_owned(), by.clone());
        }
    }
}

fn find(
    declared: &'static Declared,
    flags: &Flags,
    environment: Environment<'_>,
    file: Option<&FileLayer>,
) -> Option<(Vec<Text>, Origin)> {
    if let Some(values) = flags.get(declared.key) {
        let texts = values.iter().map(|text| Text { text: text.clone(), place: declared.flag.to_owned() });
        return Some((texts.collect(), Origin::Flag(declared.flag)));
    }
    let variable = declared.variable();
    if let Some(value) = environment(&variable).filter(|value| !value.is_empty()) {
        let values = match declared.is_list {
            true => value.split(',').map(|item| item.trim().to_owned()).collect(),
            false => vec![value],
        };
        let texts = values.into_iter().map(|text| Text { text, place: variable.clone() }).collect();
        return Some((texts, Origin::Variable(variable)));
    }
    let file = file?;
    Some((file.values.get(declared.key)?.clone(), Origin::File(file.path.clone())))
}

fn mistakes(setting: &dyn Entry, texts: &[Text]) -> Vec<String> {
    texts.iter().filter_map(|text| setting.check(&text.text).err().map(|why| wrong(text, &why))).collect()
}

fn wrong(Text { text, place }: &Text, why: &str) -> String {
    format!("{place}: \"{text}\": {why}")
}
