//! Proofs about logs, counts, replicas and alerts, and those that disturb the stack.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{Test, case::Case};

pub const ALL: &[Test] = &[("proofs", proofs), ("proofs-that-fail", proofs_that_fail), ("disruptions", disruptions)];

fn proofs(case: &Case) {
    case.up("", &[], 0);
    let calm = case.run("test", "", &[]);
    assert_eq!(calm.code, 0, "{calm}");
    calm.says(&[
        "✓ a message is received and deleted",
        "✓ every pod says that it is there",
        "✓ 60 visits raise the count by exactly 60",
        "✓ all replicas answer",
        "✓ no alert is active",
        "- no request fails while the web rolls (skipped: it disturbs the stack: `stackctl test c-proofs --disruptive` runs it)",
    ]);
    case.up("", &[], 0).says(&["nothing to do"]);
    let disturbed = case.run("test", "", &["--disruptive"]);
    assert_eq!(disturbed.code, 0, "{disturbed}");
    disturbed.says(&[
        "✓ the count survives the loss of the store's pod",
        "✓ no request fails while the web rolls",
        " requests, 0 failed; ready again after ",
        "✓ the web tells that the store is away, and that it is back",
        "✓ a message is delivered again when its consumer is killed",
        "- a drained node loses no request (skipped: only one node takes pods, so none can be drained)",
    ]);
    case.up("", &[], 0).says(&["nothing to do"]);
}

fn proofs_that_fail(case: &Case) {
    case.up("", &[], 0);
    let run = case.run("test", "", &[]);
    assert_eq!(run.code, 8, "{run}");
    run.says(&[
        "7 of 7 proofs failed",
        "no line matches `Deleted 7` (2 of 2) in the log of web-",
        "  Deleted 8",
        "saw: the request: status 404, body: nothing here",
        "40 requests raised it by ",
        "Service/web has 2 of at least 3 pods",
        "answer with the same `the same`",
        "Prometheus has no alerting rule Missing; there are Quiet",
        "saw: Quiet is inactive",
    ]);
}

fn disruptions(case: &Case) {
    case.up("", &[], 0);
    let test = |proof: &str| case.run("test", "", &["--disruptive", "--proof", proof]);
    let run = test("forgets");
    assert_eq!(run.code, 8, "{run}");
    run.says(&[
        "while the pods of app=web are deleted: `hit (\\d+) times` has become more by 1",
        "afterwards, not 1 more",
    ]);
    let run = test("loses requests");
    assert_eq!(run.code, 8, "{run}");
    run.says(&[" requests failed: "]);
    let run = test("never holds");
    assert_eq!(run.code, 8, "{run}");
    run.says(&["meanwhile it answers: expected GET http://web/: status 200, saw "]);
    assert_eq!(replicas(case), 1, "it is brought back");
    case.up("", &[], 0).says(&["nothing to do"]);

    // Interrupted, it is brought back at once.
    let mut child = begun(case, "is stopped");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(replicas(case), 1);
    as_before(case);

    // Killed, it is brought back by the next run.
    for next in ["test", "up"] {
        let mut child = begun(case, "is stopped");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(replicas(case), 0);
        let run = case.run(next, "", &[]);
        assert_eq!(run.code, 0, "{run}");
        run.says(&["Deployment/web is as it was before a proof that was stopped"]);
        assert_eq!(replicas(case), 1);
        as_before(case);
    }
}

/// Nothing has to be written, though pods that were brought back may still be starting.
fn as_before(case: &Case) {
    let run = case.up("", &[], 0);
    assert!(!run.stderr.contains("apply:"), "{run}");
    case.up("", &[], 0).says(&["nothing to do"]);
}

fn replicas(case: &Case) -> i64 {
    let web = case.find(&["deployment", "web", "-n", "c-disruptions"]).expect("the workload");
    web["spec"]["replicas"].as_i64().unwrap()
}

/// A test of this proof that has scaled the workload to 0.
fn begun(case: &Case, proof: &str) -> Child {
    let arguments = ["test", &case.arg(""), "--disruptive", "--proof", proof, "--yes"];
    let mut command = case.place.command(&arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let gone = |pods: &Value| pods["items"].as_array().is_none_or(Vec::is_empty);
    let reached = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        let pods = case.find(&["pods", "-n", "c-disruptions", "-l", "app=web"]).unwrap_or_default();
        replicas(case) == 0 && gone(&pods)
    });
    if !reached {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the proof did not scale it down");
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}
