//! The connection to a Docker engine.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::OnceCell,
    time::timeout,
};

use super::endpoint::{self, Address, Endpoint, Environment, Tls};
use crate::{
    error::{Error, Kind, Result},
    event::Events,
};

/// What listens there takes a connection in milliseconds, however busy it is; and it answers in milliseconds when it is not.
const CONNECT: Duration = Duration::from_secs(2);
/// One that has taken the connection is there, and may have a machine that is busy.
const ANSWER: Duration = Duration::from_secs(20);
/// Seconds until an answer to a request must begin.
const REQUEST: u64 = 120;

#[derive(Clone)]
pub struct Engine {
    pub docker: Docker,
    /// As a value of DOCKER_HOST, for children such as kind.
    pub endpoint: String,
    /// What decided the endpoint, for people.
    pub origin: String,
    address: Address,
}

/// The engine of this machine, which is looked for when it is first needed: an existing cluster needs none unless an image
/// has to be built, and one that hangs must not keep it waiting.
pub struct Connection {
    events: Option<Events>,
    found: OnceCell<Result<Engine>>,
}

impl Connection {
    /// `events` hears of an engine that is slow to answer.
    pub fn later(events: &Events) -> Connection {
        Connection { events: Some(events.clone()), found: OnceCell::new() }
    }

    /// What somebody has found already.
    #[cfg(test)]
    pub fn found(found: Result<Engine>) -> Connection {
        Connection { events: None, found: OnceCell::from(found) }
    }

    /// The engine, or why there is none; looked for once.
    pub async fn result(&self) -> &Result<Engine> {
        self.found.get_or_init(|| Box::pin(connect(self.events.as_ref()))).await
    }

    pub async fn get(&self) -> Result<&Engine> {
        of(self.result().await)
    }
}

/// The engine, or why there is none.
pub fn of(found: &Result<Engine>) -> Result<&Engine> {
    found.as_ref().map_err(Clone::clone)
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// Finds the engine and asks it for its version. `events` hears of one that is slow to answer.
pub async fn connect(events: Option<&Events>) -> Result<Engine> {
    connect_within(events, ANSWER).await
}

/// For what is only better with an engine: one that is slow to answer counts as none.
pub async fn connect_at_once() -> Option<Engine> {
    connect_within(None, CONNECT).await.ok()
}

async fn connect_within(events: Option<&Events>, within: Duration) -> Result<Engine> {
    let endpoint = crate::error::blocking(|| endpoint::find(&Environment::current())).await?;
    Box::pin(connect_to(endpoint, events, within)).await
}

async fn connect_to(endpoint: Endpoint, events: Option<&Events>, within: Duration) -> Result<Engine> {
    let url = endpoint.url.clone();
    let (connecting, slow) = (timeout(within, ask(&endpoint)), tokio::time::sleep(CONNECT.min(within / 2)));
    tokio::pin!(connecting, slow);
    let answer = tokio::select! {
        answer = &mut connecting => answer,
        () = &mut slow => {
            let seconds = within.as_secs();
            let slow = format!("the Docker engine at {url} is slow to answer: waiting for it, {seconds} s at most");
            events.inspect(|events| events.info(slow));
            connecting.await
        }
    };
    answer.unwrap_or_else(|_| Err(silent(&endpoint.url, &endpoint.origin, within)))
}

async fn ask(endpoint: &Endpoint) -> Result<Engine> {
    let Endpoint { url, origin, address } = endpoint.clone();
    // A plain connection first: its error says exactly what is wrong.
    dial(&address).await.map_err(|error| unreachable(&url, &origin, &address, &error))?;
    let docker = match &address {
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), REQUEST, API_DEFAULT_VERSION),
        Address::Tcp { authority, tls: None } => {
            Docker::connect_with_http(&format!("tcp://{authority}"), REQUEST, API_DEFAULT_VERSION)
        }
        Address::Tcp { authority, tls: Some(tls) } => Docker::connect_with_ssl(
            &format!("tcp://{authority}"),
            &tls.key,
            &tls.cert,
            &tls.ca,
            REQUEST,
            API_DEFAULT_VERSION,
        ),
    };
    let docker = docker.map_err(|error| no_engine(&url, &origin).caused_by(&error))?;
    let docker = docker.negotiate_version().await.map_err(|error| {
        let what = no_engine(&url, &origin).caused_by(&error);
        what.hint("What listens there does not answer as a Docker engine: check `docker version`")
    })?;
    Ok(Engine { docker, endpoint: url, origin, address })
}

impl Engine {
    /// An error of the engine while `doing` something, such as "pulling node:22".
    pub fn failed(&self, doing: &str, error: &bollard::errors::Error) -> Error {
        let error = Error::new(Kind::Platform, format!("{doing} failed (engine {})", self.endpoint)).caused_by(error);
        let full = error.causes.iter().any(|cause| cause.contains("no space left on device"));
        if full {
            error.hint("The engine's disk is full: `docker system df` shows by what, `docker system prune` frees it")
        } else {
            error
        }
    }

    /// One request on a connection of its own, which may become something else than HTTP. The path has no version.
    pub(super) async fn raw(&self, mut request: Request<Body>) -> Result<Response<Incoming>> {
        let version = self.docker.client_version();
        let path = format!("/v{version}{}", request.uri());
        let what = || format!("the request {} to the engine {} failed", request_name(&path), self.endpoint);
        let stream = match timeout(ANSWER, dial(&self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&self.endpoint, &self.origin, &self.address, &error)),
            Err(_) => return Err(silent(&self.endpoint, &self.origin, ANSWER)),
        };
        let failed = |error: &dyn std::error::Error| Error::new(Kind::Platform, what()).cause(error);
        *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("docker"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(|error| Error::new(Kind::Platform, what()).caused_by(&error))
    }
}

fn request_name(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

async fn dial(address: &Address) -> io::Result<Box<dyn Io>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { authority, tls: None } => Ok(Box::new(tcp(authority).await?)),
        Address::Tcp { authority, tls: Some(tls) } => {
            let config = client_config(tls)?;
            let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
            let stream = tcp(authority).await?;
            let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
            Ok(Box::new(stream))
        }
    }
}

async fn tcp(authority: &str) -> io::Result<TcpStream> {
    let none = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", CONNECT.as_secs()));
    timeout(CONNECT, TcpStream::connect(authority)).await.unwrap_or_else(|_| Err(none()))
}

fn client_config(tls: &Tls) -> io::Result<ClientConfig> {
    fn read(path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
    fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
        CertificateDer::pem_slice_iter(&read(path)?).collect::<std::result::Result<_, _>>().map_err(io::Error::other)
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&tls.ca)?);
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?).map_err(io::Error::other)?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&tls.cert)?, key)
        .map_err(io::Error::other)
}

fn no_engine(url: &str, origin: &str) -> Error {
    Error::new(Kind::Preflight, format!("no Docker engine at {url} (from {origin})"))
}

fn silent(url: &str, origin: &str, within: Duration) -> Error {
    Error::new(Kind::Preflight, format!("the Docker engine at {url} (from {origin}) does not answer"))
        .cause(format!("it takes connections, and has not answered within {} s", within.as_secs()))
        .hint(
            "It may hang or still be starting, or its machine may be too busy: check `docker version`, then restart it",
        )
}

fn unreachable(url: &str, origin: &str, address: &Address, error: &io::Error) -> Error {
    let hint = match (address, error.kind()) {
        (Address::Tcp { tls: Some(tls), .. }, kind) if kind != io::ErrorKind::ConnectionRefused => format!(
            "TLS uses {}, {} and {}: check that they are there and belong to this engine",
            tls.ca.display(),
            tls.cert.display(),
            tls.key.display()
        ),
        (Address::Unix(_), io::ErrorKind::PermissionDenied) => {
            "Join the group docker (`sudo usermod -aG docker $USER`, then log in again), or run a rootless engine".to_owned()
        }
        (Address::Unix(_), io::ErrorKind::NotFound) => {
            "Install Docker and start it (`sudo systemctl start docker`), or name another engine with DOCKER_HOST or `docker context use`".to_owned()
        }
        (_, io::ErrorKind::ConnectionRefused) => {
            "Nothing listens there: start the engine (`sudo systemctl start docker`, or Docker Desktop)".to_owned()
        }
        _ => "Check the address: DOCKER_HOST, or `docker context ls`".to_owned(),
    };
    let cause = match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound if matches!(address, Address::Unix(_)) => "there is no such socket".to_owned(),
        _ => error.to_string(),
    };
    no_engine(url, origin).cause(cause).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(path: &Path) -> Endpoint {
        Endpoint {
            url: format!("unix://{}", path.display()),
            origin: "a test".into(),
            address: Address::Unix(path.to_owned()),
        }
    }

    async fn refusal(endpoint: Endpoint) -> Error {
        match connect_to(endpoint, None, ANSWER).await {
            Ok(_) => panic!("connected"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let missing = refusal(unix(&dir.path().join("none.sock"))).await;
        assert_eq!(missing.kind, Kind::Preflight);
        assert_eq!(missing.causes, ["there is no such socket"]);
        assert!(missing.hints[0].contains("Install Docker"));

        let dead = dir.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let refused = refusal(unix(&dead)).await;
        assert!(refused.hints[0].contains("Nothing listens"), "{refused:?}");

        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = unreachable("unix:///x", "a test", &Address::Unix("/x".into()), &error);
        assert!(denied.hints[0].contains("group docker"));

        let tls = Tls { ca: dir.path().join("ca.pem"), cert: "cert.pem".into(), key: "key.pem".into() };
        let address = Address::Tcp { authority: "127.0.0.1:1".into(), tls: Some(tls) };
        let untrusted = refusal(Endpoint { url: "tcp://127.0.0.1:1".into(), origin: "a test".into(), address }).await;
        assert!(untrusted.hints[0].contains("TLS uses"), "{untrusted:?}");
    }

    /// Takes connections on a socket, and answers each request so late.
    fn listening(path: &Path, after: Duration) {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(http1_server(stream, after));
            }
        });
    }

    async fn http1_server(stream: UnixStream, after: Duration) {
        let answer = hyper::service::service_fn(move |_| async move {
            tokio::time::sleep(after).await;
            let body = http_body_util::Full::new(Bytes::from_static(br#"{"ApiVersion": "1.41"}"#));
            Ok::<_, std::convert::Infallible>(Response::new(body))
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    #[tokio::test]
    async fn an_engine_that_is_busy_is_waited_for_and_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let (path, (events, mut said)) = (dir.path().join("busy.sock"), Events::channel());
        listening(&path, Duration::from_millis(2500));
        let engine = connect_to(unix(&path), Some(&events), Duration::from_secs(60)).await.unwrap();
        assert_eq!(engine.docker.client_version().minor_version, 41);
        let Some(crate::event::Event::Notice { message, .. }) = said.recv().await else { panic!("nothing said") };
        assert!(message.contains("busy.sock is slow to answer") && message.contains("60 s"), "{message}");
    }

    #[tokio::test]
    async fn an_engine_that_says_nothing_is_given_up_and_not_called_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mute.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let Err(mute) = connect_to(unix(&path), None, Duration::from_secs(1)).await else { panic!("connected") };
        assert!(mute.message.ends_with("(from a test) does not answer"), "{mute:?}");
        assert_eq!(mute.causes, ["it takes connections, and has not answered within 1 s"]);
    }
}
