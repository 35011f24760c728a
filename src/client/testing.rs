//! A proxy of a test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

pub struct TestProxy {
    pub address: SocketAddr,
    /// `server.example:443`: where it was asked to connect to.
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    /// Connects to `leads_to` whatever it is asked for; None: refuses all.
    pub async fn start(leads_to: Option<SocketAddr>) -> TestProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(serve(caller, leads_to, Arc::clone(&seen)));
            }
        });
        TestProxy { address, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(caller: TcpStream, leads_to: Option<SocketAddr>, seen: Arc<Mutex<Vec<String>>>) {
    let mut caller = BufReader::new(caller);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        caller.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    let server = head[0].split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(server);
    let Some(leads_to) = leads_to else {
        caller.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
        return;
    };
    let mut server = TcpStream::connect(leads_to).await.unwrap();
    caller.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
}

/// Answers each request with that JSON.
pub async fn server(json: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut caller = BufReader::new(caller);
                let mut line = String::new();
                while caller.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let length = json.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
                caller.write_all(format!("{head}{json}").as_bytes()).await.unwrap();
            });
        }
    });
    address
}
