//! The way to the edge in a plan.

use super::*;

/// A stack whose edge listens on the nodes, and its Service as it is in the cluster.
fn edge() -> (Stack, Key, serde_json::Value) {
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: front, annotations: { stackctl.io/edge: \"true\" } }\nspec:\n  type: NodePort\n  selector: { app: edge }\n  \
                   ports: [{ name: https, port: 8443 }, { name: http, port: 8080 }]\n";
    let stack = crate::stack::testing::shop("name: shop\nmanifests: [edge.yaml]\n", &[("edge.yaml", service)]).stack();
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let object = set.objects.iter().find(|object| object.object.key().kind == "Service").unwrap();
    let mut live = object.object.value.clone();
    live["spec"]["ports"][0]["nodePort"] = json!(30443);
    live["spec"]["ports"][1]["nodePort"] = json!(30080);
    (stack, object.object.key(), live)
}

/// What is planned for the proxy where all objects are as they should be.
fn proxy_steps(stack: &Stack, options: &Options, seen: &Observed) -> Vec<String> {
    let mut graph = Graph::default();
    edge::plan(&mut graph, options, &stack.name, seen, &desired::desired(stack, &BTreeMap::new()), None);
    graph.steps.iter().map(|step| step.id.to_string()).collect()
}

#[test]
fn an_edge_on_a_local_cluster_gets_a_proxy_once() {
    let (stack, key, service) = edge();
    let options = up();
    let first = observed(ClusterState::Absent, RegistryState::Absent, None);
    let planned = plan(&stack, &options, &first).unwrap();
    let at = |id: &str| planned.steps.iter().position(|step| &*step.id == id).unwrap();
    assert!(planned.steps[at("proxy")].needs.contains(&at("apply:Service/front")));
    let elsewhere =
        Observed { traits: existing::TRAITS, ..observed(ClusterState::Absent, RegistryState::Absent, None) };
    assert!(proxy_steps(&stack, &options, &elsewhere).is_empty(), "only where the nodes are here");

    let ports = provider::edge::ports(&service, Asked::default());
    let live = LiveState { live: Live { objects: [(key, service)].into() }, ..LiveState::default() };
    let nodes = vec!["stackctl-control-plane".to_owned()];
    let container = Container {
        name: "one-proxy-shop".to_owned(),
        running: true,
        config: config(&nodes, &ports),
        published: [(8443, 8443), (8080, 40001)].into(),
        foreign: None,
    };
    let running = observed(RUNNING, RegistryState::Running { port: 1 }, None);
    let proxy = ProxyState { nodes, container: Some(container) };
    let provider = Observation { proxy, ..running.provider };
    let mut seen = Observed { live: Some(live), provider, ..running };
    assert_eq!(proxy_steps(&stack, &options, &seen), Vec::<String>::new());
    let asked = Options { asked: Asked { https: Some(443), http: None }, ..options.clone() };
    assert_eq!(proxy_steps(&stack, &asked, &seen), ["proxy:image", "proxy"]);
    seen.provider.proxy.container.as_mut().unwrap().running = false;
    assert_eq!(proxy_steps(&stack, &options, &seen), ["proxy:image", "proxy"]);
    assert_eq!(proxy_steps(&self::stack(), &options, &seen), ["proxy:remove"]);
}
