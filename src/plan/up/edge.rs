//! The way from this machine to a stack's edge on a local cluster: a proxy container for the ports of its Service.

use serde_json::Value;

use super::Options;
use crate::{
    object::json,
    plan::{Action, Graph, Node, observed::Observed},
    provider::local::proxy::Port,
    stack::{desired::DesiredSet, edge::MARK, model::SetKind},
};

/// The ports of the edge's Service, by name.
const PORTS: [&str; 2] = ["https", "http"];

/// Ports of 127.0.0.1 that were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub https: Option<u16>,
    pub http: Option<u16>,
}

/// Where the stack declares an edge that listens on the nodes: its set and its object.
pub fn declared(sets: &[DesiredSet]) -> Option<(usize, usize)> {
    sets.iter().enumerate().filter(|(_, set)| set.kind == SetKind::Stack).find_map(|(index, set)| {
        let is_edge = |value: &Value| {
            json::annotation(value, MARK).is_some() && json::text(value, "/spec/type") == Some("NodePort")
        };
        let object = set.objects.iter().position(|object| is_edge(&object.object.value))?;
        Some((index, object))
    })
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

/// Adds what makes the edge reachable, or takes away what is no longer wanted.
pub fn plan(graph: &mut Graph, options: &Options, observed: &Observed, sets: &[DesiredSet], cluster: Option<Node>) {
    if !observed.traits.has_proxy() {
        return;
    }
    let Some((set, object)) = declared(sets) else {
        if observed.proxy.container.as_ref().is_some_and(|container| container.foreign.is_none()) {
            graph.add("proxy:remove", &[], Action::RemoveProxy);
        }
        return;
    };
    let action = Action::Apply { set, object };
    let applied = graph.steps.iter().position(|step| step.action == action).map(Node);
    if applied.is_none() && cluster.is_none() {
        let key = sets[set].objects[object].object.key();
        let live = observed.live.as_ref().and_then(|live| live.live.objects.get(&key));
        let fits = live.is_some_and(|service| observed.proxy.needs(&ports(service, options.asked)).is_none());
        if fits {
            return;
        }
    }
    let image = graph.add("proxy:image", &[], Action::ProvideProxy);
    let needs: Vec<Node> = applied.or(cluster).into_iter().chain([image]).collect();
    graph.add("proxy", &needs, Action::StartProxy { set, object });
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
