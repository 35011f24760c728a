use serde_json::{Map, Value, json};

use super::{entries, has_keys};

/// Stands for everything of the live object that an apply of ours could change: the fields that we own, their values, and
/// the order in which the items of lists stand.
pub fn fingerprint(live: &Value) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for entry in entries(live) {
        any = true;
        let owned = entry["fieldsV1"].as_object()?;
        hasher.update(serde_json::to_string(entry.get("fieldsV1")?).ok()?.as_bytes());
        hasher.update(serde_json::to_string(&owned_values(owned, live)).ok()?.as_bytes());
    }
    any.then(|| hasher.finalize().to_hex().to_string())
}

/// What is owned, as steps with their values; items of a list in the order of the list.
fn owned_values(owned: &Map<String, Value>, live: &Value) -> Value {
    if owned.keys().all(|key| key == ".") {
        return live.clone();
    }
    let place_of = |found: &dyn Fn(&Value) -> bool| {
        let items = live.as_array()?;
        items.iter().position(found).map(|place| (place, &items[place]))
    };
    let mut children: Vec<(usize, &str, Value)> = Vec::new();
    for (step, below) in owned.iter().filter(|(step, _)| *step != ".") {
        let found = if let Some(field) = step.strip_prefix("f:") {
            live.get(field).map(|child| (0, child))
        } else if let Some(keys) = step.strip_prefix("k:") {
            let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else { continue };
            place_of(&|item| has_keys(item, &keys, false))
        } else if let Some(value) = step.strip_prefix("v:") {
            let Ok(value) = serde_json::from_str::<Value>(value) else { continue };
            place_of(&|item| *item == value)
        } else {
            None
        };
        let (place, child) = found.unwrap_or((usize::MAX, &Value::Null));
        let value = below.as_object().map_or(Value::Null, |below| owned_values(below, child));
        children.push((place, step, value));
    }
    children.sort_by_key(|(place, ..)| *place);
    children.into_iter().map(|(_, step, value)| json!([step, value])).collect()
}
