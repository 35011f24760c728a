//! Objects as YAML that people and `kubectl apply` read.

use serde_json::{Map, Value};
use serde_yaml::Mapping;

/// Documents separated by `---`; within an object apiVersion, kind, metadata, spec first, other keys by name.
pub fn to_yaml<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    let mut out = String::new();
    for object in objects {
        let text = serde_yaml::to_string(&ordered(object)).unwrap_or_default();
        if !out.is_empty() {
            out.push_str("---\n");
        }
        out.push_str(&text);
    }
    out
}

fn ordered(value: &Value) -> serde_yaml::Value {
    match value {
        Value::Null => serde_yaml::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
            (None, None, number) => number.unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => serde_yaml::Value::Sequence(items.iter().map(ordered).collect()),
        Value::Object(map) => serde_yaml::Value::Mapping(mapping(map)),
    }
}

fn mapping(map: &Map<String, Value>) -> Mapping {
    const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "name", "namespace", "spec"];
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort_by_key(|key| (rank(key), *key));
    keys.into_iter().map(|key| (key.as_str().into(), ordered(&map[key]))).collect()
}

#[cfg(test)]
mod tests;
