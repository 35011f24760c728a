//! Strategic-merge patches, as kubectl and Kustomize apply them to built-in kinds.

use serde_json::{Map, Value};

/// Lists of built-in kinds whose items are known by a field; all others are replaced as a whole.
const MERGE_KEYS: [(&str, &[&str]); 10] = [
    ("containers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Maps merge, null deletes, lists merge by their items' key or are replaced; `$patch: delete` and `$patch: replace`
/// mean what they mean to kubectl. `strategic` false: a custom resource, all of whose lists are replaced.
/// Err: a directive that is not known.
pub fn apply(target: &mut Value, patch: &Value, strategic: bool) -> Result<(), String> {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_map(target, patch, strategic),
        (target, patch) => {
            *target = fresh(patch, strategic)?;
            Ok(())
        }
    }
}

/// Whether the patch says that the object is to go.
pub fn deletes(patch: &Value) -> bool {
    directive(patch) == Some("delete")
}

fn directive(patch: &Value) -> Option<&str> {
    patch.get("$patch").and_then(Value::as_str)
}

fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>, strategic: bool) -> Result<(), String> {
    match patch.get("$patch").map(|value| value.as_str()) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => {
            target.clear();
        }
        Some(Some("delete")) => {
            target.clear();
            return Ok(());
        }
        Some(_) => return Err(format!("`$patch: {}` is neither delete, replace nor merge", patch["$patch"])),
    }
    for (key, value) in patch.iter().filter(|(key, _)| *key != "$patch") {
        if key.starts_with('$') {
            return Err(format!("directive `{key}` is not supported"));
        }
        if value.is_null() || value.is_object() && deletes(value) {
            target.remove(key);
            continue;
        }
        match (target.get_mut(key), value) {
            (Some(Value::Array(items)), Value::Array(patches)) => merge_list(key, items, patches, strategic)?,
            (Some(present), value) => apply(present, value, strategic)?,
            (None, value) => {
                target.insert(key.clone(), fresh(value, strategic)?);
            }
        }
    }
    Ok(())
}

fn merge_list(key: &str, items: &mut Vec<Value>, patches: &[Value], strategic: bool) -> Result<(), String> {
    // `{$patch: replace}` as an item of its own speaks of the whole list.
    let replace =
        |patch: &Value| directive(patch) == Some("replace") && patch.as_object().is_some_and(|map| map.len() == 1);
    let merge_key = merge_key(key, patches).filter(|_| strategic && !patches.iter().any(replace));
    let Some(merge_key) = merge_key else {
        let all: Result<Vec<Value>, String> =
            patches.iter().filter(|patch| !replace(patch)).map(|patch| fresh(patch, strategic)).collect();
        *items = all?;
        return Ok(());
    };
    for patch in patches {
        let same = |item: &Value| item.get(merge_key) == patch.get(merge_key);
        let at = items.iter().position(same);
        match at {
            Some(at) if deletes(patch) => {
                items.remove(at);
            }
            Some(at) => apply(&mut items[at], patch, strategic)?,
            None if deletes(patch) => {
                return Err(format!("{key} has no item with {merge_key} {} to delete", patch[merge_key]));
            }
            None => items.push(fresh(patch, strategic)?),
        }
    }
    Ok(())
}

/// The field that all items of the patch are known by.
fn merge_key(list: &str, patches: &[Value]) -> Option<&'static str> {
    let (_, keys) = MERGE_KEYS.iter().find(|(name, _)| *name == list)?;
    keys.iter().copied().find(|key| !patches.is_empty() && patches.iter().all(|patch| patch.get(key).is_some()))
}

/// A patch where there is nothing yet: without its directives and nulls.
fn fresh(patch: &Value, strategic: bool) -> Result<Value, String> {
    Ok(match patch {
        Value::Object(patch) => {
            let mut map = Map::new();
            merge_map(&mut map, patch, strategic)?;
            Value::Object(map)
        }
        Value::Array(items) => {
            let kept = items.iter().filter(|item| {
                !(item.is_object()
                    && directive(item).is_some_and(|_| item.as_object().is_some_and(|map| map.len() == 1)))
            });
            let all: Result<Vec<Value>, String> = kept.map(|item| fresh(item, strategic)).collect();
            Value::Array(all?)
        }
        scalar => scalar.clone(),
    })
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn patched(target: Value, patch: Value) -> Value {
        let mut target = target;
        apply(&mut target, &patch, true).unwrap();
        target
    }

    #[test]
    fn maps_merge_and_null_deletes() {
        let target = json!({"a": {"b": 1, "c": 2}, "d": 3});
        assert_eq!(
            patched(target, json!({"a": {"b": null, "e": {"f": null, "g": 1}}})),
            json!({"a": {"c": 2, "e": {"g": 1}}, "d": 3})
        );
    }

    #[test]
    fn lists_merge_by_key_or_are_replaced() {
        let pod = json!({"containers": [
            {"name": "a", "image": "x", "args": ["1", "2"], "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}],
             "ports": [{"containerPort": 80}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            {"name": "b"}]});
        let patch = json!({"containers": [
            {"name": "a", "args": ["3"], "env": [{"name": "F", "$patch": "delete"}, {"name": "G", "value": "3"}],
             "ports": [{"containerPort": 80, "name": "http"}], "volumeMounts": [{"mountPath": "/w", "name": "w"}]},
            {"name": "c", "env": [{"name": "H", "value": null}]}]});
        assert_eq!(
            patched(pod, patch),
            json!({"containers": [
                {"name": "a", "image": "x", "args": ["3"], "env": [{"name": "E", "value": "1"}, {"name": "G", "value": "3"}],
                 "ports": [{"containerPort": 80, "name": "http"}],
                 "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}]},
                {"name": "b"},
                {"name": "c", "env": [{"name": "H"}]}]})
        );
    }

    #[test]
    fn service_ports_merge_by_port() {
        let service = json!({"ports": [{"port": 80, "targetPort": 8080}, {"port": 81}]});
        assert_eq!(
            patched(service, json!({"ports": [{"port": 80, "nodePort": 30000}]})),
            json!({"ports": [{"port": 80, "targetPort": 8080, "nodePort": 30000}, {"port": 81}]})
        );
    }

    #[test]
    fn directives() {
        assert_eq!(
            patched(json!({"a": {"b": 1}}), json!({"a": {"$patch": "replace", "c": 2}})),
            json!({"a": {"c": 2}})
        );
        assert_eq!(patched(json!({"a": {"b": 1}}), json!({"a": {"$patch": "delete"}})), json!({}));
        let list = json!({"env": [{"name": "A"}]});
        assert_eq!(
            patched(list, json!({"env": [{"$patch": "replace"}, {"name": "B"}]})),
            json!({"env": [{"name": "B"}]})
        );
        let fails = |patch: Value| apply(&mut json!({"env": [{"name": "A"}]}), &patch, true).unwrap_err();
        assert!(fails(json!({"$setElementOrder/env": []})).contains("not supported"));
        assert!(fails(json!({"$patch": "drop"})).contains("neither"));
        assert!(fails(json!({"env": [{"name": "Z", "$patch": "delete"}]})).contains("no item with name \"Z\""));
    }

    #[test]
    fn lists_of_custom_resources_are_replaced() {
        let mut target = json!({"ports": [{"port": 1}, {"port": 2}]});
        apply(&mut target, &json!({"ports": [{"port": 3}]}), false).unwrap();
        assert_eq!(target, json!({"ports": [{"port": 3}]}));
    }

    pub fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z0-9:~ #-]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("name|env|ports|containers|[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(has_null),
            Value::Object(map) => map.values().any(has_null),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn an_empty_patch_is_the_identity(map in proptest::collection::btree_map("[a-z]{1,3}", json_value(), 0..5)) {
            let value = Value::Object(map.into_iter().collect());
            prop_assert_eq!(patched(value.clone(), json!({})), value);
        }

        #[test]
        fn an_object_patched_with_itself_is_itself(map in proptest::collection::btree_map("[a-z]{1,3}", json_value(), 0..5)) {
            let value = Value::Object(map.into_iter().collect());
            prop_assume!(!has_null(&value));
            let mut once = json!({});
            apply(&mut once, &value, false).unwrap();
            prop_assert_eq!(&once, &value);
            apply(&mut once, &value, false).unwrap();
            prop_assert_eq!(once, value);
        }

        #[test]
        fn any_patch_twice_is_the_patch_once(target in json_value(), patch in json_value()) {
            let mut once = target;
            apply(&mut once, &patch, false).unwrap();
            let mut twice = once.clone();
            apply(&mut twice, &patch, false).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
