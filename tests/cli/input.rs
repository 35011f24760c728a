//! Wrong input: a clear error that names file, line and field, and nothing touched.

use crate::Home;

#[test]
fn unknown_stack() {
    insta::assert_snapshot!(Home::new().run(&["up", "helo"]));
}

#[test]
fn unknown_command_flag_and_value() {
    let home = Home::new();
    for arguments in [&["upp"][..], &["up", "--nope"], &["up", "--output", "xml"], &["up", "--set", "nothing"]] {
        let said = home.run(arguments);
        assert!(said.starts_with("exit 2\n"), "{arguments:?}: {said}");
    }
    let said = home.run(&["render", "--set", "maxReplica=5"]);
    assert!(said.starts_with("exit 2\n") && said.contains("maxReplicas"), "{said}");
    let said = home.run(&["render", "--set", "maxReplicas=1"]);
    assert!(said.starts_with("exit 2\n") && said.contains("stack.yaml:"), "{said}");
}

/// A typo in a key, a wrong type, a duplicate key, a cycle, a missing file, a setter that matches nothing, two objects
/// of one name: seven errors at once, each with its place.
#[test]
fn seven_mistakes_in_three_files() {
    let home = Home::new();
    home.write(
        "stacks/broken/stack.yaml",
        "name: broken
descripton: a typo in a key
components: [ring]
manifests: [all.yaml, missing.yaml]
values:
  size: { type: integer, default: 3, sets: [Deployment/web spec.replicaz] }
",
    );
    home.write(
        "stacks/broken/all.yaml",
        "apiVersion: v1
kind: ConfigMap
metadata: { name: twin }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: twin }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
metadata: { name: web }
spec: { replicas: 1 }
",
    );
    home.write("stacks/components/ring/component.yaml", "name: ring\nneeds: [ring]\nmanifests: all.yaml\n");
    let before = home.files();
    let said = home.run(&["up", "stacks/broken"]);
    insta::assert_snapshot!(said);
    let located = regex::Regex::new(r"(?m)\b[a-z/]+\.yaml:\d+:\d+: ").unwrap();
    assert_eq!(located.find_iter(&said).count(), 7, "{said}");
    assert_eq!(home.files(), before, "something was touched");
}

/// Manifests that kubectl or the API server would refuse: every mistake at once, each with its place.
#[test]
fn manifests_that_cannot_be_meant() {
    let home = Home::new();
    home.write("wrong/stack.yaml", "name: wrong\nmanifests: [a.yaml, old.yaml]\n");
    home.write(
        "wrong/a.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata: { name: runner, annotations: { example.org/enabled: yes } }
spec:
  replica: 2
  selector: { matchLabels: { app: runner, version: 1.10 } }
  template:
    metadata:
      labels: { app: runner, version: 1.10 }
      annotations: { prometheus.io/scrape: true, prometheus.io/port: 8080 }
    spec:
      hostIPC: no
      containers:
        - name: main
          image: registry.k8s.io/pause:3.10.2
          limits: { cpu: 1 }
          securityContext: { readOnlyRootFilesystem: \"yes\" }
          env: [ { name: COUNTRY, value: no }, { name: SWITCH, value: on }, { name: PORT, value: 8080 } ]
---
apiVersion: batch/v1
kind: Job
metadata: { generateName: run- }
spec: { template: { spec: { restartPolicy: Never, containers: [ { name: main, image: a/b:1 } ] } } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: switches }
data: { on: \"1\", y: \"2\" }
",
    );
    home.write(
        "wrong/old.yaml",
        "apiVersion: extensions/v1beta1
kind: Ingress
metadata: { name: web }
spec: { backend: { serviceName: web, servicePort: 80 } }
---
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { minAvailable: 1, selector: { matchLabels: { app: web } } }
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: tabbed
data:
\ta: \"1\"
",
    );
    insta::assert_snapshot!(home.run(&["up", "./wrong"]));
}

#[test]
fn exported_manifests_are_left_without_what_the_server_sets() {
    let home = Home::new();
    home.write("exported/stack.yaml", "name: exported\nmanifests: [a.yaml]\n");
    home.write(
        "exported/a.yaml",
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: exported
  uid: 11111111-2222-3333-4444-555555555555
  resourceVersion: \"4242\"
  creationTimestamp: null
  labels: { app.kubernetes.io/part-of: storefront }
data: { a: \"1\" }
",
    );
    insta::assert_snapshot!(home.run(&["render", "./exported"]));
}

#[test]
fn ten_thousand_levels() {
    let home = Home::new();
    let deep = format!("name: deep\nmanifests: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    home.write("deep/stack.yaml", &deep);
    let said = home.run(&["render", "./deep"]);
    assert!(said.starts_with("exit 2\n") && said.contains("stack.yaml:2:"), "{said}");
    let indented: String = (0..10_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    home.write("deep/stack.yaml", &format!("name: deep\nmanifests: []\nvalues:\n{indented}"));
    assert!(home.run(&["render", "./deep"]).starts_with("exit 2\n"));
}

#[test]
fn an_unknown_configuration_key() {
    let home = Home::new();
    home.write(".config/stackctl/config.yaml", "clusterName: mine\nnodeImages: x\n");
    let said = home.run(&["render"]);
    assert!(said.starts_with("exit 2\n") && said.contains("HOME/.config/stackctl/config.yaml:2:1"), "{said}");
}

#[test]
fn errors_are_data_too() {
    let home = Home::new();
    let output = home.command(&["up", "helo", "--output", "json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["exitCode"], 2);
    assert_eq!(document["error"]["kind"], "usage");
}

#[test]
fn folders_need_no_more_than_a_name_and_manifests() {
    let home = Home::new();
    home.write("small/stack.yaml", "name: small\nmanifests: [all.yaml]\n");
    home.write("small/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: \"1\" }\n");
    insta::assert_snapshot!(home.run(&["render", "./small"]));
}

#[test]
fn a_job_that_is_not_declared_and_what_it_does_not_take() {
    let home = Home::new();
    let said = home.run(&["run", "hello", "backup"]);
    assert!(said.starts_with("exit 2\n") && said.contains("stack hello has no job backup"), "{said}");
    home.write(
        "shop/stack.yaml",
        "name: shop\nmanifests: [a.yaml]\njobs:\n  backup:\n    description: Copies all\n    manifest: job.yaml\n    parameters:\n      \
         to: { type: string, default: here, sets: [Job/copy metadata.labels.to] }\n",
    );
    home.write("shop/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n");
    home.write(
        "shop/job.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: { name: copy, labels: { to: x } }\nspec: { template: { spec: { restartPolicy: \
         Never, containers: [{ name: main, image: busybox:1.37 }] } } }\n",
    );
    let said = home.run(&["run", "./shop", "bakcup"]);
    assert!(said.starts_with("exit 2\n") && said.contains("did you mean backup?"), "{said}");
    let said = home.run(&["backup", "./shop", "--set", "tp=there"]);
    assert!(said.starts_with("exit 2\n") && said.contains("no such parameter; did you mean `to`?"), "{said}");
    let said = home.run(&["run", "./shop"]);
    assert!(said.starts_with("exit 0\n") && said.contains("Copies all") && said.contains("to=here"), "{said}");
    assert!(home.run(&["render", "./shop"]).lines().all(|line| line != "kind: Job"), "only a run applies it");
}

#[test]
fn what_is_about_one_stack_is_not_about_all_of_them() {
    let home = Home::new();
    for arguments in [
        &["up", "hello", "--all"][..],
        &["up", "--all", "--set", "maxReplica=5"],
        &["up", "--all", "--namespace", "one"],
        &["up", "--all", "--https-port", "9443"],
        &["down", "hello", "--all"],
        &["down", "--all", "--cluster"],
        &["down", "--all", "--namespace", "one"],
    ] {
        let said = home.run(arguments);
        assert!(said.starts_with("exit 2\n"), "{arguments:?}: {said}");
    }
}
