//! A stack's life on a cluster that minikube makes. Only where the test world has minikube: its part is large, and is built
//! by a command of its own.

use std::{path::PathBuf, process::Command};

use crate::place::{Machine, Place, Run};

/// The configuration for it, where the world has it.
const CONFIG: &str = "STACKCTL_WORLD_MINIKUBE_CONFIG";
pub const BUILT_BY: &str = "tests/world/up --with minikube";

pub const ALL: &[(&str, fn())] = &[
    ("minikube_from_nothing_to_nothing", life),
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

fn life() {
    let place = place();
    place.ok(&["down", "--cluster", "--yes"]);
    let before = Machine::look(&place);
    let stack = small(&place);

    let run = place.ok(&["up", &stack, "--timings", place.path("stacks/timings.json").to_str().expect("UTF-8")]);
    eprintln!("minikube, up from nothing: {:.1?}", run.took);
    run.says(&["https://localhost:"]);
    let image = place.get(&["deployment", "web", "-n", "small"])["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .expect("an image")
        .to_owned();
    assert!(image.starts_with("registry.stackctl.internal/small/web:") && image.contains("@sha256:"), "{image}");
    place.ok(&["test", &stack]).says(&["answers"]);

    let objects = place.fingerprints("small");
    let run = place.ok(&["up", &stack]);
    eprintln!("minikube, second up: {:.1?}", run.took);
    run.says(&["nothing to do"]);
    assert_eq!(place.fingerprints("small"), objects, "the second up wrote");

    let run = place.ok(&["stop"]);
    eprintln!("minikube, stop: {:.1?}", run.took);
    place.fails(3, &["deploy", &stack]).says(&["stackctl start"]);
    let run = place.ok(&["start"]);
    eprintln!("minikube, start: {:.1?}", run.took);
    place.ok(&["test", &stack]).says(&["answers"]);

    // Somebody pauses it: it is seen, and `up` has it go on.
    minikube(&place, &["pause"]);
    let run = place.ok(&["up", &stack]);
    eprintln!("minikube, up of a paused one: {:.1?}", run.took);
    place.ok(&["test", &stack]).says(&["answers"]);

    let run = place.ok(&["down", &stack, "--yes"]);
    eprintln!("minikube, down: {:.1?}", run.took);
    run.says(&["0 left"]);
    Machine::look(&place).assert_as(&before);
}

fn minikube(place: &Place, arguments: &[&str]) -> Run {
    let mut command = Command::new("minikube");
    command.args(arguments).args(["--profile", &place.cluster]).env("KUBECONFIG", place.path("stacks/kubeconfig"));
    let run = Run::of(command);
    assert_eq!(run.code, 0, "minikube {}\n{run}", arguments.join(" "));
    run
}

/// A profile of the cluster's name that somebody else began: its file alone, as when its container was removed by hand.
fn foreign() {
    let place = place();
    let home = PathBuf::from(std::env::var_os("MINIKUBE_HOME").expect("the world sets it"));
    let profile = home.join(".minikube/profiles").join(&place.cluster);
    std::fs::create_dir_all(&profile).expect("a profile");
    let content =
        r#"{"Name": "x", "Driver": "docker", "Network": "", "Nodes": [{"IP": "192.168.49.2", "Port": 8443}]}"#;
    std::fs::write(profile.join("config.json"), content).expect("a profile");
    let stack = small(&place);
    let (up, down, doctor) =
        (place.run(&["up", &stack]), place.run(&["down", "--cluster", "--yes"]), place.run(&["doctor"]));
    let kept = std::fs::read_to_string(profile.join("config.json"));
    std::fs::remove_dir_all(&profile).expect("a profile");
    for (run, what) in [(&up, "up"), (&down, "down"), (&doctor, "doctor")] {
        assert_eq!(run.code, 3, "{what}\n{run}");
    }
    up.says(&["not the network"]);
    doctor.says(&["was not made by stackctl"]);
    assert_eq!(kept.expect("the profile is still there"), content);
}

fn refused() {
    let place = place();
    let stack = small(&place);
    let before = Machine::look(&place);
    let mut command = place.command(&["up", &stack]);
    // docker is an engine's client, which stackctl does without.
    let run = Run::of({
        command.env("PATH", "/nonexistent");
        command
    });
    assert_eq!(run.code, 3, "{run}");
    run.says(&["minikube", "https://minikube.sigs.k8s.io/docs/start/"]);
    place.fails(3, &["up", &stack, "--memory", "500"]).says(&["--memory 1800"]);
    place.fails(3, &["up", &stack, "--cpus", "900"]).says(&["--cpus"]);
    place.fails(2, &["up", &stack, "--minikube-flag", "--driver=none"]).says(&["stackctl sets --driver itself"]);
    Machine::look(&place).assert_as(&before);
}
