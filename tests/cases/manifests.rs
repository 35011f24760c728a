//! What manifests mean: as kubectl reads them.

use serde_json::json;

use crate::{Case, Test};

pub const ALL: &[Test] = &[
    ("manifest-meaning", meaning),
    ("labels-of-the-files", labels),
    ("exported-manifests", exported),
    ("unknown-kind", unknown_kind),
];

/// Octal modes, booleans of YAML 1.1 and odd but valid files: the API server has what kubectl would have sent.
fn meaning(case: &Case) {
    case.settles("");
    let runner = case.find(&["deployment", "runner", "-n", "cm-meaning"]).unwrap();
    let pod = &runner["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["configMap"]["defaultMode"], 493);
    assert_eq!(pod["terminationGracePeriodSeconds"], 1);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["containers"][0]["env"][0]["value"], "no");
    let script = case.find(&["configmap", "script", "-n", "cm-meaning"]).unwrap();
    assert_eq!(script["data"]["8080"], "port");
    for (name, data) in [
        ("first", json!({"a": "1", "text": "line --- not a separator\n---x\n"})),
        ("merged", json!({"x": "1", "y": "3"})),
        ("json", json!({"k": "vé"})),
    ] {
        assert_eq!(case.find(&["configmap", name, "-n", "cm-meaning"]).unwrap()["data"], data, "{name}");
    }
}

fn labels(case: &Case) {
    case.settles("");
    let store = case.find(&["pod", "store", "-n", "cm-labels"]).unwrap();
    let labels = &store["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/part-of"], "storefront");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "team-scripts");
    let service = case.find(&["service", "store", "-n", "cm-labels"]).unwrap();
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/part-of"], "cm-labels");
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/managed-by"], "stackctl");
    // They are still known as the stack's own, and go when they leave it.
    case.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: store }\n");
    case.up("", &[], 0);
    assert!(case.find(&["service", "store", "-n", "cm-labels"]).is_none());
    assert!(case.find(&["pod", "store", "-n", "cm-labels"]).is_none_or(|pod| {
        // Its container may still be stopping.
        !pod["metadata"]["deletionTimestamp"].is_null()
    }));
}

/// An object with the version, the uid and the managers of another cluster is created, changed and left alone.
fn exported(case: &Case) {
    case.up("v1", &[], 0).says(&["a.yaml:1:1", "metadata.resourceVersion", "metadata.uid"]);
    case.up("v1", &[], 0).says(&["nothing to do"]);
    case.up("v2", &[], 0);
    let found = case.find(&["configmap", "exported", "-n", "cm-exported"]).unwrap();
    assert_eq!(found["data"]["a"], "2");
    assert!(found["metadata"]["annotations"].is_null(), "{found}");
}

/// A kind that the cluster does not have is told with its place, and what took the place of one that is gone.
fn unknown_kind(case: &Case) {
    let run = case.run("up", "", &[]);
    assert_eq!(run.code, 6, "{run}");
    run.says(&[
        "ServiceMonitor.monitoring.example.org",
        "a.yaml:5:1",
        "a.yaml:10:1",
        "write `apiVersion: flowcontrol.apiserver.k8s.io/v1`",
    ]);
}
