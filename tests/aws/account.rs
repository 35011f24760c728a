//! An AWS account of the world: its launcher, and what can be told and asked beside its API.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

pub struct Account {
    launcher: Child,
    pub described: Value,
    address: String,
}

impl Account {
    /// Err: why there is none on this machine.
    pub fn start() -> Result<Account, String> {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/aws/run");
        if !run.exists() {
            return Err("the part of the world that is an AWS account is not there: tests/world/aws".to_owned());
        }
        let mut launcher = Command::new(run)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("tests/world/aws/run cannot be started: {error}"))?;
        let mut line = String::new();
        let output = launcher.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line that says where it is");
        let Ok(described) = serde_json::from_str::<Value>(&line) else {
            let _ = launcher.wait();
            return Err(format!("tests/world/aws/run did not start: {line:?}"));
        };
        let address = described["endpoint"].as_str().expect("an endpoint").trim_start_matches("http://").to_owned();
        Ok(Account { launcher, described, address })
    }

    pub fn text(&self, key: &str) -> &str {
        self.described[key].as_str().unwrap_or_else(|| panic!("{key} of the launcher"))
    }

    pub fn environment(&self) -> BTreeMap<String, String> {
        let all = self.described["environment"].as_object().expect("an environment");
        all.iter().map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
    }

    /// Whether STS takes a request that was signed in advance; who made it.
    pub fn caller(&self, query: &str, host: &str, cluster: &str) -> Option<String> {
        let head = format!(
            "GET /?{query} HTTP/1.1\r\nHost: {host}\r\nx-k8s-aws-id: {cluster}\r\nAccept: application/json\r\n"
        );
        let (status, body) = exchange(&self.address, &head, None);
        (status == 200).then_some(body)
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let head =
            format!("{method} /_world{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", self.address);
        let (status, answer) = exchange(&self.address, &head, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    pub fn reset(&self, settings: Value) {
        self.post("/reset", &json!({ "settings": settings }));
    }

    pub fn calls(&self) -> Vec<Value> {
        let answer = self.get("/calls?since=0");
        answer.as_array().or_else(|| answer["calls"].as_array()).expect("calls").clone()
    }

    /// `kind` to ids, without what AWS makes itself.
    pub fn inventory(&self) -> BTreeMap<String, Vec<String>> {
        let answer = self.get("/inventory");
        let kinds = answer.as_object().expect("an inventory").iter().filter(|(kind, _)| *kind != "default");
        let ids = |things: &Value| {
            let mut ids: Vec<String> = things.as_array().into_iter().flatten().map(|thing| thing.to_string()).collect();
            ids.sort();
            ids
        };
        kinds.map(|(kind, things)| (kind.clone(), ids(things))).filter(|(_, ids)| !ids.is_empty()).collect()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        drop(self.launcher.stdin.take());
        let _ = self.launcher.wait();
    }
}

fn exchange(address: &str, head: &str, body: Option<&Value>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a connection to the account");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { unchunked(body) } else { body.to_owned() })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 || rest.len() < length {
            break;
        }
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}
