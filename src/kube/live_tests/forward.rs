//! Forwards against a real API server and pods that come and go.

use std::net::SocketAddr;

use ::kube::api::{DeleteParams, ListParams};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// On a quiet machine it is within a second; here all tests run at once.
const SOON: Duration = Duration::from_secs(3);

/// `/slow` takes two seconds, and waits for no end of the request.
const SERVER: &str = "const s = require('http').createServer((q, a) => setTimeout(() => a.end(process.env.HOSTNAME), \
                      q.url === '/slow' ? 2000 : 0)).listen(8080); process.on('SIGTERM', () => s.close())";

async fn serve(place: &Place, replicas: u32) {
    let mut workload = deployment(
        "web",
        json!({"image": image(), "command": ["node", "-e", SERVER], "ports": [{"containerPort": 8080, "name": "http"}],
            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1}}),
    );
    workload["spec"]["replicas"] = json!(replicas);
    workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(5);
    let workload = place.object(workload);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}});
    place.apply(service).await;
    place.kube.apply(&workload, None, &ApplyOptions::default()).await.unwrap();
    place.wait(&workload, 120).await.unwrap();
}

async fn forward(kube: &Kube, namespace: &str) -> (SocketAddr, JoinHandle<crate::error::Result<()>>) {
    let forward = kube.forward(namespace, "web", None, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = forward.address;
    (address, tokio::spawn(async move { forward.run(&progress()).await }))
}

/// The whole answer, after half of the connection was closed; and how long it took.
async fn ask(address: SocketAddr, path: &str) -> (String, Duration) {
    let begun = Instant::now();
    let mut caller = TcpStream::connect(address).await.unwrap();
    caller.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    caller.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), caller.read_to_string(&mut answer)).await.unwrap().unwrap();
    (answer.rsplit("\r\n").next().unwrap_or_default().to_owned(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_a_forward_serves_each_connection_while_pods_are_killed() {
    let Some(place) = place("forward-kills").await else { return };
    serve(&place, 3).await;
    let (address, serving) = forward(&place.kube, &place.namespace).await;
    let (answer, took) = ask(address, "/slow").await;
    assert!(answer.starts_with("web-") && took >= Duration::from_secs(2), "{answer} {took:?}");

    let kube = place.kube.clone();
    let namespace = place.namespace.clone();
    let killer = tokio::spawn(async move {
        let pod = crate::kube::discovery::core("Pod");
        let list = ListParams::default().labels("app=web");
        for _ in 0..4 {
            let pods = kube.list(&pod, Some(&namespace), &list).await.unwrap();
            let alive = pods
                .iter()
                .find(|pod| !json::is_being_deleted(pod) && json::condition_status(pod, "Ready") == Some(true));
            if let Some(alive) = alive {
                kube.delete_seen(&pod, alive, DeleteParams::default()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let mut served = std::collections::BTreeMap::new();
    let mut slowest = Duration::ZERO;
    while !killer.is_finished() {
        let (answer, took) = ask(address, "/").await;
        assert!(answer.starts_with("web-"), "no answer: {answer:?} after {took:?}, {served:?}");
        slowest = slowest.max(took);
        *served.entry(answer).or_insert(0) += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killer.await.unwrap();
    eprintln!("{served:?}, slowest {slowest:?}");
    assert!(slowest < SOON, "{slowest:?} {served:?}");
    assert!(served.len() >= 5, "pods that came later were used too: {served:?}");
    serving.abort();
    place.remove().await;
}

/// The way to the API server; dropping it cuts all connections, as a restart of the server does.
async fn relay(listen: SocketAddr, server: String) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let run = async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut caller, _)) = listener.accept().await {
            let server = server.clone();
            connections.spawn(async move {
                if let Ok(mut server) = TcpStream::connect(server).await {
                    let _ = copy_bidirectional(&mut caller, &mut server).await;
                }
            });
        }
    };
    (address, tokio::spawn(run))
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_a_forward_outlives_its_api_server() {
    let Some(place) = place("forward-server").await else { return };
    serve(&place, 2).await;
    let server = place.kube.server.trim_start_matches("https://").to_owned();
    let (address, way) = relay("127.0.0.1:0".parse().unwrap(), server.clone()).await;
    let kubeconfig = std::fs::read_to_string(std::env::var("STACKCTL_TEST_KUBECONFIG").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.replace(&server, &address.to_string())).unwrap();
    let (listening, serving) = forward(&connect(&file, None).await.unwrap(), &place.namespace).await;
    assert!(ask(listening, "/").await.0.starts_with("web-"));

    way.abort();
    let _ = way.await;
    // Accepted while there is no way, answered when there is one.
    let waiting = tokio::spawn(ask(listening, "/"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished() && !serving.is_finished());
    let (_, way) = relay(address, server).await;
    let (answer, took) = waiting.await.unwrap();
    assert!(answer.starts_with("web-") && took < Duration::from_secs(8), "{answer} {took:?}");
    for _ in 0..10 {
        let (answer, took) = ask(listening, "/").await;
        assert!(answer.starts_with("web-") && took < SOON, "{answer} {took:?}");
    }
    serving.abort();
    way.abort();
    place.remove().await;
}
