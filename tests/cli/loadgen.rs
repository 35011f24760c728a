//! Loads from this machine on servers of this machine, of all manners, and wrong input.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::Home;

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Serves each connection in a thread of its own until the tests end.
fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let handle = handle.clone();
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || handle(stream));
        }
    });
    port
}

/// The head of the next request; None at the end of the connection.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    Some(String::from_utf8(text).unwrap())
}

/// Answers each request with this.
pub fn answering(answer: &'static str) -> u16 {
    serve(move |mut stream| while head(&mut stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {})
}

pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Exit code, the document on stdout, and how long it took.
fn measure(arguments: &[&str]) -> (i32, Value, Duration) {
    let begin = Instant::now();
    let all = [&["loadgen", "--output", "json"], arguments].concat();
    let output = Home::new().command(&all).output().unwrap();
    crate::schema::check(&all, &String::from_utf8_lossy(&output.stdout), &String::from_utf8_lossy(&output.stderr));
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), document, begin.elapsed())
}

#[test]
fn a_load_is_measured() {
    let port = answering(OK);
    let arguments = ["--url", &url(port), "--rate", "200", "--duration", "1500ms", "--warmup", "200ms", "-c", "4"];
    let (code, document, _) = measure(&arguments);
    assert_eq!((code, &document["version"]), (0, &json!(1)));
    let totals = &document["totals"];
    assert_eq!(
        (&totals["requests"], &totals["succeeded"], &totals["seconds"]),
        (&json!(300), &json!(300), &json!(1.5))
    );
    assert_eq!(totals["bytesReceived"], 300 * OK.len());
    let seconds: Vec<u64> =
        document["seconds"].as_array().unwrap().iter().map(|second| second["requests"].as_u64().unwrap()).collect();
    assert_eq!(seconds, [200, 100]);
    let counts = document["distribution"].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 300);
    let parameters = &document["parameters"];
    assert_eq!(
        (&parameters["arrivals"], &parameters["rate"], &parameters["from"]),
        (&json!("constant"), &json!(200.0), &json!("host"))
    );
    assert!(totals["latency"]["p50"].as_f64().unwrap() > 0.0 && !document["histogram"].as_str().unwrap().is_empty());

    let text = Home::new().run(&["loadgen", "--url", &format!("{}/a?b", url(port)), "--requests", "50"]);
    assert!(text.starts_with("exit 0\n") && text.contains("\nrequests    50 in "), "{text}");
}

#[test]
fn what_is_sent_is_what_was_asked_for() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let port = serve(move |mut stream| {
        while let Some(head) = head(&mut stream) {
            let mut body = [0; 3];
            stream.read_exact(&mut body).unwrap();
            log.lock().unwrap().push((head, body));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let home = Home::new();
    home.write("headers", "Authorization: Bearer hunter2\n");
    home.write("body", "abc");
    let output = home
        .command(&["loadgen", "--url", &url(port), "--path", "/a", "--path", "2:/b", "--requests", "90", "-c", "2"])
        .args(["--header", "@headers", "--header", "X-One: 1", "--body", "@body", "--expect-body", "hell", "-vv"])
        .output()
        .unwrap();
    let said = format!("{output:?}");
    assert!(output.status.success() && !said.contains("hunter2"), "{said}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 90);
    for (head, body) in seen.iter() {
        assert!(head.starts_with("POST /a HTTP/1.1\r\n") || head.starts_with("POST /b HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Authorization: Bearer hunter2\r\n") && head.contains("X-One: 1\r\n"), "{head}");
        assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")) && head.contains("content-length: 3\r\n"));
        assert_eq!(body, b"abc");
    }
    let often = seen.iter().filter(|(head, _)| head.starts_with("POST /b")).count();
    assert!((45..75).contains(&often), "{often}");
}

/// Each is told before anything is sent, with what helps.
#[test]
fn wrong_arguments() {
    let home = Home::new();
    let cases: &[(&[&str], &str)] = &[
        (&["--from", "host"], "--url"),
        (&["--url", "nonsense"], "nonsense"),
        (&["--url", "ftp://127.0.0.1/"], "http://HOST:PORT"),
        (&["--url", "http://me:hunter2@127.0.0.1/"], "--header @FILE"),
        (&["--url", "http://192.0.2.1/"], "--i-own-this-host"),
        (&["--url", "http://127.0.0.1:1", "--duration", "0s"], "--duration"),
        (&["--url", "http://127.0.0.1:1", "--requests", "0"], "0 requests"),
        (&["--url", "http://127.0.0.1:1", "--connections", "0"], "1 connection"),
        (&["--url", "http://127.0.0.1:1", "--timeout", "0s"], "--timeout"),
        (&["--url", "http://127.0.0.1:1", "--rate", "0"], "--rate"),
        (&["--url", "http://127.0.0.1:1", "--rate=-5"], "--rate"),
        (&["--url", "http://127.0.0.1:1", "--arrivals", "poisson"], "--rate R"),
        (&["--url", "http://127.0.0.1:1", "--stages", "10s:0"], "stages"),
        (&["--url", "http://127.0.0.1:1", "--stages", "10s"], "30s:50"),
        (&["--url", "http://127.0.0.1:1", "--stages", "1s:5", "--rate", "5"], "cannot be used with"),
        (&["--url", "http://127.0.0.1:1", "--duration", "5s", "--requests", "5"], "cannot be used with"),
        (&["--url", "http://127.0.0.1:1", "--path", "a"], "WEIGHT:/PATH"),
        (&["--url", "http://127.0.0.1:1", "--path", "/a b"], "percent-encoded"),
        (&["--url", "http://127.0.0.1:1", "--header", "nothing"], "NAME: VALUE"),
        (&["--url", "http://127.0.0.1:1", "--header", "@missing"], "missing"),
        (&["--url", "http://127.0.0.1:1", "--method", "G T"], "G T"),
        (&["--url", "http://127.0.0.1:1", "--ca-bundle", "missing"], "missing"),
        (&["--url", "https://127.0.0.1:1", "--ca-bundle", "Cargo.toml"], "Cargo.toml"),
    ];
    for (arguments, expected) in cases {
        let said = home.show(home.command(&["loadgen"]).args(*arguments));
        assert!(said.starts_with("exit 2\n") && said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn an_unknown_host() {
    let said = Home::new().run(&["loadgen", "--url", "http://no-such-host.invalid:8400"]);
    assert!(said.starts_with("exit 3\n") && said.contains("the host no-such-host.invalid is not known"), "{said}");
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = Home::new().run(&["loadgen", "--url", &url(port)]);
    assert!(said.starts_with("exit 3\n") && said.contains("refused") && said.contains("nothing was sent"), "{said}");
}

#[test]
fn a_certificate_for_another_name() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let port = serve(move |stream| {
        let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
        while head(&mut stream).is_some() && stream.write_all(OK.as_bytes()).is_ok() {}
    });
    let home = Home::new();
    home.write("ca.pem", &made.cert.pem());
    let load = |host: &str| {
        home.run(&["loadgen", "--url", &format!("https://{host}:{port}"), "--ca-bundle", "ca.pem", "--requests", "20"])
    };
    let said = load("127.0.0.1");
    assert!(said.starts_with("exit 3\n") && said.contains("not valid for name"), "{said}");
    let said = load("localhost");
    assert!(said.starts_with("exit 0\n") && said.contains("20 answered") && said.contains(", 0 failed"), "{said}");
}

#[test]
fn a_server_that_closes_after_each_answer() {
    for answer in [OK, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"] {
        let port = serve(move |mut stream| {
            head(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        });
        let (code, document, _) = measure(&["--url", &url(port), "--requests", "100", "-c", "3"]);
        assert_eq!((code, &document["totals"]["succeeded"]), (0, &json!(100)), "{document}");
        assert!(document["totals"]["connects"]["count"].as_u64().unwrap() >= 100);
    }
}

#[test]
fn half_an_answer_and_none() {
    let half = answering("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello");
    let none = serve(|mut stream| {
        head(&mut stream);
        std::thread::sleep(Duration::from_secs(600));
    });
    for port in [half, none] {
        let arguments = ["--url", &url(port), "--duration", "500ms", "--timeout", "300ms", "-c", "2"];
        let (code, document, took) = measure(&arguments);
        assert_eq!((code, &document["totals"]["succeeded"]), (0, &json!(0)), "{document}");
        assert_eq!(document["totals"]["errorRate"], 1.0);
        assert!(document["totals"]["errors"]["timeout"].as_u64().unwrap() >= 2, "{document}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    let cut = serve(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello");
    });
    let (code, document, _) = measure(&["--url", &url(cut), "--requests", "20"]);
    assert_eq!((code, &document["totals"]["errors"]), (0, &json!({ "closed": 20 })));
    let (code, document, _) = measure(&["--url", &url(cut), "--requests", "20", "--abort-on-fail"]);
    assert_eq!((code, &document["error"]["kind"]), (9, &json!("loadFailed")));
    assert!(document["totals"]["failed"].as_u64().unwrap() >= 1);
}

#[test]
fn more_connections_than_the_process_may_open() {
    let home = Home::new();
    let port = answering(OK);
    let limited = |hard: &str, connections: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -Sn 64 && ulimit -Hn \"$0\" && exec \"$@\"", hard, env!("CARGO_BIN_EXE_stackctl")]);
        command.args(["loadgen", "--url", &url(port), "--requests", "500", "--connections", connections]);
        command.env_clear().env("HOME", home.path()).current_dir(home.path()).stdin(Stdio::null());
        home.show(&mut command)
    };
    let said = limited("1000", "100000");
    assert!(said.starts_with("exit 2\n") && said.contains("936 connections are possible"), "{said}");
    // The soft limit is no limit.
    let said = limited("1000", "200");
    assert!(said.starts_with("exit 0\n") && said.contains("connecting  200 connections, "), "{said}");
}

#[test]
fn an_interrupted_load_tells_what_it_measured() {
    let port = answering(OK);
    let home = Home::new();
    let mut load = home
        .command(&["loadgen", "--url", &url(port), "--rate", "100", "--duration", "60s", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first second has passed when it is told.
    let mut events = BufReader::new(load.stderr.take().unwrap()).lines();
    events.find(|line| line.as_ref().unwrap().contains("\"event\":\"load\"")).unwrap().unwrap();
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    let begin = Instant::now();
    let mut text = String::new();
    load.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(30));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["error"]["kind"], "interrupted");
    let (requests, seconds) = (&document["totals"]["requests"], &document["totals"]["seconds"]);
    let due = seconds.as_f64().unwrap() * 100.0;
    assert!((requests.as_f64().unwrap() - due).abs() <= 2.0 && due >= 90.0, "{requests} {seconds}");
}
