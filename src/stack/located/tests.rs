use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn good(text: &str) -> Vec<Node> {
    read(text, Scalars::Core)
}

fn read(text: &str, scalars: Scalars) -> Vec<Node> {
    let mut problems = Problems::default();
    let (documents, broken) = parse("f.yaml", text.as_bytes(), scalars, &mut problems);
    assert_eq!(problems.lines(), Vec::<String>::new());
    assert!(!broken);
    documents
}

fn bad(text: impl AsRef<[u8]>) -> Vec<String> {
    wrong(text, Scalars::Core)
}

fn wrong(text: impl AsRef<[u8]>, scalars: Scalars) -> Vec<String> {
    let mut problems = Problems::default();
    parse("f.yaml", text.as_ref(), scalars, &mut problems);
    problems.lines()
}

#[test]
fn positions_of_keys_and_values() {
    let documents = good("# comment\nname: hello\nlist:\n  - a: 1\n  - {b: 2}\n---\nsecond: true\n");
    assert_eq!(documents.len(), 2);
    let Content::Mapping(entries) = &documents[0].content else { panic!() };
    assert_eq!((entries[0].mark, entries[0].value.mark), (Mark { line: 2, column: 1 }, Mark { line: 2, column: 7 }));
    let Content::Sequence(items) = &entries[1].value.content else { panic!() };
    assert_eq!((items[0].mark, items[1].mark), (Mark { line: 4, column: 5 }, Mark { line: 5, column: 5 }));
    assert_eq!(documents[1].mark, Mark { line: 7, column: 1 });
}

#[test]
fn scalars_are_yaml_1_2() {
    let text = "[yes, on, 0755, 0o17, 0x1F, 1.5, 1.0, 1e3, -7, +3, ~, null, True, \"1\", '~', 1.2.3, 1e, .5, 18446744073709551615, \
                100m, 1_000, 12:30, .inf, 0, 2024-01-01, !!str 5]";
    assert_eq!(
        good(text)[0].to_value(),
        json!([
            "yes",
            "on",
            "0755",
            15,
            31,
            1.5,
            1,
            1000,
            -7,
            3,
            null,
            null,
            true,
            "1",
            "~",
            "1.2.3",
            "1e",
            0.5,
            18446744073709551615u64,
            "100m",
            "1_000",
            "12:30",
            ".inf",
            0,
            "2024-01-01",
            "5"
        ])
    );
}

#[test]
fn manifests_are_yaml_1_1_as_kubectl_reads_it() {
    let text = "[yes, 'yes', 0755, \"0755\", !!str on, !!int \"5\", !!bool no, !!float 1, 1_000]\n";
    assert_eq!(read(text, Scalars::Kubectl)[0].to_value(), json!([true, "yes", 493, "0755", "on", 5, false, 1, 1000]));
    let keys = "8080: a\n\"on\": b\n1.5: c\ntrue: d\n";
    assert_eq!(read(keys, Scalars::Kubectl)[0].to_value(), json!({"8080": "a", "on": "b", "1.5": "c", "true": "d"}));
}

#[test]
fn what_kubectl_would_read_otherwise_than_it_is_written_is_reported() {
    let mut problems = Problems::default();
    let keys = "on: a\n0755: b\n1.10: c\n8080: d\n";
    let (documents, _) = parse("f.yaml", keys.as_bytes(), Scalars::Kubectl, &mut problems);
    assert_eq!(documents[0].to_value(), json!({"on": "a", "0755": "b", "1.10": "c", "8080": "d"}));
    let note = |line, key, value| {
        format!(
            "f.yaml:{line}:1: the key `{key}` stays as it is written, where kubectl reads {value}; write \"{key}\" in quotes"
        )
    };
    assert_eq!(problems.take_notes(), [note(1, "on", "true"), note(2, "0755", "493"), note(3, "1.10", "1.1")]);
    assert_eq!(problems.lines(), Vec::<String>::new());
    assert_eq!(wrong("~: d\n", Scalars::Kubectl), ["f.yaml:1:1: a key must not be null"]);
    assert_eq!(
        wrong("base: &b {y1: 1, z: 2}\nmore: {z: 3, <<: *b, y1: 4}\n", Scalars::Kubectl),
        ["f.yaml:2:8: kubectl would take the `z` that `<<` brings; put `<<` first"]
    );
    assert_eq!(
        wrong("a: .inf\nb: !!int x\nc: !!binary aGk=\n", Scalars::Kubectl),
        [
            "f.yaml:1:4: .inf is no value in Kubernetes; write \".inf\" in quotes if it is a string",
            "f.yaml:2:10: the value does not fit its tag: `x`",
            "f.yaml:3:13: tag `!!binary` has no meaning here",
        ]
    );
}

#[test]
fn empty_documents_and_block_scalars() {
    assert!(good("").is_empty());
    assert!(good("---\n# nothing\n---\n").is_empty());
    assert_eq!(
        good("a: |\n  x\n  y\nb: >-\n  x\n  y\nc:\n")[0].to_value(),
        json!({"a": "x\ny\n", "b": "x y", "c": null})
    );
}

#[test]
fn aliases_and_merge_keys() {
    let text = "base: &base {a: 1, b: 2}\nsame: *base\nmore: {<<: *base, b: 3}\n";
    assert_eq!(
        good(text)[0].to_value(),
        json!({"base": {"a": 1, "b": 2}, "same": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}})
    );
}

#[test]
fn duplicate_keys_are_all_reported_with_their_place() {
    assert_eq!(
        bad("a: 1\nb: {c: 1, c: 2}\na: 2\na: 3\n"),
        [
            "f.yaml:2:11: duplicate key `c`, first on line 2",
            "f.yaml:3:1: duplicate key `a`, first on line 1",
            "f.yaml:4:1: duplicate key `a`, first on line 1",
        ]
    );
}

#[test]
fn a_broken_document_does_not_hide_the_next() {
    let mut problems = Problems::default();
    let (documents, broken) = parse("f.yaml", b"a: [1, 2\n---\nb: 1\nb: 2\n---\nc: 3\n", Scalars::Core, &mut problems);
    assert!(broken);
    assert_eq!(documents.len(), 2);
    let lines = problems.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("not well-formed YAML: "), "{lines:?}");
    assert!(lines[1].starts_with("f.yaml:4:1: duplicate key `b`"), "{lines:?}");
}

#[test]
fn ten_thousand_levels_are_one_clear_error() {
    let started = Instant::now();
    let block: String = (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for text in ["[".repeat(10_000), "{a: ".repeat(10_000), block, "- ".repeat(10_000)] {
        let lines = bad(&text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("nested deeper than 100 levels"), "{lines:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn alias_bombs_are_defused() {
    let mut text = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let items = vec![format!("*l{}", level - 1); 9].join(", ");
        text += &format!("l{level}: &l{level} [{items}]\n");
    }
    assert!(bad(&text)[0].contains("aliases add more than 50000 values"));
    let mut deep = format!("l0: &l0 {}x{}\n", "[".repeat(90), "]".repeat(90));
    deep += &format!("l1: {}*l0{}\n", "[".repeat(20), "]".repeat(20));
    assert!(bad(&deep)[0].contains("nested deeper than 100 levels"));
    assert!(bad("a: &a [*a]\n")[0].contains("f.yaml:1:8: an alias within the value that it names"));
}

#[test]
fn odd_input_is_reported_not_guessed() {
    assert_eq!(bad(b"a: 1\nb: \xff\n"), ["f.yaml:2:4: not UTF-8 text"]);
    assert!(bad("a: !secret x\n")[0].contains("tag `!secret` has no meaning here"));
    assert!(bad("? [a, b]\n: c\n")[0].contains("a key must be a plain value"));
    assert!(bad("a: *nowhere\n")[0].contains("not well-formed YAML"));
    assert!(bad("<<: 3\n")[0].contains("`<<` merges a map"));
    assert!(bad(vec![b' '; MAX_BYTES + 1])[0].contains("larger than 16 MiB"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        bad(&bytes);
        wrong(&bytes, Scalars::Kubectl);
    }

    #[test]
    fn random_yaml_like_text_never_panics(text in "([ a-c:\\-\\[\\]{},&*!|>#'\"?%~<\\n0-9.]|---\n|: |- ){0,80}") {
        bad(&text);
        wrong(&text, Scalars::Kubectl);
    }
}
