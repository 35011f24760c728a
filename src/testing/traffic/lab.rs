//! A running nginx with the generated configuration, the services behind it, their names, and a client.

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

use crate::object::Origin;
use crate::{
    stack::{
        edge::{
            Backend, nginx_conf,
            services::{Port, Service},
            tests::nginx,
        },
        model::Route,
    },
    state::State,
    tls::Authority,
};

pub const TIMEOUT: Duration = Duration::from_secs(20);

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
pub async fn echo(address: SocketAddr) -> (u16, tokio::task::JoinHandle<()>) {
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

pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// What the service behind it was asked.
    pub fn echoed(&self) -> Value {
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

pub async fn ask(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, text: &str) -> Option<Answer> {
    stream.write_all(text.as_bytes()).await.ok()?;
    timeout(TIMEOUT, read_answer(stream)).await.expect("an answer in time")
}

/// A running edge.
pub struct Edge {
    pub nginx: Child,
    pub folder: tempfile::TempDir,
    authority: Authority,
    pub https: u16,
    pub http: u16,
    pub health: u16,
    pub names: Arc<Mutex<HashMap<String, Ipv4Addr>>>,
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
    pub async fn start(routes: &[(&str, &str, u16, bool)], resolved: &[&str]) -> Option<Edge> {
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
            assert!(begin.elapsed() < TIMEOUT, "nginx does not start: {}", said());
            sleep(Duration::from_millis(20)).await;
        }
        for (path, ..) in routes.iter().filter(|(_, service, ..)| resolved.contains(service)) {
            while edge.get(path).await.status == 502 {
                assert!(begin.elapsed() < TIMEOUT, "{path} is not found");
                sleep(Duration::from_millis(20)).await;
            }
        }
        Some(edge)
    }

    /// A connection over TLS that is verified against the authority.
    pub async fn connect(&self) -> std::io::Result<BufReader<TlsStream<TcpStream>>> {
        self.connect_with(&[&TLS13, &TLS12], "localhost").await
    }

    pub async fn connect_with(
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

    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }

    pub async fn get_with(&self, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect().await.unwrap();
        let host = self.https;
        ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{host}\r\n{headers}\r\n")).await.unwrap()
    }

    pub async fn plain(&self, port: u16, request: &str) -> Answer {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        ask(&mut stream, request).await.unwrap()
    }
}

pub fn dns_name(service: &str) -> String {
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

pub const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub async fn two_services() -> Option<Edge> {
    let (hello, _) = echo(LOCAL).await;
    let (view, _) = echo(LOCAL).await;
    let routes = [("/hello", "hello", hello, true), ("/grafana", "view", view, false), ("/a.b/c", "view", view, true)];
    Edge::start(&routes, &["hello", "view"]).await
}
