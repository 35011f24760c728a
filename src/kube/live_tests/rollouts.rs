//! Waiting for what comes up, and for what never will; then its log and a forward to it.

use super::*;
use crate::kube::{discovery::core, logs::Logs};

#[tokio::test]
async fn cluster_a_rollout_that_cannot_finish_fails_at_once() {
    let Some(place) = place("failures").await else { return };
    let begun = Instant::now();
    let wrong = place.object(deployment("wrong-image", json!({"image": "docker.io/library/no-such-image:none"})));
    let huge = place.object(deployment("huge", json!({"image": "x", "resources": {"requests": {"cpu": "640"}}})));
    let unset = place.object(deployment("unset", json!({"image": image(), "command": ["sleep", "600"], "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "k"}}}]})));
    let crash = place.object(deployment(
        "crash",
        json!({"image": image(), "command": ["sh", "-c", "echo the last words; exit 3"],
        "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 5}}),
    ));
    for object in [&wrong, &huge, &unset, &crash] {
        place.kube.apply(object, None, &ApplyOptions::default()).await.unwrap();
    }
    let (wrong, huge, unset, crash) =
        tokio::join!(place.wait(&wrong, 120), place.wait(&huge, 120), place.wait(&unset, 120), place.wait(&crash, 120));
    let (wrong, huge, unset, crash) = (wrong.unwrap_err(), huge.unwrap_err(), unset.unwrap_err(), crash.unwrap_err());
    assert!(wrong.message.contains("no-such-image") && wrong.message.contains("cannot be pulled"), "{wrong:?}");
    assert!(huge.message.contains("640 of cpu") && huge.message.contains("largest node"), "{huge:?}");
    assert!(unset.message.contains("absent"), "{unset:?}");
    assert!(
        crash.message.contains("exit code 3") && crash.details.iter().any(|line| line.contains("the last words")),
        "{crash:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    place.remove().await;
}

#[tokio::test]
async fn cluster_a_quota_is_told_at_once_and_a_deadline_with_its_cause() {
    let Some(place) = place("quota").await else { return };
    place.apply(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}})).await;
    let object = place.object(deployment("web", json!({"image": image()})));
    place.kube.apply(&object, None, &ApplyOptions::default()).await.unwrap();
    let error = place.wait(&object, 60).await.unwrap_err();
    assert!(
        error.message.contains("quota") && error.details.iter().any(|line| line.contains("exceeded quota")),
        "{error:?}"
    );
    let lonely = place.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]}}));
    place.kube.apply(&lonely, None, &ApplyOptions::default()).await.unwrap();
    let error = place.wait(&lonely, 2).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotReady);
    assert!(error.message.contains("no ready pod stands behind it"), "{error:?}");
    place.remove().await;
}

const SERVER: &str =
    "require('http').createServer((q, s) => { console.log('asked ' + q.url); s.end('hello'); }).listen(8080)";

#[tokio::test]
async fn cluster_a_service_is_awaited_forwarded_and_logged() {
    let Some(place) = place("forward").await else { return };
    let workload = place.object(deployment(
        "web",
        json!({"image": image(), "command": ["node", "-e", SERVER], "ports": [{"containerPort": 8080, "name": "http"}],
            "readinessProbe": {"httpGet": {"path": "/probe", "port": "http"}, "periodSeconds": 1}}),
    ));
    let service = place.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}));
    place.kube.apply(&service, None, &ApplyOptions::default()).await.unwrap();
    place.kube.apply(&workload, None, &ApplyOptions::default()).await.unwrap();
    let (ready, answered) = tokio::join!(place.wait(&workload, 120), place.wait(&service, 120));
    ready.unwrap();
    answered.unwrap();
    let ready = place.kube.get(&workload.key()).await.unwrap().unwrap();
    let status = place.kube.status(std::slice::from_ref(&ready)).await.unwrap();
    let counted = status[0].workload.as_ref().unwrap();
    assert_eq!((status[0].state, counted.ready, counted.desired, counted.pods.len()), ("ready", 1, 1, 1));

    let mut logs =
        place.kube.logs(&place.namespace, "app=web", LogOptions { follow: true, ..Default::default() }).await.unwrap();
    let forward =
        place.kube.forward(&place.namespace, "web", Some("80"), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = forward.address;
    let serving = tokio::spawn(async move { forward.run(&progress()).await });
    let ask = async |path: &str| {
        let mut caller = tokio::net::TcpStream::connect(address).await.unwrap();
        caller.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        // The half-close of `nc` and others: the answer comes all the same.
        caller.shutdown().await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(30), caller.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    assert!(ask("/first").await.ends_with("hello"));
    let wanted = async |logs: &mut Logs, text: &str| {
        tokio::time::timeout(Duration::from_secs(60), async { while logs.next().await.unwrap().line != text {} })
            .await
            .unwrap();
    };
    wanted(&mut logs, "asked /first").await;
    // The pod goes; its successor is found by the forward and by the log.
    let pod = core("Pod");
    let list = ::kube::api::ListParams::default().labels("app=web");
    let old = place.kube.list(&pod, Some(&place.namespace), &list).await.unwrap().remove(0);
    place.kube.delete_seen(&pod, &old, ::kube::api::DeleteParams::background()).await.unwrap();
    place.kube.until_gone(&pod, &old, Duration::from_secs(60), None).await.unwrap();
    assert!(ask("/second").await.ends_with("hello"));
    wanted(&mut logs, "asked /second").await;
    serving.abort();
    place.remove().await;
}
