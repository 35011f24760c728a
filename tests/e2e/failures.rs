//! What goes wrong, and that the error names the cause. Each test ends with its stack removed.

use std::{process::Command, time::Duration};

use crate::place::{Place, Run};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("an_image_that_cannot_be_pulled_fails_at_once", unpullable),
    ("a_container_that_exits_shows_its_last_words", crashing),
    ("a_pod_that_fits_nowhere_names_the_resource", unschedulable),
    ("a_quota_is_named", quota),
    ("a_conflict_names_manager_and_field", conflict),
    ("an_immutable_field_is_named_and_replaced_on_request", immutable),
    ("an_unknown_field_has_a_line", unknown_field),
    ("a_failing_instruction_is_shown", failing_build),
    ("a_full_disk_is_called_so", full_disk),
    ("an_api_server_that_dies_is_waited_for", dying_api_server),
    ("a_failure_leaves_artifacts", artifacts),
    ("an_interruption_stops_cleanly_and_says_how_to_go_on", interrupted),
    ("what_is_not_ready_in_time_is_explained", too_late),
];

fn deployment(name: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  replicas: 1
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
{}",
        container.lines().map(|line| format!("          {line}\n")).collect::<String>()
    )
}

/// A stack of one manifest.
fn one(place: &Place, name: &str, manifest: &str) -> String {
    let stack = format!("name: {name}\nmanifests: [all.yaml]\n");
    place.stack(name, &[("stack.yaml", &stack), ("all.yaml", manifest)])
}

fn remove(place: &Place, stack: &str) {
    place.ok(&["down", stack, "--yes"]);
}

/// The deadline is five minutes; a failure that is certain must not wait for it.
fn at_once(run: &Run, limit: u64) {
    assert!(run.took < Duration::from_secs(limit), "{run}");
}

fn unpullable(place: &Place) {
    let stack = one(place, "unpullable", &deployment("web", "image: registry.stackctl.internal/nobody/nothing:1"));
    let run = place.fails(7, &["up", &stack]);
    run.says(&["Deployment/web", "registry.stackctl.internal/nobody/nothing:1", "not found"]);
    at_once(&run, 60);
    remove(place, &stack);
}

fn crashing(place: &Place) {
    // Without a probe the container would count as ready for the instant that it runs.
    let container = "image: node:22-slim\ncommand: [node, -e, 'console.error(\"no database URL\"); process.exit(3)']\n\
                     readinessProbe: { tcpSocket: { port: 1 } }";
    let stack = one(place, "crashing", &deployment("web", container));
    let run = place.fails(7, &["up", &stack]);
    run.says(&["Deployment/web", "no database URL"]);
    at_once(&run, 150);
    remove(place, &stack);
}

fn unschedulable(place: &Place) {
    let container = "image: node:22-slim\nresources: { requests: { cpu: \"900\" } }";
    let stack = one(place, "unschedulable", &deployment("web", container));
    let run = place.fails(7, &["up", &stack]);
    run.says(&["cpu", "900"]);
    at_once(&run, 60);
    remove(place, &stack);
}

fn quota(place: &Place) {
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: { name: none }\nspec: { hard: { pods: \"0\" } }\n---\n";
    let manifest = format!("{quota}{}", deployment("web", "image: node:22-slim"));
    let stack = one(place, "quota", &manifest);
    let run = place.fails(7, &["up", &stack]);
    run.says(&["quota", "none"]);
    at_once(&run, 60);
    remove(place, &stack);
}

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { colour: COLOUR }\n";

fn conflict(place: &Place) {
    let stack = one(place, "conflict", &SETTINGS.replace("COLOUR", "blue"));
    place.ok(&["up", &stack]);
    let theirs = place.path("stacks/theirs.yaml");
    std::fs::write(
        &theirs,
        SETTINGS.replace("COLOUR", "red").replace("{ name: settings }", "{ name: settings, namespace: conflict }"),
    )
    .expect("a manifest");
    let theirs = theirs.to_str().expect("UTF-8");
    place.kubectl(&["apply", "--server-side", "--field-manager=somebody", "--force-conflicts", "-f", theirs]);
    let run = place.fails(6, &["up", &stack]);
    run.says(&["ConfigMap/settings", "somebody", "data.colour", "--force-conflicts"]);
    place.ok(&["up", &stack, "--force-conflicts"]);
    assert_eq!(place.get(&["configmap", "settings", "-n", "conflict"])["data"]["colour"], "blue");
    remove(place, &stack);
}

fn immutable(place: &Place) {
    let manifest =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: fixed }\nimmutable: true\ndata: { colour: blue }\n";
    let stack = one(place, "immutable", manifest);
    place.ok(&["up", &stack]);
    let uid = |place: &Place| place.get(&["configmap", "fixed", "-n", "immutable"])["metadata"]["uid"].clone();
    let before = uid(place);
    one(place, "immutable", &manifest.replace("blue", "red"));
    let run = place.fails(6, &["up", &stack]);
    run.says(&["ConfigMap/fixed", "data", "--replace"]);
    assert_eq!(uid(place), before);
    place.ok(&["up", &stack, "--replace"]);
    assert_ne!(uid(place), before);
    remove(place, &stack);
}

fn unknown_field(place: &Place) {
    let manifest = deployment("web", "image: node:22-slim\nimagePullPolicyy: Always");
    let stack = one(place, "unknown-field", &manifest);
    place.fails(2, &["up", &stack]).says(&[
        "unknown field `imagePullPolicyy`",
        "did you mean `imagePullPolicy`",
        "all.yaml:",
    ]);
}

/// A stack with one service, built from this Dockerfile.
fn built(place: &Place, name: &str, dockerfile: &str) -> String {
    let stack = format!("name: {name}\nservices:\n  web: {{ context: web }}\nmanifests: [all.yaml]\n");
    let manifest = deployment("web", "image: web");
    place.stack(name, &[("stack.yaml", &stack), ("all.yaml", &manifest), ("web/Dockerfile", dockerfile)])
}

fn failing_build(place: &Place) {
    let stack = built(place, "failing", "FROM node:22-slim\nRUN echo about to fail && exit 42\n");
    let run = place.fails(5, &["build", &stack]);
    run.says(&["web", "RUN echo about to fail && exit 42", "about to fail", "42"]);
}

fn full_disk(place: &Place) {
    // /dev/shm of a build is 64 MB, and its ENOSPC is as real as that of a disk.
    let stack = built(place, "full", "FROM node:22-slim\nRUN dd if=/dev/zero of=/dev/shm/full bs=1M count=200\n");
    place.fails(5, &["build", &stack]).says(&["No space left on device", "docker system df"]);
}

fn dying_api_server(place: &Place) {
    let objects: String = (0..300)
        .map(|n| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c{n} }}\ndata: {{ n: \"{n}\" }}\n---\n"))
        .collect();
    let stack = one(place, "dying", &objects);
    let mut up = place.command(&["up", &stack, "--timeout", "3m"]);
    let child = up.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().expect("stackctl");
    // Its first objects are there: it is in the middle of applying.
    crate::place::eventually("the first objects", Duration::from_secs(30), || {
        let mut list = Command::new("kubectl");
        list.args(["get", "configmaps", "-n", "dying", "-o", "name"]).env("KUBECONFIG", place.kubeconfig());
        let seen = Run::of(list).stdout.lines().count();
        (seen > 1).then_some(())
    });
    let node = format!("{}-control-plane", place.cluster);
    let mut kill = Command::new("docker");
    kill.args(["exec", &node, "pkill", "-9", "kube-apiserver"]);
    Run::of(kill);
    let output = child.wait_with_output().expect("stackctl ends");
    let said = String::from_utf8_lossy(&output.stderr);
    // Whether it outlived the outage or said that the API server was gone, the next run finishes.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{said}");
    place.ok(&["up", &stack]);
    let maps = place.get(&["configmaps", "-n", "dying"]);
    assert!(maps["items"].as_array().is_some_and(|items| items.len() >= 300));
    remove(place, &stack);
}

/// Runs for ever and is never ready.
const NEVER: &str = "image: node:22-slim\ncommand: [node, -e, 'setInterval(() => {}, 1000)']\n\
                     readinessProbe: { tcpSocket: { port: 1 } }";

fn interrupted(place: &Place) {
    let stack = one(place, "never", &deployment("web", NEVER));
    let mut up = place.command(&["up", &stack]);
    let mut child =
        up.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().expect("stackctl");
    crate::place::eventually("the deployment", Duration::from_secs(30), || {
        let mut get = Command::new("kubectl");
        get.args(["get", "deployment", "web", "-n", "never"]).env("KUBECONFIG", place.kubeconfig());
        (Run::of(get).code == 0).then_some(())
    });
    let began = std::time::Instant::now();
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]);
    Run::of(kill);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("its stderr"), &mut said).expect("text");
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(30), "{said}");
    remove(place, &stack);
}

fn too_late(place: &Place) {
    let stack = one(place, "late", &deployment("web", NEVER));
    place.fails(7, &["up", &stack, "--timeout", "2s"]);
    crate::place::eventually("the container", Duration::from_secs(60), || {
        let pods = place.get(&["pods", "-n", "late"]);
        pods.pointer("/items/0/status/containerStatuses/0/state/running").map(|_| ())
    });
    let run = place.fails(7, &["up", &stack, "--timeout", "4s"]);
    // From the pod's own status: the event of the probe may take longer than this run.
    run.says(&["Deployment/web", "container main runs but is not ready", "readiness probe", "port 1", "--timeout"]);
    at_once(&run, 30);
    remove(place, &stack);
}

fn artifacts(place: &Place) {
    let stack = one(place, "artifacts", &deployment("web", "image: registry.stackctl.internal/nobody/nothing:2"));
    let folder = place.path("stacks/artifacts-of-a-failure");
    place.fails(7, &["up", &stack, "--artifacts", folder.to_str().expect("UTF-8")]);
    let events = std::fs::read_to_string(folder.join("events.yaml")).expect("events");
    assert!(events.contains("nothing:2"), "{events}");
    assert!(folder.join("objects.yaml").is_file() && folder.join("error.txt").is_file());
    remove(place, &stack);
}
