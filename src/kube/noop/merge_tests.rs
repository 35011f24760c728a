//! `unchanged` held against a model of what the API server does with an apply: it merges, orders, prunes and records.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// The type of a field in the made-up kind.
#[derive(Clone, Copy)]
enum Type {
    Scalar,
    /// Replaced as a whole.
    Atomic,
    /// A list whose items are told apart by their value.
    Set,
    /// A list whose items are told apart by `name`.
    Keyed(&'static [(&'static str, Type)]),
    Struct(&'static [(&'static str, Type)]),
}

const ENTRY: &[(&str, Type)] = &[("name", Type::Scalar), ("value", Type::Scalar)];
const CONTAINER: &[(&str, Type)] =
    &[("name", Type::Scalar), ("image", Type::Scalar), ("args", Type::Atomic), ("env", Type::Keyed(ENTRY))];
const SPEC: &[(&str, Type)] = &[
    ("paused", Type::Scalar),
    ("containers", Type::Keyed(CONTAINER)),
    ("initContainers", Type::Keyed(CONTAINER)),
    ("finalizers", Type::Set),
];
const ROOT: &[(&str, Type)] = &[("spec", Type::Struct(SPEC))];

/// How a list's item is named in managed fields.
fn step(type_: Type, item: &Value) -> String {
    match type_ {
        Type::Keyed(_) => format!("k:{}", json!({"name": item["name"]})),
        _ => format!("v:{item}"),
    }
}

fn is_list(type_: Type) -> bool {
    matches!(type_, Type::Keyed(_) | Type::Set)
}

fn fields(type_: Type) -> &'static [(&'static str, Type)] {
    match type_ {
        Type::Keyed(fields) | Type::Struct(fields) => fields,
        _ => &[],
    }
}

/// The managed fields of one who applies `value`.
fn recorded(type_: Type, value: &Value, is_item: bool) -> Value {
    let mut set = Map::new();
    if is_list(type_) && !is_item {
        for item in value.as_array().unwrap() {
            set.insert(step(type_, item), recorded(type_, item, true));
        }
    } else {
        if is_item && matches!(type_, Type::Keyed(_)) {
            set.insert(".".into(), json!({}));
        }
        for (name, type_) in fields(type_) {
            if let Some(value) = value.get(name) {
                set.insert(format!("f:{name}"), recorded(*type_, value, false));
            }
        }
    }
    Value::Object(set)
}

/// What the server makes of `live` when `desired` is applied by one who had applied `last`, the rest being others'.
fn merged(type_: Type, live: Option<&Value>, desired: Option<&Value>, last: &Value, is_item: bool) -> Option<Value> {
    if is_list(type_) && !is_item {
        return merged_list(type_, live, desired, last);
    }
    if fields(type_).is_empty() {
        let kept = live.filter(|_| last.is_null());
        return desired.or(kept).cloned();
    }
    let mut out = Map::new();
    for (name, type_) in fields(type_) {
        let of = |value: Option<&Value>| value.and_then(|value| value.get(name)).cloned();
        let last = last.get(format!("f:{name}")).unwrap_or(&Value::Null);
        if let Some(value) = merged(*type_, of(live).as_ref(), of(desired).as_ref(), last, false) {
            out.insert((*name).to_owned(), value);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn merged_list(type_: Type, live: Option<&Value>, desired: Option<&Value>, last: &Value) -> Option<Value> {
    let items = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let (live, desired) = (items(live), items(desired));
    let find = |list: &[Value], wanted: &str| list.iter().find(|item| step(type_, item) == wanted).cloned();
    let is_in = |list: &[Value], wanted: &str| find(list, wanted).is_some();
    let mut out: Vec<Value> = Vec::new();
    let mut put = |item: &Value| {
        let at = step(type_, item);
        let below = last.get(&at).unwrap_or(&Value::Null);
        out.extend(merged(type_, find(&live, &at).as_ref(), find(&desired, &at).as_ref(), below, true));
    };
    let mut rest = desired.as_slice();
    for item in &live {
        let at = step(type_, item);
        if !is_in(&desired, &at) {
            // Ours and no longer desired goes; another's stays where it is.
            if last.get(&at).is_none() {
                put(item);
            }
            continue;
        }
        // What is desired takes the place of the next that is there already, with the new items before it.
        let next = rest.iter().position(|wanted| is_in(&live, &step(type_, wanted)));
        if let Some(next) = next.filter(|&next| step(type_, &rest[next]) == at) {
            rest[..=next].iter().for_each(&mut put);
            rest = &rest[next + 1..];
        }
    }
    rest.iter().for_each(&mut put);
    (!out.is_empty()).then_some(Value::Array(out))
}

/// The object after an apply.
fn apply(live: &Value, desired: &Value) -> Value {
    let none = json!({});
    let last = live.pointer("/metadata/managedFields/0/fieldsV1").unwrap_or(&none);
    let spec = merged(Type::Struct(ROOT), Some(live), Some(desired), last, false).unwrap_or_else(|| json!({}));
    let mut next = json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x", "managedFields": [
        {"manager": MANAGER, "operation": "Apply", "apiVersion": "x.io/v1",
         "fieldsV1": recorded(Type::Struct(ROOT), desired, false)}]}});
    next.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    next
}

fn names(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(vec!["a", "b", "c", "d"], 1..=most).prop_shuffle()
}

fn entries_of(most: usize) -> impl Strategy<Value = Value> {
    names(most).prop_flat_map(|names| {
        proptest::collection::vec(1..3u8, names.len()).prop_map(move |values| {
            names.iter().zip(values).map(|(name, value)| json!({"name": name, "value": value.to_string()})).collect()
        })
    })
}

/// A container's image, arguments and environment.
type Made = (u8, Option<Vec<&'static str>>, Option<Value>);

fn containers() -> impl Strategy<Value = Value> {
    let one = (1..3u8, proptest::option::of(names(2)), proptest::option::of(entries_of(3))).boxed();
    names(3).prop_flat_map(move |names| {
        proptest::collection::vec(one.clone(), names.len()).prop_map(move |all| {
            let one = |(name, made): (&&str, Made)| {
                let (image, args, env) = made;
                let mut one = json!({"name": name, "image": format!("x:{image}")});
                if let Some(args) = args {
                    one["args"] = json!(args);
                }
                if let Some(env) = env {
                    one["env"] = env;
                }
                one
            };
            names.iter().zip(all).map(one).collect()
        })
    })
}

prop_compose! {
    fn object()(
        paused in any::<bool>(),
        containers in containers(),
        init in proptest::option::of(entries_of(3)),
        finalizers in proptest::option::of(names(4)),
    ) -> Value {
        let mut spec = json!({"paused": paused, "containers": containers});
        if let Some(init) = init {
            let init: Vec<Value> = init.as_array().unwrap().iter()
                .map(|entry| json!({"name": entry["name"], "image": entry["value"]})).collect();
            spec["initContainers"] = json!(init);
        }
        if let Some(finalizers) = finalizers {
            spec["finalizers"] = json!(finalizers);
        }
        json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec})
    }
}

/// A list of the object, by its path.
const LISTS: [&str; 4] = ["/spec/containers", "/spec/initContainers", "/spec/finalizers", "/spec/containers/0/env"];

/// Turns a list around, or puts somebody else's item into it.
fn touched(mut object: Value, list: usize, how: u8) -> Value {
    let Some(items) = object.pointer_mut(LISTS[list]).and_then(Value::as_array_mut) else { return object };
    match how {
        0 => items.reverse(),
        1 => items.rotate_left(1),
        _ if list == 2 => items.insert(0, json!("theirs")),
        _ if list == 3 => items.insert(items.len() / 2, json!({"name": "theirs", "value": "y"})),
        _ => items.insert(items.len() / 2, json!({"name": "theirs", "image": "y"})),
    }
    object
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

/// Whether `unchanged` says what the server would do.
fn agrees(desired: &Value, live: &Value) -> std::result::Result<(), TestCaseError> {
    let next = apply(live, desired);
    let verdict = unchanged(desired, live);
    if next == *live {
        prop_assert_eq!(verdict, Verdict::Same);
        prop_assert_eq!(fingerprint(&next), fingerprint(live));
    } else {
        prop_assert!(!matches!(verdict, Verdict::Same), "{verdict:?}\n{next}\n{live}");
        prop_assert_ne!(fingerprint(&next), fingerprint(live));
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_object_that_was_applied_is_unchanged_until_something_else_is_desired(
        first in object(), second in object(), list in 0..LISTS.len(), how in 0..3u8,
    ) {
        let live = apply(&json!({}), &first);
        prop_assert_eq!(&bare(&live), &first);
        agrees(&first, &live)?;
        agrees(&second, &live)?;
        agrees(&touched(first.clone(), list, how), &live)?;
        // Others may have written to it meanwhile.
        agrees(&first, &touched(live, list, how))?;
    }
}

#[test]
fn what_is_desired_in_another_order_is_a_change_and_what_others_put_between_is_none() {
    let object = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "x"})).collect();
        json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"initContainers": containers}})
    };
    let live = apply(&json!({}), &object(&["a", "b", "c"]));
    assert_eq!(unchanged(&object(&["b", "a", "c"]), &live), Verdict::Different(vec!["spec.initContainers".into()]));
    let mut shared = live.clone();
    let items = shared["spec"]["initContainers"].as_array_mut().unwrap();
    items.insert(1, json!({"name": "sidecar", "image": "y"}));
    assert_eq!(unchanged(&object(&["a", "b", "c"]), &shared), Verdict::Same);
    let turned = apply(&shared, &object(&["c", "b", "a"]));
    let order: Vec<&str> = turned["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["sidecar", "c", "b", "a"]);
}
