//! Several stacks in one cluster: what they share, what they leave, what is theirs alone.

use std::time::Duration;

use crate::place::{Place, eventually};

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("what_left_the_stack_is_pruned_but_no_claim", prune),
    ("a_shared_component_outlives_its_first_user", shared_component),
    ("a_namespace_that_was_there_stays", foreign_namespace),
    ("two_stacks_in_one_namespace_take_nothing_from_each_other", one_namespace),
    ("generated_secrets_are_made_once_and_never_shown", generated_secret),
    ("configuration_rolls_only_those_who_read_it", configuration),
    ("an_existing_cluster_is_used_and_left", existing),
    ("all_stacks_come_and_go_together", all_together),
    ("a_cluster_of_somebody_else_is_refused", foreign_cluster),
];

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ value: \"{value}\" }}\n---\n")
}

fn names(place: &Place, kind: &str, namespace: &str) -> Vec<String> {
    let list = place.kubectl(&["get", kind, "-n", namespace, "-o", "name"]);
    list.lines().filter_map(|line| line.split_once('/')).map(|(_, name)| name.to_owned()).collect()
}

/// Kubernetes takes its time to end a namespace, and `down` does not wait for it where nothing is left in it.
fn await_end(place: &Place, namespaces: &[&str]) {
    let get = [&["get", "namespace"], namespaces, &["--ignore-not-found", "-o", "name"]].concat();
    eventually("the namespaces are gone", Duration::from_secs(30), || place.kubectl(&get).is_empty().then_some(()));
}

fn prune(place: &Place) {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: data }\nspec: { accessModes: [ReadWriteOnce], \
                 storageClassName: none, resources: { requests: { storage: 1Mi } } }\n---\n";
    let stack = |objects: &str| {
        place.stack("pruned", &[("stack.yaml", "name: pruned\nmanifests: [all.yaml]\n"), ("all.yaml", objects)])
    };
    let path = stack(&[&config_map("a", "1"), &config_map("b", "1"), claim].concat());
    // The claim never binds, and waiting for it is not what this test is about.
    place.fails(7, &["up", &path, "--timeout", "2s"]);
    stack(&config_map("a", "1"));
    place.ok(&["up", &path]);
    let maps = names(place, "configmap", "pruned");
    assert!(maps.contains(&"a".to_owned()) && !maps.contains(&"b".to_owned()), "{maps:?}");
    assert_eq!(names(place, "pvc", "pruned"), ["data"]);
    place.ok(&["up", &path, "--prune-data"]);
    assert_eq!(names(place, "pvc", "pruned"), [] as [String; 0]);
    place.ok(&["down", &path, "--yes"]);
}

fn shared_component(place: &Place) {
    let component = "name: shared\nnamespace: shared\nmanifests: [shared.yaml]\n";
    let stack = |name: &str| {
        let declaration = format!("name: {name}\ncomponents: [shared]\nmanifests: [all.yaml]\n");
        place.stack(name, &[("stack.yaml", &declaration), ("all.yaml", &config_map("own", "1"))])
    };
    place.stack("components/shared", &[("component.yaml", component), ("shared.yaml", &config_map("common", "1"))]);
    let (first, second) = (stack("first"), stack("second"));
    place.ok(&["up", &first]);
    place.ok(&["up", &second]);
    place.ok(&["down", &first, "--yes"]);
    assert!(names(place, "configmap", "shared").contains(&"common".to_owned()));
    place.ok(&["down", &second, "--yes"]);
    await_end(place, &["shared", "first", "second"]);
}

fn foreign_namespace(place: &Place) {
    place.kubectl(&["create", "namespace", "theirs"]);
    let path = place.stack(
        "theirs",
        &[("stack.yaml", "name: theirs\nmanifests: [all.yaml]\n"), ("all.yaml", &config_map("ours", "1"))],
    );
    place.ok(&["up", &path]);
    place.ok(&["down", &path, "--yes"]);
    assert!(!names(place, "configmap", "theirs").contains(&"ours".to_owned()));
    place.kubectl(&["delete", "namespace", "theirs"]);
}

fn one_namespace(place: &Place) {
    let stack = |name: &str, map: &str| {
        let declaration = format!("name: {name}\nmanifests: [all.yaml]\n");
        place.stack(name, &[("stack.yaml", &declaration), ("all.yaml", &config_map(map, name))])
    };
    let (first, second, third) = (stack("tenant-a", "a"), stack("tenant-b", "b"), stack("tenant-c", "a"));
    let dev = ["--namespace", "dev", "--yes"];
    place.ok(&[&["up", &first], &dev[..]].concat());
    place.ok(&[&["up", &second], &dev[..]].concat());
    // What another stack has is not taken over.
    place
        .fails(3, &[&["up", &third], &dev[..]].concat())
        .says(&["ConfigMap/a in namespace dev belongs to stack tenant-a"]);
    let map = place.get(&["configmap", "a", "-n", "dev"]);
    assert_eq!(map["data"]["value"], "tenant-a");
    place.ok(&[&["up", &first], &dev[..]].concat()).says(&["nothing to do"]);

    // The one that made the namespace leaves it to the other, which takes it along as the last.
    place.ok(&[&["down", &first], &dev[..]].concat()).says(&["0 left"]);
    let left = names(place, "configmap", "dev");
    assert!(left.contains(&"b".to_owned()) && !left.contains(&"a".to_owned()), "{left:?}");
    place.ok(&[&["down", &second], &dev[..]].concat()).says(&["0 left"]);
    await_end(place, &["dev"]);
}

fn generated_secret(place: &Place) {
    let declaration =
        "name: generated\nmanifests: [all.yaml]\ngenerate:\n  - { name: admin, keys: { password: 32 } }\n";
    let path = place.stack("generated", &[("stack.yaml", declaration), ("all.yaml", &config_map("a", "1"))]);
    let first = place.ok(&["up", &path, "-v"]);
    let secret = |place: &Place| place.get(&["secret", "admin", "-n", "generated"])["data"]["password"].clone();
    let before = secret(place);
    let clear = place.kubectl(&[
        "get",
        "secret",
        "admin",
        "-n",
        "generated",
        "-o",
        "go-template={{.data.password | base64decode}}",
    ]);
    assert_eq!(clear.len(), 32);
    let render = place.ok(&["render", &path]);
    for shown in [&first.stdout, &first.stderr, &render.stdout] {
        assert!(!shown.contains(&clear), "the password was shown");
    }
    place.ok(&["up", &path]);
    assert_eq!(secret(place), before);
    place.ok(&["down", &path, "--yes"]);
}

fn configuration(place: &Place) {
    let workload = |name: &str, reads: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: 0\n  selector: {{ matchLabels: \
             {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec:\n      containers:\n        \
             - {{ name: main, image: \"node:22-slim\", envFrom: [{{ configMapRef: {{ name: {reads} }} }}] }}\n---\n"
        )
    };
    let stack = |value: &str| {
        let objects = [
            config_map("one", value),
            config_map("two", "1"),
            workload("reads-one", "one"),
            workload("reads-two", "two"),
        ];
        place.stack(
            "rolled",
            &[("stack.yaml", "name: rolled\nmanifests: [all.yaml]\n"), ("all.yaml", &objects.concat())],
        )
    };
    let path = stack("1");
    place.ok(&["up", &path]);
    let generation = |name: &str| place.get(&["deployment", name, "-n", "rolled"])["metadata"]["generation"].clone();
    let before = (generation("reads-one"), generation("reads-two"));
    stack("2");
    place.ok(&["up", &path]);
    assert_ne!(generation("reads-one"), before.0);
    assert_eq!(generation("reads-two"), before.1);
    place.ok(&["down", &path, "--yes"]);
}

fn existing(place: &Place) {
    let path = place
        .stack("guest", &[("stack.yaml", "name: guest\nmanifests: [all.yaml]\n"), ("all.yaml", &config_map("a", "1"))]);
    let context = format!("kind-{}", place.cluster);
    let target = ["--provider", "existing", "--context", &context, "--registry", "registry.stackctl.internal"];
    place.ok(&[&["up", &path], &target[..]].concat());
    assert!(names(place, "configmap", "guest").contains(&"a".to_owned()));
    place.ok(&[&["up", &path], &target[..]].concat());
    place.ok(&[&["down", &path, "--yes"], &target[..]].concat());
    await_end(place, &["guest"]);
    // hello is still there: only its own went.
    place.get(&["deployment", "hello-service", "-n", "hello"]);
}

/// The cluster stays for somebody else's sake, so that each stack goes by itself.
fn all_together(place: &Place) {
    place.kubectl(&["create", "namespace", "theirs"]);
    place.ok(&["up", "--all", "--set", "aws.emulator=moto"]);
    let before = place.mutations().len();
    let run = place.ok(&["up", "--all", "--set", "aws.emulator=moto", "--output", "json"]);
    eprintln!("second up --all: {:.0?}", run.took);
    assert_eq!(place.mutations()[before..], [] as [String; 0], "the second up wrote");
    let stacks = run.json()["stacks"].clone();
    let names: Vec<&str> =
        stacks.as_array().into_iter().flatten().filter_map(|stack| stack["stack"].as_str()).collect();
    let known = place.ok(&["list", "--output", "json"]).json();
    let known: Vec<&str> =
        known["items"].as_array().into_iter().flatten().filter_map(|stack| stack["name"].as_str()).collect();
    assert_eq!(names, known);
    place.fails(2, &["up", "--all", "--set", "aws.emulater=moto"]).says(&["no stack has such a value"]);
    place.fails(2, &["up", "--all", "--namespace", "one"]).says(&["each stack has a namespace of its own"]);
    place.ok(&["down", "--all", "--dry-run", "-v"]).says(&[
        "hello/delete:hello",
        "the cluster stays",
        "namespace theirs",
    ]);
    place.ok(&["down", "--all", "--yes"]).says(&["the cluster stays", "namespace theirs", "0 left"]);
    await_end(place, &["hello"]);
    place.ok(&["up", "--all", "--dry-run", "-v"]).says(&["hello/apply:Deployment/hello-service"]);
    place.kubectl(&["delete", "namespace", "theirs"]);
    let restore = crate::lifecycle::shared();
    if !restore.is_empty() {
        place.ok(&restore);
    }
}

/// A container that says that it is a kind cluster of that name, without our mark.
fn foreign_cluster(place: &Place) {
    let name = "e2e-foreign";
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("docker");
        command.args(arguments);
        crate::place::Run::of(command)
    };
    let label = format!("io.x-k8s.kind.cluster={name}");
    let create = [
        "create",
        "--name",
        "e2e-foreign-control-plane",
        "--label",
        &label,
        "--label",
        "io.x-k8s.kind.role=control-plane",
    ];
    assert_eq!(run(&[&create[..], &["node:22-slim", "sleep", "1"]].concat()).code, 0);
    let refused = place.run(&["up", "hello", "--cluster-name", name]);
    let kept = place.run(&["down", "hello", "--cluster", "--yes", "--cluster-name", name]);
    let there = run(&["inspect", "e2e-foreign-control-plane"]).code;
    run(&["rm", "-f", "e2e-foreign-control-plane"]);
    assert_eq!((refused.code, kept.code, there), (3, 3, 0), "{refused}\n{kept}");
    refused.says(&[name, "--cluster-name"]);
}
