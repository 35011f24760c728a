use serde_json::json;

use super::*;

fn deployment(generation: i64, status: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": generation},
        "spec": {"replicas": 2}, "status": status})
}

fn pod(name: &str, hash: &str, status: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"pod-template-hash": hash}},
        "spec": {"containers": [{"name": "main", "image": "web:1", "resources": {"requests": {"cpu": "64", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}]},
        "status": status})
}

/// A pod whose only container is in this state.
fn troubled(state: Value, restarts: i64, last: Value) -> Value {
    let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T02:00:00Z"});
    pod(
        "web-1",
        "new",
        json!({"phase": "Running", "startTime": "2026-11-21T02:00:00Z", "conditions": [condition],
        "containerStatuses": [{"name": "main", "image": "web:1", "ready": false, "restartCount": restarts, "state": state, "lastState": last}]}),
    )
}

fn replica_set(hash: &str, revision: &str) -> Value {
    json!({"metadata": {"name": hash, "labels": {"pod-template-hash": hash}, "ownerReferences": [{"uid": "d"}],
        "annotations": {"deployment.kubernetes.io/revision": revision}}})
}

fn event(about: &str, reason: &str, message: &str, count: i64) -> Value {
    json!({"type": "Warning", "reason": reason, "message": message, "count": count, "involvedObject": {"name": about, "uid": about}})
}

fn rollout(pods: Vec<Value>, events: Vec<Value>) -> Readiness {
    let around = Surroundings {
        pods,
        events,
        replica_sets: vec![replica_set("old", "1"), replica_set("new", "2")],
        ..Surroundings::default()
    };
    readiness(
        &deployment(2, json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2})),
        &around,
    )
}

fn alone(object: Value) -> Readiness {
    readiness(&object, &Surroundings::default())
}

fn why(readiness: Readiness) -> String {
    match readiness {
        Readiness::Failed(failure) => format!("failed: {} | {}", failure.why(), failure.details.join(" | ")),
        Readiness::Waiting(why) => format!("waiting: {why}"),
        Readiness::Settled(note) => format!("settled: {note}"),
        Readiness::Ready => "ready".to_owned(),
    }
}

#[test]
fn a_deployment_is_ready_when_all_pods_are_new_and_available() {
    let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    let cases = [
        (full.clone(), "ready"),
        (json!({}), "waiting: its controller has not seen it yet"),
        (
            json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
            "waiting: its controller has not seen the change yet",
        ),
        (
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
            "waiting: 1 of 2 pods are of the new version",
        ),
        (
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}),
            "waiting: 1 old pods are stopping",
        ),
        (
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            "waiting: 1 of 2 pods are available",
        ),
    ];
    for (status, expected) in cases {
        assert_eq!(why(alone(deployment(2, status))), expected);
    }
    let mut going = deployment(2, full);
    going["metadata"]["deletionTimestamp"] = json!("2026-11-21T02:00:00Z");
    assert_eq!(why(alone(going)), "waiting: is being deleted");
}

#[test]
fn a_deployment_past_its_own_deadline_has_failed() {
    let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 0,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"new\" has timed out"}]});
    assert!(
        why(alone(deployment(2, status)))
            .contains("no progress within its own deadline | ProgressDeadlineExceeded: ReplicaSet")
    );
}

#[test]
fn an_image_that_cannot_be_pulled_fails_with_the_registrys_words() {
    let words = "Failed to pull image \"web:1\": registry.example.com/web:1: not found";
    let backing_off = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"web:1\""}});
    let told =
        why(rollout(vec![troubled(backing_off.clone(), 0, json!({}))], vec![event("web-1", "Failed", words, 1)]));
    assert!(
        told.starts_with("failed: image web:1 cannot be pulled")
            && told.contains("registry.example.com/web:1: not found"),
        "{told}"
    );
    // The first failure of a pull may still be an accident; so may a network's bad moment.
    let first = json!({"waiting": {"reason": "ErrImagePull", "message": words}});
    assert!(
        why(rollout(vec![troubled(first.clone(), 0, json!({}))], vec![event("web-1", "Failed", words, 1)]))
            .starts_with("waiting")
    );
    assert!(
        why(rollout(vec![troubled(first, 0, json!({}))], vec![event("web-1", "Failed", words, 2)]))
            .starts_with("failed")
    );
    let flaky = "Failed to pull image \"web:1\": dial tcp 10.0.0.1:443: i/o timeout";
    assert!(
        why(rollout(vec![troubled(backing_off.clone(), 0, json!({}))], vec![event("web-1", "Failed", flaky, 2)]))
            .starts_with("waiting")
    );
    assert!(
        why(rollout(vec![troubled(backing_off, 0, json!({}))], vec![event("web-1", "Failed", flaky, 3)]))
            .starts_with("failed")
    );
}

#[test]
fn only_pods_of_the_newest_replica_set_count() {
    let backing_off = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
    let mut old = troubled(backing_off, 0, json!({}));
    old["metadata"]["labels"]["pod-template-hash"] = json!("old");
    assert!(why(rollout(vec![old], Vec::new())).starts_with("waiting"));
}

#[test]
fn a_container_that_exits_three_times_without_being_ready_has_failed() {
    let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}});
    let ended = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
    let Readiness::Failed(failure) = rollout(vec![troubled(down.clone(), 2, ended.clone())], Vec::new()) else {
        panic!("third exit")
    };
    assert_eq!(failure.why(), "container main exited 3 times without ever being ready: exit code 3");
    assert_eq!(
        failure.logs_of,
        Some(Container { namespace: "n".into(), pod: "web-1".into(), container: "main".into(), previous: true })
    );
    assert!(
        why(rollout(vec![troubled(down.clone(), 1, ended.clone())], Vec::new())).starts_with("waiting"),
        "two exits"
    );
    assert!(
        why(rollout(vec![troubled(json!({"running": {}}), 2, ended.clone())], Vec::new())).starts_with("waiting"),
        "two exits, running again"
    );
    let memory = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    assert!(why(rollout(vec![troubled(down, 2, memory)], Vec::new())).contains("ran out of memory (limit 2Gi)"));
}

#[test]
fn restarts_by_liveness_and_of_what_was_ready_count_against_the_deadline_only() {
    let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}});
    let ended = json!({"terminated": {"exitCode": 137, "reason": "Error"}});
    let killed = event("web-1", "Killing", "Container main failed liveness probe, will be restarted", 2);
    assert!(why(rollout(vec![troubled(down.clone(), 3, ended.clone())], vec![killed])).starts_with("waiting"));
    let mut was_ready = troubled(down, 5, ended);
    was_ready["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-11-21T02:03:00Z");
    assert!(why(rollout(vec![was_ready], Vec::new())).starts_with("waiting"));
}

#[test]
fn a_missing_reference_fails_at_once() {
    let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}});
    assert!(
        why(rollout(vec![troubled(state, 0, json!({}))], Vec::new()))
            .contains("container main cannot be made: secret \"db\" not found")
    );
}

/// The wait began five minutes into a run that began at 03:00, on things of the hour before.
fn since(waited: u64) -> Option<Since> {
    let at = |text: &str| text.parse().unwrap();
    let waited = std::time::Duration::from_secs(waited);
    Some(Since { run: at("2026-11-21T03:00:00Z"), wait: at("2026-11-21T03:05:00Z"), waited })
}

const BEFORE: &str = "2026-11-21T02:59:00Z";
const DURING: &str = "2026-11-21T03:02:00Z";
const AFTER: &str = "2026-11-21T03:05:00Z";

fn dated(mut event: Value, last: &str) -> Value {
    event["lastTimestamp"] = json!(last);
    event
}

/// What is said of a pod of this age after so many seconds of waiting.
fn waited_for(mut pod: Value, created: &str, events: Vec<Value>, waited: u64) -> String {
    pod["metadata"]["creationTimestamp"] = json!(created);
    let around = Surroundings { pods: vec![pod], events, since: since(waited), ..Surroundings::default() };
    why(readiness(&deployment(2, json!({"observedGeneration": 2, "updatedReplicas": 1})), &around))
}

#[test]
fn exits_of_before_the_run_are_no_verdict() {
    let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}});
    let crashed = |finished: &str| {
        troubled(down.clone(), 7, json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": finished}}))
    };
    assert!(waited_for(crashed(BEFORE), BEFORE, vec![], 60).starts_with("waiting"), "its database runs by now");
    assert!(waited_for(crashed(DURING), BEFORE, vec![], 60).starts_with("waiting"), "the fix is of this run");
    assert!(waited_for(crashed(AFTER), BEFORE, vec![], 60).starts_with("failed"), "it did not help");
    assert!(waited_for(crashed(DURING), DURING, vec![], 0).starts_with("failed"), "a new pod");
}

#[test]
fn an_older_pods_back_off_waits_for_the_next_pull() {
    let words = "Failed to pull image \"web:1\": not found";
    let pod = |reason: &str| troubled(json!({"waiting": {"reason": reason, "message": words}}), 0, json!({}));
    let pulls = |last: &str| vec![dated(event("web-1", "Failed", words, 9), last)];
    assert!(waited_for(pod("ImagePullBackOff"), BEFORE, pulls(BEFORE), 60).starts_with("waiting"));
    assert!(waited_for(pod("ImagePullBackOff"), BEFORE, pulls(AFTER), 60).starts_with("failed"));
    assert!(waited_for(pod("ErrImagePull"), BEFORE, pulls(BEFORE), 1).starts_with("waiting"));
    assert!(waited_for(pod("ErrImagePull"), BEFORE, pulls(BEFORE), 60).starts_with("failed"), "it has just failed");
    assert!(waited_for(pod("ImagePullBackOff"), DURING, vec![], 0).starts_with("failed"), "a new pod");
}

#[test]
fn a_reference_that_was_missing_gets_another_try() {
    let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}});
    let pod = troubled(state, 0, json!({}));
    let told = |last: &str| vec![dated(event("web-1", "Failed", "Error: secret \"db\" not found", 4), last)];
    assert!(waited_for(pod.clone(), BEFORE, told(BEFORE), 5).starts_with("waiting"), "made just before the run");
    assert!(waited_for(pod.clone(), BEFORE, told(AFTER), 5).starts_with("failed"), "still missing");
    assert!(waited_for(pod.clone(), BEFORE, told(BEFORE), 30).starts_with("failed"), "not every try is told");
    assert!(waited_for(pod, DURING, vec![], 0).starts_with("failed"), "a new pod");
}

#[test]
fn a_refusal_or_a_deadline_of_before_the_run_is_no_verdict() {
    let message = "pods \"db-0\" is forbidden: exceeded quota: q";
    let set = |changed: &str| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 1}, "status": {"observedGeneration": 1},
            "metadata": {"name": "db", "uid": "db", "generation": 1, "creationTimestamp": BEFORE,
                "managedFields": [{"manager": "stackctl", "operation": "Apply", "time": changed}]}})
    };
    let verdict = |changed: &str, refused: &str| {
        let events = vec![dated(event("db", "FailedCreate", message, 5), refused)];
        why(readiness(&set(changed), &Surroundings { events, since: since(0), ..Surroundings::default() }))
    };
    assert!(verdict(BEFORE, BEFORE).starts_with("waiting"), "the quota was raised");
    assert!(verdict(BEFORE, DURING).starts_with("waiting"), "the quota is raised by this run");
    assert!(verdict(BEFORE, AFTER).starts_with("failed"));
    assert!(verdict(DURING, DURING).starts_with("failed"), "it was changed by this run, and refused again");

    let rollout = |updated: &str| {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "conditions": [{"type": "Progressing",
            "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out", "lastUpdateTime": updated}]});
        why(readiness(&deployment(2, status), &Surroundings { since: since(0), ..Surroundings::default() }))
    };
    assert!(rollout(BEFORE).starts_with("waiting"));
    assert!(rollout(AFTER).starts_with("failed"));
}

#[test]
fn what_fits_no_node_fails_unless_nodes_may_grow() {
    let waiting = pod(
        "web-1",
        "new",
        json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu."}]}),
    );
    let node = |cpu: &str| json!({"status": {"allocatable": {"cpu": cpu, "memory": "8Gi"}}});
    let verdict = |nodes: Vec<Value>, grow: bool, events: Vec<Value>| {
        let around = Surroundings { nodes, nodes_may_grow: grow, events, ..Surroundings::default() };
        why(readiness(&waiting, &around))
    };
    let told = verdict(vec![node("2"), node("4")], false, vec![]);
    assert!(told.contains("it asks for 64 of cpu, the largest node has 4 | 0/2 nodes are available"), "{told}");
    assert!(verdict(vec![node("64")], false, vec![]).starts_with("waiting"), "room may become free");
    assert!(verdict(vec![node("2")], true, vec![]).starts_with("waiting"));
    assert!(
        verdict(vec![node("2")], false, vec![event("web-1", "TriggeredScaleUp", "pod triggered scale-up", 1)])
            .starts_with("waiting")
    );
    assert!(verdict(vec![], false, vec![]).starts_with("waiting"), "nodes unknown");
}

#[test]
fn a_quota_is_told_for_deployments_and_for_those_that_only_have_events() {
    let message = "pods \"web-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
    let status = json!({"observedGeneration": 2, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]});
    assert!(why(alone(deployment(2, status))).contains("a quota does not admit its pods"));
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "uid": "db", "generation": 1}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1}});
    let around = Surroundings { events: vec![event("db", "FailedCreate", message, 1)], ..Surroundings::default() };
    assert!(why(readiness(&set, &around)).contains("a quota does not admit its pods"));
}

#[test]
fn stateful_sets_need_every_pod_ready_and_new() {
    let set = |strategy: Value, status: Value| json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "generation": 1}, "spec": {"replicas": 3, "updateStrategy": strategy}, "status": status});
    let rolled = json!({"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 3, "currentRevision": "b", "updateRevision": "b"});
    assert_eq!(why(alone(set(json!({}), rolled))), "ready");
    let rolling = json!({"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"});
    assert_eq!(why(alone(set(json!({}), rolling.clone()))), "waiting: 1 of 3 pods are of the new version");
    assert_eq!(why(alone(set(json!({"type": "OnDelete"}), rolling.clone()))), "ready");
    assert_eq!(why(alone(set(json!({"rollingUpdate": {"partition": 2}}), rolling))), "ready");
    assert_eq!(
        why(alone(set(json!({}), json!({"observedGeneration": 1, "readyReplicas": 1})))),
        "waiting: 1 of 3 pods are ready"
    );
}

#[test]
fn daemon_sets_need_every_node() {
    let set = |status: Value| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a", "generation": 1}, "spec": {}, "status": status});
    assert_eq!(
        why(alone(set(
            json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2})
        ))),
        "ready"
    );
    assert_eq!(
        why(alone(set(
            json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2})
        ))),
        "waiting: 1 of 2 nodes have the new version"
    );
}

#[test]
fn jobs_are_ready_when_they_have_completed() {
    let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "generation": 1}, "spec": {"completions": 1}, "status": status});
    assert_eq!(why(alone(job(json!({"active": 1})))), "waiting: 0 of 1 runs have succeeded, 1 active, 0 failed");
    assert_eq!(why(alone(job(json!({"conditions": [{"type": "Complete", "status": "True"}]})))), "ready");
    let failed = job(
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit reached"}]}),
    );
    let around = Surroundings { pods: vec![pod("j-1", "", json!({"phase": "Failed"}))], ..Surroundings::default() };
    let Readiness::Failed(failure) = readiness(&failed, &around) else { panic!("a failed job") };
    assert_eq!(
        (failure.why().as_str(), failure.logs_of.unwrap().pod.as_str()),
        ("the job failed: BackoffLimitExceeded: limit reached", "j-1")
    );
}

#[test]
fn pods_speak_for_themselves() {
    let bare = |status: Value| alone(pod("p", "", status));
    assert_eq!(why(bare(json!({"phase": "Succeeded"}))), "ready");
    assert_eq!(why(bare(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))), "ready");
    assert_eq!(why(bare(json!({"phase": "Running"}))), "waiting: p runs but is not ready");
    assert!(
        why(bare(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})))
            .starts_with("failed: the pod failed Evicted: low on memory")
    );
}

#[test]
fn services_need_ready_endpoints_and_load_balancers_an_address() {
    let service = |spec: Value, status: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": spec, "status": status});
    let slice = |ready: bool| json!({"metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "s"}}, "endpoints": [{"conditions": {"ready": ready}}]});
    let with = |slices: Vec<Value>, object: &Value| {
        why(readiness(object, &Surroundings { endpoint_slices: slices, ..Surroundings::default() }))
    };
    let plain = service(json!({"selector": {"a": "b"}}), json!({}));
    assert_eq!(with(vec![slice(true)], &plain), "ready");
    assert_eq!(with(vec![slice(false)], &plain), "waiting: no ready pod stands behind it");
    assert_eq!(with(vec![], &plain), "waiting: no ready pod stands behind it");
    assert_eq!(with(vec![], &service(json!({}), json!({}))), "ready");
    assert_eq!(with(vec![], &service(json!({"type": "ExternalName", "selector": {"a": "b"}}), json!({}))), "ready");
    let balancer = json!({"type": "LoadBalancer", "selector": {"a": "b"}});
    assert_eq!(with(vec![slice(true)], &service(balancer.clone(), json!({}))), "waiting: it has no address yet");
    assert_eq!(
        with(vec![slice(true)], &service(balancer, json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}))),
        "ready"
    );
}

#[test]
fn what_the_cluster_takes_in_is_ready_when_it_did() {
    let object = |api: &str, kind: &str, spec: Value, status: Value| {
        why(alone(json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec, "status": status})))
    };
    let conditions = |type_: &str, status: &str| json!({"conditions": [{"type": type_, "status": status, "reason": "R", "message": "m"}]});
    let crd = |status: Value| object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({}), status);
    assert_eq!(crd(conditions("Established", "True")), "ready");
    assert_eq!(crd(json!({})), "waiting: it is not served yet");
    assert!(crd(conditions("NamesAccepted", "False")).starts_with("failed: its names are taken"));
    let api = |spec: Value, status: Value| object("apiregistration.k8s.io/v1", "APIService", spec, status);
    assert_eq!(api(json!({"service": {"name": "m"}}), conditions("Available", "False")), "waiting: R: m");
    assert_eq!(api(json!({"service": {"name": "m"}}), conditions("Available", "True")), "ready");
    assert_eq!(api(json!({}), json!({})), "ready");
    assert_eq!(object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"})), "ready");
    assert_eq!(
        object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Pending"})),
        "waiting: it is not bound yet"
    );
    assert!(object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Lost"})).starts_with("failed"));
    assert_eq!(object("v1", "Namespace", json!({}), json!({"phase": "Terminating"})), "waiting: it is not active yet");
    assert_eq!(
        object("autoscaling/v2", "HorizontalPodAutoscaler", json!({}), conditions("ScalingActive", "False")),
        "ready"
    );
    assert_eq!(object("v1", "ConfigMap", json!({}), json!({})), "ready");
}

#[test]
fn webhooks_wait_for_the_pods_behind_their_services() {
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "v"},
        "webhooks": [{"clientConfig": {"url": "https://x"}}, {"clientConfig": {"service": {"namespace": "n", "name": "s"}}}]});
    assert_eq!(why(alone(hook.clone())), "waiting: its service n/s has no ready pod");
    let slice = json!({"metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "s"}}, "endpoints": [{"conditions": {"ready": true}}]});
    assert_eq!(
        why(readiness(&hook, &Surroundings { endpoint_slices: vec![slice], ..Surroundings::default() })),
        "ready"
    );
}

#[test]
fn custom_resources_report_by_conditions() {
    let issuer = |generation: i64, status: Value| json!({"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "i", "generation": generation}, "status": status});
    let ready = |status: &str, seen: i64| json!({"conditions": [{"type": "Ready", "status": status, "reason": "R", "message": "m", "observedGeneration": seen}]});
    assert_eq!(why(alone(issuer(2, ready("True", 2)))), "ready");
    assert_eq!(why(alone(issuer(2, ready("True", 1)))), "waiting: its controller has not seen the change yet");
    assert_eq!(why(alone(issuer(2, ready("False", 2)))), "waiting: R: m");
    assert!(
        why(alone(issuer(2, json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "Bad"}]}))))
            .starts_with("failed: it is stalled: Bad")
    );
    assert_eq!(
        why(alone(issuer(
            2,
            json!({"conditions": [{"type": "Reconciling", "status": "True", "reason": "Busy"}, {"type": "Ready", "status": "True"}]})
        ))),
        "waiting: Busy"
    );
    let definition = json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"status": {"properties": {"conditions": {}}}}}}}]}});
    let defined = Surroundings { definition: Some(definition), ..Surroundings::default() };
    assert_eq!(why(readiness(&issuer(1, Value::Null), &defined)), "waiting: its controller has not reported yet");
    assert_eq!(why(alone(issuer(1, Value::Null))), "ready", "a kind that declares none has none");
}

#[test]
fn warnings_come_once_each_and_newest_last() {
    let at = |time: &str, message: &str| json!({"type": "Warning", "reason": "R", "message": message, "lastTimestamp": time, "involvedObject": {"name": "p"}});
    let events = [
        at("2026-11-21T02:00:03Z", "b"),
        at("2026-11-21T02:00:01Z", "b"),
        at("2026-11-21T02:00:02Z", "a"),
        json!({"type": "Normal", "reason": "Pulled"}),
    ];
    let around = Surroundings { events: events.into(), ..Surroundings::default() };
    assert_eq!(warnings(&json!({"kind": "Pod"}), &around), ["p: R: a", "p: R: b"]);
}
