//! What tells other tools about the local registry.

use serde_json::{Value, json};

use super::{nodes, registry};

/// KEP-1755: tells other tools which registry the cluster has. Everybody on the host reaches it at this port of
/// 127.0.0.1, nodes by `registry.stackctl.internal`.
pub fn local_registry_hosting(cluster: &str, port: u16) -> Value {
    let own = format!("{}:{}", registry::name_for(cluster), registry::PORT);
    let hosting = format!(
        "host: \"127.0.0.1:{port}\"\nhostFromContainerRuntime: \"{}\"\nhostFromClusterNetwork: \"{own}\"\n\
         help: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n",
        nodes::REGISTRY_HOST
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "local-registry-hosting", "namespace": "kube-public" },
        "data": { "localRegistryHosting.v1": hosting },
    })
}
