//! The format as JSON Schema, draft 2020-12: what it refuses, the reader refuses as well.

use serde_json::{Map, Value, json};

use super::{
    Cases, Field, Group, Presence, Table, Type,
    form::{Form, Takes},
};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

pub fn of_stack() -> Value {
    schema(&super::STACK)
}

pub fn of_component() -> Value {
    schema(&super::COMPONENT)
}

/// The schema of a file whose keys are those of the table.
pub(super) fn schema(table: &'static Table) -> Value {
    let mut parts = Map::new();
    for part in parts_of(table) {
        parts.insert(id(part), object(part));
    }
    let mut schema = object(table);
    schema["$schema"] = DRAFT.into();
    schema["title"] = format!("{}.yaml", table.name).into();
    schema["$defs"] = parts.into();
    schema
}

/// All tables below one, in the order in which they are named first.
pub(super) fn parts_of(table: &'static Table) -> Vec<&'static Table> {
    fn add_table(table: &'static Table, found: &mut Vec<&'static Table>) {
        if !found.iter().any(|known| known.name == table.name) {
            found.push(table);
            table.fields.iter().for_each(|field| add(&field.holds, found));
        }
    }
    fn add(holds: &Type, found: &mut Vec<&'static Table>) {
        match holds {
            Type::List(of) | Type::Some(of, _) | Type::Map(_, of) => add(of, found),
            Type::Either(one, other) => {
                add(one, found);
                add(other, found);
            }
            Type::Table(table) => add_table(table, found),
            Type::ByKey(_, with, without) => {
                add_table(with, found);
                add_table(without, found);
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    table.fields.iter().for_each(|field| add(&field.holds, &mut found));
    found
}

/// The key of a table among the schema's definitions.
fn id(table: &Table) -> String {
    table.name.replace(' ', "-")
}

fn object(table: &Table) -> Value {
    let mut properties = Map::new();
    for field in table.fields {
        let mut schema = match depends(&field.holds) {
            None => present_or_null(field, of(&field.holds, "")),
            // What it holds follows below, with what it depends on.
            Some(cases) => called(cases.noun, json!({})),
        };
        schema["description"] = field.meaning.into();
        if let Presence::Default(default) = field.presence {
            schema["default"] = default.value();
        }
        properties.insert(field.key.to_owned(), schema);
    }
    let mut schema = json!({
        "title": table.name,
        "description": table.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let required = table.fields.iter().filter(|field| matches!(field.presence, Presence::Required));
    let required: Vec<&str> = required.map(|field| field.key).collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    let not_null = json!({ "not": { "type": "null" } });
    match table.group {
        Group::None => {}
        Group::One(_) => schema["oneOf"] = table.grouped().map(|key| given(key, not_null.clone())).collect(),
        Group::Some(_) => {
            let not_empty = json!({ "not": { "type": "null" }, "minItems": 1 });
            schema["anyOf"] = table.grouped().map(|key| given(key, not_empty.clone())).collect();
        }
    }
    let conditions = conditions(table);
    if !conditions.is_empty() {
        schema["allOf"] = conditions.into();
    }
    schema
}

/// An empty value counts as absent.
fn present_or_null(field: &Field, mut schema: Value) -> Value {
    if matches!(field.presence, Presence::Required) {
        return schema;
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    } else if let Some(name) = schema.get("type").and_then(Value::as_str).filter(|name| *name != "null") {
        schema["type"] = json!([name, "null"]);
    } else if let Some(Value::Array(names)) = schema.get_mut("type") {
        names.push("null".into());
    } else if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(json!({ "type": "null" }));
    } else if schema.get("$ref").is_some() {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema
}

/// `word`: what stands under the key that a type depends on.
fn of(holds: &Type, word: &str) -> Value {
    match holds {
        Type::String(noun) => called(noun, json!({ "type": "string" })),
        Type::Form(form) => of_form(form),
        Type::Scalar(noun) => called(noun, json!({ "type": ["string", "number", "boolean"] })),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::Integer(i64::MIN, i64::MAX) => json!({ "type": "integer" }),
        Type::Integer(from, i64::MAX) => json!({ "type": "integer", "minimum": from }),
        Type::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Type::Number => json!({ "type": "number" }),
        Type::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Type::OneOf(words) => json!({ "enum": words }),
        Type::List(items) => json!({ "type": "array", "items": of(items, word) }),
        Type::Some(items, _) => json!({ "type": "array", "items": of(items, word), "minItems": 1 }),
        Type::Map(keys, values) => {
            let mut schema = json!({ "type": "object", "additionalProperties": of(values, word) });
            if !keys.pattern.is_empty() {
                schema["propertyNames"] = json!({ "pattern": keys.pattern });
            }
            schema
        }
        Type::Table(table) => reference(table),
        Type::ByKey(key, with, without) => json!({
            "if": given(key, json!({ "not": { "type": "null" } })),
            "then": reference(with),
            "else": reference(without),
        }),
        Type::Either(one, other) => json!({ "anyOf": [of(one, word), of(other, word)] }),
        Type::Depends(cases) => match cases.cases.iter().find(|(of, _)| *of == word) {
            Some((_, Some(case))) => of(case, word),
            Some((_, None)) => json!({ "type": "null" }),
            None => json!({}),
        },
        Type::Any(noun) => called(noun, json!({})),
    }
}

/// What editors show beside what it means.
fn called(noun: &str, mut schema: Value) -> Value {
    if noun != "string" {
        schema["title"] = noun.replace('`', "").into();
    }
    schema
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", id(table)) })
}

/// The key is there, and the rule holds of it.
fn given(key: &str, rule: Value) -> Value {
    json!({ "required": [key], "properties": { key: rule } })
}

fn of_form(form: &Form) -> Value {
    let mut schema = match form.takes {
        Takes::Strings | Takes::Written => json!({ "type": "string" }),
        Takes::Numbers => json!({ "type": ["string", "number"] }),
    };
    if !form.pattern.is_empty() {
        schema["pattern"] = form.pattern.into();
    }
    schema["examples"] = json!([form.example]);
    called(form.noun, schema)
}

/// What a type depends on.
pub(super) fn depends(holds: &Type) -> Option<&'static Cases> {
    match holds {
        Type::Depends(cases) => Some(cases),
        Type::List(of) | Type::Some(of, _) | Type::Map(_, of) => depends(of),
        _ => None,
    }
}

/// For each word what the fields hold that depend on it.
fn conditions(table: &Table) -> Vec<Value> {
    let dependent = || table.fields.iter().filter_map(|field| Some((field, depends(&field.holds)?)));
    let Some((_, cases)) = dependent().next() else { return Vec::new() };
    let words = cases.cases.iter().map(|(word, _)| *word);
    let condition = |word: &str| {
        let fields =
            dependent().map(|(field, _)| (field.key.to_owned(), present_or_null(field, of(&field.holds, word))));
        let fields: Map<String, Value> = fields.collect();
        json!({
            "if": { "required": [cases.key], "properties": { cases.key: { "const": word } } },
            "then": { "properties": fields },
        })
    };
    words.map(condition).collect()
}
