//! Which proxy lies between here and a server, if one does.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::exempt::Exempt;

/// Names of proxies in the environment; `None` in `Choice::Environment` where a variable is not set.
type Setting = Option<Result<HttpProxy, Unusable>>;

/// What decides about the way to each server.
#[derive(Debug, Clone)]
pub struct HttpProxies(Choice);

#[derive(Debug, Clone)]
enum Choice {
    Direct,
    /// Whatever the server.
    Always(Result<HttpProxy, Unusable>),
    Environment(Arc<Environment>),
}

#[derive(Debug)]
struct Environment {
    http: Setting,
    https: Setting,
    exempt: Exempt,
    /// The networks of this machine's engines, as they are now.
    attached: fn() -> Vec<IpNet>,
}

/// A proxy, and what named it.
#[derive(Debug, Clone)]
pub struct HttpProxy {
    origin: &'static str,
    /// Shows no credentials when it is printed.
    intercept: Intercept,
}

/// A setting that names no proxy. Its value is not told, for it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(&'static str);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not name a proxy such as http://HOST:PORT (https:// and socks5:// are known too)", self.0)
    }
}

impl std::error::Error for Unusable {}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.intercept.uri();
        let authority = uri.authority().map(|it| it.as_str()).unwrap_or_default();
        write!(f, "{}://{authority} (from {})", uri.scheme_str().unwrap_or("http"), self.origin)
    }
}

impl HttpProxy {
    fn read(origin: &'static str, value: &str) -> Result<HttpProxy, Unusable> {
        let found = Matcher::builder().all(value.trim().to_owned()).build().intercept(&Uri::from_static("http://any/"));
        match found {
            Some(intercept)
                if matches!(intercept.uri().scheme_str(), Some("http" | "https" | "socks5" | "socks5h")) =>
            {
                Ok(HttpProxy { origin, intercept })
            }
            _ => Err(Unusable(origin)),
        }
    }

    pub(super) fn is_socks(&self) -> bool {
        self.intercept.uri().scheme_str().is_some_and(|scheme| scheme.starts_with("socks"))
    }

    /// Where it listens, as a URL that an HTTP connector takes.
    pub(super) fn address(&self) -> Uri {
        let uri = self.intercept.uri();
        if !self.is_socks() {
            return uri.clone();
        }
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(1080));
        format!("http://{host}:{port}/").parse().unwrap_or_else(|_| uri.clone())
    }

    pub(super) fn basic_auth(&self) -> Option<HeaderValue> {
        self.intercept.basic_auth().cloned()
    }

    pub(super) fn name_and_password(&self) -> Option<(String, String)> {
        self.intercept.raw_auth().map(|(name, password)| (name.to_owned(), password.to_owned()))
    }
}

impl HttpProxies {
    pub fn none() -> HttpProxies {
        HttpProxies(Choice::Direct)
    }

    /// A kubeconfig's `proxy-url`.
    pub fn of_kubeconfig(proxy_url: &str) -> HttpProxies {
        HttpProxies(Choice::Always(HttpProxy::read("proxy-url in the kubeconfig", proxy_url)))
    }

    /// As the variables of this process say.
    pub fn of_environment() -> HttpProxies {
        static OF_PROCESS: LazyLock<HttpProxies> =
            LazyLock::new(|| HttpProxies::of_variables(|name| std::env::var(name).ok(), bridges::networks));
        OF_PROCESS.clone()
    }

    pub(super) fn of_variables(variable: impl Fn(&str) -> Option<String>, attached: fn() -> Vec<IpNet>) -> HttpProxies {
        let setting = |upper| Some(HttpProxy::read(upper, &either_case(upper, &variable)?));
        let (http, https) = (setting("HTTP_PROXY"), setting("HTTPS_PROXY"));
        if http.is_none() && https.is_none() {
            return HttpProxies::none();
        }
        let exempt = Exempt::parse(&either_case("NO_PROXY", &variable).unwrap_or_default());
        HttpProxies(Choice::Environment(Arc::new(Environment { http, https, exempt, attached })))
    }

    /// The proxy on the way to that server; None: the way is direct.
    pub(super) fn between(&self, server: &Uri) -> Result<Option<HttpProxy>, Unusable> {
        let environment = match &self.0 {
            Choice::Direct => return Ok(None),
            Choice::Always(proxy) => return proxy.clone().map(Some),
            Choice::Environment(environment) => environment,
        };
        let secure = server.scheme_str() == Some("https");
        let Some(setting) = (if secure { &environment.https } else { &environment.http }) else { return Ok(None) };
        let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = server.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let near = is_loopback(host) || environment.exempt.covers(host, port) || {
            let address: Option<IpAddr> = host.parse().ok();
            address.is_some_and(|address| (environment.attached)().iter().any(|network| network.contains(&address)))
        };
        if near { Ok(None) } else { setting.clone().map(Some) }
    }
}

/// HTTPS_PROXY, or https_proxy where that is empty or not set.
fn either_case(upper: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    value(upper).or_else(|| value(&upper.to_lowercase()))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let name = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    name || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What a cluster's nodes are to be told about proxies, in place of this process's own variables.
#[derive(Debug, PartialEq, Eq)]
pub struct ForNodes {
    /// Variables, each with its value; None: not to be set.
    pub variables: Vec<(&'static str, Option<String>)>,
    /// A proxy on this machine's loopback, which from a node leads to the node itself.
    pub out_of_reach: Option<String>,
}

/// `near`: hosts that nodes must reach without a proxy. None: there is no proxy.
pub fn for_nodes(near: &[String], variable: impl Fn(&str) -> Option<String>) -> Option<ForNodes> {
    let set = ["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, either_case(name, &variable)));
    if set.iter().all(|(_, value)| value.is_none()) {
        return None;
    }
    let mut nodes = ForNodes { variables: Vec::new(), out_of_reach: None };
    for (name, value) in set {
        let proxy = value.as_ref().and_then(|value| HttpProxy::read(name, value).ok());
        let lost =
            proxy.filter(|proxy| proxy.address().host().is_some_and(|host| is_loopback(host.trim_matches(['[', ']']))));
        let value = value.filter(|_| lost.is_none());
        nodes.out_of_reach = nodes.out_of_reach.or(lost.map(|proxy| proxy.to_string()));
        nodes.variables.push((name, value));
    }
    let any = nodes.variables.iter().any(|(_, value)| value.is_some());
    let mut exempt: Vec<String> = either_case("NO_PROXY", &variable).into_iter().collect();
    exempt.extend(near.iter().cloned());
    nodes.variables.push(("NO_PROXY", any.then(|| exempt.join(","))));
    Some(nodes)
}

/// The networks behind this machine's bridges, which is what engines make for their containers.
mod bridges {
    use super::{IpNet, Ipv4Net, Ipv6Net};

    /// Linux; elsewhere an engine's networks cannot be reached from outside its virtual machine, and there are none.
    pub fn networks() -> Vec<IpNet> {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let is_bridge =
            |interface: &str| std::path::Path::new("/sys/class/net").join(interface).join("bridge").is_dir();
        let v4 = read("/proc/net/route");
        let v6 = read("/proc/net/ipv6_route");
        let v4 = v4.lines().filter_map(v4_route).map(|(interface, network)| (interface, IpNet::V4(network)));
        let v6 = v6.lines().filter_map(v6_route).map(|(interface, network)| (interface, IpNet::V6(network)));
        v4.chain(v6).filter(|(interface, _)| is_bridge(interface)).map(|(_, network)| network).collect()
    }

    /// `docker0 000011AC 00000000 0001 0 0 0 0000FFFF …`: interface, destination, gateway, …, mask, as the machine's words.
    pub fn v4_route(line: &str) -> Option<(&str, Ipv4Net)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let word = |nth: usize| Some(u32::from_str_radix(fields.get(nth)?, 16).ok()?.to_ne_bytes());
        let (destination, gateway, mask) = (word(1)?, word(2)?, word(7)?);
        let attached = gateway == [0; 4] && mask != [0; 4];
        let network = Ipv4Net::with_netmask(destination.into(), mask.into()).ok()?;
        attached.then_some((*fields.first()?, network))
    }

    /// Destination, its length, source, its length, next hop, …, interface.
    pub fn v6_route(line: &str) -> Option<(&str, Ipv6Net)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let destination = u128::from_str_radix(fields.first()?, 16).ok()?;
        let length = u8::from_str_radix(fields.get(1)?, 16).ok()?;
        let attached = u128::from_str_radix(fields.get(4)?, 16).ok()? == 0 && length > 0;
        let network = Ipv6Net::new(destination.into(), length).ok()?;
        attached.then_some((*fields.last()?, network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &'static [(&'static str, &'static str)]) -> HttpProxies {
        let value = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        HttpProxies::of_variables(value, || vec!["172.18.0.0/16".parse().unwrap()])
    }

    fn seen(proxies: &HttpProxies, server: &str) -> Option<String> {
        proxies.between(&server.parse().unwrap()).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_near_servers_have_none() {
        let both =
            of(&[("HTTPS_PROXY", "http://secure:1"), ("http_proxy", "plain:2"), ("NO_PROXY", "10.0.0.0/8,.corp")]);
        for (server, proxy) in [
            ("https://cluster.example:6443", Some("http://secure:1 (from HTTPS_PROXY)")),
            ("http://cluster.example", Some("http://plain:2 (from HTTP_PROXY)")),
            ("https://192.168.1.1", Some("http://secure:1 (from HTTPS_PROXY)")),
            ("https://127.0.0.1:6443", None),
            ("https://127.8.8.8:6443", None),
            ("https://[::1]:6443", None),
            ("https://localhost:8443", None),
            ("https://registry.localhost", None),
            ("https://172.18.0.2:6443", None),
            ("https://10.1.2.3", None),
            ("https://api.corp", None),
        ] {
            assert_eq!(seen(&both, server).as_deref(), proxy, "{server}");
        }
        assert_eq!(seen(&of(&[("HTTP_PROXY", "http://plain:2")]), "https://cluster.example"), None);
        assert_eq!(seen(&of(&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", "*")]), "https://cluster.example"), None);
        assert_eq!(seen(&of(&[("HTTPS_PROXY", " "), ("NO_PROXY", "a,,")]), "https://cluster.example"), None);
    }

    #[test]
    fn the_proxy_of_a_kubeconfig_counts_always() {
        let proxies = HttpProxies::of_kubeconfig("socks5://bastion");
        assert_eq!(
            seen(&proxies, "https://127.0.0.1:6443").unwrap(),
            "socks5://bastion (from proxy-url in the kubeconfig)"
        );
        let proxy = proxies.between(&"https://a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(proxy.address(), "http://bastion:1080/");
    }

    #[test]
    fn credentials_are_used_and_never_shown() {
        let proxies = of(&[("HTTPS_PROXY", "http://me:s%40cret@proxy:3128")]);
        let proxy = proxies.between(&"https://a.example".parse().unwrap()).unwrap().unwrap();
        assert_eq!(proxy.basic_auth().unwrap(), "Basic bWU6c0BjcmV0");
        assert!(!format!("{proxies:?} {proxy}").contains("cret"), "{proxies:?}");
    }

    #[test]
    fn what_names_no_proxy_is_an_error_where_it_would_be_used() {
        for value in ["ftp://proxy:21", "http://", "::", "http://pass word@x"] {
            let proxies = HttpProxies::of_kubeconfig(value);
            let error = proxies.between(&"https://a.example".parse().unwrap()).unwrap_err().to_string();
            assert!(
                error.starts_with("proxy-url in the kubeconfig does not name") && !error.contains("word"),
                "{error}"
            );
        }
        let broken = of(&[("HTTPS_PROXY", "ftp://proxy")]);
        assert_eq!(seen(&broken, "https://127.0.0.1:6443"), None);
    }

    #[test]
    fn nodes_are_told_of_proxies_that_they_can_reach() {
        let near = ["registry".to_owned()];
        let told = |variables: &[(&str, &str)]| {
            for_nodes(&near, |name| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned()))
        };
        assert_eq!(told(&[("NO_PROXY", "a")]), None);
        let far = told(&[("https_proxy", "http://proxy:3128"), ("NO_PROXY", "a,b")]).unwrap();
        assert_eq!(far.out_of_reach, None);
        assert_eq!(
            far.variables,
            [
                ("HTTP_PROXY", None),
                ("HTTPS_PROXY", Some("http://proxy:3128".to_owned())),
                ("NO_PROXY", Some("a,b,registry".to_owned()))
            ]
        );
        let near = told(&[("HTTP_PROXY", "http://127.0.0.1:3128"), ("HTTPS_PROXY", "localhost:3128")]).unwrap();
        assert!(near.variables.iter().all(|(_, value)| value.is_none()), "{near:?}");
        assert_eq!(near.out_of_reach.as_deref(), Some("http://127.0.0.1:3128 (from HTTP_PROXY)"));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn attached_networks_are_read_and_routes_through_gateways_are_not() {
        let route = bridges::v4_route("docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0");
        assert_eq!(route, Some(("docker0", "172.17.0.0/16".parse().unwrap())));
        for line in ["Iface Destination Gateway", "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0"] {
            assert_eq!(bridges::v4_route(line), None);
        }
        let zero = "0".repeat(32);
        let line =
            format!("fc00f853ccdde793{} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 br-1", "0".repeat(16));
        assert_eq!(bridges::v6_route(&line), Some(("br-1", "fc00:f853:ccdd:e793::/64".parse().unwrap())));
    }
}
