//! greeter: its tag, its replicas, and what becomes of them when a node is drained.

use std::process::Command;

use crate::place::{Place, Run};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[("greeter_runs_three_times_with_the_tag_of_its_image", greeter)];

/// Name and log of each pod of greeter's.
fn logs(place: &Place) -> Vec<(String, String)> {
    let pods = place.kubectl(&["get", "pods", "-n", "greeter", "-l", "app.kubernetes.io/name=greeter", "-o", "name"]);
    pods.lines().map(|pod| (pod.to_owned(), place.kubectl(&["logs", "-n", "greeter", pod]))).collect()
}

fn greeter(place: &Place) {
    let others = place.fingerprints("hello");
    let built = place.ok(&["build", "greeter"]).stdout.trim().to_owned();
    let run = place.ok(&["up", "greeter", "--test"]);
    eprintln!("up greeter with its proofs: {:.1?}", run.took);
    run.says(&["all replicas answer", "the tag in the log is the tag deployed"]);

    let deployment = place.get(&["deployment", "greeter", "-n", "greeter"]);
    assert_eq!(deployment["status"]["readyReplicas"], 3);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let image = container["image"].as_str().expect("an image");
    let tag = image.rsplit('/').next().and_then(|name| name.split([':', '@']).nth(1)).expect("a tag");
    let variables = container["env"].as_array().expect("variables");
    assert!(variables.iter().any(|it| it["name"] == "HELLO_TAG" && it["value"] == tag), "{variables:?}");

    let logs = logs(place);
    assert_eq!(logs.len(), 3);
    for (pod, log) in logs {
        let mut lines = log.lines();
        assert_eq!(lines.next(), Some("Hivemind's Go Greeter"), "{pod}");
        assert_eq!(lines.next(), Some(format!("You are running the service with this tag:  {tag}").as_str()), "{pod}");
        let mut answers = 0;
        for line in lines {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(entry["tag"], tag, "{line}");
            answers += usize::from(entry["msg"] == "answered" && entry["path"] == "/");
        }
        assert!(answers > 0, "{pod} has answered nobody");
    }

    let mut inspect = Command::new("docker");
    inspect.args(["image", "inspect", "--format", "{{.Size}}", &built]);
    let size: u64 = Run::of(inspect).stdout.trim().parse().expect("a size");
    eprintln!("greeter has {:.1} MB", size as f64 / 1e6);
    assert!(size < 15_000_000, "{size} bytes");

    let before = place.mutations().len();
    place.ok(&["up", "greeter"]).says(&["nothing to do"]);
    assert_eq!(place.mutations()[before..], [] as [String; 0], "the second up wrote");
    place.ok(&["down", "greeter", "--yes"]).says(&["0 left"]);
    place.unchanged("hello", &others);
}

/// On two workers: the replicas are on both, and no request is lost while one of them is emptied.
pub fn drained() {
    let place = Place::plain("e2e-drain");
    place.ok(&["down", "--cluster", "--yes"]);
    place.ok(&["up", "greeter", "--nodes", "1+2", "--timeout", "10m"]);
    let pods = place.get(&["pods", "-n", "greeter", "-l", "app.kubernetes.io/name=greeter"]);
    let mut nodes: Vec<&str> =
        pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    nodes.sort_unstable();
    nodes.dedup();
    assert_eq!(nodes.len(), 2, "{nodes:?}");

    let name = "a drained node loses no request";
    let run = place.ok(&["test", "greeter", "--disruptive", "--proof", name, "--output", "json"]);
    eprintln!("{run}");
    let proofs = run.json();
    let held =
        |proof: &serde_json::Value| proof["name"] == name && proof["passed"] == true && proof["skipped"].is_null();
    assert!(proofs["proofs"].as_array().is_some_and(|proofs| proofs.iter().any(held)), "{run}");
    place.ok(&["down"]).says(&["0 left"]);
}
