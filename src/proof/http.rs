//! One HTTP request and the judgement of its answer.

use std::{error::Error as StdError, io, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, capture_connection},
    },
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{json::difference, wire::AgentCheck};
use crate::error::{Context, Error, Kind, Result};

/// Longer bodies are not compared.
const BODY_LIMIT: usize = 4 << 20;
/// As much of a body as is shown.
const SHOWN: usize = 500;

/// Makes each request on a connection of its own, so that no attempt profits or suffers from an earlier one.
#[derive(Debug, Clone)]
pub struct Requester(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Requester {
    /// `ca_bundle`: PEM; None: the roots of the system.
    pub fn new(ca_bundle: Option<&Path>) -> Result<Requester> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .context(Kind::Unexpected, || "TLS could not be set up".to_owned())
        };
        let config = match ca_bundle {
            Some(file) => builder()?.with_root_certificates(roots(file)?),
            // A machine without roots can still make HTTP requests; HTTPS then fails with an unknown issuer.
            None => match builder()?.with_native_roots() {
                Ok(config) => config,
                Err(_) => builder()?.with_root_certificates(RootCertStore::empty()),
            },
        }
        .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Requester(client))
    }

    /// One attempt; an error says what was seen instead of what was expected.
    pub async fn attempt(&self, check: &AgentCheck) -> std::result::Result<(), String> {
        let mut request = request(check)?;
        let connection = capture_connection(&mut request);
        let limit = tokio::time::Instant::now() + check.timeout();
        let late = |what: &str| format!("timed out after {} ms: {what}", check.timeout_ms);
        let response = match tokio::time::timeout_at(limit, self.0.request(request)).await {
            Ok(response) => response.map_err(|error| transport(&error))?,
            Err(_) if connection.connection_metadata().is_some() => {
                return Err(late("connected, but nothing was answered"));
            }
            Err(_) => return Err(late("no connection")),
        };
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect();
        let body = match tokio::time::timeout_at(limit, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
                return Err(format!("status {status}, a body of more than {BODY_LIMIT} bytes"));
            }
            Ok(Err(error)) => {
                return Err(format!("status {status}, then the body broke off: {}", transport(error.as_ref())));
            }
            Err(_) => return Err(late(&format!("status {status}, but the body did not end"))),
        };
        judge(check, status, &body)
    }
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let what = || format!("the CA bundle {} could not be read", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).context(Kind::Usage, what)? {
        roots.add(certificate.context(Kind::Usage, what)?).context(Kind::Usage, what)?;
    }
    if roots.is_empty() {
        return Err(Error::new(Kind::Usage, what()).cause("it holds no certificate"));
    }
    Ok(roots)
}

fn request(check: &AgentCheck) -> std::result::Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder().method(check.method.as_str()).uri(&check.url);
    if !check.headers.keys().any(|name| name.eq_ignore_ascii_case("user-agent")) {
        request = request.header("user-agent", concat!("stackctl/", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in &check.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(check.body.clone().unwrap_or_default()));
    request.body(body).map_err(|error| format!("a request that cannot be made: {error}"))
}

/// What must come back, in words.
pub fn expectation(check: &AgentCheck) -> String {
    let mut parts = vec![format!("{} {}: status {}", check.method, check.url, check.status)];
    parts.extend(check.json.as_ref().map(|json| format!("JSON {json}")));
    parts.extend(check.contains.as_ref().map(|text| format!("a body that contains {text:?}")));
    parts.join(", ")
}

fn judge(check: &AgentCheck, status: u16, body: &[u8]) -> std::result::Result<(), String> {
    if status != check.status {
        return Err(format!("status {status}, {}", shown(body)));
    }
    if let Some(expected) = &check.json {
        match serde_json::from_slice(body) {
            Err(error) => return Err(format!("status {status}, no JSON ({error}), {}", shown(body))),
            Ok(seen) => {
                if let Some(difference) = difference(expected, &seen) {
                    return Err(format!("status {status}, JSON that differs {difference}"));
                }
            }
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
