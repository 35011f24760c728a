//! Whether what a command prints with `--output json` is what its published schema says, by a validator that is not ours.

use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

/// Commands whose documents are a line each.
const STREAMS: [&str; 2] = ["logs", "status"];

/// Checks the documents on stdout and the events on stderr of a run with these arguments, if it was asked for JSON.
pub fn check(arguments: &[&str], stdout: &str, stderr: &str) {
    let asked = arguments.windows(2).any(|pair| matches!(pair, ["--output" | "-o", "json"]));
    let command = arguments.iter().find(|argument| !argument.starts_with('-'));
    let Some(command) = command.filter(|_| asked) else { return };
    let command = if command.starts_with("test-") || *command == "rbac-test" { "test" } else { command };
    // Hidden commands have no schema.
    if let Some(schema) = published(command) {
        let documents: Vec<&str> = match STREAMS.contains(&command) && stdout.lines().all(|line| line.starts_with('{'))
        {
            true => stdout.lines().collect(),
            false => vec![stdout],
        };
        let validator = validator(&closed(schema));
        for text in documents.into_iter().filter(|text| !text.trim().is_empty()) {
            validate(&validator, &arguments.join(" "), text);
        }
    }
    let events = validator(&published("event").expect("a schema of events"));
    for line in stderr.lines().filter(|line| line.starts_with('{')) {
        validate(&events, &arguments.join(" "), line);
    }
}

fn published(name: &str) -> Option<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.schema.json"));
    let text = std::fs::read_to_string(file).ok()?;
    Some(serde_json::from_str(&text).expect("a schema in JSON"))
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("the schema is not one: {error}"))
}

fn validate(validator: &Validator, run: &str, text: &str) {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{run}: {error}: {text}"));
    let errors: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "stackctl {run}: not as its schema says: {}\n{text}", errors.join("\n"));
}

/// The schema without room for keys that it does not name: published schemas leave it, since keys may be added.
fn closed(mut schema: Value) -> Value {
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
