//! One HTTP request and the judgement of its answer.

use std::{error::Error as StdError, fmt, io, path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper_util::client::legacy::connect::capture_connection;
use rustls::RootCertStore;
use serde_json::Value;

use super::json::difference;
use crate::{
    client,
    error::{Context, Kind, Result},
    stack::claims::{HttpCheck, Where},
    tls,
};

/// Longer bodies are not compared.
const BODY_LIMIT: usize = 4 << 20;
/// As much of a body as is shown.
const SHOWN: usize = 500;

type HttpClient = client::Client<Full<Bytes>>;

/// Makes each request on a connection of its own, so that no attempt profits or suffers from an earlier one.
#[derive(Debug, Clone)]
pub struct Requester {
    client: HttpClient,
    /// Trusts the stack's CA and no other; None: the stack has none.
    own: Option<HttpClient>,
}

/// What came back, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {}", self.status, shown(&self.body))
    }
}

type Seen<T> = std::result::Result<T, String>;

impl Requester {
    /// `ca_bundle`: PEM; None: the roots of the system. `own_ca`: the certificates of the stack's CA as PEM.
    pub fn new(ca_bundle: Option<&Path>, own_ca: Option<&str>) -> Result<Requester> {
        let roots = ca_bundle.map(|file| {
            let what = || format!("the CA bundle {} could not be read", file.display());
            tls::client::roots(&std::fs::read(file).context(Kind::Usage, what)?, Kind::Usage, what)
        });
        let own = own_ca.map(|pem| roots_of_stack(pem).and_then(|roots| trusting(Some(roots))));
        Ok(Requester { client: trusting(roots.transpose()?)?, own: own.transpose()? })
    }

    /// One attempt; an error says what was seen instead of what was expected.
    pub async fn attempt(&self, check: &HttpCheck) -> Seen<()> {
        self.answer(check).await.map(|_| ())
    }

    /// As `attempt`, with the answer that was as expected.
    pub async fn answer(&self, check: &HttpCheck) -> Seen<Answer> {
        let client = match (check.ca, &self.own) {
            (false, _) => &self.client,
            (true, Some(own)) => own,
            (true, None) => return Err("the stack has no CA that could be trusted".to_owned()),
        };
        let headers: Vec<(String, String)> = check.headers.clone().into_iter().collect();
        let body = check.body.as_deref().unwrap_or_default();
        let answer = exchange(client, &check.method, &check.url, &headers, body, check.timeout).await?;
        judge(check, &answer).map(|()| answer)
    }

    /// A GET without headers of its own.
    pub async fn get(&self, url: &str, timeout: Duration) -> Seen<Answer> {
        self.send("GET", url, &[], "", timeout).await
    }

    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: &str,
        timeout: Duration,
    ) -> Seen<Answer> {
        exchange(&self.client, method, url, headers, body, timeout).await
    }
}

fn trusting(roots: Option<RootCertStore>) -> Result<HttpClient> {
    Ok(client::near(tls::client::config(roots)?))
}

async fn exchange(
    client: &HttpClient,
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &str,
    timeout: Duration,
) -> Seen<Answer> {
    let mut request = request(method, url, headers, body)?;
    let connection = capture_connection(&mut request);
    let limit = tokio::time::Instant::now() + timeout;
    let late = |what: &str| format!("timed out after {} ms: {what}", timeout.as_millis());
    let response = match tokio::time::timeout_at(limit, client.request(request)).await {
        Ok(response) => response.map_err(|error| transport(&error))?,
        Err(_) if connection.connection_metadata().is_some() => {
            return Err(late("connected, but nothing was answered"));
        }
        Err(_) => return Err(late("no connection")),
    };
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect();
    match tokio::time::timeout_at(limit, body).await {
        Ok(Ok(body)) => Ok(Answer { status, body: body.to_bytes() }),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(format!("status {status}, a body of more than {BODY_LIMIT} bytes"))
        }
        Ok(Err(error)) => Err(format!("status {status}, then the body broke off: {}", transport(error.as_ref()))),
        Err(_) => Err(late(&format!("status {status}, but the body did not end"))),
    }
}

fn roots_of_stack(pem: &str) -> Result<RootCertStore> {
    tls::client::roots(pem.as_bytes(), Kind::Usage, || "the certificate of the stack's CA could not be read".to_owned())
}

fn request(method: &str, url: &str, headers: &[(String, String)], body: &str) -> Seen<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(url);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        request = request.header("user-agent", concat!("stackctl/", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(body.to_owned()));
    request.body(body).map_err(|error| format!("a request that cannot be made: {error}"))
}

/// What must come back, in words.
pub fn expectation(check: &HttpCheck) -> String {
    let mut parts = vec![format!("{} {}: status {}", check.method, check.url, check.status)];
    parts.extend(check.json.as_ref().map(|json| format!("JSON {json}")));
    parts.extend(check.contains.as_ref().map(|text| format!("a body that contains {text:?}")));
    parts.extend(check.wheres.iter().map(Where::to_string));
    parts.join(", ")
}

fn judge(check: &HttpCheck, answer: &Answer) -> Seen<()> {
    let (status, body) = (answer.status, &answer.body);
    if status != check.status {
        return Err(answer.to_string());
    }
    if check.json.is_some() || !check.wheres.is_empty() {
        let seen: Value = serde_json::from_slice(body)
            .map_err(|error| format!("status {status}, no JSON ({error}), {}", shown(body)))?;
        if let Some(difference) = check.json.as_ref().and_then(|expected| difference(expected, &seen)) {
            return Err(format!("status {status}, JSON that differs {difference}"));
        }
        let wrong: Vec<String> = check.wheres.iter().filter_map(|claim| claim.judge(&seen).err()).collect();
        if !wrong.is_empty() {
            return Err(format!("status {status}, JSON in which {}", wrong.join(", ")));
        }
    }
    match &check.contains {
        Some(text) if !String::from_utf8_lossy(body).contains(text.as_str()) => {
            Err(format!("status {status}, without the text, {}", shown(body)))
        }
        _ => Ok(()),
    }
}

/// The first bytes of a body.
fn shown(body: &[u8]) -> String {
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let more = if body.len() > SHOWN { format!(" … ({} bytes)", body.len()) } else { String::new() };
    format!("body: {}{more}", start.trim_end())
}

/// Puts a transport error into one of a few classes, with its root cause.
fn transport(error: &(dyn StdError + 'static)) -> String {
    let mut class = None;
    let mut root = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        root = error.to_string();
        if root.contains("dns error") {
            class = Some("the name was not found in DNS");
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            class = class.or(match io.kind() {
                io::ErrorKind::ConnectionRefused => Some("the connection was refused"),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("the connection was reset"),
                io::ErrorKind::TimedOut => Some("the connection timed out"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some("no route to the host"),
                _ => None,
            });
        }
        if error.is::<rustls::Error>() {
            class = class.or(Some("TLS failed"));
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>()
            && http.is_incomplete_message()
        {
            class = class.or(Some("the connection was closed before the answer was complete"));
        }
        // `source` of an io::Error skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    match class {
        Some(class) => format!("{class} ({root})"),
        None => format!("the request failed ({root})"),
    }
}
