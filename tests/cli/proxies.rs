//! The proxies of the environment and of kubeconfigs: what goes through them, and what does not.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use crate::{Home, platform::kubeconfig};

/// Notes what it is asked for and refuses it.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&proxy.asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut caller = BufReader::new(caller.unwrap());
                let head: Vec<String> =
                    caller.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                asked.lock().unwrap().extend(head.into_iter().next());
                let _ = caller.get_mut().write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
            }
        });
        proxy
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.dedup();
        asked
    }
}

fn up(home: &Home, variables: &[(&str, &str)]) -> String {
    home.write("small/stack.yaml", "name: small\nmanifests: [all.yaml]\n");
    home.write("small/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n");
    let mut command = home.command(&["up", "./small", "--context", "there", "--yes"]);
    home.show(command.envs(variables.iter().copied()))
}

const FAR: &str = "https://cluster.invalid:6443";

#[test]
fn a_cluster_elsewhere_is_reached_through_the_proxy() {
    let (home, proxy) = (Home::new(), Proxy::start());
    home.write(".kube/config", &kubeconfig(FAR));
    let said = up(&home, &[("HTTPS_PROXY", &proxy.url()), ("NO_PROXY", "localhost,,10.0.0.0/8,")]);
    assert_eq!(proxy.asked(), ["CONNECT cluster.invalid:6443 HTTP/1.1"], "{said}");
    assert!(said.starts_with("exit 4\n") && said.contains(&format!("{} (from HTTPS_PROXY)", proxy.url())), "{said}");
}

#[test]
fn what_no_proxy_names_is_reached_without() {
    let (home, proxy) = (Home::new(), Proxy::start());
    home.write(".kube/config", &kubeconfig(FAR));
    let said = up(&home, &[("https_proxy", &proxy.url()), ("no_proxy", "cluster.invalid:6443")]);
    assert!(proxy.asked().is_empty() && said.starts_with("exit 4\n"), "{said}");
    // TEST-NET-1 belongs to nobody.
    home.write(".kube/config", &kubeconfig("https://192.0.2.7:6443"));
    let said = up(&home, &[("HTTPS_PROXY", &proxy.url()), ("NO_PROXY", "192.0.2.0/24")]);
    assert!(proxy.asked().is_empty() && said.starts_with("exit 4\n"), "{said}");
}

#[test]
fn a_cluster_on_this_machine_needs_no_proxy_that_the_environment_names() {
    let (home, proxy) = (Home::new(), Proxy::start());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.write(".kube/config", &kubeconfig(&format!("https://127.0.0.1:{port}")));
    for unreadable in ["ftp://no.proxy", "http://pass word@proxy"] {
        let said = up(&home, &[("HTTPS_PROXY", unreadable), ("HTTP_PROXY", &proxy.url()), ("NO_PROXY", ",,[")]);
        assert!(proxy.asked().is_empty() && said.starts_with("exit 4\n"), "{said}");
        assert!(said.contains(&port.to_string()) && !said.contains("_PROXY"), "{said}");
    }
}

#[test]
fn the_proxy_of_the_kubeconfig_wins() {
    let (home, proxy) = (Home::new(), Proxy::start());
    let text =
        kubeconfig(FAR).replace("cluster: { server:", &format!("cluster: {{ proxy-url: '{}', server:", proxy.url()));
    home.write(".kube/config", &text);
    let said = up(&home, &[("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]);
    assert_eq!(proxy.asked(), ["CONNECT cluster.invalid:6443 HTTP/1.1"], "{said}");
    assert!(said.contains("proxy-url in the kubeconfig"), "{said}");
}

#[test]
fn a_variable_that_names_no_proxy_is_said_where_one_is_needed() {
    let home = Home::new();
    home.write(".kube/config", &kubeconfig(FAR));
    let said = up(&home, &[("HTTPS_PROXY", "ftp://me:secret@proxy:21")]);
    assert!(said.starts_with("exit 4\n") && said.contains("HTTPS_PROXY does not name a proxy"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
