//! `--output json`: `Home::run` holds each document to its schema; here is one run of every command that needs nothing
//! else, and one that fails of the others.

use serde_json::Value;

use crate::Home;

fn document(home: &Home, arguments: &[&str]) -> (Option<i32>, Value) {
    let arguments = [arguments, &["--output", "json"]].concat();
    let output = home.command(&arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    crate::schema::check(&arguments, &stdout, &stderr);
    let document = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"));
    (output.status.code(), document)
}

#[test]
fn every_document_names_its_version_and_kind() {
    let home = Home::new();
    for (arguments, version, kind) in [
        (&["version"][..], "stackctl.dev/v1", "Version"),
        (&["list"], "stackctl.dev/v1", "StackList"),
        (&["render", "hello"], "v1", "List"),
        (&["man", "up"], "stackctl.dev/v1", "Page"),
        (&["completions", "bash"], "stackctl.dev/v1", "Completions"),
        (&["ca", "path"], "stackctl.dev/v1", "CertificateAuthority"),
        (&["logout", "r.example/org"], "stackctl.dev/v1", "Logout"),
    ] {
        let (code, document) = document(&home, arguments);
        assert_eq!((code, &document["apiVersion"], &document["kind"]), (Some(0), &version.into(), &kind.into()));
    }
}

#[test]
fn failures_are_documents_too() {
    let home = Home::new();
    for arguments in [
        &["up", "helo"][..],
        &["up", "hello"],
        &["plan", "hello"],
        &["down", "hello"],
        &["deploy", "hello"],
        &["diff", "hello"],
        &["test", "hello"],
        &["build", "hello"],
        &["push", "hello"],
        &["gc", "hello"],
        &["status"],
        &["logs"],
        &["forward", "web"],
        &["urls", "hello"],
        &["open"],
        &["password", "admin"],
        &["loadgen", "hello"],
        &["kubeconfig"],
        &["start"],
        &["stop"],
        &["doctor"],
        &["login", "nowhere"],
    ] {
        let (code, document) = document(&home, arguments);
        assert_ne!(code, Some(0), "{arguments:?}: {document}");
        assert!(document["error"]["message"].is_string(), "{arguments:?}: {document}");
    }
}

#[test]
fn a_rendering_is_a_list_that_kubectl_takes() {
    let (_, list) = document(&Home::new(), &["render", "hello"]);
    let items = list["items"].as_array().unwrap();
    assert!(items.len() > 5 && items.iter().all(|item| item["apiVersion"].is_string()), "{list}");
}

#[test]
#[should_panic(expected = "not as its schema says")]
fn what_no_schema_names_is_found() {
    let text = r#"{"apiVersion": "stackctl.dev/v1", "kind": "Version", "version": "1", "new": 1}"#;
    crate::schema::check(&["version", "-o", "json"], text, "");
}
