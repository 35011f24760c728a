use std::{cell::RefCell, collections::BTreeSet, path::Path};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{COMPONENT, Field, Group, STACK, Table, Type, check, documented::tables, form::Form, schema};
use crate::stack::{
    declaration::{Declaration, Role},
    located::{Content, Entry, Mark, Node},
    plain::Scalars,
    problems::Problems,
    reader::Item,
};

thread_local! {
    static READ: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
}

/// A reader asks for a key.
pub fn note(table: &'static str, key: &'static str) {
    READ.with_borrow_mut(|read| read.insert((table, key)));
}

/// Keys that nothing reads: they are for people.
const FOR_PEOPLE: [(&str, &str); 1] = [("value", "description")];

/// Values that fit a type, as different from each other as it allows.
fn samples(holds: &Type) -> Vec<Value> {
    match holds {
        Type::String(_) | Type::Scalar(_) => vec![json!("x")],
        Type::Form(form) => vec![json!(form.example)],
        Type::Boolean => vec![json!(true)],
        Type::Integer(from, _) => vec![json!(if *from == i64::MIN { 1 } else { *from })],
        Type::Number | Type::Positive => vec![json!(1.5)],
        Type::OneOf(words) => words.iter().map(|word| json!(word)).collect(),
        Type::List(of) | Type::Some(of, _) => vec![samples(of).into()],
        Type::Map(keys, of) => {
            let entries = samples(of).into_iter().enumerate();
            let named: Map<String, Value> =
                entries.map(|(index, value)| (format!("{}{index}", keys.example), value)).collect();
            vec![named.into()]
        }
        Type::Table(table) => maps(table),
        Type::Either(one, other) => samples(one).into_iter().chain(samples(other)).collect(),
        Type::Depends(_) => unreachable!("it is filled in with what it depends on"),
        Type::Any(_) => vec![json!({ "a": [1] })],
    }
}

/// Maps of a table: one for each choice that it offers, all with every key that can be there.
fn maps(table: &'static Table) -> Vec<Value> {
    let last = |field: &Field| samples(&field.holds).pop().unwrap();
    let mut all = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for field in table.fields {
        match (schema::depends(&field.holds), field.is_grouped(), table.group) {
            (Some(_), ..) => {}
            (None, true, Group::One(_)) => {
                choices.extend(samples(&field.holds).into_iter().map(|value| [(field.key.to_owned(), value)].into_iter().collect()));
            }
            _ => {
                all.insert(field.key.to_owned(), last(field));
            }
        }
    }
    if let Some(cases) = table.fields.iter().find_map(|field| schema::depends(&field.holds)) {
        choices.extend(cases.cases.iter().map(|(word, _)| {
            let of = |holds: &Type| match holds {
                Type::Depends(cases) => cases.cases.iter().find(|(of, _)| of == word)?.1.map(|case| last(&Field { holds: case, ..table.fields[0] })),
                Type::List(Type::Depends(cases)) => {
                    let case = cases.cases.iter().find(|(of, _)| of == word)?.1;
                    case.map(|case| json!([last(&Field { holds: case, ..table.fields[0] })]))
                }
                _ => None,
            };
            let fields = table.fields.iter().filter_map(|field| Some((field.key.to_owned(), of(&field.holds)?)));
            fields.chain([(cases.key.to_owned(), json!(word))]).collect()
        }));
    }
    if choices.is_empty() {
        return vec![all.into()];
    }
    choices.into_iter().map(|choice| all.clone().into_iter().chain(choice).collect::<Map<_, _>>().into()).collect()
}

fn node(value: &Value) -> Node {
    let mark = Mark { line: 1, column: 1 };
    let content = match value {
        Value::Array(items) => Content::Sequence(items.iter().map(node).collect()),
        Value::Object(fields) => Content::Mapping(
            fields.iter().map(|(key, value)| Entry { key: key.clone(), mark, value: node(value) }).collect(),
        ),
        Value::String(text) => Content::Scalar { raw: text.clone(), value: value.clone() },
        scalar => Content::Scalar { raw: scalar.to_string(), value: scalar.clone() },
    };
    Node { mark, content }
}

fn complaints(value: &Value, table: &'static Table) -> Vec<String> {
    let mut problems = Problems::default();
    check(&Item::document(&node(value), "f.yaml"), table, &mut problems);
    problems.lines()
}

fn validator(table: &'static Table) -> Validator {
    let schema = schema::schema(table);
    if let Err(error) = jsonschema::meta::validate(&schema) {
        panic!("{}.yaml has no valid schema: {error} ({})", table.name, error.instance_path());
    }
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn samples_of_every_key_fit_the_tables_and_their_schemas() {
    for table in [&STACK, &COMPONENT] {
        let validator = validator(table);
        for sample in maps(table) {
            assert_eq!(complaints(&sample, table), Vec::<String>::new());
            let errors: Vec<String> = validator.iter_errors(&sample).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new());
        }
    }
}

#[test]
fn every_key_of_a_table_is_read_and_no_other() {
    READ.take();
    for (table, role) in [(&STACK, Role::Stack), (&COMPONENT, Role::Component)] {
        for sample in maps(table) {
            // Samples fit their tables and make little sense: what a stack of them would lack is of no interest here.
            let declaration = Declaration::read(&node(&sample), "f.yaml", role, &mut Problems::default()).unwrap();
            let kinds = sample["proofs"].as_array().unwrap().len();
            assert_eq!(declaration.proofs.len(), kinds, "every kind of a proof has a reader");
        }
    }
    // A key that is in no table fails where it is read.
    let read = READ.take();
    let all = tables().into_iter().flat_map(|table| table.fields.iter().map(|field| (table.name, field.key)));
    let unread: Vec<_> = all.filter(|key| !read.contains(key) && !FOR_PEOPLE.contains(key)).collect();
    assert!(unread.is_empty(), "in a table and not read: {unread:?}");
}

/// Every place in a value.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut below = |step: &str, value: &Value| {
        let step = step.replace('~', "~0").replace('/', "~1");
        found.extend(places(value).into_iter().map(|place| format!("/{step}{place}")));
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| below(&index.to_string(), item)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| below(key, field)),
        _ => {}
    }
    found
}

/// The value with one thing in it that is probably wrong.
fn spoilt(value: &Value) -> Vec<(String, Value)> {
    let instead = json!([
        null, true, 0, -1, 7, 0.5, 1_000_000, "", "no such word!", "5", "stack", "integer", [], {}, [null], ["x"], { "k": null }, { "k": "v" }
    ]);
    let mut all = Vec::new();
    for place in places(value) {
        for other in instead.as_array().unwrap() {
            let mut spoilt = value.clone();
            *spoilt.pointer_mut(&place).unwrap() = other.clone();
            all.push((format!("{place} is {other}"), spoilt));
        }
        for key in value.pointer(&place).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            let mut spoilt = value.clone();
            spoilt.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(key);
            all.push((format!("{place} has no {key}"), spoilt));
        }
        if value.pointer(&place).is_some_and(Value::is_object) {
            let mut spoilt = value.clone();
            spoilt.pointer_mut(&place).unwrap()["unknown key"] = json!("x");
            all.push((format!("{place} has an unknown key"), spoilt));
        }
    }
    all
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for table in [&STACK, &COMPONENT] {
        let validator = validator(table);
        let (mut refused, mut taken) = (0, 0);
        for sample in maps(table) {
            for (how, spoilt) in spoilt(&sample) {
                let complaints = complaints(&spoilt, table);
                let errors: Vec<String> = validator.iter_errors(&spoilt).map(|error| error.to_string()).collect();
                assert_eq!(complaints.is_empty(), errors.is_empty(), "{how}: {complaints:?}, {errors:?}");
                if errors.is_empty() { taken += 1 } else { refused += 1 }
            }
        }
        assert!(refused > 1000 && taken > 100, "{refused} refused, {taken} taken");
    }
}

#[test]
fn every_stack_and_component_of_the_repository_has_a_valid_file() {
    let (stacks, components) = (validator(&STACK), validator(&COMPONENT));
    let mut seen = 0;
    for folder in ["manifests", "benches", "tests"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap) {
            let validator = match entry.file_name().to_str() {
                Some("stack.yaml") => &stacks,
                Some("component.yaml") => &components,
                _ => continue,
            };
            // Another parser than the reader's.
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let value: Value = serde_yaml::from_str(&text).unwrap();
            let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// All forms that a table uses, with their example.
fn forms() -> Vec<&'static Form> {
    fn add(holds: &Type, found: &mut Vec<&'static Form>) {
        match holds {
            Type::Form(form) => found.push(form),
            Type::List(of) | Type::Some(of, _) => add(of, found),
            Type::Map(keys, of) => {
                found.push(keys);
                add(of, found);
            }
            Type::Either(one, other) => {
                add(one, found);
                add(other, found);
            }
            Type::Depends(cases) => cases.cases.iter().filter_map(|(_, case)| case.as_ref()).for_each(|case| add(case, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    tables().into_iter().flat_map(|table| table.fields).for_each(|field| add(&field.holds, &mut found));
    found.sort_by_key(|form| form.pattern);
    found.dedup_by_key(|form| form.pattern);
    found
}

fn takes(form: &Form, text: &str) -> bool {
    (form.check)(text).is_ok()
}

thread_local! {
    static FORMS: Vec<(&'static Form, Validator)> = forms()
        .into_iter()
        .map(|form| (form, jsonschema::draft202012::new(&json!({ "pattern": form.pattern })).unwrap()))
        .collect();
}

/// What a pattern refuses, its reader refuses.
fn patterns_hold(text: &str) {
    FORMS.with(|forms| {
        for (form, pattern) in forms {
            let refused = !pattern.is_valid(&json!(text));
            assert!(!(refused && takes(form, text)), "the pattern {} refuses {text:?}, which is read", form.pattern);
        }
    });
}

#[test]
fn every_form_takes_its_example() {
    assert!(forms().len() > 12);
    for form in forms() {
        assert!(takes(form, form.example), "{}", form.example);
        patterns_hold(form.example);
    }
    for text in ["1h1m1s1ms", "100%", ".5%", "1.%", "+1.5e-3", "1Ei", "HTTP://x", "*.a.b-1", "/", "/a/", "web", "a.b.c", "D/x a[0]"] {
        assert!(forms().iter().any(|form| !form.pattern.is_empty() && takes(form, text)), "{text}");
        patterns_hold(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn patterns_refuse_nothing_that_is_read(
        any in ".{0,12}",
        duration in "([0-9]{1,2}(h|m|s|ms|d)){1,4}",
        number in "[-+]?[0-9.]{1,4}([eE][-+]?[0-9]{1,2}|[a-zA-Z]{1,2})?%?",
        url in "(https?|HTTP|ftp):/{1,3}[a-z@:.]{0,6}(/[a-z]?)?",
        name in "[*.]{0,2}[-a-z0-9.:/+ ]{1,8}",
        setter in "[A-Z]?[a-z]{0,2}/? ?[a-z/\\[\\]=. ]{0,8}",
        header in "[ -~]{1,3}",
    ) {
        [any, duration, number, url, name, setter, header].iter().for_each(|text| patterns_hold(text));
    }
}

#[test]
fn every_problem_has_its_place_and_its_words() {
    let text = "nmae: x
what: y
load: { a: { url: 'ftp://x', rate: 0, connections: 70000, duration: 5, verdict: { scaleUp: often } } }
services: { Web_: { context: 3 } }
values: { v: { type: string, minimum: 3, sets: [x] } }
proofs: [{ name: p, rbac: { serviceAccount: a, denied: [] } }]
edge: { hosts: ['a b'] }
";
    let mut problems = Problems::default();
    let (documents, _) =
        crate::stack::located::parse("f.yaml", text.as_bytes(), Scalars::Core, &mut problems);
    check(&Item::document(&documents[0], "f.yaml"), &STACK, &mut problems);
    insta::assert_snapshot!(problems.lines().join("\n"));
}
