//! One stack's life: made, unchanged, changed, proved, stopped, started, removed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use crate::place::{Machine, Place, Run, eventually};

type Test = (&'static str, fn(&Place));

pub const FIRST: &[Test] = &[
    ("up_from_nothing", up_from_nothing),
    ("second_up_writes_nothing", second_up_writes_nothing),
    ("hello_answers_from_inside_and_scales", hello_answers),
    ("status_tells_what_runs", status),
    ("logs_show_each_pod", logs),
    ("forward_reaches_the_service_and_names_who_has_a_port", forward),
    ("deploy_build_push_tag_and_gc", images),
    ("diff_sees_a_change_and_changes_nothing", diff),
    ("a_scaled_workload_is_left_to_its_autoscaler", autoscaled),
    ("a_changed_line_is_built_and_rolled_out", changed_service),
    ("a_killed_up_is_continued", killed),
    ("an_unhealthy_pod_heals", heals),
    ("stop_and_start_keep_everything", stop_and_start),
];

pub const LAST: &[Test] = &[("down_leaves_nothing", down_leaves_nothing)];

/// Taken before the first `up`, compared after the last `down`.
static BEFORE: OnceLock<Machine> = OnceLock::new();

/// The service as calm as a test needs it.
const CALM: &[&str] = &["--set", "unhealthyRatio=0", "--set", "delayRatio=0"];

fn up<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["up", "hello"], CALM, rest].concat()
}

/// What brings back the stack that the tests of this suite share, once it was there.
pub fn shared() -> Vec<&'static str> {
    if BEFORE.get().is_some() { up(&[]) } else { Vec::new() }
}

fn up_from_nothing(place: &Place) {
    // Remains of a run that was killed are removed before the machine is looked at.
    place.ok(&["down", "--cluster", "--yes"]);
    assert!(BEFORE.set(Machine::look(place)).is_ok());

    let timings = place.path("stacks/timings.json");
    std::fs::create_dir_all(timings.parent().expect("a parent")).expect("a folder");
    let run = place.ok(&up(&["--output", "json", "--timings", timings.to_str().expect("UTF-8")]));
    eprintln!("up from nothing: {:.1?}", run.took);
    assert_eq!(run.json()["stack"], "hello");
    let timings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(timings).expect("timings are written")).expect("timings are JSON");
    let steps = timings["steps"].as_array().expect("steps");
    let step = |id: &str| steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id}"));
    let time = |id: &str, field: &str| step(id)[field].as_u64().expect("a time");
    assert!(
        time("build:hello", "startMs") < time("cluster:create", "endMs"),
        "the image is built while the cluster is made"
    );

    let deployment = place.get(&["deployment", "hello-service", "-n", "hello"]);
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    assert!(image.starts_with("registry.stackctl.internal/hello/hello:") && image.contains("@sha256:"), "{image}");
    let owned = deployment["metadata"]["managedFields"].to_string();
    assert!(!owned.contains("kubectl"), "{owned}");
    let published = place.get(&["configmap", "local-registry-hosting", "-n", "kube-public"]);
    assert!(published["data"]["localRegistryHosting.v1"].as_str().is_some_and(|text| text.contains("127.0.0.1:")));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.kubeconfig()).expect("the user's kubeconfig").permissions(),
    );
    assert_eq!(mode & 0o077, 0, "the kubeconfig is readable by others");
}

fn second_up_writes_nothing(place: &Place) {
    // A component that starts in the background writes on its own account, not on ours; nothing to wait for.
    let before = (place.mutations(), place.fingerprints("hello"));
    let run = place.ok(&up(&["--output", "json"]));
    eprintln!("second up: {:.0?}", run.took);
    let after = place.mutations();
    assert_eq!(after[before.0.len()..], [] as [String; 0], "the second up wrote");
    place.unchanged("hello", &before.1);
    assert!(!run.stderr.contains("build:"), "{run}");
    // The log itself works: the first up is in it.
    assert!(before.0.iter().any(|line| line.starts_with("patch") && line.contains("hello-service")), "{before:?}");
}

fn hello_answers(place: &Place) {
    let junit = place.path("stacks/junit.xml");
    let run = place.ok(&["test-hello", "--junit", junit.to_str().expect("UTF-8")]);
    run.says(&["says hello", "the autoscaler sees CPU"]);
    let junit = std::fs::read_to_string(junit).expect("JUnit file");
    assert!(junit.contains("<testsuite") && junit.contains("failures=\"0\""), "{junit}");
    let pods = place.get(&["pods", "-A", "-l", "io.stackctl.agent"]);
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(0), "the agent's pod is still there");
}

fn status(place: &Place) {
    let status = place.ok(&["status", "--output", "json"]).json();
    assert!(status.to_string().contains("hello-service"), "{status}");
    place.ok(&["status"]).says(&[
        "hello-service",
        "2/2",
        "metrics-server",
        "hello.collector",
        "pods: ",
        "edge of hello: https://localhost:",
        "last proof of hello: ",
        "hello/hello:",
        "alerts firing:",
    ]);
    place.ok(&["list"]).says(&["hello"]);
    place.ok(&["kubeconfig"]).says(&["clusters:", "certificate-authority-data"]);
}

fn logs(place: &Place) {
    place.ok(&["logs", "--stack", "hello", "hello", "--tail", "5"]).says(&["hello-service-"]);
    let recent = place.ok(&["logs", "--stack", "hello", "--since", "1h"]);
    assert!(
        recent.stdout.lines().count() > place.ok(&["logs", "--stack", "hello", "--since", "1s"]).stdout.lines().count()
    );
}

fn forward(place: &Place) {
    let mut command = place.command(&["forward", "hello-service:8400", "--local-port", "0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("stackctl starts");
    let mut lines = BufReader::new(child.stderr.take().expect("its stderr")).lines();
    let line =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://"))).expect("an address").expect("text");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let port = address.rsplit(':').next().expect("a port").to_owned();
    // Several connections, one after the other.
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).expect("the forward listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("{\"message\":\"hello world\"}"), "{answer}");
    }
    let taken = place.run(&["forward", "hello-service:8400", "--local-port", &port]);
    let _ = child.kill();
    child.wait().expect("its end");
    assert_eq!(taken.code, 3, "{taken}");
    taken.says(&[&port, "stackctl", "0:hello-service:8400"]);
}

fn images(place: &Place) {
    place.ok(&["build", "hello"]).says(&["registry.stackctl.internal/hello/hello:"]);
    place.ok(&["push", "hello"]);
    let deployed = place.ok(&[&["deploy", "hello", "--tag", "release-1"], CALM].concat());
    assert!(!deployed.stderr.contains("build:hello"), "{deployed}");
    let hosting = place.get(&["configmap", "local-registry-hosting", "-n", "kube-public"]);
    let hosting = hosting["data"]["localRegistryHosting.v1"].as_str().expect("text").to_owned();
    let registry =
        hosting.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").trim_matches('"').to_owned();
    let mut stream = TcpStream::connect(&registry).expect("the registry");
    let request = format!("GET /v2/hello/hello/tags/list HTTP/1.1\r\nHost: {registry}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("release-1"), "{answer}");
    place.ok(&["gc", "hello"]);
    // What runs was kept: its pods can still be pulled.
    place.ok(&up(&["--test"])).says(&["says hello"]);

    let size = |image: &str| {
        let mut command = std::process::Command::new("docker");
        command.args(["image", "inspect", "--format", "{{.Size}}", image]);
        Run::of(command).stdout.trim().parse::<u64>().expect("a size")
    };
    let own = place.ok(&["build", "hello"]).stdout.trim().to_owned();
    let added = size(&own).saturating_sub(size("node:22-slim"));
    eprintln!("hello adds {:.1} MB to its base", added as f64 / 1e6);
    assert!((1..70_000_000).contains(&added), "{added} bytes");
}

/// The first start of each container is unhealthy; the liveness probe restarts it, and the rollout ends well.
fn heals(place: &Place) {
    place.ok(&up(&["--set", "unhealthyStarts=1"]));
    let pods = place.get(&["pods", "-n", "hello", "-l", "app.kubernetes.io/name=hello"]);
    let pods = pods["items"].as_array().expect("pods");
    let restarted = pods.iter().any(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64() >= Some(1));
    assert!(restarted, "{pods:?}");
    // Of the containers that were there before.
    place.ok(&["logs", "--stack", "hello", "hello", "--previous"]).says(&["hello-service-"]);
    place.ok(&up(&[]));
}

fn diff(place: &Place) {
    place.ok(&[&["diff", "hello"], CALM].concat());
    let before = place.mutations();
    let changed = place.fails(11, &[&["diff", "hello", "--set", "maxReplicas=7"], CALM].concat());
    changed.says(&["maxReplicas: 10", "maxReplicas: 7"]);
    let written: Vec<_> =
        place.mutations().into_iter().skip(before.len()).filter(|line| !line.contains("dryRun=All")).collect();
    assert_eq!(written, [] as [String; 0]);
}

fn autoscaled(place: &Place) {
    place.kubectl(&["scale", "deployment/hello-service", "-n", "hello", "--replicas=3"]);
    let before = place.mutations().len();
    place.ok(&up(&[]));
    // The autoscaler itself may have taken the third pod back by now, so their number tells nothing.
    assert_eq!(place.mutations()[before..], [] as [String; 0], "up wrote");
    let deployment = place.get(&["deployment", "hello-service", "-n", "hello", "--show-managed-fields"]);
    let fields = deployment["metadata"]["managedFields"].as_array().expect("managed fields");
    let applied = fields.iter().find(|entry| entry["manager"] == "stackctl").expect("what we applied");
    let spec = applied["fieldsV1"]["f:spec"].as_object().expect("its spec");
    assert!(spec.contains_key("f:template") && !spec.contains_key("f:replicas"), "{spec:?}");
}

/// Copies the repository's own stack, as a user would, and changes a line of the service.
fn changed_service(place: &Place) {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = place.path("stacks/copy");
    for part in ["manifests", "services"] {
        copy_folder(&repository.join(part), &copy.join(part));
    }
    let server = copy.join("services/hello/app.js");
    let source = std::fs::read_to_string(&server).expect("app.js");
    assert!(source.contains("hello world"));
    std::fs::write(&server, source.replace("hello world", "hello changed world")).expect("app.js");
    let stack = copy.join("manifests/hello");
    let stack = stack.to_str().expect("UTF-8");
    // A folder is another origin than the binary.
    place.fails(3, &[&["up", stack], CALM].concat()).says(&["hello", "--take-over"]);
    let run = place.ok(&[&["up", stack, "--take-over", "--output", "json"], CALM].concat());
    eprintln!("changed line: {:.1?}", run.took);
    run.says(&["build:hello"]);
    // Old pods serve on while they drain, until every node's proxy has heard that they left.
    let seen = eventually("the change is seen", Duration::from_secs(20), || {
        let run = place.run(&["test", stack]);
        (run.code == 8).then_some(run)
    });
    seen.says(&["hello world", "hello changed world"]);
    // And back again: the registry still has that image, so nothing is built.
    let back = place.ok(&up(&["--take-over"]));
    assert!(!back.stderr.contains("build:hello"), "{back}");
    eventually("hello is back", Duration::from_secs(20), || (place.run(&["test-hello"]).code == 0).then_some(()));
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true if entry.file_name() == "node_modules" => {}
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// Kills `up` at several points of its way; the next one ends where it should.
fn killed(place: &Place) {
    for (round, delay) in [30u64, 150, 400, 900].into_iter().enumerate() {
        let replicas = format!("maxReplicas={}", 5 + round);
        let mut child = place
            .command(&up(&["--set", &replicas]))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("stackctl starts");
        // The point at which it dies is what this test varies.
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().expect("its end");
    }
    place.ok(&up(&[]));
    let autoscaler = place.get(&["hpa", "hello-service", "-n", "hello"]);
    assert_eq!(autoscaler["spec"]["maxReplicas"], 10);
}

fn stop_and_start(place: &Place) {
    place.ok(&["stop"]);
    place.fails(3, &["deploy", "hello"]).says(&["stackctl start"]);
    place.ok(&["start"]);
    let began = SystemTime::now();
    place.ok(&up(&[]));
    eprintln!("up after start: {:.1?}", began.elapsed().unwrap_or_default());
    let ready = eventually("hello is ready again", Duration::from_secs(60), || {
        let deployment = place.get(&["deployment", "hello-service", "-n", "hello"]);
        deployment["status"]["readyReplicas"].as_u64().filter(|&ready| ready >= 2)
    });
    assert!(ready >= 2);
}

fn down_leaves_nothing(place: &Place) {
    // The last stack takes the cluster along, but not what somebody else has put there.
    place.kubectl(&["create", "configmap", "theirs", "-n", "default"]);
    let dry = place.ok(&["down", "hello", "--dry-run"]);
    dry.says(&["stack hello", "- hello/Deployment/hello-service", "ConfigMap/theirs in namespace default"]);
    assert!(!dry.stdout.contains("delete cluster"), "{dry}");
    place.fails(2, &["down", "helo", "--yes"]).says(&["did you mean hello?"]);
    place.kubectl(&["delete", "configmap", "theirs", "-n", "default"]);
    place.ok(&["down", "hello", "--dry-run"]).says(&["delete cluster", "stack hello"]);

    let run = place.ok(&["down", "hello", "--yes"]);
    run.says(&["0 left"]);
    let before = BEFORE.get().expect("the machine was looked at before the first up");
    Machine::look(place).assert_as(before);

    // Once more with the state folder lost midway.
    place.ok(&["up", "hello"]);
    std::fs::remove_dir_all(place.path(".local/state/stackctl")).expect("the state folder");
    place.ok(&["down", "hello", "--cluster", "--yes"]).says(&["0 left"]);
    Machine::look(place).assert_as(before);
}
