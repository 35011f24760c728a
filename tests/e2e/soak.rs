//! What takes long, each on a cluster of its own: `./check --soak`.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::place::{Place, Run, eventually};

type Test = (&'static str, fn());

pub const ALL: &[Test] = &[
    ("a_cluster_of_three_nodes", three_nodes),
    ("a_drained_node_loses_no_request", crate::greeter::drained),
    ("rollouts_of_hello_and_of_the_edge_lose_no_request", rollouts),
    ("an_engine_restart_changes_nothing_and_pulls_go_on", engine_restart),
    ("ten_times_the_spans_kill_neither_the_collector_nor_jaeger", many_spans),
];

const CALM: &[&str] = &["--set", "unhealthyRatio=0", "--set", "delayRatio=0"];

fn three_nodes() {
    let place = Place::plain("e2e-wide");
    place.ok(&["down", "--cluster", "--yes"]);
    let run = place.ok(&[&["up", "hello", "--nodes", "1+2", "--timeout", "10m"], CALM].concat());
    eprintln!("up with 1+2 nodes: {:.1?}", run.took);
    let nodes = place.get(&["nodes"]);
    let ready = |node: &serde_json::Value| node.to_string().contains(r#""reason":"KubeletReady","status":"True""#);
    assert_eq!(nodes["items"].as_array().map(|nodes| nodes.iter().filter(|node| ready(node)).count()), Some(3));
    // A worker pulls from the registry as the control plane does.
    let pods = place.get(&["pods", "-n", "hello", "-l", "app.kubernetes.io/name=hello"]);
    let on: Vec<&str> =
        pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    assert!(!on.is_empty() && on.iter().all(|node| node.contains("worker")), "{on:?}");
    place.ok(&["test-hello"]);
    place.ok(&[&["up", "hello", "--nodes", "1+2"], CALM].concat()).says(&["nothing to do"]);
    place.ok(&["down"]).says(&["0 left"]);
}

/// 20 connections that are kept, 50 requests per second at their times, and three rollouts meanwhile.
fn rollouts() {
    let place = Place::plain("e2e-roll");
    place.ok(&["down", "--cluster", "--yes"]);
    place.ok(&[&["up", "hello"], CALM].concat());
    let authority = place.ok(&["ca", "path"]).stdout.trim().to_owned();
    let shared = ["--rate", "50", "--connections", "20", "--duration", "100s", "--output", "json"];
    for (workload, more) in [
        ("deployment/hello-service", ["--url", "http://hello-service:8400/", "--timeout", "10s"]),
        ("deployment/edge", ["--url", "https://edge:8443/hello/", "--ca-bundle", &authority]),
    ] {
        let mut load = place.command(&[&["loadgen", "hello", "--from", "cluster"], &more[..], &shared].concat());
        let child = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("stackctl starts");
        eventually("the workers run", Duration::from_secs(60), || {
            let pods = place.get(&["pods", "-n", "hello", "-l", "io.stackctl.agent"]);
            pods["items"].as_array()?.iter().find(|pod| pod["status"]["phase"] == "Running").map(drop)
        });
        for _ in 0..3 {
            place.kubectl(&["rollout", "restart", workload, "-n", "hello"]);
            place.kubectl(&["rollout", "status", workload, "-n", "hello", "--timeout", "60s"]);
        }
        let ended = child.wait_with_output().expect("its end");
        let (stdout, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let document: serde_json::Value =
            serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
        let totals = &document["totals"];
        eprintln!("3 rollouts of {workload}: {} requests, {} failed", totals["requests"], totals["failed"]);
        assert_eq!(totals["failed"], 0, "{workload}: {}", totals["errors"]);
        assert!(totals["requests"].as_u64() >= Some(4900), "{totals}");
    }
    place.ok(&["down"]).says(&["0 left"]);
}

fn engine_restart() {
    let restart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/docker/restart");
    let world = std::env::var_os("STACKCTL_CONFIG").is_some() && restart.exists();
    if !world {
        eprintln!("SKIPPED: the engine is not the world's own, and is left alone");
        return;
    }
    let place = Place::plain("e2e-again");
    place.ok(&["down", "--cluster", "--yes"]);
    let up = [&["up", "hello"], CALM].concat();
    place.ok(&up);
    place.ok(&["test-hello"]);
    let restarted = Run::of(Command::new(restart));
    assert_eq!(restarted.code, 0, "{restarted}");

    let began = Instant::now();
    place.ok(&up);
    eprintln!("up after the engine's restart: {:.1?}", began.elapsed());
    // The nodes' own services settle; from then on there is nothing to do.
    eventually("an `up` that finds nothing to do", Duration::from_secs(120), || {
        let run = place.ok(&up);
        run.stderr.contains("nothing to do").then_some(())
    });
    // A pod whose image the node has lost must be able to pull it again.
    let image = place.get(&["deployment", "hello-service", "-n", "hello"]);
    let image = image["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned();
    let node = format!("{}-control-plane", place.cluster);
    let node_images = |rest: &[&str]| {
        let mut command = Command::new("docker");
        command.args(["exec", &node, "ctr", "-n", "k8s.io", "images"]).args(rest);
        let run = Run::of(command);
        assert_eq!(run.code, 0, "{run}");
        run.stdout
    };
    let (repository, _) = image.split_once(':').expect("a tag");
    let names = node_images(&["ls", "-q"]);
    let named: Vec<&str> = names.lines().filter(|name| name.starts_with(repository)).collect();
    assert!(!named.is_empty(), "{names}");
    node_images(&[&["rm", "--sync"], named.as_slice()].concat());
    place.kubectl(&["delete", "pod", "-n", "hello", "-l", "app.kubernetes.io/name=hello"]);
    eventually("the image is pulled again", Duration::from_secs(60), || {
        node_images(&["ls", "-q"]).lines().any(|name| name.starts_with(repository)).then_some(())
    });
    place.ok(&up);
    place.ok(&["test-hello"]);
    place.ok(&["down"]).says(&["0 left"]);
}

/// A hundred requests per second, as hello's load profile has it, make 600 spans per second: ten times that for five
/// minutes. What cannot be held is refused and counted.
fn many_spans() {
    const SPANS_PER_SECOND: u64 = 6000;
    const SECONDS: u64 = 300;
    let place = Place::plain("e2e-spans");
    place.ok(&["down", "--cluster", "--yes"]);
    place.ok(&[&["up", "hello"], CALM].concat());
    let env = |name: &str, value: String| serde_json::json!({ "name": name, "value": value });
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "spans", "namespace": "hello" },
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "spans", "image": "node:22-slim", "command": ["node", "-e", include_str!("spans.js")],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                "env": [
                    env("URL", "http://collector:4318/v1/traces".to_owned()),
                    env("SPANS_PER_SECOND", SPANS_PER_SECOND.to_string()),
                    env("SECONDS", SECONDS.to_string()),
                ],
            }],
        },
    });
    let file = place.path("spans.json");
    std::fs::write(&file, pod.to_string()).expect("the pod");
    place.kubectl(&["apply", "-f", file.to_str().expect("UTF-8")]);
    let counts = eventually("all spans are sent", Duration::from_secs(SECONDS + 120), || {
        let pod = place.get(&["pod", "spans", "-n", "hello"]);
        assert_ne!(pod["status"]["phase"], "Failed", "{}", place.kubectl(&["logs", "-n", "hello", "spans"]));
        (pod["status"]["phase"] == "Succeeded").then(|| place.kubectl(&["logs", "-n", "hello", "spans"]))
    });
    let counts: serde_json::Value = serde_json::from_str(&counts).expect("counts");
    let of = |name: &str| counts[name].as_u64().expect("a count");
    assert!(of("sent") >= SPANS_PER_SECOND * SECONDS * 99 / 100, "{counts}");
    assert_eq!(of("sent"), of("accepted") + of("refused"));

    for name in ["collector", "jaeger"] {
        let label = format!("app.kubernetes.io/name={name}");
        let pods = place.get(&["pods", "-n", "hello", "-l", &label]);
        let pod = &pods["items"][0];
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{name}: {pod}");
        let path = format!(
            "/api/v1/namespaces/hello/pods/{}:8888/proxy/metrics",
            pod["metadata"]["name"].as_str().expect("a name")
        );
        let metrics = place.kubectl(&["get", "--raw", &path]);
        let counter = |name: &str| counter(&metrics, name);
        let (accepted, refused) =
            (counter("otelcol_receiver_accepted_spans"), counter("otelcol_receiver_refused_spans"));
        let (sent, unsent) = (
            counter("otelcol_exporter_sent_spans"),
            counter("otelcol_exporter_enqueue_failed_spans") + counter("otelcol_exporter_send_failed_spans"),
        );
        eprintln!("{name}: {accepted} spans accepted, {refused} refused, {sent} handed on, {unsent} not");
        if name == "collector" {
            assert!(accepted >= of("accepted"), "{counts}");
            // What the sender was refused, the collector counts: as refused, or as what its queue had no place for.
            assert!(of("refused") <= refused + unsent, "{counts}");
            assert!(sent + unsent <= accepted, "more spans than were taken");
        }
    }
    eprintln!("sender: {counts}");
    // Both still do their work.
    place.ok(&["test-hello"]);
    place.ok(&["down"]).says(&["0 left"]);
}

/// The sum over a counter's series, 0 where it has none yet.
fn counter(metrics: &str, name: &str) -> u64 {
    let series = metrics.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.trim_start_matches("_total").starts_with(['{', ' ']))
    });
    let values =
        series.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().expect("a value"));
    values.sum::<f64>() as u64
}
