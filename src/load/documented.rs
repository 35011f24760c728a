//! Compares docs/load-json.md with what is serialised.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{compare::compare, document::LostWorker};
use crate::testing::load_sample as sample;

const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/load-json.md"));

/// Field to its type, from the tables of a part of the text.
fn documented(part: &str) -> BTreeMap<String, String> {
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name.to_owned(), rest.split(" | ").next().unwrap().to_owned())
    })
    .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Every field below with its kind. Objects whose keys are data, not fields, end in `.*`.
fn fields(value: &Value, path: &str, found: &mut Vec<(String, &'static str)>) {
    match value {
        Value::Object(map) => {
            let data = ["images", "errors", "latency"].iter().any(|name| path.rsplit('.').next() == Some(name));
            for (key, value) in map {
                let key = if data { "*" } else { key };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                fields(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        _ => found.push((path.to_owned(), kind(value))),
    }
}

fn check(value: &Value, part: &str) {
    let documented = documented(part);
    let mut found = Vec::new();
    fields(value, "", &mut found);
    for (name, kind) in &found {
        let allowed = documented.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
        let kinds: Vec<&str> = allowed.split(" or ").collect();
        assert!(kinds.contains(kind), "{name} is documented as {allowed}, and is {kind}");
    }
    for name in documented.keys().filter(|name| *name != "verdict" || found.iter().any(|(found, _)| found == *name)) {
        assert!(found.iter().any(|(found, _)| found == name), "{name} is documented, and not there");
    }
}

#[test]
fn the_document_is_what_is_documented() {
    let (document, comparison) = TEXT.split_once("## With").unwrap();
    let mut run = sample::hello();
    run.workers.lost = vec![LostWorker { index: 2, share: 0.25, why: "OOMKilled".into() }];
    check(&serde_json::to_value(&run).unwrap(), document);
    // Everything that may be null is so in one of the two.
    let mut bare = run.clone();
    (bare.stack, bare.profile, bare.cluster, bare.parameters.duration_s) = (None, None, None, None);
    (bare.parameters.rate, bare.parameters.requests) = (None, Some(9));
    for sample in &mut bare.cluster_samples {
        (sample.desired, sample.metric, sample.value, sample.target) = (None, None, None, None);
    }
    check(&serde_json::to_value(&bare).unwrap(), document);
    let mut current = sample::hello();
    current.cluster = Some("other".into());
    let compared = compare(&sample::hello(), &current).unwrap();
    check(&serde_json::to_value(&compared).unwrap(), comparison);
}

#[test]
fn what_is_written_can_be_read() {
    let run = sample::hello();
    let text = serde_json::to_string(&run).unwrap();
    assert_eq!(serde_json::from_str::<super::document::LoadDocument>(&text).unwrap(), run);
}

#[test]
fn a_document_of_before_can_still_be_read() {
    let run = sample::hello();
    let mut old = serde_json::to_value(&run).unwrap();
    old["totals"].as_object_mut().unwrap().remove("resent").unwrap();
    assert_eq!(serde_json::from_value::<super::document::LoadDocument>(old).unwrap(), run);
}
