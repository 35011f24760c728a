//! Clients of API servers.

use std::time::Duration;

use ::kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use hyper_timeout::TimeoutConnector;
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::{BoxError, ServiceExt};
use tower_http::trace::TraceLayer;

use super::{Dialer, HttpProxies};

/// Stops the loader from reading the environment: it knows neither loopback nor every form of NO_PROXY, and refuses the
/// whole kubeconfig for an entry that it cannot read.
const NOT_FROM_ENVIRONMENT: &str = "http://decided.invalid";

const CONNECT: Duration = Duration::from_secs(10);

/// What a kubeconfig says about its context (None: the current one), and the proxies on the way there.
pub async fn settings(
    mut kubeconfig: Kubeconfig,
    context: Option<&str>,
) -> Result<(Config, HttpProxies), KubeconfigError> {
    let chosen = context.or(kubeconfig.current_context.as_deref());
    let chosen = kubeconfig.contexts.iter().find(|known| Some(known.name.as_str()) == chosen);
    let cluster = chosen.and_then(|known| Some(known.context.as_ref()?.cluster.clone()));
    let mut own = None;
    for known in &mut kubeconfig.clusters {
        let Some(settings) = &mut known.cluster else { continue };
        let proxy = settings.proxy_url.replace(NOT_FROM_ENVIRONMENT.to_owned());
        if cluster.as_deref() == Some(known.name.as_str()) {
            own = proxy.filter(|proxy| !proxy.trim().is_empty());
        }
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    let proxies = own.as_deref().map_or_else(HttpProxies::of_environment, HttpProxies::of_kubeconfig);
    Ok((config, proxies))
}

/// kube's own stack of layers, but for the connections and without its retries.
pub fn client(config: &Config, proxies: HttpProxies) -> Result<Client, ::kube::Error> {
    // kube needs a process-wide provider; another part of the program may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dialer = Dialer::new(proxies, config.connect_timeout.unwrap_or(CONNECT));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(dialer)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    Ok(ClientBuilder::new(http.map_err(BoxError::from), config.default_namespace.clone())
        .with_layer(&TraceLayer::new_for_http())
        .with_layer(&config.extra_headers_layer()?)
        .with_layer(&tower::util::option_layer(config.auth_layer()?))
        .with_layer(&config.base_uri_layer())
        .build())
}
