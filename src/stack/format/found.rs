//! What was found in a file and fits its table: converted to what its readers want of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Group, Literal, Table};
use crate::object::Origin;
use crate::stack::{
    field::FieldPath,
    problems::Problems,
    reader::{Located, with_field},
    scalar,
    setter::Setter,
};

/// A value at its place.
#[derive(Debug, Clone)]
pub struct Found {
    pub origin: Origin,
    /// The keys that led to it.
    pub path: String,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Scalar {
        /// As it is written.
        raw: String,
        value: Value,
    },
    Any(Value),
    List(Vec<Found>),
    Map(Vec<(Located<String>, Found)>),
    Section(Section),
}

/// A map whose keys are those of a table.
#[derive(Debug, Clone)]
pub struct Section {
    table: &'static Table,
    pub origin: Origin,
    pub path: String,
    /// Those that are there and right.
    fields: Vec<(&'static str, Found)>,
    /// Stand for those that are not.
    defaults: Vec<(&'static str, Found)>,
}

impl Found {
    pub fn section(&self) -> Option<&Section> {
        match &self.content {
            Content::Section(section) => Some(section),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { value: Value::String(text), .. } => Some(text),
            Content::Scalar { raw, .. } => Some(raw),
            _ => None,
        }
    }

    fn scalar(&self) -> Option<&Value> {
        match &self.content {
            Content::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    pub fn problem(&self, problems: &mut Problems, message: impl AsRef<str>) {
        problems.at(self.origin.clone(), with_field(message.as_ref(), &self.path));
    }
}

impl Literal {
    pub fn value(self) -> Value {
        match self {
            Literal::Text(text) => text.into(),
            Literal::Integer(number) => number.into(),
            Literal::Boolean(is) => is.into(),
        }
    }

    pub fn text(self) -> String {
        match self {
            Literal::Text(text) => text.to_owned(),
            Literal::Integer(number) => number.to_string(),
            Literal::Boolean(is) => is.to_string(),
        }
    }
}

impl Section {
    pub fn new(table: &'static Table, origin: Origin, path: String) -> Section {
        Section { table, origin, path, fields: Vec::new(), defaults: Vec::new() }
    }

    pub fn is_of(&self, table: &Table) -> bool {
        self.table.name == table.name
    }

    pub fn push(&mut self, key: &'static str, found: Found) {
        self.fields.push((key, found));
    }

    pub fn push_default(&mut self, key: &'static str, default: Literal) {
        let content = Content::Scalar { raw: default.text(), value: default.value() };
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.defaults.push((key, Found { origin: self.origin.clone(), path, content }));
    }

    /// None: it is required and missing or wrong, which is reported. An optional one that is wrong counts as absent.
    pub fn get<T: FromFound>(&self, key: &'static str) -> Option<T> {
        let default = || self.defaults.iter().find(|(known, _)| *known == key).map(|(_, found)| found);
        self.given(key).or_else(default).and_then(T::from_found).or_else(T::absent)
    }

    /// What stands in the file.
    pub fn given(&self, key: &'static str) -> Option<&Found> {
        debug_assert!(self.table.field(key).is_some(), "the table `{}` has no key `{key}`", self.table.name);
        #[cfg(test)]
        super::tests::note(self.table.name, key);
        self.fields.iter().find(|(known, _)| *known == key).map(|(_, found)| found)
    }

    pub fn section(&self, key: &'static str) -> Option<&Section> {
        self.given(key)?.section()
    }

    /// Of a list.
    pub fn items(&self, key: &'static str) -> &[Found] {
        match self.given(key).map(|found| &found.content) {
            Some(Content::List(items)) => items,
            _ => &[],
        }
    }

    /// Of a list of maps.
    pub fn sections(&self, key: &'static str) -> impl Iterator<Item = &Section> {
        self.items(key).iter().filter_map(Found::section)
    }

    /// Of a map with free keys.
    pub fn entries(&self, key: &'static str) -> &[(Located<String>, Found)] {
        match self.given(key).map(|found| &found.content) {
            Some(Content::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// Of the keys of which there is exactly one, the one that is there.
    pub fn chosen(&self) -> Option<(&'static str, &Found)> {
        debug_assert!(matches!(self.table.group, Group::One(_)), "the table `{}` has no choice", self.table.name);
        let mut given = self.table.grouped().map(|key| (key, self.given(key))).collect::<Vec<_>>().into_iter();
        given.find_map(|(key, found)| Some((key, found?)))
    }

    pub fn problem(&self, problems: &mut Problems, message: impl AsRef<str>) {
        problems.at(self.origin.clone(), with_field(message.as_ref(), &self.path));
    }
}

/// What a value of a file can become.
pub trait FromFound: Sized {
    /// None: a part of it that is required is missing or wrong, which is reported.
    fn from_found(found: &Found) -> Option<Self>;

    /// What stands for nothing. None: it cannot be missing.
    fn absent() -> Option<Self> {
        None
    }
}

impl FromFound for String {
    fn from_found(found: &Found) -> Option<String> {
        found.text().map(str::to_owned)
    }
}

impl FromFound for bool {
    fn from_found(found: &Found) -> Option<bool> {
        found.scalar()?.as_bool()
    }
}

impl FromFound for f64 {
    fn from_found(found: &Found) -> Option<f64> {
        found.scalar()?.as_f64()
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {
        $(impl FromFound for $integer {
            fn from_found(found: &Found) -> Option<$integer> {
                found.scalar()?.as_i64()?.try_into().ok()
            }
        })*
    };
}

integers!(u16 u32 u64 usize);

/// A percentage: 0.001 for `0.1%`.
pub struct Fraction(pub f64);

impl FromFound for Fraction {
    fn from_found(found: &Found) -> Option<Fraction> {
        scalar::percentage(found.text()?).map(Fraction)
    }
}

impl FromFound for Duration {
    fn from_found(found: &Found) -> Option<Duration> {
        scalar::duration(found.text()?)
    }
}

impl FromFound for FieldPath {
    fn from_found(found: &Found) -> Option<FieldPath> {
        found.text()?.parse().ok()
    }
}

impl FromFound for Setter {
    fn from_found(found: &Found) -> Option<Setter> {
        Setter::parse(found.text()?).ok()
    }
}

impl FromFound for Value {
    fn from_found(found: &Found) -> Option<Value> {
        match &found.content {
            Content::Any(value) | Content::Scalar { value, .. } => Some(value.clone()),
            _ => None,
        }
    }
}

impl<T: FromFound> FromFound for Option<T> {
    fn from_found(found: &Found) -> Option<Option<T>> {
        T::from_found(found).map(Some)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

/// One value where a list may stand is a list of it.
impl<T: FromFound> FromFound for Vec<T> {
    fn from_found(found: &Found) -> Option<Vec<T>> {
        match &found.content {
            Content::List(items) => Some(items.iter().filter_map(T::from_found).collect()),
            _ => T::from_found(found).map(|one| vec![one]),
        }
    }

    fn absent() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}

impl<T: FromFound> FromFound for BTreeMap<String, T> {
    fn from_found(found: &Found) -> Option<BTreeMap<String, T>> {
        let Content::Map(entries) = &found.content else { return None };
        Some(entries.iter().filter_map(|(key, found)| Some((key.value.clone(), T::from_found(found)?))).collect())
    }

    fn absent() -> Option<BTreeMap<String, T>> {
        Some(BTreeMap::new())
    }
}

impl<T: FromFound> FromFound for Located<T> {
    fn from_found(found: &Found) -> Option<Located<T>> {
        Some(Located { value: T::from_found(found)?, origin: found.origin.clone() })
    }
}
