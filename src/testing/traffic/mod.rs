//! Requests through a real nginx with the generated configuration, where this machine has one.

mod lab;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use lab::{Answer, Edge, LOCAL, TIMEOUT, ask, dns_name, echo, two_services};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::rustls::version::{TLS12, TLS13};

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_stripped_where_asked() {
    let Some(edge) = two_services().await else { return };
    let seen = |answer: Answer| answer.echoed()["line"].as_str().unwrap().to_owned();
    for (asked, wanted) in [
        ("/hello/write", "/write"),
        ("/hello", "/"),
        ("/hello/", "/"),
        ("/hello?x=1", "/?x=1"),
        ("/hello/read/a%2Fb%20c?q=%26&r=/", "/read/a%2Fb%20c?q=%26&r=/"),
        ("/a.b/c/d", "/d"),
        ("/grafana", "/grafana"),
        ("/grafana/d/x%2Fy?z=1", "/grafana/d/x%2Fy?z=1"),
    ] {
        assert_eq!(seen(edge.get(asked).await), format!("GET {wanted} HTTP/1.1"), "{asked}");
    }
    for nowhere in ["/helloworld", "/hell", "/axb/c/d", "//hello/x", "/%68ello/x"] {
        assert_eq!(edge.get(nowhere).await.status, 404, "{nowhere}");
    }
    let index = edge.get("/").await;
    assert!(String::from_utf8(index.body).unwrap().contains("<a href=\"/hello/\">"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_tell_the_truth_and_traces_pass() {
    let Some(edge) = two_services().await else { return };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let claims = format!(
        "traceparent: {trace}\r\nbaggage: a=b\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nForwarded: \
         for=6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\n"
    );
    let echoed = edge.get_with("/hello/x", &claims).await.echoed();
    let header = |name: &str| echoed["headers"][name].as_str().unwrap_or("").to_owned();
    assert_eq!(header("traceparent"), trace);
    assert_eq!(header("baggage"), "a=b");
    assert_eq!(header("host"), format!("localhost:{}", edge.https));
    assert_eq!(header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(header("x-forwarded-proto"), "https");
    assert_eq!(header("x-forwarded-port"), edge.https.to_string());
    assert_eq!(header("x-forwarded-prefix"), "/hello");
    assert_eq!(header("forwarded"), "");
    assert_eq!(header("connection"), "");
    let echoed = edge.get_with("/grafana/x", &claims).await.echoed();
    assert_eq!(echoed["headers"].get("x-forwarded-prefix"), None);

    // Each line of the log is one JSON object.
    edge.get("/hello/%22%5C%0a").await;
    let begin = Instant::now();
    let lines = loop {
        let log = std::fs::read_to_string(edge.folder.path().join("access.log")).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let traced = lines.iter().position(|line| line["trace_id"] != "");
        if let Some(lines) = traced.map(|first| &lines[first..]).filter(|lines| lines.len() >= 3) {
            break lines.to_vec();
        }
        assert!(begin.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&lines[0]["route"], &lines[0]["status"]), (&json!("/hello"), &json!(200)));
    assert_eq!(lines[2]["path"], "/hello/\"\\\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_about_its_place_is_set_right() {
    let Some(edge) = two_services().await else { return };
    let answer = edge.get("/hello/redirect-to/relative").await;
    assert_eq!(answer.headers["location"], "/hello/x");
    assert_eq!(answer.headers["set-cookie"], "a=b; Path=/hello/");
    let answer = edge.get("/hello/redirect-to/absolute").await;
    assert_eq!(answer.headers["location"], format!("https://localhost:{}/hello/x", edge.https));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_sent_to_tls() {
    let Some(edge) = two_services().await else { return };
    for (host, wanted) in [
        ("localhost:8080", "https://localhost:8443"),
        ("localhost:18080", "https://localhost:18443"),
        ("shop.example.org", "https://shop.example.org"),
        ("shop.example.org:80", "https://shop.example.org"),
        ("10.0.0.1:31234", "https://10.0.0.1:8443"),
        ("[::1]:8080", "https://[::1]:8443"),
    ] {
        let request = format!("POST /hello/a%2Fb?x=1 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let answer = edge.plain(edge.http, &request).await;
        assert_eq!(answer.status, 307, "{host}");
        assert_eq!(answer.headers["location"], format!("{wanted}/hello/a%2Fb?x=1"), "{host}");
    }
    assert_eq!(edge.plain(edge.http, "GET / HTTP/1.0\r\n\r\n").await.status, 400);
    // On the port for TLS too, with whatever port the client sees.
    let answer = edge.plain(edge.https, "GET /hello?x=1 HTTP/1.1\r\nHost: localhost:31443\r\n\r\n").await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (307, "https://localhost:31443/hello?x=1"));
    // Probes have a port of their own, which serves nothing else.
    let answer = edge.plain(edge.health, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified() {
    let Some(edge) = two_services().await else { return };
    for version in [&TLS12, &TLS13] {
        assert!(edge.connect_with(&[version], "127.0.0.1").await.is_ok());
    }
    let error = edge.connect_with(&[&TLS13], "elsewhere").await.err().unwrap();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass() {
    let Some(edge) = two_services().await else { return };
    let mut stream = edge.connect().await.unwrap();
    let upgrade = "GET /hello/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = ask(&mut stream, upgrade).await.unwrap();
    assert_eq!((answer.status, answer.headers["upgrade"].as_str()), (101, "websocket"));
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    timeout(TIMEOUT, stream.read_exact(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(&echoed, b"ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_services_are_kept() {
    let Some(edge) = two_services().await else { return };
    let mut stream = edge.connect().await.unwrap();
    let mut peers = Vec::new();
    for _ in 0..5 {
        let answer = ask(&mut stream, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        peers.push(answer.echoed()["peer"].clone());
    }
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

/// It starts before its services are there, finds them when they come, and again after they moved.
#[tokio::test(flavor = "multi_thread")]
async fn services_come_late_and_move() {
    let (port, first) = echo(LOCAL).await;
    let Some(edge) = Edge::start(&[("/hello", "hello", port, true)], &[]).await else { return };
    assert_eq!(edge.get("/hello").await.status, 502);
    let served_by = async |wanted: Ipv4Addr| {
        let begin = Instant::now();
        loop {
            let answer = edge.get("/hello").await;
            if answer.status == 200 && answer.echoed()["own"] == wanted.to_string() {
                return;
            }
            assert!(begin.elapsed() < TIMEOUT, "not served by {wanted}");
            sleep(Duration::from_millis(50)).await;
        }
    };
    edge.names.lock().unwrap().insert(dns_name("hello"), Ipv4Addr::LOCALHOST);
    served_by(Ipv4Addr::LOCALHOST).await;
    let moved = Ipv4Addr::new(127, 0, 0, 2);
    let (_, _second) = echo(SocketAddr::from((moved, port))).await;
    edge.names.lock().unwrap().insert(dns_name("hello"), moved);
    first.abort();
    served_by(moved).await;
}

/// SIGQUIT under load: every request that was sent is answered, and every connection is told to close.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn quitting_loses_no_request() {
    let Some(mut edge) = two_services().await else { return };
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(edge.connect().await.unwrap());
    }
    let clients = connections.into_iter().enumerate().map(|(index, mut stream)| {
        tokio::spawn(async move {
            sleep(Duration::from_millis(7 * index as u64)).await;
            let mut answered = 0;
            loop {
                let answer = ask(&mut stream, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
                let answer = answer.unwrap_or_else(|| panic!("connection {index}: closed after {answered} answers"));
                assert_eq!(answer.status, 200);
                answered += 1;
                if answer.headers.get("connection").is_some_and(|connection| connection == "close") {
                    return answered;
                }
                sleep(Duration::from_millis(100)).await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    sleep(Duration::from_millis(500)).await;
    let pid = rustix::process::Pid::from_child(&edge.nginx);
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    for client in clients {
        let answered = timeout(TIMEOUT, client).await.unwrap().unwrap();
        assert!(answered > 1);
    }
    let begin = Instant::now();
    while edge.nginx.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < TIMEOUT, "nginx does not end");
        sleep(Duration::from_millis(20)).await;
    }
}
