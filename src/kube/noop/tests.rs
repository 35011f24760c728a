use serde_json::json;

use super::*;

fn fields() -> Value {
    json!({
                    "f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}}},
                    "f:spec": {
                        "f:selector": {},
                        "f:template": {
                            "f:metadata": {"f:labels": {"f:app": {}}},
                            "f:spec": {
                                "f:containers": {"k:{\"name\":\"web\"}": {
                                    ".": {}, "f:args": {}, "f:image": {}, "f:name": {},
                                    "f:env": {"k:{\"name\":\"LIMIT\"}": {".": {}, "f:name": {}, "f:value": {}},
                                              "k:{\"name\":\"POD\"}": {".": {}, "f:name": {}, "f:valueFrom": {"f:fieldRef": {}}}},
                                    "f:ports": {"k:{\"containerPort\":8400,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                                    "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}, "f:requests": {"f:cpu": {}}},
                                    "f:securityContext": {"f:privileged": {}}}},
                                "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}}}}}})
}

/// As the server records it (v1.36) after an apply of `deployment()`, with defaults and a controller's own writes beside it.
fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "hello", "uid": "6e4f", "resourceVersion": "812", "generation": 1,
            "creationTimestamp": "2026-11-20T10:00:00Z",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "labels": {"app.kubernetes.io/name": "web"},
            "managedFields": [
                {"manager": "stackctl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-11-20T10:00:00Z", "fieldsType": "FieldsV1",
                 "fieldsV1": fields()},
                {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1", "subresource": "status",
                 "fieldsV1": {"f:status": {"f:replicas": {}}}}]
        },
        "spec": {
            "replicas": 2, "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "restartPolicy": "Always",
                "containers": [{"name": "web", "image": "web:1", "args": ["-v"], "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "LIMIT", "value": "1"}, {"name": "POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                    "ports": [{"containerPort": 8400, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "250m"}},
                    "securityContext": {"privileged": false}}],
                "volumes": [{"name": "tmp", "emptyDir": {}}]}}
        },
        "status": {"replicas": 2}
    })
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "hello", "labels": {"app.kubernetes.io/name": "web"}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "web", "image": "web:1", "args": ["-v"],
                    "env": [{"name": "LIMIT", "value": "1"}, {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "ports": [{"containerPort": 8400}],
                    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.25}},
                    "securityContext": {"privileged": false}}],
                "volumes": [{"name": "tmp", "emptyDir": {}}]}}
        }
    })
}

fn after(change: impl FnOnce(&mut Value)) -> Verdict {
    let mut desired = deployment();
    change(&mut desired);
    unchanged(&desired, &live())
}

fn different(change: impl FnOnce(&mut Value)) -> String {
    match after(change) {
        Verdict::Different(paths) => paths.join(" "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_applied_deployment_needs_no_patch() {
    assert_eq!(unchanged(&deployment(), &live()), Verdict::Same);
}

#[test]
fn a_changed_value_is_found_where_it_is() {
    let container = "/spec/template/spec/containers/0";
    let set = |pointer: &str, value: Value| {
        let pointer = format!("{container}{pointer}");
        different(move |desired| *desired.pointer_mut(&pointer).unwrap() = value)
    };
    assert_eq!(set("/image", json!("web:2")), "spec.template.spec.containers[{\"name\":\"web\"}].image");
    assert!(set("/resources/limits/memory", json!("1G")).ends_with("resources.limits.memory"));
    assert!(set("/args", json!(["-v", "-v"])).ends_with(".args"));
    assert!(set("/ports/0/containerPort", json!(8401)).contains("ports"));
    assert!(set("/securityContext/privileged", json!(true)).ends_with("privileged"));
    assert!(different(|d| d["spec"]["selector"]["matchLabels"]["app"] = json!("other")).starts_with("spec.selector"));
}

#[test]
fn an_environment_value_is_no_quantity() {
    let path = different(|d| d["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("1000m"));
    assert!(path.ends_with("env[{\"name\":\"LIMIT\"}].value"), "{path}");
}

#[test]
fn fields_added_and_fields_removed_both_count() {
    assert_eq!(different(|d| d["metadata"]["labels"]["new"] = json!("x")), "metadata.labels.new");
    assert_eq!(different(|d| d["spec"]["replicas"] = json!(2)), "spec.replicas", "not owned yet, though equal");
    let gone = different(|d| drop(d["spec"]["template"]["spec"].as_object_mut().unwrap().remove("volumes")));
    assert_eq!(gone, "spec.template.spec.volumes");
    let gone =
        different(|d| drop(d["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap().remove(0)));
    assert!(gone.contains("env[{\"name\":\"LIMIT\"}]"), "{gone}");
}

#[test]
fn a_live_value_that_moved_under_us_counts() {
    let mut live = live();
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:other");
    assert!(matches!(unchanged(&deployment(), &live), Verdict::Different(_)));
}

#[test]
fn without_our_entry_or_in_another_version_it_must_be_applied() {
    let mut foreign = live();
    foreign["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    assert!(matches!(unchanged(&deployment(), &foreign), Verdict::Different(_)));
    let mut update = live();
    update["metadata"]["managedFields"][0]["operation"] = json!("Update");
    assert!(matches!(unchanged(&deployment(), &update), Verdict::Different(_)));
    let mut version = live();
    version["metadata"]["managedFields"][0]["apiVersion"] = json!("apps/v1beta1");
    assert!(matches!(unchanged(&deployment(), &version), Verdict::Different(_)));
    let mut going = live();
    going["metadata"]["deletionTimestamp"] = json!("2026-11-20T10:00:00Z");
    assert!(matches!(unchanged(&deployment(), &going), Verdict::Different(_)));
}

#[test]
fn a_default_inside_a_whole_that_nobody_documents_is_unsure() {
    let mut live = live();
    live["spec"]["selector"]["surprise"] = json!(1);
    assert!(matches!(unchanged(&deployment(), &live), Verdict::Unsure(_)));
}

#[test]
fn null_is_left_to_the_server_where_there_is_something() {
    assert!(matches!(after(|d| d["spec"]["replicas"] = Value::Null), Verdict::Unsure(_)));
    assert_eq!(after(|d| d["spec"]["paused"] = Value::Null), Verdict::Same);
    assert_eq!(after(|d| d["metadata"]["creationTimestamp"] = Value::Null), Verdict::Same);
    assert_eq!(after(|d| d["status"] = json!({})), Verdict::Same);
}

#[test]
fn zero_values_that_the_server_leaves_out_are_no_difference() {
    let mut live = live();
    live["spec"]["template"]["spec"]["containers"][0]["securityContext"] = json!({});
    assert_eq!(unchanged(&deployment(), &live), Verdict::Same);
}

#[test]
fn one_port_under_two_protocols_stays_two() {
    let owned = json!({"f:spec": {"f:ports": {
        "k:{\"port\":53,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}},
        "k:{\"port\":53,\"protocol\":\"UDP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}}});
    let ports = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let desired = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns"}, "spec": {"ports": ports}});
    let mut live = desired.clone();
    live["spec"]["ports"][0]["protocol"] = json!("TCP");
    live["metadata"]["managedFields"] =
        json!([{"manager": "stackctl", "operation": "Apply", "apiVersion": "v1", "fieldsV1": owned}]);
    assert_eq!(unchanged(&desired, &live), Verdict::Same);
    let mut swapped = desired.clone();
    swapped["spec"]["ports"] = json!([{"name": "u", "port": 53}, {"name": "t", "port": 53, "protocol": "UDP"}]);
    assert!(matches!(unchanged(&swapped, &live), Verdict::Different(_)));
}

#[test]
fn sets_compare_by_membership_and_by_the_order_of_ours() {
    let desired = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "finalizers": ["a/b", "c/d"]}});
    let mut live = desired.clone();
    live["metadata"]["finalizers"] = json!(["a/b", "z/z", "c/d"]);
    live["metadata"]["managedFields"] = json!([{"manager": "stackctl", "operation": "Apply", "apiVersion": "v1",
        "fieldsV1": {"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}, "v:\"c/d\"": {}}}}}]);
    assert_eq!(unchanged(&desired, &live), Verdict::Same);
    let mut less = desired.clone();
    less["metadata"]["finalizers"] = json!(["a/b"]);
    assert!(matches!(unchanged(&less, &live), Verdict::Different(_)));
    let mut turned = desired.clone();
    turned["metadata"]["finalizers"] = json!(["c/d", "a/b"]);
    assert_eq!(unchanged(&turned, &live), Verdict::Different(vec!["metadata.finalizers".into()]));
}

#[test]
fn string_data_is_compared_as_the_data_that_it_becomes() {
    let desired = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"user": "admin"}, "data": {"a": "Yg=="}});
    let sent = prepared(&desired);
    assert_eq!(sent["data"], json!({"a": "Yg==", "user": "YWRtaW4="}));
    assert!(sent.get("stringData").is_none());
    let mut live = sent.into_owned();
    live["metadata"]["managedFields"] = json!([{"manager": "stackctl", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}, "f:user": {}}}}]);
    assert_eq!(unchanged(&desired, &live), Verdict::Same);
}

#[test]
fn the_fingerprint_follows_what_we_own_and_nothing_else() {
    let before = fingerprint(&live()).unwrap();
    let mut other = live();
    other["status"]["replicas"] = json!(7);
    other["spec"]["replicas"] = json!(7);
    assert_eq!(fingerprint(&other).unwrap(), before);
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x");
    assert_ne!(fingerprint(&other).unwrap(), before);
    assert_eq!(fingerprint(&json!({"metadata": {}})), None);
}
