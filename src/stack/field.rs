//! Paths to a field of a JSON value, such as `spec.list[name=x].field`, `[0]`, `["a.b/c"]`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A path of at least one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    steps: Vec<Step>,
    text: String,
}

impl FieldPath {
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(value, |at, step| step.look(at))
    }
}

impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<FieldPath, String> {
        let wrong = || format!("`{text}` is no path: `spec.list[name=x].field`, `[0]`, `[\"a.b/c\"]`");
        let steps = steps(text).filter(|steps| !steps.is_empty()).ok_or_else(wrong)?;
        Ok(FieldPath { steps, text: text.to_owned() })
    }
}

impl TryFrom<String> for FieldPath {
    type Error = String;

    fn try_from(text: String) -> Result<FieldPath, String> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.text
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `spec`, or `["app.kubernetes.io/name"]` for a key with dots.
    Key(String),
    /// `[0]`
    Index(usize),
    /// `[name=app]`: the item whose field has the text.
    Where(String, String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Key(key) if key.contains('.') => write!(f, "[\"{key}\"]"),
            Step::Key(key) => f.write_str(key),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Where(key, value) => write!(f, "[{key}={value}]"),
        }
    }
}

impl Step {
    pub fn enter<'a>(&self, at: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Step::Key(key) => at.as_object_mut()?.get_mut(key),
            Step::Index(index) => at.as_array_mut()?.get_mut(*index),
            Step::Where(key, wanted) => {
                at.as_array_mut()?.iter_mut().find(|item| item.get(key).is_some_and(|field| as_text(field) == *wanted))
            }
        }
    }

    pub fn look<'a>(&self, at: &'a Value) -> Option<&'a Value> {
        match self {
            Step::Key(key) => at.as_object()?.get(key),
            Step::Index(index) => at.as_array()?.get(*index),
            Step::Where(key, wanted) => {
                at.as_array()?.iter().find(|item| item.get(key).is_some_and(|field| as_text(field) == *wanted))
            }
        }
    }
}

pub fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[\"") {
            let (key, after) = inner.split_once("\"]")?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            steps.push(match inner.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => Step::Where(key.into(), value.into()),
                Some(_) => return None,
                None => Step::Index(inner.parse().ok()?),
            });
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with(['.', '[']) {
                return None;
            }
            rest = after;
        } else if !rest.is_empty() && !rest.starts_with('[') {
            return None;
        }
    }
    (!steps.is_empty()).then_some(steps)
}
