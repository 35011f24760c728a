//! Load from inside the cluster: the whole way of hello's own profile, and what can end a run before its time.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    components::Memory,
    place::{Place, Run, eventually},
};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("loadgen_scales_hello_up_and_after_it_down", scales),
    ("loadgen_with_a_broken_verdict_has_its_own_exit_code", broken),
    ("loadgen_that_is_interrupted_leaves_nothing", interrupted),
    ("loadgen_names_a_lost_worker_and_its_share", lost_worker),
    ("loadgen_explains_workers_that_cannot_work", unfit),
    ("loadgen_goes_to_the_stacks_own_services_alone", elsewhere),
];

/// A load apart from the profile, whose verdict would wait for a scale-up.
const PLAIN: &[&str] =
    &["loadgen", "hello", "--from", "cluster", "--url", "http://hello-service:8400/", "--connections", "4"];

fn plain<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [PLAIN, rest].concat()
}

fn workers(place: &Place, kinds: &str) -> String {
    place.kubectl(&["get", kinds, "-A", "-l", "io.stackctl.agent=load", "-o", "name"])
}

/// What was deleted may still be ending.
fn nothing_left(place: &Place) {
    eventually("nothing of the load is left", Duration::from_secs(60), || {
        workers(place, "jobs,pods,secrets,configmaps").is_empty().then_some(())
    });
}

/// The number of load runs that the state folder keeps; the tests of other stacks leave theirs.
fn kept(place: &Place) -> usize {
    let runs = place.path(&format!(".local/state/stackctl/clusters/{}/loads", place.cluster));
    std::fs::read_dir(runs).map_or(0, Iterator::count)
}

/// Pods are in use when the test begins; after it the autoscaler has everything back where it was.
fn scales(place: &Place) {
    place.ok(&["up", "hello", "--set", "unhealthyRatio=0", "--set", "delayRatio=0"]);
    eventually("hello is at its minimum", Duration::from_secs(120), || {
        let scaler = place.get(&["hpa", "hello-service", "-n", "hello"]);
        let measured = scaler["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"].is_u64();
        (measured && scaler["status"]["currentReplicas"] == 2).then_some(())
    });
    let load = ["loadgen", "hello", "--workers", "2", "--duration", "60s", "--max-error-rate", "0%"];
    let rest = ["--expect-scale-down", "--no-restarts", "--output", "json"];
    let before = kept(place);
    let (memory, run) = Memory::during(place, || place.ok(&[&load[..], &rest].concat()));
    memory.assert_modest();
    eprintln!("load: {:.1?}", run.took);
    let document = run.json();
    assert_eq!(document["verdict"]["passed"], true, "{run}");
    for name in ["maxErrorRate", "scaleUp", "scaleDown", "noRestarts"] {
        let conditions = document["verdict"]["conditions"].as_array().expect("conditions");
        assert!(
            conditions.iter().any(|condition| condition["name"] == name && condition["held"] == true),
            "{name}: {run}"
        );
    }
    let samples = document["clusterSamples"].as_array().expect("samples");
    let replicas: Vec<u64> = samples.iter().map(|sample| sample["replicas"].as_u64().expect("replicas")).collect();
    assert_eq!((replicas.first(), replicas.last()), (Some(&2), Some(&2)), "{replicas:?}");
    assert!(replicas.iter().any(|&replicas| replicas > 2), "{replicas:?}");
    assert!(
        samples.iter().any(|sample| sample["value"].as_f64() > sample["target"].as_f64()),
        "no metric above its target"
    );
    let totals = &document["totals"];
    let seconds = totals["seconds"].as_f64().expect("seconds");
    assert!(seconds >= 59.9, "{totals}");
    assert_eq!(totals["failed"], 0, "{totals}");
    let requests = totals["requests"].as_f64().expect("requests");
    assert!((requests / (100.0 * seconds) - 1.0).abs() < 0.01, "{totals}");
    let counted: u64 =
        document["seconds"].as_array().expect("seconds").iter().filter_map(|s| s["requests"].as_u64()).sum();
    assert_eq!(totals["requests"], counted);
    assert_eq!(
        (&document["workers"]["started"], document["workers"]["lost"].as_array().map(Vec::len)),
        (&2.into(), Some(0))
    );
    assert!(document["images"]["hello"].as_str().is_some_and(|image| image.contains("@sha256:")), "{run}");
    nothing_left(place);
    assert_eq!(kept(place), before + 1, "the run is kept");
}

fn broken(place: &Place) {
    let run = place.fails(9, &plain(&["--duration", "2s", "--max-p99", "1ms", "--max-error-rate", "50%"]));
    run.says(&["✗ broken  p99", "✓ held    error rate", "1 of 2 conditions"]);
    nothing_left(place);
}

/// Starts a load and waits until its requests arrive.
fn start(place: &Place, rest: &[&str]) -> std::process::Child {
    let child = place
        .command(&plain(&[&["--duration", "30s", "--rate", "20"], rest].concat()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("stackctl starts");
    eventually("the workers send", Duration::from_secs(60), || {
        let logs = ["logs", "-n", "hello", "-l", "io.stackctl.agent=load", "--tail", "1"];
        let mut command = Command::new("kubectl");
        command.args(logs).env("KUBECONFIG", place.kubeconfig());
        Run::of(command).stdout.contains("\"load\":\"tick\"").then_some(())
    });
    child
}

fn end(child: std::process::Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn interrupted(place: &Place) {
    let child = start(place, &[]);
    let mut interrupt = Command::new("kill");
    interrupt.args(["-INT", &child.id().to_string()]);
    assert_eq!(Run::of(interrupt).code, 0);
    let (code, said) = end(child);
    assert_eq!(code, Some(130), "{said}");
    nothing_left(place);
}

fn lost_worker(place: &Place) {
    let child = start(place, &["--workers", "2"]);
    let pod = workers(place, "pods").lines().next().expect("a pod").to_owned();
    place.kubectl(&["delete", "-n", "hello", &pod, "--force", "--grace-period=0"]);
    let (code, said) = end(child);
    assert_eq!(code, Some(4), "{said}");
    for text in ["was lost with 50 % of the load", "1 of 2 workers", " in 30 s, "] {
        assert!(said.contains(text), "expected \"{text}\" in\n{said}");
    }
    nothing_left(place);
}

fn unfit(place: &Place) {
    let run = place.fails(7, &plain(&["--duration", "2s", "--agent-image", "node:22-slim"]));
    run.says(&["did not get ready", "exit code 1", "node:22-slim", "stackctl"]);
    nothing_left(place);
    let url = ["--url", "http://nobody:8499/", "--i-own-this-host", "--duration", "2s"];
    let run = place.fails(3, &[&["loadgen", "hello", "--from", "cluster"], &url[..]].concat());
    run.says(&["the host nobody is not known", "nothing was sent"]);
    nothing_left(place);
}

fn elsewhere(place: &Place) {
    let run = place.fails(2, &["loadgen", "hello", "--from", "cluster", "--url", "http://kubernetes.default/"]);
    run.says(&["no Service of stack hello", "--i-own-this-host"]);
    let manifest = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ports: [{ port: 80 }] }\n";
    let declaration = "name: absent\nmanifests: [all.yaml]\n";
    let stack = place.stack("absent", &[("stack.yaml", declaration), ("all.yaml", manifest)]);
    let run = place.fails(3, &["loadgen", &stack, "--from", "cluster", "--url", "http://web/"]);
    run.says(&["is not up", "stackctl up absent"]);
    place.fails(2, &["loadgen", &stack]).says(&["has no load profile default"]);
}
