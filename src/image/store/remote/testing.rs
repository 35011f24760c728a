//! A registry on loopback that answers as a test tells it to.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as the fake sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /v2/`, with the query.
    pub line: String,
    pub authorization: Option<String>,
    pub body: String,
}

/// Status, further headers, body.
pub type Said = (&'static str, Vec<String>, String);

pub struct Fake {
    /// `127.0.0.1:PORT`
    pub host: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// `answer` is given the requests and the host of the fake.
    pub async fn start(answer: impl Fn(&Asked, &str) -> Said + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log, name) = (Arc::new(answer), Arc::clone(&asked), host.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log, name) = (Arc::clone(&answer), Arc::clone(&log), name.clone());
                tokio::spawn(async move {
                    let Some((mut stream, request)) = read(stream).await else { return };
                    log.lock().unwrap().push(request.clone());
                    let (status, headers, body) = answer(&request, &name);
                    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
                    let body = if request.line.starts_with("HEAD") { "" } else { &body };
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Fake { host, asked }
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
    }
}

/// None for what is not HTTP, such as the beginning of TLS.
async fn read(mut stream: TcpStream) -> Option<(TcpStream, Asked)> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        text.extend_from_slice(&buffer[..length]);
        if text[0] == 0x16 {
            return None;
        }
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
        return Some((stream, Asked { line, authorization: header("authorization"), body: body.to_owned() }));
    }
}

pub fn json(status: &'static str, body: &str) -> Said {
    (status, vec!["content-type: application/json".to_owned()], body.to_owned())
}

/// A registry with a token authority: `name:password` in base64 is let in, scopes are granted by `allow`.
pub fn with_tokens(basic: &'static str, allow: fn(&str) -> Said) -> impl Fn(&Asked, &str) -> Said {
    move |asked, host| {
        let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"fake\"");
        match (asked.line.as_str(), asked.authorization.as_deref()) {
            (line, Some(given)) if line.starts_with("GET /token") && given == format!("Basic {basic}") => {
                json("200 OK", "{\"token\":\"let-me-in\"}")
            }
            (line, _) if line.starts_with("GET /token") => {
                json("401 Unauthorized", "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"bad credentials\"}]}")
            }
            ("GET /v2/", Some("Bearer let-me-in")) => json("200 OK", "{}"),
            (line, Some("Bearer let-me-in")) => allow(line),
            _ => ("401 Unauthorized", vec![challenge], "{}".to_owned()),
        }
    }
}
