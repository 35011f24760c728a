//! Where two JSON values differ, by path.

use serde_json::{Number, Value};

/// The first difference: `at $.message: expected "hello world", saw "hi"`; None when equal. Numbers compare by value:
/// 1 equals 1.0. Keys come in the order of the expectation, unexpected keys last.
pub fn difference(expected: &Value, seen: &Value) -> Option<String> {
    compare("$", expected, seen)
}

fn compare(path: &str, expected: &Value, seen: &Value) -> Option<String> {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => {
            for (key, value) in expected {
                let path = member(path, key);
                let Some(other) = seen.get(key) else {
                    return Some(format!("at {path}: expected {}, saw no such key", short(value)));
                };
                if let Some(difference) = compare(&path, value, other) {
                    return Some(difference);
                }
            }
            let (key, value) = seen.iter().find(|(key, _)| !expected.contains_key(*key))?;
            Some(format!("at {}: expected no such key, saw {}", member(path, key), short(value)))
        }
        (Value::Array(expected), Value::Array(seen)) => {
            for (at, (value, other)) in expected.iter().zip(seen).enumerate() {
                if let Some(difference) = compare(&format!("{path}[{at}]"), value, other) {
                    return Some(difference);
                }
            }
            let lengths = (expected.len() != seen.len()).then_some((expected.len(), seen.len()));
            lengths.map(|(expected, seen)| format!("at {path}: expected {expected} elements, saw {seen}"))
        }
        (Value::Number(one), Value::Number(other)) if same_number(one, other) => None,
        _ if expected == seen => None,
        _ => Some(format!("at {path}: expected {}, saw {}", short(expected), short(seen))),
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    let whole = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        // As floats, large integers that differ would be equal.
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{path}.{key}") } else { format!("{path}[{}]", Value::from(key)) }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_their_path() {
        let cases = [
            (json!({"message": "hello world"}), json!({"message": "hi"})),
            (json!({"a": [1, {"b c": null}]}), json!({"a": [1, {"b c": 2}]})),
            (json!([1, 2]), json!([1, 2, 3])),
            (json!({"a": 1}), json!({})),
            (json!({}), json!({"a": 1})),
            (json!(1), json!("1")),
        ];
        let lines: Vec<String> = cases.iter().map(|(one, other)| difference(one, other).unwrap()).collect();
        insta::assert_snapshot!(lines.join("\n"), @r###"
        at $.message: expected "hello world", saw "hi"
        at $.a[1]["b c"]: expected null, saw 2
        at $: expected 2 elements, saw 3
        at $.a: expected 1, saw no such key
        at $.a: expected no such key, saw 1
        at $: expected 1, saw "1"
        "###);
    }

    #[test]
    fn numbers_compare_by_value() {
        assert_eq!(difference(&json!(1), &json!(1.0)), None);
        assert_eq!(difference(&json!(0.5), &json!(5e-1)), None);
        assert!(difference(&json!(u64::MAX), &json!(u64::MAX - 1)).is_some());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2i64..3).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab ]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_difference_means_equal(one in value(), other in value()) {
            prop_assert_eq!(difference(&one, &other).is_none(), one == other);
            prop_assert_eq!(difference(&one, &one.clone()), None);
        }
    }
}
