//! How much the engine's build cache takes.
//!
//! Asked without the engine's client: it reads only the answer that engines give since API 1.52.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use url::Url;

use crate::error::{Context, Error, Kind, Result};

/// An engine adds up all its layers for this, whatever it is asked for.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Bytes. None: the engine cannot be asked in plain HTTP, or not in that time; the figure is only told, never used.
pub async fn build_cache(endpoint: &str) -> Result<Option<u64>> {
    let Some(place) = place(endpoint) else { return Ok(None) };
    let ask = async {
        match place {
            Place::Socket(path) => ask(connected(UnixStream::connect(&path).await)?).await,
            Place::Address(address) => ask(connected(TcpStream::connect(&address).await)?).await,
        }
    };
    match tokio::time::timeout(ANSWER_WITHIN, ask).await {
        Ok(answer) => parse(&answer?).map(Some),
        Err(_) => Ok(None),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Socket(PathBuf),
    Address(String),
}

fn place(endpoint: &str) -> Option<Place> {
    if let Some(path) = endpoint.strip_prefix("unix://") {
        return Some(Place::Socket(path.into()));
    }
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "tcp" | "http"))?;
    Some(Place::Address(format!("{}:{}", url.host_str()?, url.port().unwrap_or(2375))))
}

fn connected<T>(stream: std::io::Result<T>) -> Result<T> {
    stream.context(Kind::Platform, || WHAT.to_owned())
}

const WHAT: &str = "cannot ask the engine for the size of its build cache";

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes> {
    let what = || WHAT.to_owned();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context(Kind::Platform, what)?;
    // It ends with the sender, and its errors come out there.
    let driver = tokio::spawn(connection);
    let request = Request::get("/system/df?type=build-cache").header(HOST, "engine").body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.context(Kind::Unexpected, what)?).await.context(Kind::Platform, what)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context(Kind::Platform, what)?.to_bytes();
    driver.abort();
    if status.is_success() {
        Ok(body)
    } else {
        Err(Error::new(Kind::Platform, WHAT).cause(format!("it answered {status}")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    /// Before API 1.52.
    #[serde(default)]
    build_cache: Option<Vec<Record>>,
    #[serde(default)]
    build_cache_usage: Option<Total>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(default)]
    size: u64,
    /// Its layers belong to an image too.
    #[serde(default)]
    shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Total {
    #[serde(default)]
    total_size: u64,
}

fn parse(body: &[u8]) -> Result<u64> {
    let usage: Usage = serde_json::from_slice(body).context(Kind::Platform, || WHAT.to_owned())?;
    let records = usage.build_cache.unwrap_or_default();
    let own = records.iter().filter(|record| !record.shared).map(|record| record.size).sum();
    Ok(usage.build_cache_usage.map_or(own, |total| total.total_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_answers_are_read() {
        assert_eq!(parse(br#"{"BuildCache":[{"Size":5},{"Size":7,"Shared":true},{"Size":1}]}"#).unwrap(), 6);
        assert_eq!(parse(br#"{"BuildCacheUsage":{"TotalSize":9}}"#).unwrap(), 9);
        assert_eq!(parse(br#"{"BuildCache":null}"#).unwrap(), 0);
        assert!(parse(b"no").is_err());
    }

    #[test]
    fn endpoints_in_plain_http_can_be_asked() {
        assert_eq!(place("unix:///run/d.sock"), Some(Place::Socket("/run/d.sock".into())));
        assert_eq!(place("tcp://10.0.0.1"), Some(Place::Address("10.0.0.1:2375".to_owned())));
        assert_eq!(place("ssh://host"), None);
    }

    #[tokio::test]
    async fn an_engine_is_asked_over_its_socket() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let serve = async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            let body = r#"{"BuildCache":[{"Size":5}]}"#;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (size, _stream) = tokio::join!(build_cache(&endpoint), serve);
        assert_eq!(size.unwrap(), Some(5));
    }
}
