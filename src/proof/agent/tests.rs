use serde_json::{Value, json};

use super::{
    super::testing::{Reply, Server},
    *,
};

/// Runs one check given as JSON over a default one.
async fn result(server: &Server, fields: Value) -> AgentResult {
    let mut http =
        json!({ "method": "GET", "url": format!("http://{}/", server.address), "status": 200, "timeout_ms": 10_000 });
    let mut eventually = json!(0);
    for (key, value) in fields.as_object().unwrap() {
        *(if key == "eventually_ms" { &mut eventually } else { &mut http[key] }) = value.clone();
    }
    let check = json!({ "index": 0, "name": "n", "check": {"http": http}, "eventually_ms": eventually });
    let mut lines = Vec::new();
    run_agent(&json!([check]).to_string(), None, None, |line| lines.push(line)).await.unwrap();
    assert_eq!(lines.len(), 1);
    serde_json::from_str(&lines[0]).unwrap()
}

async fn answering(status: u16, body: &'static str) -> Server {
    Server::start(move |_, _| Reply::Answer(status, body.to_owned())).await
}

fn seen(result: AgentResult) -> String {
    assert!(!result.passed);
    result.seen.unwrap()
}

#[tokio::test]
async fn a_right_answer_passes() {
    let server = answering(200, r#"{"message":"hello world"}"#).await;
    let result = result(
        &server,
        json!({ "method": "POST", "body": "x=1", "headers": {"X-Test": "yes"}, "json": {"message": "hello world"},
            "contains": "hello" }),
    )
    .await;
    assert!(result.passed, "{:?}", result.seen);
    assert_eq!((result.attempts, result.seen), (1, None));
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.body.as_str()), ("POST", "x=1"));
    assert!(request.head.contains("x-test: yes") && request.head.contains("host: 127.0.0.1:"));
}

#[tokio::test]
async fn a_wrong_answer_says_what_was_seen() {
    let server = answering(500, "boom").await;
    assert_eq!(seen(result(&server, json!({})).await), "status 500, body: boom");

    let server = answering(200, r#"{"message":"hi"}"#).await;
    let failed = result(&server, json!({ "json": {"message": "hello world"} })).await;
    assert!(failed.expected.ends_with(r#"status 200, JSON {"message":"hello world"}"#), "{}", failed.expected);
    assert_eq!(seen(failed), r#"status 200, JSON that differs at $.message: expected "hello world", saw "hi""#);
    assert_eq!(
        seen(result(&server, json!({ "contains": "world" })).await),
        r#"status 200, without the text, body: {"message":"hi"}"#
    );

    let server = answering(200, "<html>").await;
    let text = seen(result(&server, json!({ "json": 1 })).await);
    assert!(text.starts_with("status 200, no JSON (expected value") && text.ends_with("body: <html>"), "{text}");
}

#[tokio::test]
async fn fields_of_the_answer_are_judged_together() {
    let server = answering(200, r#"{"items":[{"x":3,"name":"a"}]}"#).await;
    let above = |bound: u32| json!({"path": "items[0].x", "test": {"above": bound}});
    let found = json!({"path": "items[name=a]", "test": {"exists": true}});
    assert!(result(&server, json!({ "where": [above(2), found] })).await.passed);
    let failed = result(&server, json!({ "where": [above(3), {"path": "total", "test": {"equals": 1}}] })).await;
    assert!(failed.expected.ends_with("status 200, items[0].x > 3, total = 1"), "{}", failed.expected);
    assert_eq!(seen(failed), "status 200, JSON in which items[0].x is 3, there is no total");
}

#[tokio::test]
async fn without_a_ca_nothing_is_trusted_in_its_place() {
    let server = answering(200, "").await;
    let text = seen(result(&server, json!({ "ca": true })).await);
    assert_eq!(text, "the stack has no CA that could be trusted");
}

#[tokio::test]
async fn the_certificate_of_the_stack_is_what_is_trusted() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let config =
        rustls::ServerConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], key.signing_key.serialize_der().try_into().unwrap())
            .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(std::sync::Arc::new(config.clone())).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    let ask = async |ca: bool, pem: Option<&str>| {
        let http = json!({ "method": "GET", "url": format!("https://localhost:{port}/"), "status": 200, "ca": ca, "timeout_ms": 10_000 });
        let checks = json!([{ "index": 0, "name": "n", "check": {"http": http} }]).to_string();
        let mut lines = Vec::new();
        run_agent(&checks, None, pem, |line| lines.push(line)).await.unwrap();
        serde_json::from_str::<AgentResult>(&lines[0]).unwrap()
    };
    let trusted = ask(true, Some(&pem)).await;
    assert!(trusted.passed, "{:?}", trusted.seen);
    let text = seen(ask(false, Some(&pem)).await);
    assert!(text.starts_with("TLS failed"), "{text}");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
    let text = seen(ask(true, Some(&other)).await);
    assert!(text.starts_with("TLS failed"), "{text}");
}

#[tokio::test]
async fn long_bodies_are_cut() {
    let server = Server::start(|_, _| Reply::Answer(404, "x".repeat(2_000))).await;
    let text = seen(result(&server, json!({})).await);
    assert!(text.ends_with(" … (2000 bytes)") && text.len() < 600, "{text}");
}

#[tokio::test]
async fn faults_of_the_transport_have_names() {
    let server = Server::start(|_, _| Reply::Raw(String::new())).await;
    let text = seen(result(&server, json!({})).await);
    assert!(text.starts_with("the connection was closed before the answer was complete"), "{text}");

    let server = Server::start(|_, _| Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".into())).await;
    let text = seen(result(&server, json!({})).await);
    assert!(text.starts_with("status 200, then the body broke off"), "{text}");

    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = seen(result(&server, json!({ "url": format!("http://{unused}/") })).await);
    assert!(text.starts_with("the connection was refused"), "{text}");

    // RFC 6761: `.invalid` never resolves.
    let text = seen(result(&server, json!({ "url": "http://hello.invalid/" })).await);
    assert!(text.starts_with("the name was not found in DNS"), "{text}");

    let text = seen(result(&server, json!({ "url": format!("https://{}/", server.address) })).await);
    assert!(text.starts_with("TLS failed"), "{text}");
}

#[tokio::test]
async fn a_hanging_server_times_out() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let text = seen(result(&server, json!({ "timeout_ms": 50 })).await);
    assert_eq!(text, "timed out after 50 ms: connected, but nothing was answered");
}

#[tokio::test]
async fn only_eventual_checks_are_repeated() {
    let third_works = || {
        Server::start(
            |_, before| if before < 2 { Reply::Answer(503, "not yet".into()) } else { Reply::Answer(200, "ok".into()) },
        )
    };
    let server = third_works().await;
    let once = result(&server, json!({})).await;
    assert_eq!((once.passed, once.attempts), (false, 1));

    let server = third_works().await;
    let eventual = result(&server, json!({ "eventually_ms": 30_000 })).await;
    assert_eq!((eventual.passed, eventual.attempts), (true, 3));

    let server = answering(503, "never").await;
    let failed = result(&server, json!({ "eventually_ms": 2_000 })).await;
    assert!(!failed.passed && failed.attempts > 1);
}

#[tokio::test]
async fn bad_input_is_an_error() {
    assert_eq!(run_agent("[{}]", None, None, |_| {}).await.unwrap_err().kind, Kind::Usage);
    let missing = Path::new("no/such/bundle.pem");
    assert_eq!(run_agent("[]", None, Some("no PEM"), |_| {}).await.unwrap_err().kind, Kind::Usage);
    assert_eq!(run_agent("[]", Some(missing), None, |_| {}).await.unwrap_err().kind, Kind::Usage);
}
