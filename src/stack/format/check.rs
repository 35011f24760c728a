//! Holds a file to a table and reports all that does not fit, each at its place.

use super::{
    Cases, Found, Group, Presence, Section, Table, Type,
    form::{Form, Takes, Wrong},
    found,
};
use crate::stack::{
    located::{Content, Entry, Node},
    problems::{Problems, closest},
    reader::{Item, with_field},
};

/// None: it is no map, which is reported. What does not fit is left out.
pub fn check(item: &Item, table: &'static Table, problems: &mut Problems) -> Option<Section> {
    let Content::Mapping(entries) = &item.node.content else { return item.expected(problems, "a map") };
    let misspelt = unknown_keys(item, entries, table, problems);
    let mut section = Section::new(table, item.origin(), item.path.clone());
    for field in table.fields {
        // An empty value counts as absent.
        let node = entry(entries, field.key).filter(|node| !node.is_null());
        let found = node.and_then(|node| value(&item.child(node, field.key), &field.holds, entries, problems));
        match (found, field.presence) {
            (Some(found), _) => section.push(field.key, found),
            (None, Presence::Default(default)) => section.push_default(field.key, default),
            // A key that is missing because it was misspelt is one mistake, not two.
            (None, Presence::Required) if node.is_none() && !misspelt.contains(&field.key) => {
                item.problem(problems, format!("`{}` is missing", field.key));
            }
            (None, _) => {}
        }
    }
    if !group_holds(entries, table) {
        item.problem(problems, table.group_message());
    }
    Some(section)
}

fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

/// Reports them and returns the keys that were probably meant.
fn unknown_keys(item: &Item, entries: &[Entry], table: &'static Table, problems: &mut Problems) -> Vec<&'static str> {
    let mut meant = Vec::new();
    let known = || table.fields.iter().map(|field| field.key);
    for unknown in entries.iter().filter(|entry| table.field(&entry.key).is_none()) {
        let near = closest(&unknown.key, known().filter(|key| entry(entries, key).is_none()));
        meant.extend(near);
        let hint = match near {
            Some(word) => format!("; did you mean `{word}`?"),
            None => format!("; known keys: {}", known().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("unknown key `{}`{hint}", unknown.key);
        problems.at(unknown.mark.in_file(item.file), with_field(&message, &item.path));
    }
    meant
}

fn group_holds(entries: &[Entry], table: &'static Table) -> bool {
    let given = || table.grouped().filter_map(|key| entry(entries, key)).filter(|node| !node.is_null());
    match table.group {
        Group::None => true,
        Group::One(_) => given().count() == 1,
        Group::Some(_) => given().any(|node| !matches!(&node.content, Content::Sequence(items) if items.is_empty())),
    }
}

/// `beside`: the map that it is in.
fn value(item: &Item, holds: &Type, beside: &[Entry], problems: &mut Problems) -> Option<Found> {
    let content = match holds {
        Type::String(_) => scalar(item.text(problems)?, item),
        Type::Form(form) => scalar(of_form(item, form, problems)?, item),
        Type::Scalar(_) => scalar(item.raw(problems)?, item),
        Type::Boolean => scalar(item.boolean(problems)?.to_string(), item),
        Type::Integer(from, to) => scalar(item.integer_within(*from..=*to, problems)?.to_string(), item),
        Type::Number => scalar(item.number(problems)?.to_string(), item),
        Type::Positive => scalar(item.positive(problems)?.to_string(), item),
        Type::OneOf(words) => scalar(item.one_of(words, problems)?.to_owned(), item),
        Type::List(of) | Type::Some(of, _) => {
            let items = list(item, problems)?;
            if let (true, Type::Some(_, message)) = (items.is_empty(), holds) {
                item.problem(problems, message);
            }
            found::Content::List(items.iter().filter_map(|item| value(item, of, beside, problems)).collect())
        }
        Type::Map(keys, of) => {
            let mut entries = Vec::new();
            for (key, below) in map(item, problems)? {
                if let Err(wrong) = (keys.check)(&key.value) {
                    let message = with_field(&wrong.at_key(&key.value), &item.path);
                    problems.at(key.origin.clone(), message);
                }
                entries.extend(value(&below, of, beside, problems).map(|found| (key, found)));
            }
            found::Content::Map(entries)
        }
        Type::Table(table) => found::Content::Section(check(item, table, problems)?),
        Type::ByKey(key, with, without) => {
            let has = item.node.get(key).is_some_and(|node| !node.is_null());
            found::Content::Section(check(item, if has { with } else { without }, problems)?)
        }
        Type::Either(one, other) => {
            let fits = has_shape(item.node, other);
            return value(item, if fits { other } else { one }, beside, problems);
        }
        Type::Depends(cases) => return value(item, case(item, cases, beside, problems)?, beside, problems),
        Type::Any(_) => found::Content::Any(item.node.to_value()),
    };
    Some(Found { origin: item.origin(), path: item.path.clone(), content })
}

fn scalar(raw: String, item: &Item) -> found::Content {
    found::Content::Scalar { raw, value: item.node.to_value() }
}

fn of_form(item: &Item, form: &Form, problems: &mut Problems) -> Option<String> {
    let text = if form.takes == Takes::Strings { item.text(problems)? } else { item.raw(problems)? };
    match (form.check)(&text) {
        Ok(()) => return Some(text),
        Err(Wrong::Expected(what)) => return item.expected(problems, what),
        Err(Wrong::Message(message)) => item.problem(problems, message),
    }
    None
}

fn list<'a>(item: &Item<'a>, problems: &mut Problems) -> Option<Vec<Item<'a>>> {
    match item.node.content {
        Content::Sequence(_) => Some(item.list(problems)),
        _ => item.expected(problems, "a list"),
    }
}

type Entries<'a> = Vec<(crate::stack::reader::Located<String>, Item<'a>)>;

fn map<'a>(item: &Item<'a>, problems: &mut Problems) -> Option<Entries<'a>> {
    match item.node.content {
        Content::Mapping(_) => Some(item.entries(problems)),
        _ => item.expected(problems, "a map"),
    }
}

fn has_shape(node: &Node, holds: &Type) -> bool {
    match (&node.content, holds) {
        (Content::Mapping(_), Type::Table(_) | Type::Map(..))
        | (Content::Sequence(_), Type::List(_) | Type::Some(..)) => true,
        (Content::Scalar { value, .. }, Type::Integer(..) | Type::Number | Type::Positive) => value.is_number(),
        _ => false,
    }
}

/// None: the word is wrong, which is reported where it stands, or asks for nothing of the kind.
fn case(item: &Item, cases: &'static Cases, beside: &[Entry], problems: &mut Problems) -> Option<&'static Type> {
    let word = entry(beside, cases.key)?.as_str()?;
    let (_, case) = cases.cases.iter().find(|(of, _)| *of == word)?;
    if case.is_none() {
        item.problem(problems, cases.otherwise);
    }
    case.as_ref()
}
