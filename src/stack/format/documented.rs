//! docs/stack-yaml.md, docs/schemas and the tables say the same. `STACKCTL_WRITE_DOCS=1` writes what follows from the tables.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{COMPONENT, Field, Group, Presence, STACK, Table, Type, schema};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn tables() -> Vec<&'static Table> {
    let mut all: Vec<&'static Table> = vec![&STACK, &COMPONENT];
    for part in [&STACK, &COMPONENT].into_iter().flat_map(|table| schema::parts_of(table)) {
        if !all.iter().any(|known| known.name == part.name) {
            all.push(part);
        }
    }
    all
}

fn plural(noun: &str) -> String {
    if noun.starts_with('`') || noun.ends_with('s') { noun.to_owned() } else { format!("{noun}s") }
}

/// `many`: what stands in a list.
fn words(holds: &Type, many: bool) -> String {
    let counted = |noun: &str| if many { plural(noun) } else { noun.to_owned() };
    match holds {
        Type::String(noun) | Type::Scalar(noun) => counted(noun),
        Type::Form(form) => counted(form.noun),
        Type::Boolean => "true or false".to_owned(),
        Type::Integer(i64::MIN, i64::MAX) => counted("integer"),
        Type::Integer(from, i64::MAX) => format!("{from} or more"),
        Type::Integer(from, to) => format!("{from} to {to}"),
        Type::Number => counted("number"),
        Type::Positive => format!("{} above 0", counted("number")),
        Type::OneOf(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let (last, rest) = quoted.split_last().unwrap();
            if rest.is_empty() { last.clone() } else { format!("{} or {last}", rest.join(", ")) }
        }
        Type::List(of) | Type::Some(of, _) => {
            format!("list {}{}", if words(of, true).starts_with("of ") { "" } else { "of " }, words(of, true))
        }
        Type::Map(keys, of) => format!("map of {} → {}", keys.noun, words(of, false)),
        Type::Table(table) => format!("[{}](#{})", counted(table.name), table.name.replace(' ', "-")),
        Type::ByKey(_, with, without) => {
            format!("{} or {}", words(&Type::Table(without), many), words(&Type::Table(with), many))
        }
        Type::Either(one, other) => format!("{}, or {}", words(one, many), words(other, many)),
        Type::Depends(cases) => cases.noun.to_owned(),
        Type::Any(noun) => (*noun).to_owned(),
    }
}

fn row(field: &Field, table: &Table) -> String {
    let presence = match field.presence {
        Presence::Required => ", required".to_owned(),
        Presence::Optional => String::new(),
        Presence::Default(default) => format!(", default `{}`", default.text()),
        Presence::Grouped => match table.group {
            Group::Some(_) => ", at least one of these",
            _ => ", one of these",
        }
        .to_owned(),
    };
    let row = format!("`{}` | {}{presence} | {}", field.key, words(&field.holds, false), field.meaning);
    format!("| {row} |\n")
}

fn markdown(table: &Table) -> String {
    let rows: String = table.fields.iter().map(|field| row(field, table)).collect();
    format!("{}.\n\n| key | type | meaning |\n|---|---|---|\n{rows}", table.about)
}

/// The page with its tables written anew.
fn rewritten(page: &str) -> String {
    let mut text = page.to_owned();
    let mut from = 0;
    while let Some(at) = text[from..].find("<!-- table: ") {
        let begin = from + at;
        let name_end = begin + text[begin..].find(" -->").unwrap();
        let name = text[begin + "<!-- table: ".len()..name_end].to_owned();
        let end = begin + text[begin..].find("<!-- end -->").unwrap_or_else(|| panic!("no end of table {name}"));
        let table = tables().into_iter().find(|table| table.name == name);
        let table = table.unwrap_or_else(|| panic!("docs/stack-yaml.md: there is no table `{name}`"));
        let heading = if [STACK.name, COMPONENT.name].contains(&table.name) {
            format!("## `{name}.yaml`\n")
        } else {
            format!("# {name}\n")
        };
        assert!(text[..begin].contains(&heading), "docs/stack-yaml.md: no heading `{name}`, which links lead to");
        text.replace_range(name_end + " -->".len()..end, &format!("\n{}", markdown(table)));
        from = name_end;
    }
    text
}

#[test]
fn the_page_about_stack_yaml_has_every_key() {
    let path = root().join("docs/stack-yaml.md");
    let page = fs::read_to_string(&path).unwrap();
    let wanted = rewritten(&page);
    for table in tables() {
        let marker = format!("<!-- table: {} -->", table.name);
        assert_eq!(page.matches(&marker).count(), 1, "docs/stack-yaml.md: {marker} stands there once");
    }
    if std::env::var_os("STACKCTL_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "docs/stack-yaml.md has old tables; STACKCTL_WRITE_DOCS=1 writes them anew");
    }
}

#[test]
fn the_published_schemas_are_those_of_the_tables() {
    for table in [&STACK, &COMPONENT] {
        let path = root().join(format!("docs/schemas/{}.schema.json", table.name));
        let wanted = format!("{:#}\n", schema::schema(table));
        if std::env::var_os("STACKCTL_WRITE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &wanted).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == wanted, "{} is old; STACKCTL_WRITE_DOCS=1 writes it anew", path.display());
    }
}

#[test]
fn tables_and_their_keys_have_names_of_their_own() {
    let all = tables();
    assert_eq!(all.iter().map(|table| table.name).collect::<BTreeSet<_>>().len(), all.len());
    for table in all {
        let keys: BTreeSet<&str> = table.fields.iter().map(|field| field.key).collect();
        assert_eq!(keys.len(), table.fields.len(), "{}", table.name);
        let grouped = table.grouped().count();
        assert_eq!(matches!(table.group, Group::None), grouped == 0, "{}", table.name);
        for field in table.fields {
            assert!(!field.meaning.is_empty() && !field.meaning.contains('|'), "{}.{}", table.name, field.key);
        }
    }
}
