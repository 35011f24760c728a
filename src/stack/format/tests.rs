use std::{cell::RefCell, collections::BTreeSet, path::Path};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{COMPONENT, Cases, Group, STACK, Table, Type, check, documented::tables, form::Form, schema};
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

/// Keys that nothing reads: they are for people, or all is said by their being there.
const UNREAD: [(&str, &str); 3] =
    [("value", "description"), ("derived value", "description"), ("derived value", "setFrom")];

/// Which samples are made of what a table can hold.
#[derive(Clone, Copy, PartialEq)]
enum Samples {
    /// As different from each other as it allows.
    All,
    /// One of everything below.
    Few,
}

/// Values that fit a type.
fn samples(holds: &Type, which: Samples) -> Vec<Value> {
    let mut all = match holds {
        Type::String(_) | Type::Scalar(_) => vec![json!("x")],
        Type::Form(form) => vec![json!(form.example)],
        Type::Boolean => vec![json!(true)],
        Type::Integer(from, _) => vec![json!(if *from == i64::MIN { 1 } else { *from })],
        Type::Number | Type::Positive => vec![json!(1.5)],
        Type::OneOf(words) => vec![json!(words[0])],
        Type::List(of) | Type::Some(of, _) => vec![samples(of, which).into()],
        Type::Map(keys, of) => {
            let entries = samples(of, which).into_iter().enumerate();
            let named: Map<String, Value> =
                entries.map(|(index, value)| (format!("{}{index}", keys.example), value)).collect();
            vec![named.into()]
        }
        Type::Table(table) => maps(table, which),
        Type::ByKey(_, with, without) => maps(with, which).into_iter().chain(maps(without, which)).collect(),
        Type::Either(one, other) => samples(one, which).into_iter().chain(samples(other, which)).collect(),
        Type::Depends(_) => unreachable!("it is filled in with what it depends on"),
        Type::Any(_) => vec![json!({ "a": [1] })],
    };
    if which == Samples::Few {
        all.truncate(1);
    }
    all
}

/// Maps of a table with every key that can be there: one for each choice that it offers.
fn maps(table: &'static Table, which: Samples) -> Vec<Value> {
    let mut base = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for field in table.fields.iter().filter(|field| schema::depends(&field.holds).is_none()) {
        let choice = |value| Map::from_iter([(field.key.to_owned(), value)]);
        let mut values = samples(&field.holds, which);
        if field.is_grouped() && matches!(table.group, Group::One(_)) {
            choices.extend(values.into_iter().map(choice));
        } else {
            base.insert(field.key.to_owned(), values.remove(0));
            // The first of them needs no choice.
            if !values.is_empty() {
                choices.push(Map::new());
            }
            choices.extend(values.into_iter().map(choice));
        }
    }
    let cases = table.fields.iter().find_map(|field| schema::depends(&field.holds));
    for (word, _) in cases.iter().flat_map(|cases| cases.cases) {
        let case = |cases: &Cases| cases.cases.iter().find(|(of, _)| of == word).and_then(|(_, case)| *case);
        let fields = table.fields.iter().filter_map(|field| {
            let value = match field.holds {
                Type::Depends(cases) => samples(&case(cases)?, which).remove(0),
                Type::List(Type::Depends(cases)) => samples(&case(cases)?, which).into(),
                _ => return None,
            };
            Some((field.key.to_owned(), value))
        });
        choices.push(fields.chain([(cases.unwrap().key.to_owned(), json!(word))]).collect());
    }
    if choices.is_empty() {
        choices.push(Map::new());
    }
    choices.into_iter().map(|choice| base.clone().into_iter().chain(choice).collect::<Map<_, _>>().into()).collect()
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
        for sample in maps(table, Samples::All) {
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
        for sample in maps(table, Samples::All) {
            // Samples fit their tables and make little sense: what a stack of them would lack is of no interest here.
            let declaration = Declaration::read(&node(&sample), "f.yaml", role, &mut Problems::default()).unwrap();
            let kinds = sample["proofs"].as_array().unwrap().len();
            assert_eq!(declaration.proofs.len(), kinds, "every kind of a proof has a reader");
        }
    }
    // A key that is in no table fails where it is read.
    let read = READ.take();
    let all = tables().into_iter().flat_map(|table| table.fields.iter().map(|field| (table.name, field.key)));
    let unread: Vec<_> = all.filter(|key| !read.contains(key) && !UNREAD.contains(key)).collect();
    assert!(unread.is_empty(), "in a table and not read: {unread:?}");
}

/// Every place in a value that is no deeper than this.
fn places(value: &Value, depth: usize) -> Vec<String> {
    let mut found = vec![String::new()];
    if depth == 0 {
        return found;
    }
    let mut below = |step: &str, value: &Value| {
        let step = step.replace('~', "~0").replace('/', "~1");
        found.extend(places(value, depth - 1).into_iter().map(|place| format!("/{step}{place}")));
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
    // What is deeper is a table of its own.
    for place in places(value, 3) {
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
    let (mut refused, mut taken) = (0, 0);
    for table in tables() {
        let validator = validator(table);
        for sample in maps(table, Samples::Few) {
            for (how, spoilt) in spoilt(&sample) {
                let complaints = complaints(&spoilt, table);
                let is_valid = validator.is_valid(&spoilt);
                if is_valid {
                    taken += 1
                } else {
                    refused += 1
                }
                // No pattern says what a pattern is.
                let is_told = |line: &String| !line.contains("one is expected, as in `hit");
                let same = complaints.iter().any(is_told) != is_valid;
                assert!(same, "{}: {how}: valid by the schema: {is_valid}, but {complaints:?}", table.name);
            }
        }
    }
    assert!(refused > 1000 && taken > 100, "{refused} refused, {taken} taken");
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
            Type::Depends(cases) => {
                cases.cases.iter().filter_map(|(_, case)| case.as_ref()).for_each(|case| add(case, found))
            }
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
    for text in [
        "1h1m1s1ms",
        "100%",
        ".5%",
        "1.%",
        "+1.5e-3",
        "1Ei",
        "HTTP://x",
        "*.a.b-1",
        "/",
        "/a/",
        "web",
        "a.b.c",
        "D/x a[0]",
    ] {
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
    let (documents, _) = crate::stack::located::parse("f.yaml", text.as_bytes(), Scalars::Core, &mut problems);
    check(&Item::document(&documents[0], "f.yaml"), &STACK, &mut problems);
    insta::assert_snapshot!(problems.lines().join("\n"));
}
