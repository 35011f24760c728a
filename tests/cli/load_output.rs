//! What becomes of a load's result: the page, the comparison, and what is said when they cannot be had.

use serde_json::Value;

use crate::{
    Home,
    loadgen::{OK, answering, url},
};

fn names(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_leaves_its_page_and_is_compared_with_the_one_before() {
    let home = Home::new();
    let url = url(answering(OK));
    let load = ["loadgen", "--url", &url, "--rate", "200", "-c", "4", "-d", "8s"];
    let first = home.command(&load).args(["--output", "json"]).output().unwrap();
    assert!(first.status.success(), "{first:?}");
    home.write("first.json", &String::from_utf8(first.stdout).unwrap());
    let arguments = ["--output", "json", "--report", "load.html", "--compare", "first.json"];
    let second = home.command(&load).args(arguments).output().unwrap();
    assert!(second.status.success(), "{second:?}");
    let document: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(document["totals"]["succeeded"], 1_600);
    let metrics = document["comparison"]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 5, "{metrics:#?}");
    assert_eq!(metrics[0]["change"], "same", "the rate was the same: {metrics:#?}");
    let page = std::fs::read_to_string(home.path().join("load.html")).unwrap();
    assert!(page.contains("data-series=\"p99\"") && page.contains("1,600 requests"), "{page}");
    // Nothing else beside it, and the document reads back as text and as a comparison.
    assert_eq!(names(&home), ["first.json", "load.html"]);
    home.write("second.json", &document.to_string());
    let text = home.run(&["load-view", "second.json"]);
    assert!(text.starts_with("exit 0\n") && text.contains("1,600 answered (200/s), 0 failed"), "{text}");
    let text = home.run(&["load-view", "second.json", "--compare", "first.json"]);
    assert!(text.starts_with("exit 0\n") && text.contains("METRIC") && text.contains("throughput"), "{text}");
}

#[test]
fn results_without_a_place_are_refused_before_anything_is_sent() {
    let home = Home::new();
    home.write("text.json", "{ \"version\": 1 }");
    // Nobody listens there: were anything sent, that would be the error.
    let load = |more: &[&str]| home.run(&[&["loadgen", "--url", "http://127.0.0.1:1"], more].concat());
    let text = load(&["--report", "missing/load.html"]);
    assert!(text.starts_with("exit 2\n") && text.contains("cannot write the report missing/load.html"), "{text}");
    let text = load(&["--compare", "missing.json"]);
    assert!(text.starts_with("exit 2\n") && text.contains("missing.json holds no load run"), "{text}");
    let text = load(&["--compare", "text.json"]);
    assert!(text.starts_with("exit 2\n") && text.contains("text.json holds no load run"), "{text}");
    assert_eq!(names(&home), ["text.json"]);
}

#[test]
fn another_load_is_shown_and_not_compared() {
    let home = Home::new();
    let url = url(answering(OK));
    let first = home.run(&["loadgen", "--url", &url, "--requests", "50", "--output", "json"]);
    let document = first.split_once("--- stdout\n").unwrap().1.split_once("--- stderr").unwrap().0;
    home.write("first.json", document);
    let text = home.run(&["loadgen", "--url", &url, "--requests", "60", "--compare", "first.json"]);
    assert!(text.starts_with("exit 2\n") && text.contains("60 answered"), "{text}");
    assert!(text.contains("cannot compare two different loads: requests: 50, then 60"), "{text}");
}
