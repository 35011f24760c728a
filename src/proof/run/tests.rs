use std::{collections::BTreeMap, sync::Mutex};

use serde_json::{Value, json};

use super::{
    super::{
        testing::{Reply, Request, Server},
        wire::AgentResult,
    },
    *,
};
use crate::object::Origin;
use crate::{
    event::Events,
    stack::{claims::HttpCheck, model::AutoscalerCheck},
};

const OLD: &str = "stackctl-proof-old";

fn proof(name: &str, check: Check) -> Proof {
    let origin = Origin { file: "stack.yaml".into(), line: 1, column: 1 };
    Proof { name: name.into(), check, eventually: None, origin }
}

fn http(name: &str) -> Proof {
    let check = HttpCheck {
        method: "GET".into(),
        url: "http://hello-service:8400/".into(),
        headers: BTreeMap::new(),
        body: None,
        status: 200,
        json: None,
        contains: None,
        wheres: Vec::new(),
        ca: false,
        timeout: Duration::from_secs(1),
    };
    proof(name, Check::Http(check))
}

fn autoscaler(name: &str) -> Proof {
    let check = AutoscalerCheck { name: "hello-service".into(), namespace: "hello".into(), metric: "cpu".into() };
    proof(name, Check::Autoscaler(check))
}

fn line(index: usize, passed: bool) -> String {
    let seen = (!passed).then(|| "status 500".to_owned());
    let (name, expected) = (format!("n{index}"), "status 200".to_owned());
    serde_json::to_string(&AgentResult { index, name, passed, took_ms: 12, attempts: 1, expected, seen, note: None })
        .unwrap()
}

/// An API server with one namespace, in which every created pod has the given status and log.
async fn api_server(status: Value, log: String) -> Server {
    let created: Mutex<Option<Value>> = Mutex::new(None);
    let ok = |value: Value| Reply::Answer(200, value.to_string());
    Server::start(move |request: &Request, _| {
        let mut created = created.lock().unwrap();
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match (request.method.as_str(), path) {
            ("POST", "/api/v1/namespaces/hello/pods") => {
                let mut pod: Value = serde_json::from_str(&request.body).unwrap();
                pod["metadata"]["uid"] = "uid-new".into();
                pod["metadata"]["creationTimestamp"] = "2026-01-01T12:00:00Z".into();
                pod["metadata"]["resourceVersion"] = "5".into();
                *created = Some(pod.clone());
                ok(pod)
            }
            ("GET", "/api/v1/namespaces/hello/pods") if query.contains("watch=true") => Reply::Hang,
            ("GET", "/api/v1/namespaces/hello/pods") => {
                let mut pod = created.clone().unwrap();
                pod["status"] = status.clone();
                let mut items = vec![pod.clone()];
                if query.contains("labelSelector") {
                    pod["metadata"]["name"] = OLD.into();
                    pod["metadata"]["uid"] = "uid-old".into();
                    pod["metadata"]["creationTimestamp"] = "2026-01-01T09:00:00Z".into();
                    items.push(pod);
                }
                ok(json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "6"}, "items": items }))
            }
            ("GET", path) if path.ends_with("/log") => Reply::Answer(200, log.clone()),
            ("GET", path) if path.contains("/horizontalpodautoscalers/") => {
                let metric = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 3}}});
                ok(json!({ "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2",
                    "metadata": {"name": "hello-service"}, "status": {"desiredReplicas": 2, "currentMetrics": [metric]} }))
            }
            ("DELETE", _) => ok(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })),
            (method, path) => panic!("unexpected {method} {path}"),
        }
    })
    .await
}

async fn run_against(server: &Server, proofs: &[Proof], deadline: Duration) -> Result<Vec<ProofResult>> {
    run_until(&CancellationToken::new(), server, proofs, deadline).await
}

async fn run_until(
    cancel: &CancellationToken,
    server: &Server,
    proofs: &[Proof],
    deadline: Duration,
) -> Result<Vec<ProofResult>> {
    let kube = Kube::at(&format!("http://{}", server.address));
    let (events, _receiver) = Events::channel();
    let place = Place { namespace: "hello", agent_image: "registry/agent:1", ca: None };
    run(&kube, place, proofs, deadline, cancel, &events.progress("prove")).await
}

fn deleted(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter().filter(|request| request.method == "DELETE");
    let mut names: Vec<String> = requests
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let name = request.path.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
            format!("{name} {}", body["preconditions"]["uid"].as_str().unwrap())
        })
        .map(|name| if name.starts_with(OLD) { name } else { format!("ours {}", &name[name.len() - 7..]) })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn results_come_in_the_order_of_the_proofs() {
    let server = api_server(json!({"phase": "Succeeded"}), [line(2, false), line(0, true)].join("\n")).await;
    let proofs = [http("first"), autoscaler("second"), http("third")];
    let results = run_against(&server, &proofs, Duration::from_secs(30)).await.unwrap();
    let short: Vec<(&str, bool)> = results.iter().map(|result| (result.name.as_str(), result.passed)).collect();
    assert_eq!(short, [("first", true), ("second", true), ("third", false)]);
    assert_eq!(results[2].seen.as_deref(), Some("status 500"));
    assert_eq!(deleted(&server), ["ours uid-new", &format!("{OLD} uid-old")]);
}

/// The kubelet counts a pod's deadline from its start, and its image is pulled after that.
#[tokio::test]
async fn the_pull_of_the_image_has_all_the_time_that_the_run_has() {
    let server = api_server(json!({"phase": "Succeeded"}), line(0, true)).await;
    run_against(&server, &[http("first")], Duration::from_secs(1000)).await.unwrap();
    let made = server.requests().into_iter().find(|request| request.method == "POST").unwrap();
    let pod: Value = serde_json::from_str(&made.body).unwrap();
    assert!(pod["spec"]["activeDeadlineSeconds"].as_u64().unwrap() > 990, "{}", pod["spec"]);
}

#[tokio::test]
async fn a_check_without_a_result_failed() {
    let status = json!({"phase": "Failed", "reason": "DeadlineExceeded"});
    let server = api_server(status, line(0, true)).await;
    let results = run_against(&server, &[http("first"), http("second")], Duration::from_secs(30)).await.unwrap();
    assert!(results[0].passed && !results[1].passed);
    assert!(results[1].seen.as_deref().unwrap().contains("DeadlineExceeded"));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_fails_at_once_and_leaves_nothing() {
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
    let container =
        json!({"name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
    let server = api_server(json!({"phase": "Pending", "containerStatuses": [container]}), String::new()).await;
    let error = run_against(&server, &[http("first")], Duration::from_secs(30)).await.unwrap_err();
    assert_eq!((error.kind, error.causes[0].as_str()), (Kind::NotReady, "ImagePullBackOff: not found"));
    assert_eq!(deleted(&server), ["ours uid-new", &format!("{OLD} uid-old")]);
}

#[tokio::test]
async fn the_deadline_ends_the_wait_and_names_the_cause() {
    let condition =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"});
    let server = api_server(json!({"phase": "Pending", "conditions": [condition]}), String::new()).await;
    let error = run_against(&server, &[http("first")], Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.kind, error.causes[0].as_str()), (Kind::NotReady, "Unschedulable: 0/1 nodes"));
    assert_eq!(deleted(&server).len(), 2);
}

#[tokio::test]
async fn an_interruption_removes_the_pods_of_this_run_and_no_others() {
    let server = api_server(json!({"phase": "Running"}), String::new()).await;
    let cancel = CancellationToken::new();
    let interrupt = async {
        while !server.requests().iter().any(|request| request.path.contains("watch=true")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let proofs = [http("first")];
    let (ended, ()) = futures::join!(run_until(&cancel, &server, &proofs, Duration::from_secs(30)), interrupt);
    assert_eq!(ended.unwrap_err().kind, Kind::Interrupted);
    assert_eq!(deleted(&server), ["ours uid-new"]);
}

#[tokio::test]
async fn a_pod_that_is_being_made_when_the_interruption_comes_goes_too() {
    let server = api_server(json!({"phase": "Running"}), String::new()).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ended = run_until(&cancel, &server, &[http("first"), autoscaler("second")], Duration::from_secs(30)).await;
    assert_eq!(ended.unwrap_err().kind, Kind::Interrupted);
    assert_eq!(deleted(&server), ["ours uid-new"]);
}

#[tokio::test]
async fn an_api_server_that_does_not_delete_does_not_hold_the_interruption_up() {
    let server = Server::start(|request: &Request, _| match request.method.as_str() {
        "POST" => Reply::Answer(200, request.body.clone()),
        _ => Reply::Hang,
    })
    .await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let began = Instant::now();
    let ended = run_until(&cancel, &server, &[http("first")], Duration::from_secs(30)).await;
    assert_eq!(ended.unwrap_err().kind, Kind::Interrupted);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_silent_agent_is_an_error_with_its_log() {
    let server = api_server(json!({"phase": "Failed"}), "exec format error".into()).await;
    let error = run_against(&server, &[http("first")], Duration::from_secs(30)).await.unwrap_err();
    assert_eq!((error.kind, error.details[0].as_str()), (Kind::NotReady, "exec format error"));
}

#[tokio::test]
async fn a_refused_pod_is_no_wait() {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "exceeded quota" });
    let server = Server::start(move |_, _| Reply::Answer(403, status.to_string())).await;
    let error = run_against(&server, &[http("first")], Duration::from_secs(30)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.causes[0].contains("exceeded quota"));
}

#[tokio::test]
async fn no_http_check_needs_no_pod() {
    let server = api_server(json!({}), String::new()).await;
    let results = run_against(&server, &[autoscaler("only")], Duration::from_secs(30)).await.unwrap();
    assert!(results[0].passed);
    assert_eq!(server.requests().len(), 1);
}
