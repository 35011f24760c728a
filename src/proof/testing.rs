//! A small HTTP server whose answers a test writes down, faults included.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub head: String,
    pub body: String,
}

pub enum Reply {
    Answer(u16, String),
    /// These bytes, then the end of the connection.
    Raw(String),
    /// Nothing, ever.
    Hang,
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` is given each request and how many came before it.
    pub async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let all = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, all) = (answer.clone(), all.clone());
                tokio::spawn(async move { connection(stream, &*answer, &all).await });
            }
        });
        Server { address, seen }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn connection(
    mut stream: TcpStream,
    answer: &(impl Fn(&Request, usize) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let reply = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        answer(&request, seen.len() - 1)
    };
    let text = match reply {
        Reply::Answer(status, body) => {
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        }
        Reply::Raw(text) => text,
        Reply::Hang => std::future::pending().await,
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // The first byte of a TLS handshake: answered in plain text, as an HTTP server does.
        if text.first() == Some(&0x16) {
            let tls = "TLS".to_owned();
            return Some(Request { method: tls, path: String::new(), head: String::new(), body: String::new() });
        }
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if body.len() >= length {
                let mut words = head.split_whitespace();
                return Some(Request {
                    method: words.next()?.to_owned(),
                    path: words.next()?.to_owned(),
                    head: head.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
        }
    }
}
