use serde_json::json;

use super::*;
use crate::object::{Object, Origin};
use crate::stack::model::{Scope, Set};

fn hello() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "hello-service", "namespace": "hello" },
        "spec": { "template": { "spec": { "containers": [
            { "name": "hello", "resources": { "requests": { "cpu": "25m" } } },
        ] } } },
        "status": { "replicas": 3, "readyReplicas": 2 },
    })
}

fn scaler(metrics: Value, current: Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "hello-service", "namespace": "hello" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-service" },
            "minReplicas": 2, "maxReplicas": 10, "metrics": metrics,
        },
        "status": { "desiredReplicas": 4, "currentMetrics": current },
    })
}

fn cpu(target: Value) -> Value {
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } })
}

fn current(name: &str, current: Value) -> Value {
    json!({ "type": "Resource", "resource": { "name": name, "current": current } })
}

fn fifty() -> Value {
    json!([cpu(json!({ "type": "Utilization", "averageUtilization": 50 }))])
}

fn look<'a>(workload: &'a Value, autoscaler: &'a Value) -> Look<'a> {
    Look { workload, autoscaler: Some(autoscaler), pods: &[] }
}

#[test]
fn a_sample_holds_value_and_target_in_the_targets_unit() {
    let both = json!([current("cpu", json!({ "averageUtilization": 240, "averageValue": "60m" }))]);
    let (workload, percent) = (hello(), scaler(fifty(), both.clone()));
    let seen = sample(1.5, look(&workload, &percent), 7);
    assert_eq!((seen.at, seen.workload.as_str(), seen.restarts), (1.5, "Deployment/hello-service", 7));
    assert_eq!((seen.replicas, seen.ready, seen.desired), (3, 2, Some(4)));
    assert_eq!((seen.metric.as_deref(), seen.value, seen.target), (Some("cpu"), Some(240.0), Some(50.0)));

    let quantity = scaler(json!([cpu(json!({ "type": "AverageValue", "averageValue": "30m" }))]), both);
    let seen = sample(0.0, look(&workload, &quantity), 0);
    assert_eq!((seen.value, seen.target), (Some(0.06), Some(0.03)));
}

#[test]
fn without_an_autoscaler_or_a_value_there_is_none() {
    let (workload, unmeasured) = (hello(), scaler(fifty(), json!([])));
    let seen = sample(0.0, look(&workload, &unmeasured), 0);
    assert_eq!((seen.metric.as_deref(), seen.value, seen.target), (Some("cpu"), None, Some(50.0)));
    let seen = sample(0.0, Look { workload: &workload, autoscaler: None, pods: &[] }, 0);
    assert_eq!((seen.desired, seen.metric, seen.target), (None, None, None));
}

#[test]
fn of_several_metrics_the_highest_share_of_its_target_counts() {
    let memory =
        json!({ "type": "Resource", "resource": { "name": "memory", "target": { "averageUtilization": 80 } } });
    let requests =
        json!({ "type": "Pods", "pods": { "metric": { "name": "requests" }, "target": { "averageValue": "10" } } });
    let metrics = json!([memory, fifty()[0], requests]);
    let seen = json!([
        current("memory", json!({ "averageUtilization": 60 })),
        current("cpu", json!({ "averageUtilization": 45 })),
        { "type": "Pods", "pods": { "metric": { "name": "requests" }, "current": { "averageValue": "8500m" } } },
    ]);
    let metric = deciding_metric(&scaler(metrics, seen)).unwrap();
    assert_eq!((metric.name.as_str(), metric.value, metric.target), ("cpu", Some(45.0), 50.0));
}

#[test]
fn facts_name_what_keeps_an_autoscaler_from_scaling() {
    let mut workload = hello();
    let mut scaler = scaler(fifty(), json!([]));
    assert_eq!(scaling(look(&workload, &scaler), Vec::new()).without_request, None);
    workload["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "1" } });
    assert_eq!(scaling(look(&workload, &scaler), Vec::new()).without_request, None, "a limit is a request");
    workload["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({ "requests": { "memory": "1Mi" } });
    scaler["status"]["conditions"] =
        json!([{ "type": "ScalingActive", "status": "False", "reason": "FailedGet", "message": "missing request" }]);
    let pod = json!({ "status": { "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu " },
    ] } });
    let look = Look { workload: &workload, autoscaler: Some(&scaler), pods: &[json!({}), pod] };
    let facts = scaling(look, Vec::new());
    assert_eq!(facts.without_request.as_deref(), Some("cpu of container hello"));
    assert_eq!(facts.no_room.as_deref(), Some("0/1 nodes: cpu"));
    let autoscaler = facts.autoscaler.unwrap();
    assert_eq!((autoscaler.minimum, autoscaler.maximum, autoscaler.resource_metric), (2, 10, true));
    assert_eq!(autoscaler.no_metric.as_deref(), Some("FailedGet: missing request"));
    assert_eq!(autoscaler.stabilization, Duration::from_secs(300));
    scaler["spec"]["behavior"] = json!({ "scaleDown": { "stabilizationWindowSeconds": 30 } });
    assert_eq!(super::autoscaler(&scaler).stabilization, Duration::from_secs(30));
}

fn pod(uid: &str, restarts: u32) -> Value {
    json!({ "metadata": { "name": uid, "uid": uid }, "status": { "containerStatuses": [{
        "name": "hello", "restartCount": restarts,
        "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } },
    }] } })
}

#[test]
fn restarts_count_from_the_first_look() {
    let mut restarts = Restarts::default();
    restarts.look(&[pod("a", 3)]);
    assert_eq!((restarts.count(), restarts.ends()), (0, [].as_slice()));
    restarts.look(&[pod("a", 4), pod("b", 0)]);
    restarts.look(&[pod("b", 2)]);
    restarts.look(&[]);
    assert_eq!(restarts.count(), 3, "pods that are gone count, too");
    assert_eq!(restarts.ends(), ["a: OOMKilled (exit code 137)", "b: OOMKilled (exit code 137)"]);
    restarts.look(&[pod("c", 1)]);
    assert_eq!(restarts.count(), 4, "a pod that came later had none before");
}

#[test]
fn the_stacks_own_workloads_are_watched() {
    let set = |kind, objects: Vec<Value>| Set {
        kind,
        scope: Scope::Cluster,
        name: "hello".into(),
        namespace: "hello".into(),
        objects: objects.into_iter().map(|value| Object { value, origin: Origin::default() }).collect(),
        secrets: Vec::new(),
        yields: Vec::new(),
        certificate: None,
        background: false,
        steps_aside: false,
        needs: Vec::new(),
        namespace_labels: Default::default(),
    };
    let mut foreign = scaler(fifty(), json!([]));
    foreign["spec"]["scaleTargetRef"] = json!({ "apiVersion": "x.io/v1", "kind": "Fox", "name": "red" });
    let mut other = hello();
    other["metadata"]["name"] = "other".into();
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s", "namespace": "hello" } });
    let mut stack = Stack::named("hello");
    stack.sets = vec![
        set(SetKind::Component, vec![hello()]),
        set(SetKind::Stack, vec![other, hello(), service, scaler(fifty(), json!([])), foreign]),
    ];
    let names = |watched: &Watched| (watched.workload.to_string(), watched.autoscaler.is_some());
    let found: Vec<_> = watched(&stack).iter().map(names).collect();
    let expected = [("Deployment/other", false), ("Deployment/hello-service", true), ("Fox/red", true)];
    assert_eq!(found, expected.map(|(name, scaled)| (name.to_owned(), scaled)));
}
