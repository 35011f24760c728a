//! Which rooms import which: the table in docs/architecture.md is the rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Rooms, top down, each with those that it may import.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    let rows = page.lines().skip_while(|line| *line != "<!-- arrows -->").take_while(|line| *line != "<!-- end -->");
    let cells = rows.filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    cells.map(|(room, rest)| (room.to_owned(), names(rest.split('|').next().unwrap()))).collect()
}

/// The first names of the paths of a `use crate::{…}` tree, or of the one path that follows `crate::`.
pub(super) fn imported(after: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(tree) = after.strip_prefix('{') else { return vec![&after[..name(after)]] };
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(tree[begin..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(tree[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.into_iter().map(|path| &path[..name(path)]).filter(|room| !room.is_empty()).collect()
}

pub(super) fn is_for_tests(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "testing" | "live_tests" | "main.rs"))
        || ["tests.rs", "testing.rs", "_tests.rs", "documented.rs"].iter().any(|end| path.ends_with(end))
}

/// The text up to the first module of tests that is written out in it: those stand at the end.
pub(super) fn without_tests(text: &str) -> &str {
    let starts = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at);
    let is_written_out = |at: &usize| {
        let line = text[*at..].lines().nth(1).unwrap_or_default();
        line.contains("mod ") && line.ends_with('{')
    };
    starts.into_iter().find(is_written_out).map_or(text, |at| &text[..at])
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table = table();
    assert!(table.len() > 15, "no table was read");
    let mut below: BTreeSet<&str> = table.iter().map(|(room, _)| room.as_str()).collect();
    for (room, allowed) in &table {
        below.remove(room.as_str());
        let up: Vec<_> = allowed.iter().filter(|other| !below.contains(other.as_str())).collect();
        assert!(up.is_empty(), "the table lets {room} import what is not below it: {up:?}");
    }
    let allowed: BTreeMap<String, BTreeSet<String>> = table.into_iter().collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for entry in walkdir::WalkDir::new(&source).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let path = entry.path().strip_prefix(&source).unwrap().display().to_string();
        if !path.ends_with(".rs") || is_for_tests(&path) {
            continue;
        }
        let room = path.split(['/', '.']).next().unwrap().to_owned();
        let rules = allowed.get(&room).unwrap_or_else(|| panic!("the table does not name {room} (src/{path})"));
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let product = without_tests(&text);
        let code: Vec<&str> = product.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        for (at, _) in code.match_indices("crate::") {
            for other in imported(&code[at + "crate::".len()..]) {
                if other != room && !rules.contains(other) {
                    wrong.push(format!("src/{path}: {room} may not import {other}"));
                }
                used.insert((room.clone(), other.to_owned()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let is_unused = |room: &String, other: &String| !used.contains(&(room.clone(), other.clone()));
    let unused: Vec<String> = allowed
        .iter()
        .flat_map(|(room, others)| {
            others.iter().filter(move |other| is_unused(room, other)).map(move |other| format!("{room} -> {other}"))
        })
        .collect();
    assert!(unused.is_empty(), "allowed in docs/architecture.md and not used: {}", unused.join(", "));
}

#[test]
fn a_tree_of_imports_is_read_whole() {
    assert_eq!(imported("{\n    a::{b, c::{d}},\n    e,\n    f::g,\n};"), ["a", "e", "f"]);
    assert_eq!(imported("kube::Kube;"), ["kube"]);
}
