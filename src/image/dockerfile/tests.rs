use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{reading::Reading, *};

fn reading(text: &str, args: &[(&str, &str)]) -> Reading {
    let args: BTreeMap<_, _> = args.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    read(text, &args, "linux/arm64/v8")
}

/// Of what is read for certain.
fn images(text: &str, args: &[(&str, &str)]) -> Vec<String> {
    let reading = reading(text, args);
    assert_eq!(reading.doubt, None, "{text}");
    reading.images.into_iter().collect()
}

fn doubt(text: &str) -> String {
    let reading = reading(text, &[]);
    assert_eq!(reading.files, Files::All, "in doubt, all files count: {text}");
    reading.doubt.unwrap_or_else(|| panic!("no doubt: {text}")).to_string()
}

fn files(text: &str) -> String {
    match reading(text, &[]) {
        Reading { doubt: Some(doubt), .. } => panic!("{doubt}: {text}"),
        Reading { files: Files::All, .. } => "all".to_owned(),
        Reading { files: Files::These(paths), .. } => paths.into_iter().collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn stages_are_no_images() {
    let text = "FROM node:22-slim AS Build\nFROM build as second\nCOPY --from=0 a b\nCOPY --from=BUILD a b\n\
                FROM scratch\nCOPY --chown=1 --from=busybox:1 /bin/sh /\n\
                RUN --mount=type=bind,from=alpine:3,target=/x --mount=type=cache,target=/y true --from=not\n\
                RUN --mount=From=debian:12,dst=/z true\nONBUILD COPY --from=later:1 a b\n";
    assert_eq!(images(text, &[]), ["alpine:3", "busybox:1", "debian:12", "later:1", "node:22-slim"]);
    assert_eq!(reading(text, &[]).bases.into_iter().collect::<Vec<_>>(), ["node:22-slim"]);
}

#[test]
fn arguments_are_substituted() {
    let text = "ARG NODE=22 SUFFIX=\"-slim\"\nARG BASE=\"node:${NODE}$SUFFIX\"\nFROM --platform=$TARGETPLATFORM ${BASE}\n\
                FROM a:${NONE:-x}\nFROM b${NODE:+:y}\nFROM c:$TARGETARCH-${TARGETVARIANT}\nFROM d:${EMPTY-z${NODE}}\n";
    assert_eq!(images(text, &[]), ["a:x", "b:y", "c:arm64-v8", "d:z22", "node:22-slim"]);
    assert_eq!(images(text, &[("NODE", "20")])[4], "node:20-slim");
    assert_eq!(images("ARG X=node\nFROM $X\nARG X=other\nFROM $X AS y", &[]), ["node"]);
    assert_eq!(images("ARG X\nFROM $X", &[("X", "node")]), ["node"]);
}

#[test]
fn lines_continue_and_here_documents_end() {
    let text = "# syntax=docker/dockerfile:1\n\nFROM a \\\n  # a comment\n\n  AS b\nRUN <<EOF cat\nfrom where\nEOF\n\
                RUN <<-'E' sh\n\t\techo no\n\tE\nfrom c";
    let found: Vec<_> = instructions(text).into_iter().map(|i| (i.line, i.keyword, i.rest)).collect();
    assert_eq!(found[0], (3, "FROM".into(), "a   AS b".into()));
    assert_eq!(found[3], (13, "FROM".into(), "c".into()));
    assert_eq!(found.len(), 4);
    assert_eq!(images("# escape=`\nFROM a `\n AS b\nFROM b", &[]), ["a"]);
    // Too late to be a directive.
    assert_eq!(images("# why\n# escape=`\nFROM a \\\n AS b\nFROM b", &[]), ["a"]);
    assert_eq!(images("FROM a\nRUN echo x \\\\\nFROM b\n", &[]), ["a", "b"]);
    assert_eq!(images("FROM a\r\nRUN x \\  \t\r\n  y\r\nFROM b\r\n", &[]), ["a", "b"]);
}

#[test]
fn what_only_looks_like_a_here_document_swallows_nothing() {
    for run in [
        "RUN echo \"a <<EOF b\"",
        "RUN echo $((1<<FOO))",
        "RUN cat <<<WORD",
        "RUN cat<<EOF",
        "RUN [\"sh\", \"-c\", \"cat <<EOF\"]",
        "RUN echo 'it <<EOF'",
        "ENV X=<<EOF",
        "RUN x << EOF",
        "COPY <<EOF /app.py\nfrom os import path\nprint(path)\nEOF",
        "RUN <<EOF\napt-get install \\\nadd copy\nEOF",
    ] {
        assert_eq!(images(&format!("FROM a\n{run}\nFROM b\n"), &[]), ["a", "b"], "{run}");
    }
}

#[test]
fn what_is_not_certain_is_a_doubt() {
    for (text, part) in [
        ("FROM $NONE\n", "which image"),
        ("FROM a$\n", "which image"),
        ("ARG X=a\nFROM ${X%b}\n", "which image"),
        ("FROM \"a\"b\n", "which image"),
        ("FROM a:$BUILDARCH\n", "which image"),
        ("ARG TARGETARCH\nFROM a:$TARGETARCH\n", "which image"),
        ("FROM --other=x a\n", "which image"),
        ("FROM a # why\n", "which image"),
        ("FROM a\nCOPY --from=$X a b\n", "which image"),
        ("FROM a\nRUN --mount=from=$X,target=/x true\n", "which image"),
        ("FROM a\nRUN --mount=type=bind,\"from=b\" true\n", "quoted"),
        ("FROM a\nRUN --mount=type=other,target=/x true\n", "known type"),
        ("FROM a\nRUN --mount=type=bind,new=/x true\n", "known field"),
        ("FROM a\nCOPY --new=b a b\n", "known flag"),
        ("FROM a\nADD https://example.com/x /\n", "tomorrow"),
        ("FROM a\nADD $X /\n", "tomorrow"),
        ("FROM a\nINCLUDE b\n", "known instruction"),
        ("# syntax=example/other:1\nFROM a\n", "another language"),
        ("#!/usr/bin/env x\n# syntax=example/other:1\nFROM a\n", "depends on the engine"),
        ("# escape=x\nFROM a\n", "escape character"),
        ("FROM a\nRUN cat <<EOF\nno end\n", "has no end"),
        ("FROM a\nRUN cat <<EOF\nCOPY --from=b c \\\nEOF\n", "depends on the engine"),
        ("FROM a\nRUN cat <<CMD\nENV a=b\nFROM b\nCMD\n", "depends on the engine"),
        ("FROM a\nRUN cat <<\"COPY b c\"\nCOPY b c\n", "depends on the engine"),
        ("FROM a\nRUN echo \"x <<EOF\nFROM b\nEOF\n", "here-document"),
        ("FROM a\nRUN x ${Y%%z} <<EOF\nx\nEOF\n", "here-document"),
        ("FROM\u{a0}a\n", "unusual"),
    ] {
        let doubt = doubt(text);
        assert!(doubt.contains(part), "{text}: {doubt}");
    }
    assert!(read("FROM a\n", &[("BUILDKIT_SYNTAX".to_owned(), "x".to_owned())].into(), "").doubt.is_some());
    assert!(doubt("FROM a\n\nADD https://example.com/x /\n").starts_with("line 3: "));
    assert_eq!(reading("FROM a\nADD --checksum=sha256:0 https://example.com/x /\n", &[]).doubt, None);
}

#[test]
fn files_are_those_that_instructions_name() {
    assert_eq!(files("FROM a\nCMD x\n"), "");
    assert_eq!(files("FROM a\nCOPY a ./b/ /c/../*.js dest/\n"), "all");
    assert_eq!(files("FROM a\nCOPY --chown=1 a ./b//c /*.js dest/\n"), "*.js a b/c");
    assert_eq!(files("FROM a\nCOPY [\"with space\", \"dest\"]\n"), "with space");
    assert_eq!(
        files("FROM a AS b\nADD x.tar /\nFROM b\nCOPY --from=b y /\nRUN --mount=source=z,target=/z true\n"),
        "x.tar z"
    );
    assert_eq!(files("FROM a\nRUN --mount=type=cache,target=/z --mount=type=secret,id=s true\n"), "");
    assert_eq!(files("FROM a\nONBUILD COPY x /\n"), "x");
    assert_eq!(files("FROM a\nCOPY <<EOF /x\ntext\nEOF\nCOPY y /\n"), "y");
    for all in [
        "COPY . /",
        "COPY $X /",
        "COPY a/../b /",
        "COPY \"a\" /",
        "RUN --mount=target=/src true",
        "RUN --mount=type=bind,source=$X,target=/src true",
    ] {
        assert_eq!(files(&format!("FROM a\n{all}\n")), "all", "{all}");
    }
}

#[test]
fn the_services_that_come_along_are_read_for_certain() {
    let services = concat!(env!("CARGO_MANIFEST_DIR"), "/services");
    let mut read = 0;
    for service in std::fs::read_dir(services).unwrap() {
        if let Ok(text) = std::fs::read_to_string(service.unwrap().path().join("Dockerfile")) {
            assert_eq!(reading(&text, &[]).doubt, None, "{text}");
            read += 1;
        }
    }
    assert!(read > 0, "there are no services");
}

#[test]
fn triggers_of_a_base_take_part() {
    let mut reading = reading("FROM a\nCOPY x /\n", &[]);
    reading.add_triggers(&["COPY package.json /app/".to_owned(), "COPY --from=b:1 c d".to_owned(), "RUN x".to_owned()]);
    assert_eq!(reading.files, Files::These(["package.json".to_owned(), "x".to_owned()].into()));
    assert!(reading.images.contains("b:1") && reading.doubt.is_none());
    reading.add_triggers(&["NONSENSE".to_owned()]);
    assert!(reading.doubt.is_some());
}

#[test]
fn declared_arguments() {
    let found = declared_args("ARG A=1\nFROM x\narg B C=2\nENV D=1");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
}

/// An instruction in one of the ways to write it, and what it depends on.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    images: Vec<String>,
    files: Vec<String>,
}

fn word() -> impl Strategy<Value = String> {
    "[a-z]{1,4}"
}

fn instruction() -> impl Strategy<Value = Written> {
    let gap = prop::sample::select(vec![" ", "  ", "\t", " \\\n", " \\\n  # why\n\n ", " \\ \n\t"]);
    let body = prop::collection::vec("[x-z <>$\"'#\\\\]{0,9}", 0..4);
    let written = |text: String, images: &[&str], files: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Written { text, images: own(images), files: own(files) }
    };
    (0..9, word(), word(), gap, body).prop_map(move |(kind, one, two, gap, body)| match kind {
        0 => written(format!("FROM{gap}i{one}:{two}"), &[&format!("i{one}:{two}")], &[]),
        1 => written(format!("copy{gap}f{one}{gap}f{two}{gap}/"), &[], &[&format!("f{one}"), &format!("f{two}")]),
        2 => written(format!("COPY{gap}--from=i{one}:1{gap}f{two}{gap}/"), &[&format!("i{one}:1")], &[]),
        3 => written(
            format!("RUN{gap}--mount=type=bind,from=i{one}:1,target=/x{gap}{two}"),
            &[&format!("i{one}:1")],
            &[],
        ),
        4 => written(format!("RUN{gap}--mount=source=f{one},target=/x{gap}{two}"), &[], &[&format!("f{one}")]),
        5 => {
            let body: String = body.iter().map(|line| format!("{line}\n")).collect();
            written(format!("RUN{gap}<<END{one} cat\n{body}END{one}"), &[], &[])
        }
        6 => written(format!("  # FROM i{one}:9"), &[], &[]),
        7 => written(format!("ENV{gap}A={one}"), &[], &[]),
        _ => written(format!("ONBUILD{gap}add{gap}f{one}{gap}/"), &[], &[&format!("f{one}")]),
    })
}

proptest! {
    /// However it is written, nothing that a build depends on is overlooked; and what is plain is not in doubt.
    #[test]
    fn nothing_is_overlooked(written in prop::collection::vec(instruction(), 1..9)) {
        let text: String = written.iter().map(|written| format!("{}\n", written.text)).collect();
        let text = format!("FROM base:1\n{text}");
        let reading = reading(&text, &[]);
        prop_assert_eq!(&reading.doubt, &None, "{}", text);
        let mut expected: BTreeSet<String> = written.iter().flat_map(|written| written.images.clone()).collect();
        expected.insert("base:1".to_owned());
        prop_assert_eq!(&reading.images, &expected, "{}", text);
        let expected: BTreeSet<String> = written.iter().flat_map(|written| written.files.clone()).collect();
        prop_assert_eq!(&reading.files, &Files::These(expected), "{}", text);
    }

    /// Whatever the text, it is read to its end.
    #[test]
    fn any_text_is_read(text in "([A-Za-z<>$\"'`#=\\\\ \n-]|FROM|RUN|COPY|EOF|--from=){0,60}") {
        reading(&text, &[]);
    }
}
