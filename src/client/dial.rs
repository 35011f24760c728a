//! Makes connections: straight to a server, or through the proxy on the way there.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        proxy::{SocksV5, Tunnel},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::Service;

use super::proxies::{HttpProxies, HttpProxy};
use crate::tls;

type BoxError = Box<dyn StdError + Send + Sync>;
type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

#[derive(Debug, Clone)]
pub struct Dialer {
    http: HttpConnector,
    proxies: HttpProxies,
    /// For a proxy to have connected.
    within: Duration,
}

/// No connection through a proxy. Whole in itself: what is below it is not the server's answer but the proxy's.
#[derive(Debug)]
pub struct ProxyFailed {
    /// `http://proxy:3128 (from HTTPS_PROXY)`
    pub proxy: String,
    server: String,
    pub why: String,
}

impl fmt::Display for ProxyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} does not lead to {}: {}", self.proxy, self.server, self.why)
    }
}

impl StdError for ProxyFailed {}

impl Dialer {
    pub fn new(proxies: HttpProxies, within: Duration) -> Dialer {
        Dialer { proxies, within, ..Dialer::direct(Some(within)) }
    }

    /// Never through a proxy.
    pub fn direct(within: Option<Duration>) -> Dialer {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(within);
        Dialer { http, proxies: HttpProxies::none(), within: within.unwrap_or_default() }
    }
}

impl Service<Uri> for Dialer {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let proxy = match self.proxies.between(&server) {
            Ok(proxy) => proxy,
            Err(unusable) => return Box::pin(async move { Err(unusable.into()) }),
        };
        let Some(proxy) = proxy else {
            let connecting = self.http.call(server);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        };
        let (http, within) = (self.http.clone(), self.within);
        Box::pin(async move {
            let server = with_port(&server);
            let failed = |why: String| {
                let server = server.authority().map(ToString::to_string).unwrap_or_default();
                Box::new(ProxyFailed { proxy: proxy.to_string(), server, why })
            };
            match tokio::time::timeout(within, through(&proxy, http, server.clone())).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(failed(words(error.as_ref())).into()),
                Err(_) => Err(failed(format!("no connection within {} s", within.as_secs())).into()),
            }
        })
    }
}

async fn through(proxy: &HttpProxy, http: HttpConnector, server: Uri) -> Result<Connection, BoxError> {
    // A proxy that is itself reached over TLS is known to the system, not to the cluster or the stack.
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::client::config(None).map_err(|error| error.to_string())?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    if proxy.is_socks() {
        let mut socks = SocksV5::new(proxy.address(), connector);
        if let Some((name, password)) = proxy.name_and_password() {
            socks = socks.with_auth(name, password);
        }
        return Ok(socks.call(server).await?);
    }
    let mut tunnel = Tunnel::new(proxy.address(), connector);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization);
    }
    Ok(tunnel.call(server).await?)
}

/// A proxy must be told the port.
fn with_port(server: &Uri) -> Uri {
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let authority = format!("{}:{port}", server.host().unwrap_or_default());
    let scheme = server.scheme_str().unwrap_or("https");
    let whole = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    whole.unwrap_or_else(|_| server.clone())
}

/// What a tunnel's error means; the library's own words name neither side.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    match root.to_string().as_str() {
        "tunnel error: unsuccessful" => "it refused to connect there, or could not".to_owned(),
        "tunnel error: proxy authorization required" => "it asks for a name and a password (407)".to_owned(),
        "tunnel error: unexpected end of file" => "it closed the connection without an answer".to_owned(),
        other => other.to_owned(),
    }
}
