//! Where the requests go: names resolved once, connections made one by one, TLS.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

use super::request::{self, Requests};
use crate::{
    error::{Context as _, Error, Kind, Result},
    load::{failure::Failure, spec::LoadSpec},
    tls,
};

/// For a name server to answer.
const RESOLVING: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Target {
    /// At least one.
    addresses: Vec<SocketAddr>,
    /// Connections begin with different addresses.
    spread: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A request that failed, and what was seen in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub Failure, pub String);

impl Target {
    /// Looks the name up, sends nothing. Requests that cannot be sent are an error before that.
    pub async fn resolve(spec: &LoadSpec) -> Result<Target> {
        Requests::new(spec)?;
        let base = request::base(&spec.base)?;
        let tls = match base.scheme() {
            "https" => Some((TlsConnector::from(Arc::new(tls_config(spec)?)), server_name(&base)?)),
            _ => None,
        };
        // Both addresses of this machine are one server's, and often only one of them is listened on.
        Ok(Target { addresses: addresses(&base).await?, spread: !is_localhost(&base), tls })
    }

    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(SocketAddr::ip).collect()
    }

    /// `seed`: which of several addresses is tried first.
    pub async fn connect(&self, seed: usize) -> std::result::Result<Stream, Broken> {
        let mut refused = Broken(Failure::Connect, String::new());
        for nth in 0..self.addresses.len() {
            let first = if self.spread { seed } else { 0 };
            let address = self.addresses[(first + nth) % self.addresses.len()];
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // It only costs time where it cannot be set.
                    let _ = stream.set_nodelay(true);
                    return self.secure(stream).await;
                }
                Err(error) => refused.1 = format!("{address}: {error}"),
            }
        }
        Err(refused)
    }

    async fn secure(&self, stream: TcpStream) -> std::result::Result<Stream, Broken> {
        let Some((connector, name)) = &self.tls else { return Ok(Stream::Plain(stream)) };
        match connector.connect(name.clone(), stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(Broken(Failure::Tls, error.to_string())),
        }
    }
}

async fn addresses(base: &Url) -> Result<Vec<SocketAddr>> {
    let port = base.port_or_known_default().unwrap_or(80);
    let name = match base.host() {
        Some(Host::Ipv4(address)) => return Ok(vec![(address, port).into()]),
        Some(Host::Ipv6(address)) => return Ok(vec![(address, port).into()]),
        Some(Host::Domain(name)) => name,
        None => return Err(Error::new(Kind::Usage, format!("{base} names no host"))),
    };
    if is_localhost(base) {
        // RFC 6761; a hosts file often has only one of them.
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    let unknown = || format!("the host {name} is not known");
    let found = tokio::time::timeout(RESOLVING, tokio::net::lookup_host((name, port)))
        .await
        .map_err(|_| Error::new(Kind::Preflight, unknown()).cause("no name server has answered in time"))?
        .context(Kind::Preflight, unknown)?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(Error::new(Kind::Preflight, unknown()).cause("it has no address")) } else { Ok(found) }
}

fn is_localhost(base: &Url) -> bool {
    matches!(base.host(), Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost"))
}

fn server_name(base: &Url) -> Result<ServerName<'static>> {
    let host = base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let wrong = format!("{host} is no name that TLS can check");
    ServerName::try_from(host).context(Kind::Usage, || wrong)
}

fn tls_config(spec: &LoadSpec) -> Result<ClientConfig> {
    let what = || "the CA bundle could not be read".to_owned();
    let roots = spec.ca_bundle.as_ref().map(|pem| tls::client::roots(pem.as_bytes(), Kind::Usage, what));
    let mut config = tls::client::config(roots.transpose()?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A connection. TLS is boxed: it is two kilobytes that plain connections need not pay for.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }

    /// Ready when all of it is with the kernel; `sent`: how much of it is, over several calls.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            let written = match self {
                Stream::Plain(stream) => Pin::new(stream).poll_write(cx, &bytes[*sent..]),
                Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, &bytes[*sent..]),
            };
            match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => *sent += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }
}
