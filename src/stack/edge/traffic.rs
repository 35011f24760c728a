//! Requests through a real nginx with the generated configuration, where this machine has one.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use super::{
    Backend, nginx_conf,
    services::{Port, Service},
    tests::nginx,
};
use crate::{
    stack::model::{Origin, Route},
    state::State,
    tls::Authority,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers A for names that it was told, and that there is none for others.
async fn dns(names: Arc<Mutex<HashMap<String, Ipv4Addr>>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = &buffer[..length];
            let (mut name, mut at) = (Vec::new(), 12);
            while query[at] != 0 {
                let size = usize::from(query[at]);
                name.push(String::from_utf8_lossy(&query[at + 1..at + 1 + size]).into_owned());
                at += size + 1;
            }
            let is_a = query[at + 2] == 1;
            let known = names.lock().unwrap().get(&name.join(".")).copied();
            let answers = u8::from(is_a && known.is_some());
            let code = if known.is_some() { 0x80 } else { 0x83 };
            let mut answer = query[..at + 5].to_vec();
            answer[2..12].copy_from_slice(&[0x81, code, 0, 1, 0, answers, 0, 0, 0, 0]);
            if let (true, Some(address)) = (is_a, known) {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(address.octets());
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

/// A service that answers with what it was asked, on one of the loopback addresses.
async fn echo(address: SocketAddr) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream));
        }
    });
    (port, server)
}

async fn answer_all(stream: TcpStream) {
    let own = stream.local_addr().unwrap().ip().to_string();
    let peer = stream.peer_addr().unwrap().port();
    let mut stream = BufReader::new(stream);
    while let Some((line, headers)) = head(&mut stream).await {
        let uri = line.split(' ').nth(1).unwrap().to_owned();
        if let Some(path) = uri.strip_prefix("/redirect-to") {
            let host = &headers["host"];
            let to = if path == "/absolute" { format!("http://{host}/x") } else { "/x".to_owned() };
            let text =
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
        } else if headers.get("upgrade").is_some_and(|upgrade| upgrade == "websocket") {
            let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..length]).await.unwrap();
            }
            return;
        } else {
            let body = json!({"line": line, "headers": headers, "own": own, "peer": peer}).to_string();
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The first line and the headers by lower-case name; None: the other side is done.
async fn head(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<(String, HashMap<String, String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    Some((lines[0].clone(), headers))
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    /// What the service behind it was asked.
    fn echoed(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {:?}", self.status, self.body))
    }
}

async fn read_answer(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Answer> {
    let (line, headers) = head(stream).await?;
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Answer { status: line.split(' ').nth(1).unwrap().parse().unwrap(), headers, body })
}

async fn ask(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, text: &str) -> Option<Answer> {
    stream.write_all(text.as_bytes()).await.ok()?;
    timeout(PATIENCE, read_answer(stream)).await.expect("an answer in time")
}

/// A running edge.
struct Edge {
    nginx: Child,
    folder: tempfile::TempDir,
    authority: Authority,
    https: u16,
    http: u16,
    health: u16,
    names: Arc<Mutex<HashMap<String, Ipv4Addr>>>,
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Not SIGKILL, after which its workers would go on.
        let pid = rustix::process::Pid::from_child(&self.nginx);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.nginx.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Edge {
    /// None: there is no nginx on this machine. `resolved`: names that are known from the start.
    async fn start(routes: &[(&str, &str, u16, bool)], resolved: &[&str]) -> Option<Edge> {
        let Some(program) = nginx() else {
            println!("skipped: no nginx 1.27.4 or newer; STACKCTL_TEST_NGINX names one");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let names = Arc::new(Mutex::new(HashMap::new()));
        for name in resolved {
            names.lock().unwrap().insert(dns_name(name), Ipv4Addr::LOCALHOST);
        }
        let dns = dns(Arc::clone(&names)).await;
        let now = crate::tls::authority::now();
        let authority = Authority::ensure(&State::at(folder.path().join("state")), now).unwrap();
        let issued = authority.issue(&["localhost".to_owned(), "127.0.0.1".to_owned()].into(), now).unwrap();
        let [https, http, health] = [free_port(), free_port(), free_port()];
        let at = folder.path().display();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tls.crt", &issued.certificate);
        write("tls.key", &issued.key);
        write("resolver.conf", &format!("resolver {dns} valid=1s;\n"));
        let backends: Vec<Backend> = routes.iter().map(backend).collect();
        let text = nginx_conf::text(&backends)
            .replace("/tmp/", &format!("{at}/"))
            .replace("/etc/edge-tls/", &format!("{at}/"))
            .replace("/dev/stdout", &format!("{at}/access.log"))
            .replace("error_log stderr", &format!("error_log {at}/error.log"))
            .replace("listen 8443", &format!("listen 127.0.0.1:{https}"))
            .replace("listen 8080", &format!("listen 127.0.0.1:{http}"))
            .replace("listen 8081", &format!("listen 127.0.0.1:{health}"));
        // Root gives its workers another user, who could not read the folder.
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        write("nginx.conf", &format!("{user}{text}"));
        let nginx = Command::new(program)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let edge = Edge { nginx, folder, authority, https, http, health, names };
        let begin = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", health)).await {
                let mut stream = BufReader::new(stream);
                let answer = ask(&mut stream, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
                assert_eq!(answer.unwrap().status, 200);
                break;
            }
            let said = || std::fs::read_to_string(edge.folder.path().join("error.log")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "nginx does not start: {}", said());
            sleep(Duration::from_millis(20)).await;
        }
        for (path, ..) in routes.iter().filter(|(_, service, ..)| resolved.contains(service)) {
            while edge.get(path).await.status == 502 {
                assert!(begin.elapsed() < PATIENCE, "{path} is not found");
                sleep(Duration::from_millis(20)).await;
            }
        }
        Some(edge)
    }

    /// A connection over TLS that is verified against the authority.
    async fn connect(&self) -> std::io::Result<BufReader<TlsStream<TcpStream>>> {
        self.connect_with(&[&TLS13, &TLS12], "localhost").await
    }

    async fn connect_with(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        name: &str,
    ) -> std::io::Result<BufReader<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.https)).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(BufReader::new(stream))
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }

    async fn get_with(&self, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect().await.unwrap();
        let host = self.https;
        ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{host}\r\n{headers}\r\n")).await.unwrap()
    }

    async fn plain(&self, port: u16, request: &str) -> Answer {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        ask(&mut stream, request).await.unwrap()
    }
}

fn dns_name(service: &str) -> String {
    format!("{service}.shop.svc.cluster.local")
}

fn backend((path, service, port, strip): &(&str, &str, u16, bool)) -> Backend {
    let route = Route {
        path: (*path).to_owned(),
        service: (*service).to_owned(),
        namespace: "shop".to_owned(),
        port: *port,
        strip: *strip,
        timeout: Duration::from_secs(5),
        origin: Origin::default(),
    };
    let ports = vec![Port { port: *port, target: (*port).into() }];
    Backend { route, service: Service { selector: Default::default(), ports, external: false } }
}

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn two_services() -> Option<Edge> {
    let (hello, _) = echo(LOCAL).await;
    let (view, _) = echo(LOCAL).await;
    let routes = [("/hello", "hello", hello, true), ("/grafana", "view", view, false), ("/a.b/c", "view", view, true)];
    Edge::start(&routes, &["hello", "view"]).await
}

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
        assert!(begin.elapsed() < PATIENCE);
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
    timeout(PATIENCE, stream.read_exact(&mut echoed)).await.unwrap().unwrap();
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
            assert!(begin.elapsed() < PATIENCE, "not served by {wanted}");
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
        let answered = timeout(PATIENCE, client).await.unwrap().unwrap();
        assert!(answered > 1);
    }
    let begin = Instant::now();
    while edge.nginx.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "nginx does not end");
        sleep(Duration::from_millis(20)).await;
    }
}
