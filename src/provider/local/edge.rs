//! The ports of a stack's edge, as this machine knows them.

use serde::Serialize;
use serde_json::Value;

use super::proxy::Port;
use crate::object::json;

/// The names of the ports that lead to the edge.
const PORTS: [&str; 2] = ["https", "http"];

/// Ports of 127.0.0.1 that were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub https: Option<u16>,
    pub http: Option<u16>,
}

/// The ports of a Service that is there. Empty: it has none on the nodes.
pub fn ports(service: &Value, asked: Asked) -> Vec<Port> {
    let port = |name: &str| {
        let port = json::list(service, "/spec/ports").iter().find(|port| port["name"] == name)?;
        let number = |field: &str| port[field].as_u64().and_then(|number| u16::try_from(number).ok());
        let asked = if name == "https" { asked.https } else { asked.http };
        Some(Port { inside: number("port")?, node_port: number("nodePort")?, asked })
    };
    PORTS.iter().filter_map(|name| port(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_found_by_name_once_the_cluster_has_chosen_them() {
        let mut service = json!({"spec": {"ports": [
            {"name": "http", "port": 8080, "nodePort": 30080},
            {"name": "metrics", "port": 9113, "nodePort": 30113},
            {"name": "https", "port": 8443, "nodePort": 30443}]}});
        let asked = Asked { https: Some(443), http: None };
        let found = ports(&service, asked);
        assert_eq!(found[0], Port { inside: 8443, node_port: 30443, asked: Some(443) });
        assert_eq!(found[1], Port { inside: 8080, node_port: 30080, asked: None });
        service["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
        assert_eq!(ports(&service, asked).len(), 1);
    }
}
