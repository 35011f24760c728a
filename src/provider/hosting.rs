//! KEP-1755: how a cluster tells other tools which registry it has.

use serde_json::{Value, json};

use super::REGISTRY_HOST;
use crate::object::{Key, json};

const NAMESPACE: &str = "kube-public";
const NAME: &str = "local-registry-hosting";

pub fn key() -> Key {
    Key {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        name: NAME.to_owned(),
    }
}

/// Everybody on the host reaches the registry at this port of 127.0.0.1, nodes by `registry.stackctl.internal`. `own`: its
/// host and port among the nodes.
pub fn object(own: &str, port: u16) -> Value {
    let hosting = format!(
        "host: \"127.0.0.1:{port}\"\nhostFromContainerRuntime: \"{REGISTRY_HOST}\"\nhostFromClusterNetwork: \"{own}\"\n\
         help: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n",
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "data": { "localRegistryHosting.v1": hosting },
    })
}

/// The port that such an object names.
pub fn port(object: &Value) -> Option<u16> {
    let text = json::text(object, "/data/localRegistryHosting.v1")?;
    text.lines().next()?.trim_end_matches('"').rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosting_of_the_registry_is_yaml_inside_an_object() {
        let object = object("one-registry:5000", 41000);
        let text = object.pointer("/data/localRegistryHosting.v1").and_then(Value::as_str).unwrap();
        let hosting: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(hosting["host"], serde_yaml::Value::from("127.0.0.1:41000"));
        assert_eq!(hosting["hostFromContainerRuntime"], serde_yaml::Value::from(REGISTRY_HOST));
        assert_eq!(port(&object), Some(41000));
        assert_eq!(crate::object::Object { value: object, origin: Default::default() }.key(), key());
    }
}
