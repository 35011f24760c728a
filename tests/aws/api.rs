//! A real API server with nothing behind it: what `DescribeCluster` points at. Who asks it is told by a webhook, which has
//! the account's STS judge the token, as EKS does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::account::Account;

/// Of an admin who is no user of AWS.
const TOKEN: &str = "tests-token";

pub struct ApiServer {
    etcd: Child,
    server: Child,
    pub endpoint: String,
    /// base64
    pub authority: String,
    _folder: tempfile::TempDir,
}

/// The newest of the world's parts that holds this program.
fn program(name: &str) -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).ok_or("no cache")?;
    let parts = cache.join("stackctl-world/parts");
    let entries = std::fs::read_dir(&parts).map_err(|_| format!("the world has no parts: {}", parts.display()))?;
    let found = entries.flatten().map(|entry| entry.path().join(name)).filter(|path| path.is_file());
    let newest = found.max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok());
    newest.ok_or_else(|| format!("the world has no {name}; tests/world/up builds it where images cannot be pulled"))
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let ran = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

impl ApiServer {
    /// Err: why there is none on this machine.
    pub fn start(account: &Arc<Account>) -> Result<ApiServer, String> {
        let (etcd, apiserver) = (program("etcd")?, program("kube-apiserver")?);
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        openssl(at, &["genrsa", "-out", "sa.key", "2048"]);
        let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca"];
        let server = ["-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=api"];
        openssl(at, &[&["req", "-newkey", "rsa:2048", "-nodes"][..], &authority].concat());
        openssl(at, &[&["req", "-newkey", "rsa:2048", "-nodes"][..], &server].concat());
        std::fs::write(at.join("names"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
        let signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "tls.crt"];
        openssl(at, &[&["x509", "-req", "-in", "tls.csr", "-days", "2"][..], &signed].concat());
        let webhook = judge_tokens(Arc::clone(account));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "w",
            "clusters": [{ "name": "w", "cluster": { "server": format!("http://127.0.0.1:{webhook}/") } }],
            "contexts": [{ "name": "w", "context": { "cluster": "w", "user": "w" } }],
            "users": [{ "name": "w", "user": {} }],
        });
        std::fs::write(at.join("webhook.yaml"), config.to_string()).expect("a file");
        std::fs::write(at.join("tokens.csv"), format!("{TOKEN},tests,tests,system:masters\n")).expect("a file");
        let (client, peer, port) = (free_port(), free_port(), free_port());
        let log = |name: &str| std::fs::File::create(at.join(name)).expect("a log");
        let clients = format!("http://127.0.0.1:{client}");
        let etcd = Command::new(etcd)
            .arg(format!("--data-dir={}", at.join("etcd").display()))
            .args([format!("--listen-client-urls={clients}"), format!("--advertise-client-urls={clients}")])
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .args(["--unsafe-no-fsync"])
            .stdout(Stdio::null())
            .stderr(log("etcd.log"))
            .spawn()
            .expect("etcd");
        let file = |name: &str| at.join(name).display().to_string();
        let server = Command::new(apiserver)
            .args([format!("--etcd-servers={clients}"), format!("--secure-port={port}")])
            .args([
                format!("--tls-cert-file={}", file("tls.crt")),
                format!("--tls-private-key-file={}", file("tls.key")),
            ])
            .arg(format!("--service-account-key-file={}", file("sa.key")))
            .arg(format!("--service-account-signing-key-file={}", file("sa.key")))
            .args(["--service-account-issuer=https://tests", "--bind-address=127.0.0.1", "--authorization-mode=RBAC"])
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg(format!("--authentication-token-webhook-config-file={}", file("webhook.yaml")))
            .args(["--authentication-token-webhook-version=v1", "--service-cluster-ip-range=10.96.0.0/16"])
            .args(["--disable-admission-plugins=ServiceAccount", "--anonymous-auth=true"])
            .stdout(Stdio::null())
            .stderr(log("apiserver.log"))
            .spawn()
            .expect("kube-apiserver");
        let authority = BASE64_STANDARD.encode(std::fs::read(at.join("ca.crt")).expect("a certificate"));
        let api = ApiServer { etcd, server, endpoint: format!("https://127.0.0.1:{port}"), authority, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        let ready = || {
            let asked =
                Command::new("curl").args(["-sk", "--max-time", "2", &format!("{}/readyz", api.endpoint)]).output();
            asked.is_ok_and(|asked| asked.stdout == b"ok")
        };
        while !ready() {
            assert!(Instant::now() < deadline, "the API server does not become ready");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(api)
    }
}

impl ApiServer {
    /// As one of its admins. What a patch does is merged.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let asked = Command::new("curl")
            .args(["-sk", "--max-time", "20", "-X", method, &format!("{}{path}", self.endpoint)])
            .args(["-H", &format!("Authorization: Bearer {TOKEN}"), "-H", &format!("Content-Type: {kind}")])
            .args(if body.is_null() { vec![] } else { vec!["--data".to_owned(), body.to_string()] })
            .output()
            .expect("curl");
        serde_json::from_slice(&asked.stdout).unwrap_or_default()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.etcd] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Serves TokenReviews; returns the port.
fn judge_tokens(account: Arc<Account>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let account = Arc::clone(&account);
            std::thread::spawn(move || serve(stream, &account));
        }
    });
    port
}

fn serve(mut stream: TcpStream, account: &Account) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let status = match who(review["spec"]["token"].as_str().unwrap_or_default(), account) {
            Some(arn) => json!({ "authenticated": true, "user": { "username": arn, "groups": ["system:masters"] } }),
            None => json!({ "authenticated": false }),
        };
        let answer =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status }).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes())).is_err() {
            return;
        }
    }
}

fn who(token: &str, account: &Account) -> Option<String> {
    let url = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.")?).ok()?;
    let url = String::from_utf8(url).ok()?;
    let (host, query) = url.strip_prefix("https://")?.split_once("/?")?;
    // It must be signed with the name of one of the account's clusters: all of them are served here.
    let clusters = account.inventory().remove("eks:cluster")?;
    clusters.iter().find_map(|cluster| {
        let cluster: Value = serde_json::from_str(cluster).ok()?;
        let name = cluster["name"].as_str().or_else(|| cluster["id"].as_str())?;
        account.caller(query, host, name)
    })
}
