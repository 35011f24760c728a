//! The one place that makes HTTP clients: whether a proxy lies between here and a server is decided here for all of them.
//!
//! The rule is that of kubectl and docker. A kubeconfig's `proxy-url` is always used. Else HTTPS_PROXY and HTTP_PROXY
//! count, but not for what NO_PROXY exempts, for loopback, and for the networks of the engines on this machine.
//! The engine itself, load and the forwards are never sent through a proxy, and so never come here.

pub mod api_server;
mod dial;
mod exempt;
mod proxies;
#[cfg(test)]
pub mod testing;

use std::time::Duration;

use hyper::body::{Body, Buf};
use hyper_rustls::HttpsConnector;
use hyper_util::{client::legacy, rt::TokioExecutor};
use rustls::ClientConfig;

pub use self::{
    dial::{Dialer, ProxyFailed},
    proxies::{HttpProxies, for_nodes},
};

pub type Connector = HttpsConnector<Dialer>;
pub type Client<B> = legacy::Client<Connector, B>;

/// HTTP/1.1, plain or over TLS.
fn connector(tls: ClientConfig, dialer: Dialer) -> Connector {
    hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(dialer)
}

/// For servers anywhere, through the environment's proxies where these apply.
pub fn outward<B: Body<Data: Buf + Send> + Send>(tls: ClientConfig, connect_within: Duration) -> Client<B> {
    let dialer = Dialer::new(HttpProxies::of_environment(), connect_within);
    legacy::Client::builder(TokioExecutor::new()).build(connector(tls, dialer))
}

/// For servers of this machine, or of the cluster when this runs in a pod. Each request is made once, on a connection of
/// its own.
pub fn near<B: Body<Data: Buf + Send> + Send>(tls: ClientConfig) -> Client<B> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .retry_canceled_requests(false)
        .build(connector(tls, Dialer::direct(None)))
}

/// As `near`, without TLS and with connections that are kept.
pub fn near_plain<B: Body<Data: Buf + Send> + Send>(connect_within: Duration) -> legacy::Client<Dialer, B> {
    legacy::Client::builder(TokioExecutor::new()).build(Dialer::direct(Some(connect_within)))
}

#[cfg(test)]
mod tests {
    use ::kube::config::Kubeconfig;

    use super::{testing::TestProxy, *};

    const WITHIN: Duration = Duration::from_secs(10);

    fn kubeconfig(proxy_url: &str) -> Kubeconfig {
        let text = format!(
            "current-context: a\nclusters:\n- name: c\n  cluster: {{server: 'http://cluster.example:8080', \
             proxy-url: '{proxy_url}'}}\n- name: other\n  cluster: {{server: 'http://b', proxy-url: 'http://never:1'}}\n\
             contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    async fn version(proxy_url: &str) -> Result<String, ::kube::Error> {
        let (config, proxies) = api_server::settings(kubeconfig(proxy_url), None).await.unwrap();
        let client = api_server::client(&config, proxies).unwrap();
        client.request_text(http::Request::get("/version").body(Vec::new()).unwrap()).await
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let mut words = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            words.push_str(&format!(": {error}"));
            next = error.source();
        }
        words
    }

    #[tokio::test]
    async fn an_api_server_is_reached_through_the_proxy_of_its_kubeconfig() {
        let proxy = TestProxy::start(Some(testing::server("{\"gitVersion\":\"v1\"}").await)).await;
        assert_eq!(version(&format!("http://{}", proxy.address)).await.unwrap(), "{\"gitVersion\":\"v1\"}");
        assert_eq!(proxy.asked(), ["cluster.example:8080"]);
    }

    #[tokio::test]
    async fn a_proxy_that_fails_is_named_and_not_the_server() {
        let refusing = TestProxy::start(None).await;
        let error = version(&format!("http://me:secret@{}", refusing.address)).await.unwrap_err();
        let words = chain(&error);
        let proxy = format!("the proxy http://{} (from proxy-url in the kubeconfig)", refusing.address);
        assert!(words.contains(&format!("{proxy} does not lead to cluster.example:8080: it refused")), "{words}");
        assert!(!words.contains("secret"), "{words}");

        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let words = chain(&version(&format!("http://{gone}")).await.unwrap_err());
        assert!(words.contains(&format!("http://{gone}")) && words.contains("onnection refused"), "{words}");
    }

    #[tokio::test]
    async fn what_is_near_is_reached_without_the_proxy() {
        let server = testing::server("{}").await;
        let proxies = HttpProxies::of_variables(|_| Some("http://127.0.0.1:1".to_owned()), Vec::new);
        let client: legacy::Client<_, http_body_util::Empty<bytes::Bytes>> =
            legacy::Client::builder(TokioExecutor::new()).build(Dialer::new(proxies, WITHIN));
        for host in [server.to_string(), format!("localhost:{}", server.port())] {
            assert_eq!(client.get(format!("http://{host}/").parse().unwrap()).await.unwrap().status(), 200);
        }
        let far = client.get("http://far.example/".parse().unwrap()).await.unwrap_err();
        assert!(chain(&far).contains("the proxy http://127.0.0.1:1 (from HTTP_PROXY)"), "{}", chain(&far));
    }
}
