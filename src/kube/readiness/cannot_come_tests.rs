//! What is not waited for, because nothing more will come.

use std::time::Duration;

use serde_json::json;

use super::{
    references::{Looked, Reference},
    service::Balancing,
    *,
};

fn told(readiness: Readiness) -> String {
    match readiness {
        Readiness::Failed(failure) => format!("failed: {} | {}", failure.why(), failure.details.join(" | ")),
        Readiness::Waiting(why) => format!("waiting: {why}"),
        Readiness::Settled(note) => format!("settled: {note}"),
        Readiness::Ready => "ready".to_owned(),
    }
}

fn object(api: &str, kind: &str, spec: Value, status: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "spec": spec, "status": status,
        "metadata": {"name": "web", "namespace": "n", "uid": "w", "generation": 1}})
}

fn deployment(spec: Value, status: Value) -> Value {
    let mut status = status;
    status["observedGeneration"] = json!(1);
    object("apps/v1", "Deployment", spec, status)
}

fn after(seconds: u64) -> Option<Since> {
    let at = |text: &str| text.parse().unwrap();
    let waited = Duration::from_secs(seconds);
    Some(Since { run: at("2026-11-21T03:00:00Z"), wait: at("2026-11-21T03:05:00Z"), waited })
}

fn pod(containers: Value, statuses: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "n", "uid": "p", "creationTimestamp": "2026-11-21T03:05:00Z"},
        "spec": {"containers": containers}, "status": {"phase": "Pending", "containerStatuses": statuses}})
}

#[test]
fn each_container_is_blamed_with_its_own_words() {
    let waiting = |name: &str, reason: &str, message: &str| json!({"name": name, "state": {"waiting": {"reason": reason, "message": message}}});
    let pod = pod(
        json!([{"name": "main", "image": "example/main:1.0"}, {"name": "exporter", "image": "example/exporter:2.0"}]),
        json!([
            waiting("main", "ImagePullBackOff", "back-off"),
            waiting("exporter", "ErrImagePull", "exporter: not found")
        ]),
    );
    let event = json!({"type": "Warning", "reason": "Failed", "message": "Failed to pull image \"example/main:1.0\": main: not found",
        "involvedObject": {"name": "web-1", "uid": "p", "fieldPath": "spec.containers{main}"}, "lastTimestamp": "2026-11-21T03:05:01Z"});
    let around = Surroundings { pods: vec![pod], events: vec![event], since: after(1), ..Surroundings::default() };
    let told = told(readiness(&deployment(json!({}), json!({})), &around));
    assert_eq!(
        told,
        "failed: 2 images cannot be pulled: example/main:1.0, example/exporter:2.0 | pod web-1, container main: Failed to \
         pull image \"example/main:1.0\": main: not found | pod web-1, container exporter: exporter: not found"
    );
}

#[test]
fn what_is_paused_or_suspended_is_so_by_declaration_or_not() {
    let paused = |manager: &str| {
        let mut object = deployment(json!({"paused": true, "replicas": 1}), json!({"replicas": 0}));
        object["metadata"]["managedFields"] = json!([{"manager": manager, "fieldsV1": {"f:spec": {"f:paused": {}}}}]);
        told(readiness(&object, &Surroundings::default()))
    };
    assert!(paused("stackctl").starts_with("settled: its rollout is paused, as declared"));
    assert!(paused("kubectl-rollout").starts_with("failed: its rollout is paused, and not by the stack"));
    let complete = json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    assert_eq!(
        told(readiness(&deployment(json!({"paused": true, "replicas": 1}), complete), &Surroundings::default())),
        "ready"
    );
    let job = object("batch/v1", "Job", json!({"suspend": true}), json!({}));
    assert!(told(readiness(&job, &Surroundings::default())).starts_with("settled: it is suspended"));
    let cron = |suspend: bool| object("batch/v1", "CronJob", json!({"suspend": suspend}), json!({}));
    assert!(told(readiness(&cron(true), &Surroundings::default())).starts_with("settled: it is suspended"));
    assert_eq!(told(readiness(&cron(false), &Surroundings::default())), "ready");
}

#[test]
fn a_daemon_set_that_fits_no_node_is_as_ready_as_it_will_be() {
    let set = object("apps/v1", "DaemonSet", json!({}), json!({"observedGeneration": 1, "desiredNumberScheduled": 0}));
    assert!(told(readiness(&set, &Surroundings::default())).starts_with("settled: it runs nowhere"));
}

#[test]
fn a_service_rests_with_all_that_it_selects() {
    let service = object("v1", "Service", json!({"selector": {"app": "web"}}), json!({}));
    let workload = |kind: &str, app: &str, spec: Value| {
        let mut object = object("apps/v1", kind, spec, json!({"observedGeneration": 1}));
        object["spec"]["template"]["metadata"]["labels"] = json!({"app": app, "tier": "x"});
        object
    };
    let with = |workloads: Vec<Value>, pods: Vec<Value>, may_come: bool, waited: u64| {
        let around = Surroundings {
            workloads: Some(workloads),
            pods,
            pods_may_come: may_come,
            since: after(waited),
            ..Surroundings::default()
        };
        told(readiness(&service, &around))
    };
    let idle = || workload("Deployment", "web", json!({"replicas": 0}));
    assert_eq!(
        with(vec![idle()], vec![], false, 0),
        "settled: no pod stands behind it: Deployment/web is at 0 replicas"
    );
    let busy = workload("StatefulSet", "web", json!({"replicas": 1}));
    assert!(with(vec![idle(), busy], vec![], false, 60).starts_with("waiting"), "one of them has pods");
    assert!(with(vec![idle()], vec![json!({})], false, 60).starts_with("waiting"), "a pod is stopping");
    let paused = workload("Deployment", "web", json!({"paused": true}));
    assert!(with(vec![paused], vec![], false, 0).contains("is paused"));
    let other = || workload("Deployment", "wbe", json!({"replicas": 1}));
    let lost = with(vec![other()], vec![], false, 30);
    assert!(
        lost.starts_with("failed: no ready pod stands behind it: nothing in its namespace has the labels app=web"),
        "{lost}"
    );
    assert!(lost.contains("the pods of Deployment/web have app=wbe,tier=x"), "{lost}");
    assert!(with(vec![other()], vec![], false, 1).starts_with("waiting"), "somebody may make them now");
    assert!(with(vec![other()], vec![], true, 60).starts_with("waiting"), "an operator of this run makes them");
}

#[test]
fn an_address_is_waited_for_where_somebody_hands_them_out() {
    let spec = json!({"type": "LoadBalancer", "selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": 31234}]});
    let service = object("v1", "Service", spec, json!({}));
    let slice =
        json!({"metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": [{}]});
    let node = |provider: &str| json!({"spec": {"providerID": provider}});
    let verdict = |balancing: Balancing, waited: u64, service: &Value| {
        let around = Surroundings {
            endpoint_slices: vec![slice.clone()],
            balancing: Some(balancing),
            since: after(waited),
            ..Surroundings::default()
        };
        told(readiness(service, &around))
    };
    let kind =
        || Balancing { services: vec![service.clone()], nodes: vec![node("kind://docker/a/b")], installed: false };
    let nobody = verdict(kind(), 6, &service);
    assert!(
        nobody.starts_with("settled: it gets no address")
            && nobody.contains("stackctl forward web:80 --namespace n")
            && nobody.contains("port 31234"),
        "{nobody}"
    );
    assert!(verdict(kind(), 1, &service).starts_with("waiting"), "it may be on its way");
    assert!(verdict(Balancing { installed: true, ..kind() }, 60, &service).starts_with("waiting"));
    assert!(verdict(Balancing { nodes: vec![node("aws:///eu/i-1")], ..kind() }, 60, &service).starts_with("waiting"));
    assert!(verdict(Balancing { nodes: vec![node("k3s://a")], ..kind() }, 60, &service).starts_with("waiting"));
    let mut begun = service.clone();
    begun["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    assert!(verdict(Balancing { services: vec![begun], ..kind() }, 60, &service).starts_with("waiting"));
    let mut classed = service.clone();
    classed["spec"]["loadBalancerClass"] = json!("example.com/lb");
    assert!(verdict(kind(), 60, &classed).starts_with("waiting"));
}

#[test]
fn what_is_missing_is_told_at_once_and_ends_the_wait_where_nothing_makes_it() {
    let verdict = |may_come: bool, waited: u64| {
        let reference = Reference::new("", "Secret", Some("n"), "web-tls");
        let references = vec![Looked { reference, found: None, may_come }];
        let pods =
            vec![pod(json!([]), json!([{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}]))];
        let around = Surroundings { references, pods, since: after(waited), ..Surroundings::default() };
        (
            told(readiness(&deployment(json!({}), json!({})), &around)),
            longer_may_help(&deployment(json!({}), json!({})), &around),
        )
    };
    let (first, longer) = verdict(false, 2);
    assert!(first.starts_with("waiting") && first.contains("Secret web-tls does not exist yet") && !longer, "{first}");
    assert!(
        verdict(false, 12).0.starts_with("failed: Secret web-tls does not exist, and nothing in the stack makes it")
    );
    assert!(verdict(true, 60).0.starts_with("waiting"));
}

#[test]
fn a_missing_account_explains_the_refusal() {
    let message =
        "pods \"web-\" is forbidden: error looking up service account n/robot: serviceaccount \"robot\" not found";
    let status = json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]});
    let reference = Reference::new("", "ServiceAccount", Some("n"), "robot");
    let references = vec![Looked { reference, found: None, may_come: false }];
    let around = Surroundings { references, since: after(12), ..Surroundings::default() };
    assert_eq!(
        told(readiness(&deployment(json!({}), status), &around)),
        format!("failed: ServiceAccount robot does not exist, and nothing in the stack makes it | {message}")
    );
}

#[test]
fn whatever_refuses_pods_for_a_while_is_the_cause() {
    let verdict = |kind: &str, message: &str, waited: u64| {
        let spec = json!({"replicas": 1});
        let status = json!({"observedGeneration": 1, "desiredNumberScheduled": 1});
        let event = json!({"type": "Warning", "reason": "FailedCreate", "message": message, "lastTimestamp": "2026-11-21T03:05:01Z",
            "involvedObject": {"name": "web", "uid": "w"}});
        let api = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let around = Surroundings { events: vec![event], since: after(waited), ..Surroundings::default() };
        told(readiness(&object(api, kind, spec, status), &around))
    };
    for kind in ["StatefulSet", "DaemonSet", "Job"] {
        let words = "Pod \"web-0\" is invalid: spec.containers[0].image: Invalid value";
        assert_eq!(verdict(kind, words, 6), format!("failed: its pods cannot be created | {words}"));
        assert!(verdict(kind, words, 1).starts_with("waiting") && verdict(kind, words, 1).contains(words));
        assert!(
            verdict(kind, "admission webhook \"x\" denied the request: no", 6)
                .starts_with("failed: its pods are not admitted")
        );
        assert!(verdict(kind, "failed calling webhook \"x\": connection refused", 60).starts_with("waiting"));
    }
}

#[test]
fn a_sidecar_that_exits_with_0_has_failed() {
    let sidecar = |exits: i64| {
        let ended = json!({"exitCode": 0, "reason": "Completed", "startedAt": "2026-11-21T03:05:00Z", "finishedAt": "2026-11-21T03:05:01Z"});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "n", "uid": "p", "creationTimestamp": "2026-11-21T03:05:00Z"},
            "spec": {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}], "containers": [{"name": "main"}]},
            "status": {"phase": "Pending", "initContainerStatuses": [{"name": "proxy", "ready": false, "restartCount": exits - 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended}}],
                "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}]}})
    };
    let verdict = |pod: Value| {
        let around = Surroundings { pods: vec![pod], since: after(30), ..Surroundings::default() };
        readiness(&deployment(json!({}), json!({})), &around)
    };
    let Readiness::Failed(failure) = verdict(sidecar(3)) else { panic!("three exits") };
    assert_eq!(failure.why(), "container proxy exited 3 times without ever being ready: exit code 0");
    assert_eq!(failure.logs_of.unwrap().container, "proxy");
    assert!(told(verdict(sidecar(2))).starts_with("waiting"));
    let mut plain = sidecar(3);
    plain["spec"]["initContainers"][0]["restartPolicy"].take();
    assert!(told(verdict(plain)).starts_with("waiting"), "a container that runs before the others has done its work");
    // Ready for the instants in which it ran.
    let mut flickers = sidecar(3);
    flickers["status"]["startTime"] = json!("2026-11-21T03:05:00Z");
    flickers["status"]["conditions"] =
        json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T03:05:20Z"}]);
    assert!(told(verdict(flickers)).contains("exited 3 times within seconds of its start"));
}

#[test]
fn a_container_between_two_exits_is_not_ready_yet() {
    let status = json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    let verdict = |state: Value| {
        let ended = json!({"exitCode": 1, "startedAt": "2026-11-21T03:05:00Z", "finishedAt": "2026-11-21T03:05:01Z"});
        let statuses = json!([{"name": "main", "ready": true, "restartCount": 1, "state": state, "lastState": {"terminated": ended}}]);
        let around = Surroundings { pods: vec![pod(json!([]), statuses)], since: after(30), ..Surroundings::default() };
        told(readiness(&deployment(json!({}), status.clone()), &around))
    };
    let since = |time: &str| json!({"running": {"startedAt": time}});
    assert!(verdict(since("2026-11-21T03:05:28Z")).contains("container main exited soon after it started"));
    assert_eq!(verdict(since("2026-11-21T03:05:10Z")), "ready", "it has stayed");
    assert!(verdict(json!({"waiting": {"reason": "CrashLoopBackOff"}})).starts_with("waiting"), "it is down again");
}

#[test]
fn a_broken_earlier_version_keeps_a_stateful_set_from_going_on() {
    let set = |policy: &str| {
        object(
            "apps/v1",
            "StatefulSet",
            json!({"replicas": 2, "podManagementPolicy": policy}),
            json!({"observedGeneration": 1, "readyReplicas": 0, "currentRevision": "db-1", "updateRevision": "db-2"}),
        )
    };
    let old = |reason: &str| {
        let mut pod = pod(
            json!([{"name": "main", "image": "typo:1"}]),
            json!([{"name": "main", "state": {"waiting": {"reason": reason}}}]),
        );
        pod["metadata"]["name"] = json!("db-0");
        pod["metadata"]["labels"] = json!({"controller-revision-hash": "db-1"});
        pod
    };
    let verdict = |policy: &str, pod: Value, waited: u64| {
        readiness(&set(policy), &Surroundings { pods: vec![pod], since: after(waited), ..Surroundings::default() })
    };
    let Readiness::Failed(failure) = verdict("OrderedReady", old("ImagePullBackOff"), 0) else { panic!("stuck") };
    assert_eq!(failure.stuck.as_deref(), Some("db-0"));
    assert!(failure.why().starts_with("pod db-0 is of an earlier version"), "{failure:?}");
    assert!(
        failure.hints[0].contains("kubectl delete pod db-0 -n n") && failure.hints[0].contains("--replace"),
        "{failure:?}"
    );
    assert!(!told(verdict("Parallel", old("ImagePullBackOff"), 60)).contains("earlier version"));
    assert!(
        told(verdict("OrderedReady", old("CrashLoopBackOff"), 1)).starts_with("waiting"),
        "its database may be there by now"
    );
    assert!(told(verdict("OrderedReady", old("CrashLoopBackOff"), 30)).starts_with("failed"));
}

#[test]
fn a_job_that_removed_itself_tells_how_it_ended_by_its_events() {
    let job = object("batch/v1", "Job", json!({"ttlSecondsAfterFinished": 0}), json!({"active": 1}));
    let event = |type_: &str, reason: &str| json!({"type": type_, "reason": reason, "message": "m", "involvedObject": {"kind": "Job"}});
    assert_eq!(workload::vanished(&job, &[event("Normal", "Completed")]), Some(Readiness::Ready));
    assert_eq!(workload::vanished(&job, &[event("Normal", "SuccessfulCreate")]), None);
    let failed = workload::vanished(&job, &[event("Warning", "BackoffLimitExceeded")]).unwrap();
    assert!(told(failed).starts_with("failed: the job failed and has removed itself: BackoffLimitExceeded: m"));
    assert!(told(workload::unknown_end(&job)).starts_with("failed"));
    let mut going =
        object("batch/v1", "Job", json!({}), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    going["metadata"]["deletionTimestamp"] = json!("2026-11-21T03:05:00Z");
    assert_eq!(told(readiness(&going, &Surroundings::default())), "ready", "seen on its way");
}

#[test]
fn what_depends_on_something_that_is_not_there_says_so() {
    let missing = |kind: &str, name: &str| {
        let reference = Reference::new("", kind, None, name);
        Surroundings {
            references: vec![Looked { reference, found: None, may_come: false }],
            since: after(12),
            ..Surroundings::default()
        }
    };
    let scaler = object("autoscaling/v2", "HorizontalPodAutoscaler", json!({}), json!({}));
    assert_eq!(
        told(readiness(&scaler, &missing("Deployment", "gone"))),
        "settled: it scales nothing: Deployment gone does not exist"
    );
    let ingress = object("networking.k8s.io/v1", "Ingress", json!({"ingressClassName": "nginx"}), json!({}));
    assert_eq!(
        told(readiness(&ingress, &missing("IngressClass", "nginx"))),
        "settled: nothing serves it: IngressClass nginx does not exist"
    );
    let plain = object("networking.k8s.io/v1", "Ingress", json!({}), json!({}));
    let none = Surroundings { ingress_classes: Some(vec![]), ..Surroundings::default() };
    assert!(told(readiness(&plain, &none)).starts_with("settled: nothing serves it"));
    let api = object("apiregistration.k8s.io/v1", "APIService", json!({"service": {"name": "m"}}), json!({}));
    assert!(told(readiness(&api, &missing("Service", "m"))).starts_with("failed: Service m does not exist"));
}

#[test]
fn a_probe_that_has_not_succeeded_is_told_without_its_event() {
    let mut pod = pod(
        json!([{"name": "main", "readinessProbe": {"tcpSocket": {"port": 1}}}]),
        json!([{"name": "main", "ready": false, "started": true, "state": {"running": {}}}]),
    );
    pod["status"]["phase"] = json!("Running");
    assert_eq!(
        state::state(&pod),
        "web-1: container main runs but is not ready: its readiness probe (a connection to port 1) has not succeeded"
    );
    pod["spec"]["containers"][0]["startupProbe"] = json!({"httpGet": {"path": "/up", "port": "http"}});
    pod["status"]["containerStatuses"][0]["started"] = json!(false);
    assert!(state::state(&pod).contains("its startup probe (HTTP GET /up at port http) has not succeeded"));
}

#[test]
fn longer_is_advised_only_where_it_may_help() {
    let with = |reason: &str| {
        let pods = vec![pod(json!([]), json!([{"name": "main", "state": {"waiting": {"reason": reason}}}]))];
        longer_may_help(&deployment(json!({}), json!({})), &Surroundings { pods, ..Surroundings::default() })
    };
    assert!(with("ContainerCreating"));
    assert!(!with("ImagePullBackOff") && !with("CrashLoopBackOff"));
}
