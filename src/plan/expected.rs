//! What a run may still bring about, beside what it declares: an operator makes a Secret that a custom resource names, a
//! Job one that its arguments name.

use serde_json::Value;

use super::up;
use crate::{
    kube::readiness::references::Reference,
    object::{json, podspec},
    stack::desired::DesiredSet,
};

/// Whether something in these sets may make what is not there.
pub fn may_come(sets: &[DesiredSet], wanted: &Reference) -> bool {
    let objects = || sets.iter().flat_map(|set| &set.objects).map(|object| &object.object.value);
    if wanted.kind == "Pod" {
        return objects().any(is_custom);
    }
    // An object that is declared comes; a key that it does not have does not.
    let declared = |set: &DesiredSet| {
        up::keys(set).any(|key| {
            key.kind == wanted.kind
                && key.name == wanted.name
                && (wanted.namespace.is_none() || key.namespace == wanted.namespace)
        })
    };
    (wanted.key.is_none() && sets.iter().any(declared)) || objects().any(|object| mentions(object, &wanted.name))
}

/// Whether its kind is neither Kubernetes' own nor in its table of kinds: what a controller makes of it is not known here.
fn is_custom(object: &Value) -> bool {
    let group = json::group(object);
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// A custom resource names it anywhere; anything else in what only programs read: arguments, environment, annotations,
/// scripts. Where a pod refers to it does not count.
fn mentions(object: &Value, name: &str) -> bool {
    if is_custom(object) {
        return anywhere(object, name);
    }
    let annotated = object.pointer("/metadata/annotations").is_some_and(|annotations| anywhere(annotations, name));
    let script = json::kind(object) == "ConfigMap" && object.get("data").is_some_and(|data| anywhere(data, name));
    // The annotations tell a controller to make the certificate.
    let issued = json::kind(object) == "Ingress"
        && object.pointer("/metadata/annotations").is_some()
        && json::list(object, "/spec/tls").iter().any(|tls| tls["secretName"] == name);
    annotated || script || issued || podspec::spec(object).is_some_and(|spec| in_programs(spec, name))
}

fn in_programs(spec: &Value, name: &str) -> bool {
    let lists = ["/initContainers", "/containers"];
    lists.into_iter().flat_map(|list| json::list(spec, list)).any(|container| {
        let said = ["command", "args"].iter().filter_map(|field| container.get(*field));
        let set = json::list(container, "/env").iter().filter_map(|variable| variable.get("value"));
        said.chain(set).any(|value| anywhere(value, name))
    })
}

fn anywhere(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => has_word(text, name),
        Value::Array(items) => items.iter().any(|item| anywhere(item, name)),
        Value::Object(fields) => fields.values().any(|field| anywhere(field, name)),
        _ => false,
    }
}

/// `tls` is in `--secret=tls` and in `ns/tls`, but not in `web-tls`.
fn has_word(text: &str, word: &str) -> bool {
    let of_name = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '.';
    let alone = |at: usize| {
        !text[..at].chars().next_back().is_some_and(of_name)
            && !text[at + word.len()..].chars().next().is_some_and(of_name)
    };
    !word.is_empty() && text.match_indices(word).any(|(at, _)| alone(at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_mentioned_as_a_word() {
        assert!(has_word("--secret-name=web-tls", "web-tls") && has_word("n/web-tls", "web-tls"));
        assert!(!has_word("my-web-tls", "web-tls") && !has_word("web-tls-2", "web-tls") && !has_word("x", ""));
    }

    #[test]
    fn operators_and_jobs_may_make_what_pods_refer_to() {
        let workload = |kind: &str, api: &str, container: Value| {
            json!({"apiVersion": api, "kind": kind, "metadata": {"name": "web-tls", "labels": {"app": "web-tls"}},
                "spec": {"template": {"spec": {"containers": [container], "volumes": [{"secret": {"secretName": "web-tls"}}]}}}})
        };
        assert!(
            !mentions(&workload("Deployment", "apps/v1", json!({"image": "web-tls"})), "web-tls"),
            "it only needs it"
        );
        assert!(mentions(
            &workload("Job", "batch/v1", json!({"args": ["create", "--secret-name=web-tls"]})),
            "web-tls"
        ));
        let issued =
            json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "spec": {"secretName": "web-tls"}});
        assert!(mentions(&issued, "web-tls"));
        let sealed =
            json!({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "web-tls"}});
        assert!(mentions(&sealed, "web-tls"));
        let mut ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {}, "spec": {"tls": [{"secretName": "web-tls"}]}});
        assert!(!mentions(&ingress, "web-tls"));
        ingress["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": "ca"});
        assert!(mentions(&ingress, "web-tls"));
        let serving = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"annotations": {"serving-cert-secret-name": "web-tls"}}});
        assert!(mentions(&serving, "web-tls"));
    }
}
