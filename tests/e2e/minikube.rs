//! A stack's life on a cluster that minikube makes. Only where the test world has minikube: its part is large, and is built
//! by a command of its own.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::place::{Machine, Place, Run, eventually};

/// The configuration for it, where the world has it.
const CONFIG: &str = "STACKCTL_WORLD_MINIKUBE_CONFIG";
pub const BUILT_BY: &str = "tests/world/up --with minikube";

pub const ALL: &[(&str, fn())] = &[
    ("minikube_from_nothing_to_nothing", life),
    ("minikube_half_made_or_of_another_version_is_told_and_replaced", halves),
    ("minikube_leaves_the_profiles_of_others_alone", foreign),
    ("minikube_that_is_missing_or_cannot_do_it_is_told", refused),
];

pub fn config() -> Option<PathBuf> {
    std::env::var_os(CONFIG).map(PathBuf::from).filter(|path| path.is_file())
}

fn place() -> Place {
    let cluster = std::env::var("STACKCTL_TEST_CLUSTER").unwrap_or_else(|_| "e2e".to_owned());
    let config = config().expect("only run where there is one");
    Place::configured(&format!("{cluster}-mini"), &std::fs::read_to_string(config).expect("a configuration"))
}

const SERVER: &str = "require('http').createServer((_, answer) => answer.end('from minikube')).listen(8400)";
const DECLARATION: &str = "name: small
services: { web: { context: web } }
manifests: [all.yaml]
routes:
  - { path: /, service: web, check: { contains: from minikube, eventually: 60s } }
proofs:
  - { name: answers, http: { url: 'http://web:8400/', status: 200, contains: from minikube }, eventually: 60s }
";
const MANIFESTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - { name: web, image: web, ports: [{ containerPort: 8400 }], readinessProbe: { httpGet: { path: /, port: 8400 } } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 8400 }] }
";

fn small(place: &Place) -> String {
    let dockerfile = format!("FROM node:22-slim\nUSER 1000\nCMD [\"node\", \"-e\", \"{SERVER}\"]\n");
    place.stack("small", &[("stack.yaml", DECLARATION), ("all.yaml", MANIFESTS), ("web/Dockerfile", &dockerfile)])
}

/// LocalStack's image cannot be built from packages.
const PUBSUB: [&str; 2] = ["--set", "aws.emulator=moto"];

fn life() {
    let place = place();
    place.ok(&["down", "--cluster", "--yes"]);
    let before = Machine::look(&place);
    let up = [&["up", "pubsub"][..], &PUBSUB].concat();
    let test = [&["test", "pubsub"][..], &PUBSUB].concat();

    let timings = place.path("timings.json");
    let run = place.ok(&[&up[..], &["--timings", timings.to_str().expect("UTF-8")]].concat());
    let steps = std::fs::read_to_string(&timings).expect("timings");
    std::fs::remove_file(&timings).expect("timings");
    let steps: serde_json::Value = serde_json::from_str(&steps).expect("JSON");
    let made = steps["steps"].as_array().into_iter().flatten().find(|step| step["id"] == "cluster:create");
    let made = made.and_then(|step| Some(step["endMs"].as_u64()? - step["startMs"].as_u64()?));
    eprintln!("minikube, up pubsub from nothing: {:.1?}, of which the cluster {made:?} ms", run.took);
    place.ok(&test).says(&["a message is published, received and deleted"]);
    let objects = place.fingerprints("pubsub");
    let run = place.ok(&up);
    eprintln!("minikube, second up: {:.1?}", run.took);
    run.says(&["nothing to do"]);
    place.unchanged("pubsub", &objects);

    // A stack with an edge beside it.
    let stack = small(&place);
    place.ok(&["up", &stack]).says(&["https://localhost:"]);
    let image = place.get(&["deployment", "web", "-n", "small"])["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .expect("an image")
        .to_owned();
    assert!(image.starts_with("registry.stackctl.internal/small/web:") && image.contains("@sha256:"), "{image}");
    place.ok(&["test", &stack]).says(&["answers"]);

    let run = place.ok(&["stop"]);
    eprintln!("minikube, stop: {:.1?}", run.took);
    place.fails(3, &["deploy", &stack]).says(&["stackctl start"]);
    let run = place.ok(&["start"]);
    eprintln!("minikube, start: {:.1?}", run.took);
    place.ok(&test);
    place.ok(&["test", &stack]).says(&["answers"]);

    // Somebody pauses it: it is seen, and `up` has it go on.
    minikube(&place, &["pause"]);
    let run = place.ok(&up);
    eprintln!("minikube, up of a paused one: {:.1?}", run.took);
    place.ok(&test);

    place.ok(&["down", &stack, "--yes"]).says(&["0 left"]);
    let run = place.ok(&["down", "pubsub", "--yes"]);
    eprintln!("minikube, down: {:.1?}", run.took);
    run.says(&["0 left"]);
    std::fs::remove_dir_all(place.path("stacks")).expect("the test's own stack");
    Machine::look(&place).assert_as(&before);
}

/// Runs minikube itself, as the user of the cluster's profile does.
fn minikube(place: &Place, arguments: &[&str]) -> Run {
    let mut command = Command::new("minikube");
    command.args(arguments).args(["--profile", &place.cluster]).env("KUBECONFIG", place.path(".kube/of-minikube"));
    let run = Run::of(command);
    let _ = std::fs::remove_file(place.path(".kube/of-minikube"));
    assert_eq!(run.code, 0, "minikube {}\n{run}", arguments.join(" "));
    run
}

fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments);
    let run = Run::of(command);
    assert_eq!(run.code, 0, "docker {}\n{run}", arguments.join(" "));
    run.stdout.trim().to_owned()
}

fn halves() {
    let place = place();
    place.ok(&["down", "--cluster", "--yes"]);
    let before = Machine::look(&place);
    let stack = small(&place);

    // Killed when there is a node and no Kubernetes in it.
    let mut up = place.command(&["up", &stack]);
    let mut up = up.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("stackctl starts");
    let name = format!("name=^/{}$", place.cluster);
    let node = eventually("there is a node", Duration::from_secs(120), || {
        Some(docker(&["ps", "--quiet", "--no-trunc", "--filter", &name])).filter(|id| !id.is_empty())
    });
    up.kill().expect("it runs");
    up.wait().expect("its end");
    place.fails(3, &["start"]).says(&["`stackctl up` makes it"]);
    let run = place.ok(&["up", &stack]);
    eprintln!("minikube, up over a half-made one: {:.1?}", run.took);
    assert_ne!(docker(&["ps", "--quiet", "--no-trunc", "--filter", &name]), node);
    place.ok(&["test", &stack]).says(&["answers"]);

    // One that another version has made, and that does not start.
    docker(&["exec", &place.cluster, "sed", "-i", "s/^minikube: .*/minikube: v1.30.1/", "/etc/stackctl/stackctl.yaml"]);
    place.ok(&["stop"]);
    place.fails(4, &["up", &stack, "--minikube-flag=--no-such-flag"]).says(&[
        "unknown flag: --no-such-flag",
        "the cluster was made by minikube v1.30.1, and this is v1.",
        "stackctl down --cluster, then stackctl up",
    ]);
    place.ok(&["down", "--cluster", "--yes"]).says(&["0 left"]);
    std::fs::remove_dir_all(place.path("stacks")).expect("the test's own stack");
    Machine::look(&place).assert_as(&before);
}

/// A profile of the cluster's name that somebody else made, and one of which nothing but its file is left, as when its
/// container was removed by hand.
fn foreign() {
    let place = place();
    place.ok(&["down", "--cluster", "--yes"]);
    let stack = small(&place);
    let refuse = |profile: &Path| {
        let file = profile.join("config.json");
        let before = std::fs::read_to_string(&file).expect("a profile");
        place.fails(3, &["up", &stack]).says(&["that stackctl did not make", "the network"]);
        place.fails(3, &["down", "--cluster", "--yes"]).says(&["was not made by stackctl"]);
        place.fails(3, &["doctor"]).says(&["was not made by stackctl", "minikube delete -p"]);
        assert_eq!(std::fs::read_to_string(file).expect("the profile is still there"), before);
    };

    let config = std::fs::read_to_string(config().expect("the world's")).expect("a configuration");
    let base =
        config.lines().find_map(|line| line.strip_prefix("nodeImage: ")).map(|image| format!("--base-image={image}"));
    let start = "start --driver=docker --no-kubernetes --container-runtime=containerd --force --preload=false \
                 --cache-images=false --interactive=false --memory=2200";
    let _theirs = Theirs(&place);
    minikube(&place, &start.split_whitespace().chain(base.as_deref()).collect::<Vec<_>>());
    let home = PathBuf::from(std::env::var_os("MINIKUBE_HOME").expect("the world sets it"));
    let profile = home.join(".minikube/profiles").join(&place.cluster);
    let node = ["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &place.cluster];
    let before = docker(&node);
    refuse(&profile);
    assert_eq!(docker(&node), before);

    docker(&["rm", "--force", "--volumes", &place.cluster]);
    refuse(&profile);
}

/// A profile that only minikube itself may remove, also after a failure.
struct Theirs<'a>(&'a Place);

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("minikube").args(["delete", "--profile", &self.0.cluster]).output();
    }
}

fn refused() {
    let place = place();
    let stack = small(&place);
    let before = Machine::look(&place);
    // docker is an engine's client, which stackctl does without.
    let with_path = |folder: &Path| {
        let mut command = place.command(&["up", &stack]);
        command.env("PATH", folder);
        let run = Run::of(command);
        assert_eq!(run.code, 3, "{run}");
        run
    };
    with_path(Path::new("/nonexistent")).says(&["minikube", "https://minikube.sigs.k8s.io/docs/start/"]);
    let old = place.path("stacks/old");
    std::fs::create_dir_all(&old).expect("a folder");
    let program = old.join("minikube");
    std::fs::write(&program, "#!/bin/sh\necho '{\"minikubeVersion\":\"v1.25.2\"}'\n").expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
    with_path(&old).says(&["v1.25.2", "upgrade minikube to 1.30 or newer"]);
    std::fs::remove_dir_all(old).expect("a folder");

    place.fails(3, &["up", &stack, "--memory", "500"]).says(&["--memory 1800"]);
    place.fails(3, &["up", &stack, "--cpus", "900"]).says(&["--cpus"]);
    place.fails(2, &["up", &stack, "--minikube-flag", "--driver=none"]).says(&["stackctl sets --driver itself"]);
    Machine::look(&place).assert_as(&before);
}
