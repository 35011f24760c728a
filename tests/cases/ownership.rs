//! Whose objects are whose, from the second `up` on.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{Test, case::Case, place::eventually};

pub const ALL: &[Test] = &[
    ("cluster-scoped-custom-resource", cluster_scoped),
    ("existing-objects", existing),
    ("copied-objects", copied),
    ("from-kubectl-apply", from_kubectl),
    ("one-name-two-folders", one_name),
    ("two-at-once", two_at_once),
    ("aggregated-clusterrole", aggregated),
    ("autoscaler-from-outside", autoscaler),
    ("yielded-fields", yielded),
];

const SOON: Duration = Duration::from_secs(60);

fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry["manager"].as_str()).collect()
}

/// With its managed fields, which kubectl leaves out otherwise.
fn whole(case: &Case, arguments: &[&str]) -> Value {
    case.find(&[arguments, &["--show-managed-fields"]].concat()).expect("the object is there")
}

fn cluster_scoped(case: &Case) {
    case.kubectl_apply("crd.kubectl.yaml", &[]);
    case.place.kubectl(&["wait", "--for=condition=Established", "crd/issuers.ownership.example.org"]);
    for (stack, name) in [("", "internal"), ("ns", "within")] {
        case.up(stack, &[], 0);
        let before = case.find(&["issuer", name]).expect("it was applied");
        case.up(stack, &[], 0).says(&["nothing to do"]);
        assert_eq!(case.run("diff", stack, &[]).code, 0);
        let after = case.find(&["issuer", name]).expect("it is not pruned");
        assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
    }
    // What leaves the stack goes all the same.
    case.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: instead }\n");
    case.up("", &[], 0);
    assert_eq!(case.find(&["issuer", "internal"]), None);
}

fn existing(case: &Case) {
    case.kubectl_apply("theirs.kubectl.yaml", &[]);
    let settings = ["configmap", "settings", "-n", "own-existing"];
    let before = whole(case, &settings);
    for verb in ["up", "plan", "diff"] {
        let run = case.run(verb, "", &[]);
        assert_eq!(run.code, 3, "{run}");
        run.says(&[
            "ConfigMap/settings in namespace own-existing",
            "kubectl-client-side-apply",
            "a.yaml:1:1",
            "--adopt",
        ]);
    }
    assert_eq!(whole(case, &settings), before, "untouched");
    assert_eq!(case.find(&["configmap", "own", "-n", "own-existing"]), None, "nothing was begun");

    case.up("", &["--adopt"], 0);
    case.up("", &[], 0).says(&["nothing to do"]);
    let adopted = whole(case, &settings);
    assert_eq!(adopted["data"], serde_json::json!({"mode": "ours"}));
    assert_eq!(adopted["metadata"]["uid"], before["metadata"]["uid"]);

    case.down("", &[], 0);
    let released = whole(case, &settings);
    assert_eq!(released["metadata"]["uid"], before["metadata"]["uid"], "it stays");
    assert_eq!(released["data"]["mode"], "ours", "as it was");
    assert_eq!(released["metadata"]["labels"], before["metadata"]["labels"]);
    assert!(!managers(&released).iter().any(|manager| manager.starts_with("stackctl")), "{released}");
    assert_eq!(case.find(&["configmap", "own", "-n", "own-existing"]), None, "what the stack made is gone");
}

/// Somebody copies an object of the stack with the labels it bears: the copy is theirs.
fn copied(case: &Case) {
    case.write("stack.yaml", "name: copied\nmanifests: [a.yaml]\n");
    case.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ours }\ndata: { by: stackctl }\n");
    case.up("", &[], 0);
    let mut copy = case.find(&["configmap", "ours", "-n", "copied"]).unwrap();
    copy["metadata"] = serde_json::json!({
        "name": "copy", "namespace": "copied", "labels": copy["metadata"]["labels"],
    });
    case.write("copy.kubectl.yaml", &copy.to_string());
    case.kubectl_apply("copy.kubectl.yaml", &[]);
    let there = || case.find(&["configmap", "copy", "-n", "copied"]).is_some();
    case.up("", &[], 0).says(&["nothing to do"]);
    assert!(there(), "an `up` prunes what it has made, and nothing else");
    // Declared as well it is an object that was there before.
    case.write("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: copy }\ndata: { by: stackctl }\n");
    case.write("stack.yaml", "name: copied\nmanifests: [a.yaml, b.yaml]\n");
    case.up("", &[], 3).says(&["ConfigMap/copy in namespace copied", "kubectl-client-side-apply", "--adopt"]);
    case.write("stack.yaml", "name: copied\nmanifests: [a.yaml]\n");
    case.down("", &[], 0).says(&[
        "Namespace/copied stays: it holds copied/ConfigMap/copy",
        "not written by stackctl: ConfigMap/copy in namespace copied",
    ]);
    assert!(there(), "and so does a `down`");
    case.down("", &["--prune-data"], 0);
}

fn from_kubectl(case: &Case) {
    let file = case.arg("v1/a.yaml");
    case.place.kubectl(&["create", "namespace", "own-kubectl"]);
    case.deletes(&["namespace", "own-kubectl"]);
    case.place.kubectl(&["apply", "-n", "own-kubectl", "-f", &file]);
    case.up("v2", &[], 3).says(&["2 objects", "kubectl-client-side-apply", "--adopt"]);
    let preview = case.run("diff", "v2", &["--adopt"]);
    assert_eq!(preview.code, 11, "{preview}");
    preview.says(&["-  legacy: unused", "-        - name: LEGACY"]);
    assert!(!preview.stdout.contains("-        terminationMessagePath"), "what the server sets stays: {preview}");

    case.up("v2", &["--adopt"], 0);
    let settings = || whole(case, &["configmap", "settings", "-n", "own-kubectl"]);
    let main = || {
        let web = whole(case, &["deployment", "web", "-n", "own-kubectl"]);
        web["spec"]["template"]["spec"]["containers"][0].clone()
    };
    assert_eq!(settings()["data"], serde_json::json!({"keep": "1"}));
    let annotations = &settings()["metadata"]["annotations"];
    for gone in ["kubectl.kubernetes.io/last-applied-configuration", "example.org/owner"] {
        assert!(annotations.get(gone).is_none(), "{annotations}");
    }
    assert_eq!(main()["env"], serde_json::json!([{"name": "KEEP", "value": "a"}]));
    assert_eq!(main()["resources"], serde_json::json!({}));
    assert_eq!(case.run("diff", "v2", &[]).code, 0);
    case.up("v2", &[], 0).says(&["nothing to do"]);

    assert_eq!(case.run("diff", "v3", &[]).code, 11);
    case.up("v3", &[], 0);
    assert_eq!(settings()["data"], serde_json::json!({"keep": "2"}));
    assert_eq!(main()["env"][0]["value"], "z");
    assert_eq!(case.run("diff", "v3", &[]).code, 0);
}

fn one_name(case: &Case) {
    let has = |name: &str| case.find(&["configmap", name, "-n", "own-shop"]).is_some();
    case.up("left/shop", &[], 0);
    for verb in ["plan", "diff", "up"] {
        let run = case.run(verb, "right/shop", &[]);
        assert_eq!(run.code, 3, "{run}");
        run.says(&["another place", "ConfigMap/left-data", "--take-over"]);
    }
    assert!(has("left-data") && !has("right-data"));
    // The same folder elsewhere is another place, the same folder again is not.
    case.up("left/shop", &[], 0).says(&["nothing to do"]);
    case.up("right/shop", &["--take-over"], 0);
    assert!(!has("left-data") && has("right-data"));
    case.up("left/shop", &[], 3);
    case.up("right/shop", &[], 0).says(&["nothing to do"]);
}

fn two_at_once(case: &Case) {
    case.deletes(&["namespace", "own-once"]);
    let runs = std::thread::scope(|scope| {
        let up = |stack| scope.spawn(move || case.run("up", stack, &["--namespace", "own-once"]));
        [up("a"), up("b")].map(|run| run.join().expect("a run"))
    });
    let done: Vec<bool> = runs.iter().map(|run| run.code == 0).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{}\n{}", runs[0], runs[1]);
    let (winner, loser) = if done[0] { ("a", &runs[1]) } else { ("b", &runs[0]) };
    assert!([3, 6].contains(&loser.code), "{loser}");
    loser.says(&["ConfigMap/both"]);
    let both = case.find(&["configmap", "both", "-n", "own-once"]).expect("the winner's");
    assert_eq!(both["data"]["owner"], winner);
    case.up(winner, &["--namespace", "own-once"], 0).says(&["nothing to do"]);
}

fn aggregated(case: &Case) {
    case.up("", &[], 0);
    let rules = || case.find(&["clusterrole", "own-watcher"]).expect("the role")["rules"].clone();
    let aggregated = eventually("the rules are aggregated", SOON, || rules().get(0).is_some().then(rules));
    case.up("", &[], 0).says(&["nothing to do"]);
    assert_eq!(case.run("diff", "", &[]).code, 0);
    assert_eq!(rules(), aggregated);
}

fn autoscaler(case: &Case) {
    case.up("", &[], 0);
    let web = || case.find(&["deployment", "web", "-n", "own-scaled"]).expect("the workload");
    case.place.kubectl(&[
        "autoscale",
        "deployment",
        "web",
        "-n",
        "own-scaled",
        "--min=2",
        "--max=3",
        "--cpu-percent=80",
    ]);
    eventually("the autoscaler scales", SOON, || (web()["spec"]["replicas"] == 2).then_some(()));
    eventually("the new pod runs", SOON, || (web()["status"]["readyReplicas"] == 2).then_some(()));
    case.up("", &[], 0).says(&["nothing to do"]);
    assert_eq!(case.run("diff", "", &[]).code, 0);
    let file = case.path("a.yaml");
    let text = std::fs::read_to_string(&file).expect("the manifest");
    std::fs::write(&file, text.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 2"))
        .expect("a change");
    case.up("", &[], 0);
    assert_eq!(web()["spec"]["replicas"], 2, "left to the autoscaler");
}

/// A field that the stack yields stays as a controller has set it, and the rest of the object is still the stack's.
fn yielded(case: &Case) {
    let hook = |timeout: u32| {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{ name: own-yielded }}\n\
             webhooks:\n  - name: hook.example.org\n    clientConfig: {{ url: \"https://127.0.0.1:1/\" }}\n    failurePolicy: Ignore\n    \
             sideEffects: None\n    admissionReviewVersions: [v1]\n    timeoutSeconds: {timeout}\n    rules:\n      - apiGroups: \
             [nothing.example.org]\n        apiVersions: [v1]\n        resources: [things]\n        operations: [CREATE]\n"
        )
    };
    let declaration = |yields: &str| format!("name: yielded\nmanifests: [hook.yaml]\nyields: [{yields}]\n");
    let fields = ["clientConfig.caBundle", "failurePolicy"]
        .map(|field| format!("\"ValidatingWebhookConfiguration/own-yielded webhooks[name=hook.example.org].{field}\""));
    case.write("hook.yaml", &hook(3));
    case.write("stack.yaml", &declaration("\"ValidatingWebhookConfiguration/own-yielded webhooks[0].failurePolicy\""));
    case.up("", &[], 2).says(&["stack.yaml:3:10", "[name=x]", "(yields)"]);
    case.write("stack.yaml", &declaration(&fields.join(", ")));
    case.settles("");
    let webhook = || whole(case, &["validatingwebhookconfiguration", "own-yielded"])["webhooks"][0].clone();
    assert_eq!(webhook()["failurePolicy"], "Ignore", "as declared, to begin with");

    // A certificate authority's PEM is all that the API server takes there.
    let made = rcgen::generate_simple_self_signed(["hook.example.org".to_owned()]).unwrap();
    let made = BASE64_STANDARD.encode(made.cert.pem());
    let patch = serde_json::json!([
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": made},
        {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
    ]);
    case.place.kubectl(&[
        "patch",
        "validatingwebhookconfiguration",
        "own-yielded",
        "--type=json",
        "--field-manager=injector",
        &format!("--patch={patch}"),
    ]);
    case.up("", &[], 0).says(&["nothing to do"]);
    assert_eq!(case.run("diff", "", &[]).code, 0);
    case.write("hook.yaml", &hook(4));
    assert_eq!(case.run("diff", "", &[]).code, 11);
    case.settles("");
    let now = webhook();
    assert_eq!(now["timeoutSeconds"], 4);
    assert_eq!((&now["failurePolicy"], &now["clientConfig"]["caBundle"]), (&"Fail".into(), &made.into()));
}
