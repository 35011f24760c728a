//! The Service that has the cluster make a load balancer for the edge.

use serde_json::{Map, Value, json};

use super::{EdgeInput, MARK, nginx};
use crate::object::{Key, balancer::Balancer, json};

/// Of the Service.
pub const NAME: &str = "edge-public";

/// A load balancer and the ports at which it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balanced {
    pub balancer: Balancer,
    pub https: u16,
    pub http: u16,
}

/// It stands beside the Service `edge`, by which the edge is reached from within: that one stays the same everywhere.
pub fn service(input: &EdgeInput, balanced: &Balanced) -> Value {
    let mut annotations = Map::from_iter([(MARK.to_owned(), "public".into())]);
    annotations.extend(balanced.balancer.annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": input.namespace, "annotations": annotations},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": balanced.balancer.class,
            "selector": nginx::labels(),
            "ports": [
                {"name": "https", "port": balanced.https, "targetPort": "https"},
                {"name": "http", "port": balanced.http, "targetPort": "http"},
            ],
        },
    })
}

pub fn key(namespace: &str) -> Key {
    let namespace = Some(namespace.to_owned());
    Key { group: String::new(), kind: "Service".to_owned(), namespace, name: NAME.to_owned() }
}

/// Whether it is such a Service.
pub fn is_public(object: &Value) -> bool {
    json::kind(object) == "Service"
        && json::annotation(object, MARK) == Some("public")
        && json::text(object, "/spec/type") == Some("LoadBalancer")
}
