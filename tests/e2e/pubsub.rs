//! pubsub: messages pass, survive whoever holds them, and pass again after the emulator has forgotten everything.

use std::{process::Command, time::Duration};

use serde_json::Value;

use crate::place::{Place, Run, eventually};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("pubsub_passes_messages", passes),
    ("pubsub_waits_for_an_emulator_that_is_late_and_copes_with_one_that_forgets", recovers),
    ("a_message_outlives_the_consumer_that_holds_it", killed),
    ("a_dead_worker_is_restarted", dead),
    ("pubsub_leaves_nothing", down),
];

/// LocalStack's image cannot be built from packages.
const MOTO: &[&str] = &["--set", "aws.emulator=moto"];
const SERVICES: [&str; 2] = ["producer", "consumer"];

fn with_moto<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, MOTO].concat()
}

/// Runs Python in a service's pod; None: there is no such container now, or it failed.
fn python(place: &Place, service: &str, program: &str) -> Option<String> {
    let mut command = Command::new("kubectl");
    command.args(["exec", "-n", "pubsub", &format!("deploy/{service}"), "--", "python", "-c", program]);
    let run = Run::of({
        command.env("KUBECONFIG", place.kubeconfig());
        command
    });
    (run.code == 0).then_some(run.stdout)
}

/// What a service's /health says: its status and its body.
fn health(place: &Place, service: &str) -> Option<(u64, Value)> {
    const ASK: &str = "import http.client as h; c = h.HTTPConnection('127.0.0.1', 5000); c.request('GET', '/health'); \
                       r = c.getresponse(); print(r.status, r.read().decode())";
    let text = python(place, service, ASK)?;
    let (status, body) = text.split_once(' ')?;
    Some((status.parse().ok()?, serde_json::from_str(body).ok()?))
}

fn await_down(place: &Place, service: &str, reason: &str) {
    eventually(&format!("{service} is down: {reason}"), Duration::from_secs(60), || {
        let (status, body) = health(place, service)?;
        let told = body["status"] == "DOWN" && body["reason"].as_str().is_some_and(|text| text.contains(reason));
        (status == 503 && told).then_some(())
    });
}

fn await_up(place: &Place) {
    for service in SERVICES {
        eventually(&format!("{service} is up"), Duration::from_secs(60), || {
            let (status, body) = health(place, service)?;
            (status == 200 && body["status"] == "UP!").then_some(())
        });
    }
}

/// Of the containers of a service's pods.
fn restarts(place: &Place, service: &str) -> u64 {
    let selector = format!("app.kubernetes.io/name={service}");
    let pods = place.get(&["pods", "-n", "pubsub", "-l", &selector]);
    let statuses =
        pods["items"].as_array().into_iter().flatten().flat_map(|pod| pod["status"]["containerStatuses"].as_array());
    statuses.flatten().filter_map(|status| status["restartCount"].as_u64()).sum()
}

fn passes(place: &Place) {
    let built = place.ok(&["build", "pubsub"]).stdout;
    let run = place.ok(&with_moto(&["up", "pubsub", "--test"]));
    eprintln!("up pubsub with its proofs: {:.1?}", run.took);
    run.says(&["a message is published, received and deleted"]);

    let log = |service: &str| place.kubectl(&["logs", "-n", "pubsub", &format!("deploy/{service}")]);
    let (produced, consumed) = eventually("a message of the producer's own", Duration::from_secs(30), || {
        let logs = (log("producer"), log("consumer"));
        logs.1.contains(": Hello … The time is now ").then_some(logs)
    });
    assert!(produced.contains("Outgoing Message: Hello … The time is now "), "{produced}");
    assert!(produced.contains("Publish success! SNS MessageId: "), "{produced}");
    assert!(produced.contains("\"GET /health HTTP/1.1\" 200"), "{produced}");
    assert!(consumed.contains("Received message: ") && consumed.contains("Deleted message: "), "{consumed}");

    let size = |image: &str| {
        let mut inspect = Command::new("docker");
        inspect.args(["image", "inspect", "--format", "{{.Size}}", image]);
        Run::of(inspect).stdout.trim().parse::<u64>().expect("a size")
    };
    for image in built.split_whitespace() {
        let added = size(image).saturating_sub(size("python:3.13-slim"));
        eprintln!("{image} adds {:.1} MB to its base", added as f64 / 1e6);
        assert!((1..60_000_000).contains(&added), "{added} bytes");
    }

    let before = place.mutations().len();
    place.ok(&with_moto(&["up", "pubsub"])).says(&["nothing to do"]);
    assert_eq!(place.mutations()[before..], [] as [String; 0], "the second up wrote");
}

fn recovers(place: &Place) {
    let scale = |to: &str| place.kubectl(&["scale", "deployment/localstack", "-n", "pubsub", "--replicas", to]);
    // Both start while there is no emulator, and wait.
    scale("0");
    place.kubectl(&["delete", "pods", "-n", "pubsub", "-l", "app.kubernetes.io/name in (producer, consumer)"]);
    for service in SERVICES {
        await_down(place, service, "Could not connect");
    }
    scale("1");
    await_up(place);

    // All that it knew is in its memory.
    place.kubectl(&["delete", "pods", "-n", "pubsub", "-l", "app.kubernetes.io/name=localstack"]);
    await_down(place, "consumer", "");
    await_up(place);

    let delete = "import boto3; sqs = boto3.client('sqs', region_name='us-east-1'); \
                  sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName='local_queue')['QueueUrl'])";
    python(place, "producer", delete).expect("the queue is deleted");
    await_down(place, "producer", "local_queue is gone");
    await_up(place);
    place.ok(&with_moto(&["test", "pubsub"]));
    assert_eq!(SERVICES.map(|service| restarts(place, service)), [0, 0]);
}

fn killed(place: &Place) {
    let name = "a message is delivered again when its consumer is killed";
    let run = place.ok(&with_moto(&["test", "pubsub", "--disruptive", "--proof", name, "--output", "json"]));
    let proofs = run.json();
    let held = |proof: &Value| proof["name"] == name && proof["passed"] == true && proof["skipped"].is_null();
    assert!(proofs["proofs"].as_array().is_some_and(|proofs| proofs.iter().any(held)), "{run}");
}

/// The consumer runs on, and its health says why it does nothing: the liveness probe restarts it.
fn dead(place: &Place) {
    place.ok(&with_moto(&["up", "pubsub", "--set", "dieAfter=2"]));
    await_down(place, "consumer", "the worker is dead: RuntimeError");
    eventually("it is restarted", Duration::from_secs(90), || (restarts(place, "consumer") > 0).then_some(()));
    let previous = place.kubectl(&["logs", "-n", "pubsub", "deploy/consumer", "--previous"]);
    assert!(previous.contains("The worker is dead: "), "{previous}");
    place.ok(&with_moto(&["up", "pubsub"]));
    await_up(place);
}

fn down(place: &Place) {
    let others = place.fingerprints("hello");
    place.ok(&["down", "pubsub", "--yes"]).says(&["0 left"]);
    place.unchanged("hello", &others);
}
