use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stack::{located, patch::tests::json_value, plain::Scalars, problems::Problems};

#[test]
fn the_order_is_the_one_people_write() {
    let object = json!({"spec": {"b": 1, "a": [{"image": "x", "name": "web"}]}, "data": {}, "kind": "K", "metadata": {"labels": {}, "name": "one"},
        "apiVersion": "v1"});
    assert_eq!(
        to_yaml([&object, &json!({"kind": "L"})]),
        "apiVersion: v1\nkind: K\nmetadata:\n  name: one\n  labels: {}\nspec:\n  a:\n  - name: web\n    image: x\n  b: 1\ndata: {}\n---\nkind: L\n"
    );
}

/// kubectl reads YAML 1.1, in which these are no texts unless quoted.
#[test]
fn texts_that_look_like_something_else_are_quoted() {
    for text in [
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "n",
        "true",
        "null",
        "~",
        "0755",
        "1_000",
        "12:30",
        "1e3",
        "0x1F",
        ".5",
        "2024-01-01",
        "=",
        "<<",
        "",
    ] {
        let yaml = to_yaml([&json!({"a": text})]);
        assert_eq!(yaml, format!("a: \"{text}\"\n"));
    }
    for text in ["plain", "64Mi", "1.2.3", "25m", "/healthz", "a.b/c:1@sha256:0", "v1"] {
        assert_eq!(to_yaml([&json!({"a": text})]), format!("a: {text}\n"));
    }
    let script = json!({"a": ["x\n  y\n", "no end\n\nof line"], "b": "two\n\n", "c": " space\n"});
    assert_eq!(
        to_yaml([&script]),
        "a:\n- |\n  x\n    y\n- |-\n  no end\n\n  of line\nb: \"two\\n\\n\"\nc: \" space\\n\"\n"
    );
}

fn parsed(yaml: &str) -> Vec<Value> {
    let mut problems = Problems::default();
    let (documents, _) = located::parse("rendered", yaml.as_bytes(), Scalars::Kubectl, &mut problems);
    assert_eq!(problems.lines(), Vec::<String>::new(), "{yaml}");
    documents.iter().map(located::Node::to_value).collect()
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back_equal(map in proptest::collection::btree_map("[a-z]{1,3}", json_value(), 1..5)) {
        let value = Value::Object(map.into_iter().collect());
        prop_assert_eq!(parsed(&to_yaml([&value, &value])), vec![value.clone(), value]);
    }

    #[test]
    fn any_text_reads_back_equal(key in "[ -~\\n\\t]{1,20}", text in "[ -~\\n\\té→]{0,40}") {
        let value = json!({key: text});
        prop_assert_eq!(parsed(&to_yaml([&value])), vec![value]);
    }
}
