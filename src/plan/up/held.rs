//! What only one object of a cluster can have at a time: an object that leaves the stack gives it up before the one that
//! needs it is applied.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use crate::object::{json, podspec};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    NodePort {
        port: i64,
        protocol: String,
    },
    /// Of every node on which its pods may run.
    HostPort {
        port: i64,
        protocol: String,
    },
    ClusterAddress(String),
    /// A path of a host that an ingress controller serves.
    Route {
        class: String,
        host: String,
        path: String,
    },
    DefaultPriority,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::NodePort { port, protocol } => write!(f, "node port {port}/{protocol}"),
            Held::HostPort { port, protocol } => write!(f, "host port {port}/{protocol}"),
            Held::ClusterAddress(address) => write!(f, "cluster IP {address}"),
            Held::Route { host, path, .. } => write!(f, "{host}{path}"),
            Held::DefaultPriority => f.write_str("the default priority"),
        }
    }
}

/// What the object has, or would have.
pub fn held(object: &Value) -> BTreeSet<Held> {
    match (json::group(object), json::kind(object)) {
        ("", "Service") => of_service(object),
        ("networking.k8s.io", "Ingress") => of_ingress(object),
        ("scheduling.k8s.io", "PriorityClass") if json::flag(object, "/globalDefault") => {
            [Held::DefaultPriority].into()
        }
        ("" | "apps", _) => podspec::spec(object).map(of_pods).unwrap_or_default(),
        _ => BTreeSet::new(),
    }
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

fn of_service(service: &Value) -> BTreeSet<Held> {
    let ports = json::list(service, "/spec/ports").iter();
    let mut held: BTreeSet<Held> = ports
        .filter_map(|port| Some(Held::NodePort { port: port["nodePort"].as_i64()?, protocol: protocol(port) }))
        .collect();
    let health = json::int(service, "/spec/healthCheckNodePort").filter(|port| *port != 0);
    held.extend(health.map(|port| Held::NodePort { port, protocol: "TCP".to_owned() }));
    let addresses = json::list(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
    let addresses = addresses.chain(json::text(service, "/spec/clusterIP"));
    let addresses = addresses.filter(|address| !matches!(*address, "" | "None"));
    held.extend(addresses.map(|address| Held::ClusterAddress(address.to_owned())));
    held
}

fn of_ingress(ingress: &Value) -> BTreeSet<Held> {
    let class = json::text(ingress, "/spec/ingressClassName");
    let class = class.or_else(|| json::annotation(ingress, "kubernetes.io/ingress.class")).unwrap_or_default();
    let routes = json::list(ingress, "/spec/rules").iter().flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or_default();
        let path = |path: &Value| path["path"].as_str().unwrap_or("/").to_owned();
        json::list(rule, "/http/paths").iter().map(move |at| Held::Route {
            class: class.to_owned(),
            host: host.to_owned(),
            path: path(at),
        })
    });
    routes.collect()
}

fn of_pods(spec: &Value) -> BTreeSet<Held> {
    let of_host = json::flag(spec, "/hostNetwork");
    let containers = ["/containers", "/initContainers"].into_iter().flat_map(|list| json::list(spec, list));
    let ports = containers.flat_map(|container| json::list(container, "/ports"));
    let held = ports.filter_map(|port| {
        let number = port["hostPort"].as_i64().filter(|port| *port != 0);
        let number = number.or_else(|| port["containerPort"].as_i64().filter(|_| of_host))?;
        Some(Held::HostPort { port: number, protocol: protocol(port) })
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(object: &Value) -> Vec<String> {
        held(object).iter().map(Held::to_string).collect()
    }

    #[test]
    fn a_service_has_its_node_ports_and_addresses() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [{"port": 80, "nodePort": 30777, "protocol": "TCP"}, {"port": 53, "nodePort": 30777, "protocol": "UDP"}]}});
        assert_eq!(words(&service), ["node port 30777/TCP", "node port 30777/UDP", "cluster IP 10.96.0.9"]);
        let bare =
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None", "ports": [{"port": 80}]}});
        assert!(held(&bare).is_empty());
    }

    #[test]
    fn pods_have_ports_of_their_nodes_and_ingresses_their_paths() {
        let pods =
            |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}});
        let port = json!([{"name": "c", "ports": [{"containerPort": 8080, "hostPort": 28080}]}]);
        assert_eq!(words(&pods(json!({"containers": port}))), ["host port 28080/TCP"]);
        let plain = json!([{"name": "c", "ports": [{"containerPort": 8080}]}]);
        assert_eq!(words(&pods(json!({"containers": plain, "hostNetwork": true}))), ["host port 8080/TCP"]);
        assert!(held(&pods(json!({"containers": plain}))).is_empty());
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {
            "rules": [{"host": "shop.example", "http": {"paths": [{"path": "/a"}, {"path": "/b"}]}}]}});
        assert_eq!(words(&ingress), ["shop.example/a", "shop.example/b"]);
    }
}
