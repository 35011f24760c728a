//! Reading objects that are plain JSON.

use serde_json::Value;

use crate::object::Key;

pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

pub fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The array there, or an empty one.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn name(value: &Value) -> &str {
    text(value, "/metadata/name").unwrap_or_default()
}

pub fn namespace(value: &Value) -> Option<&str> {
    text(value, "/metadata/namespace")
}

pub fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid").unwrap_or_default()
}

pub fn kind(value: &Value) -> &str {
    text(value, "/kind").unwrap_or_default()
}

/// Empty for the core group.
pub fn group(value: &Value) -> &str {
    text(value, "/apiVersion").and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

pub fn version(value: &Value) -> &str {
    let api_version = text(value, "/apiVersion").unwrap_or_default();
    api_version.rsplit_once('/').map_or(api_version, |(_, version)| version)
}

pub fn label<'a>(value: &'a Value, label: &str) -> Option<&'a str> {
    value.pointer("/metadata/labels")?.get(label)?.as_str()
}

pub fn annotation<'a>(value: &'a Value, annotation: &str) -> Option<&'a str> {
    value.pointer("/metadata/annotations")?.get(annotation)?.as_str()
}

pub fn is_being_deleted(value: &Value) -> bool {
    value.pointer("/metadata/deletionTimestamp").is_some()
}

pub fn key(value: &Value) -> Key {
    Key {
        group: group(value).to_owned(),
        kind: kind(value).to_owned(),
        namespace: namespace(value).map(str::to_owned),
        name: name(value).to_owned(),
    }
}

/// The condition of that type, if the object reports it.
pub fn condition<'a>(value: &'a Value, type_: &str) -> Option<&'a Value> {
    list(value, "/status/conditions").iter().find(|condition| condition["type"] == type_)
}

/// `Some(true)` for status "True", `Some(false)` for "False", None for "Unknown" and for no such condition.
pub fn condition_status(value: &Value, type_: &str) -> Option<bool> {
    match condition(value, type_)?["status"].as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// `reason: message` of a condition, a container state or an event; whichever of the two is there.
pub fn reason(value: &Value) -> String {
    let message = value["message"].as_str().unwrap_or_default().trim();
    match (value["reason"].as_str().unwrap_or_default(), message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// `a=b,c=d` from a map of labels: a label selector that matches them all.
pub fn selector(labels: Option<&Value>) -> Option<String> {
    let labels = labels?.as_object()?;
    let pairs: Vec<_> = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}
