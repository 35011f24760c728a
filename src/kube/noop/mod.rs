//! Does an object need a PATCH at all? Answered from what the server itself recorded about our last apply.
//!
//! `metadata.managedFields` holds the set of fields that we own. If that set equals the fields that are desired, both
//! ways, and the live values of those fields equal the desired ones, an apply would change nothing. No schema is needed:
//! whether a list is atomic, a set or keyed can be read off the recorded set. The order of a list is not recorded, but an
//! apply brings the items that are desired into the order in which they are desired, so it is compared as well.

mod fingerprint;
pub mod known;
#[cfg(test)]
mod merge_tests;
mod path;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use fingerprint::fingerprint;
use path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::MANAGER;
use crate::object::json;
use crate::quantity;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// The paths at which desired and live, or desired and owned, differ.
    Different(Vec<String>),
    /// Cannot be told from here; the server must be asked.
    Unsure(String),
}

/// What is sent for a desired object: as declared, but a Secret's `stringData` as the `data` that the server makes of it.
pub fn prepared(desired: &Value) -> Cow<'_, Value> {
    let strings = desired.get("stringData").and_then(Value::as_object);
    let Some(strings) = strings.filter(|_| json::kind(desired) == "Secret" && json::group(desired).is_empty()) else {
        return Cow::Borrowed(desired);
    };
    let mut secret = desired.clone();
    let encoded =
        strings.iter().filter_map(|(key, text)| Some((key.clone(), BASE64_STANDARD.encode(text.as_str()?).into())));
    let encoded: Map<String, Value> = encoded.collect();
    if let Some(fields) = secret.as_object_mut() {
        fields.remove("stringData");
        let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
        match data.as_object_mut() {
            Some(data) => data.extend(encoded),
            None => *data = Value::Object(encoded),
        }
    }
    Cow::Owned(secret)
}

/// Whether applying `desired` would leave `live` as it is.
pub fn unchanged(desired: &Value, live: &Value) -> Verdict {
    if json::is_being_deleted(live) {
        return Verdict::Different(vec!["metadata.deletionTimestamp".to_owned()]);
    }
    let ours: Vec<_> = entries(live).collect();
    let entry = match ours.as_slice() {
        [] => return Verdict::Different(vec!["metadata.managedFields".to_owned()]),
        [entry] => *entry,
        _ => return Verdict::Unsure("applied in several versions".to_owned()),
    };
    if entry["apiVersion"] != desired["apiVersion"] {
        return Verdict::Different(vec!["apiVersion".to_owned()]);
    }
    let (Some(owned), desired) = (entry["fieldsV1"].as_object(), prepared(desired)) else {
        return Verdict::Unsure("managedFields without fields".to_owned());
    };
    let Some(fields) = desired.as_object() else { return Verdict::Unsure("not an object".to_owned()) };
    let mut comparison = Comparison::default();
    comparison.map(&Path::ROOT, fields, owned, Some(live));
    match comparison {
        Comparison { different, .. } if !different.is_empty() => Verdict::Different(different),
        Comparison { unsure: Some(why), .. } => Verdict::Unsure(why),
        _ => Verdict::Same,
    }
}

/// Our entries: manager `stackctl`, by apply, of the object proper.
pub(super) fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    json::list(live, "/metadata/managedFields").iter().filter(|entry| {
        entry["manager"] == MANAGER
            && entry["operation"] == "Apply"
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    })
}

/// The fields that are ours by an apply, as `managedFields` has them.
pub fn owned(live: &Value) -> Option<&Map<String, Value>> {
    entries(live).next()?["fieldsV1"].as_object()
}

/// Does an item of a keyed list have these key fields? A desired item may leave out one that the server defaults.
pub(super) fn has_keys(item: &Value, keys: &Map<String, Value>, may_omit: bool) -> bool {
    keys.iter().all(|(field, wanted)| match item.get(field) {
        Some(value) => value == wanted,
        None => may_omit && key_default(field).is_some_and(|default| wanted == default),
    })
}

fn key_default(field: &str) -> Option<&'static str> {
    (field == "protocol").then_some("TCP")
}

#[derive(Default)]
struct Comparison {
    different: Vec<String>,
    unsure: Option<String>,
}

impl Comparison {
    fn differs(&mut self, path: &Path<'_>) {
        self.different.push(path.text());
    }

    fn unsure(&mut self, path: &Path<'_>, why: &str) {
        self.unsure.get_or_insert_with(|| format!("{}: {why}", path.text()));
    }

    fn value(&mut self, path: &Path<'_>, desired: &Value, owned: &Map<String, Value>, live: Option<&Value>) {
        if owned.is_empty() {
            return self.atom(path, desired, live);
        }
        match desired {
            Value::Object(fields) => self.map(path, fields, owned, live),
            Value::Array(items) => self.keyed_list(path, items, owned, live),
            // A map's entry that is a scalar is recorded as `.` at times.
            scalar if owned.keys().all(|key| key == ".") => self.atom(path, scalar, live),
            _ => self.differs(path),
        }
    }

    fn map(&mut self, path: &Path<'_>, desired: &Map<String, Value>, owned: &Map<String, Value>, live: Option<&Value>) {
        for (field, value) in desired {
            if path.is_managed_by_server(field) {
                continue;
            }
            let at = path.then(field);
            let live = live.and_then(|live| live.get(field));
            if value.is_null() {
                // Where nothing is, there is nothing to take away.
                if live.is_some_and(|live| !live.is_null()) {
                    self.unsure(&at, "null");
                }
                continue;
            }
            match owned.get(&format!("f:{field}")).and_then(Value::as_object) {
                Some(owned) => self.value(&at, value, owned, live),
                // An empty list leaves no trace in a set of leaves.
                None if value.as_array().is_some_and(Vec::is_empty) && live.is_none_or(is_zero) => {}
                // Nothing in it is owned: fine only if there is nothing in it to own.
                None => match value.as_object().filter(|fields| !fields.is_empty()) {
                    Some(fields) => self.map(&at, fields, &Map::new(), live),
                    None => self.differs(&at),
                },
            }
        }
        for step in owned.keys().filter(|step| *step != ".") {
            match step.strip_prefix("f:") {
                Some(field) if desired.contains_key(field) || path.is_managed_by_server(field) => {}
                // Owned, no longer desired: an apply would remove it.
                Some(field) => self.differs(&path.then(field)),
                None => self.unsure(path, "a map that is recorded as a list"),
            }
        }
    }

    /// A list whose items are owned one by one: by their keys, or as members of a set.
    fn keyed_list(&mut self, path: &Path<'_>, desired: &[Value], owned: &Map<String, Value>, live: Option<&Value>) {
        let live = live.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut met = vec![false; desired.len()];
        // Where in the live list each desired item stands.
        let mut places: Vec<Option<usize>> = vec![None; desired.len()];
        for (step, below) in owned.iter().filter(|(step, _)| *step != ".") {
            let label = format!("[{}]", step.split_once(':').map_or(step.as_str(), |(_, keys)| keys));
            let at = path.then(&label);
            if let Some(keys) = step.strip_prefix("k:") {
                let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else {
                    return self.unsure(&at, "unreadable keys");
                };
                let Some(index) = (0..desired.len()).find(|&i| !met[i] && has_keys(&desired[i], &keys, true)) else {
                    self.differs(&at);
                    continue;
                };
                met[index] = true;
                let (Some(fields), Some(below)) = (desired[index].as_object(), below.as_object()) else {
                    return self.unsure(&at, "not an object");
                };
                let mut found = (0..live.len()).filter(|&place| has_keys(&live[place], &keys, false));
                match (found.next(), found.next()) {
                    (Some(place), None) => {
                        places[index] = Some(place);
                        self.map(&at, fields, below, Some(&live[place]));
                    }
                    (Some(_), Some(_)) => return self.unsure(&at, "there are several of it"),
                    _ => self.differs(&at),
                }
            } else if let Some(value) = step.strip_prefix("v:") {
                let Ok(value) = serde_json::from_str::<Value>(value) else {
                    return self.unsure(&at, "unreadable value");
                };
                let index = desired.iter().position(|wanted| *wanted == value);
                match (index, live.iter().position(|member| *member == value)) {
                    (Some(index), Some(place)) => {
                        met[index] = true;
                        places[index] = Some(place);
                    }
                    _ => self.differs(&at),
                }
            } else {
                return self.unsure(&at, "neither keys nor values");
            }
        }
        // Items of others may stand between ours, wherever they like.
        if met.contains(&false) || !places.into_iter().flatten().is_sorted() {
            self.differs(path);
        }
    }

    /// A scalar, or a map or list that is owned as a whole.
    fn atom(&mut self, path: &Path<'_>, desired: &Value, live: Option<&Value>) {
        let Some(live) = live else {
            // Servers leave out zero values.
            if !is_zero(desired) {
                self.differs(path);
            }
            return;
        };
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => {
                for (field, value) in desired {
                    if value.is_null() {
                        self.unsure(&path.then(field), "null");
                    } else {
                        self.atom(&path.then(field), value, live.get(field));
                    }
                }
                // An empty map owns nothing but its being there.
                let extra =
                    live.iter().find(|(field, value)| !desired.contains_key(*field) && !is_default(path, field, value));
                if let Some((field, _)) = extra.filter(|_| !desired.is_empty()) {
                    self.unsure(&path.then(field), "set by the server within a whole");
                }
            }
            (Value::Array(desired), Value::Array(live)) if desired.len() == live.len() => {
                for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                    self.atom(&path.then(&format!("[{index}]")), desired, Some(live));
                }
            }
            (desired, live) if desired == live || same_number(desired, live) => {}
            (desired, live) if path.is_quantity() && same_quantity(desired, live) => {}
            _ => self.differs(path),
        }
    }
}

/// Defaults within wholes that the API documents.
fn is_default(path: &Path<'_>, field: &str, value: &Value) -> bool {
    if path.above() == "volumeClaimTemplates" && matches!(field, "apiVersion" | "kind" | "status") {
        return true;
    }
    match field {
        "volumeMode" => value == "Filesystem",
        "protocol" => value == "TCP",
        "apiVersion" => path.step == "fieldRef" && value == "v1",
        "apiGroup" => value == "rbac.authorization.k8s.io" || value == "",
        "divisor" => value == "0",
        _ => false,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn same_number(a: &Value, b: &Value) -> bool {
    matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn same_quantity(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (Some(a), Some(b)) = (text(a), text(b)) else { return false };
    matches!((quantity::thousandths(&a), quantity::thousandths(&b)), (Some(a), Some(b)) if a == b)
}
