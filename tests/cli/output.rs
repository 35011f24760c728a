//! What becomes of data that stdout does not take.

use std::{fs::File, process::Stdio};

use crate::Home;

/// Takes nothing, like a disk that is full.
fn into_full(home: &Home, arguments: &[&str]) -> String {
    let full = File::options().write(true).open("/dev/full").unwrap();
    home.show(home.command(arguments).stdout(full))
}

#[test]
fn output_that_cannot_be_written_fails_every_command() {
    let home = Home::new();
    for arguments in [
        &["render"][..],
        &["render", "--output", "json"],
        &["list"],
        &["list", "--output", "json"],
        &["list", "--quiet"],
        &["man"],
        &["man", "up"],
        &["completions", "zsh"],
        &["version"],
        &["ca", "path"],
        &["--help"],
        &["help", "up"],
        &["up", "--help"],
        &["--version"],
    ] {
        let said = into_full(&home, arguments);
        assert!(said.starts_with("exit 1\n"), "{arguments:?}: {said}");
        assert!(said.contains("could not be written to stdout") && said.contains("No space left"), "{said}");
    }
}

#[test]
fn an_error_that_was_to_be_written_there_is_told_too() {
    let said = into_full(&Home::new(), &["render", "no-such-stack", "--output", "json"]);
    assert!(said.starts_with("exit 1\n") && said.contains("no-such-stack"), "{said}");
    assert!(said.contains("could not be written to stdout"), "{said}");
}

#[test]
fn mistakes_keep_their_exit_code() {
    let said = into_full(&Home::new(), &["up", "--no-such-flag"]);
    assert!(said.starts_with("exit 2\n") && !said.contains("could not be written"), "{said}");
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let home = Home::new();
    for arguments in [&["render"][..], &["list"], &["completions", "bash"], &["--help"], &["render", "-o", "json"]] {
        let mut child = home.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("written"), "{arguments:?}: {said}");
    }
}
