//! A look at all objects of a namespace or of the cluster, by their metadata alone, and whose they are.

use std::{collections::BTreeMap, time::Duration};

use ::kube::api::ListParams;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::{
    kube::{IN_FLIGHT, Kube, MANAGER, PART_OF, discovery::Resolved, failure},
    object::json,
};

/// How long a kind that may be broken for good is asked for.
const BRIEFLY: Duration = Duration::from_secs(5);

/// What the cluster makes and renews by itself, and what lives outside of it.
const OF_THE_CLUSTER: &[(&str, &str)] = &[
    ("", "ComponentStatus"),
    ("", "Endpoints"),
    ("", "Event"),
    ("", "Node"),
    ("apps", "ControllerRevision"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("coordination.k8s.io", "Lease"),
    ("coordination.k8s.io", "LeaseCandidate"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("resource.k8s.io", "ResourceSlice"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// What a distribution or a mesh puts into every namespace.
const IN_EVERY_NAMESPACE: &[(&str, &str)] = &[
    ("ConfigMap", "istio-ca-root-cert"),
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ServiceAccount", "builder"),
    ("ServiceAccount", "default"),
    ("ServiceAccount", "deployer"),
];

#[derive(Debug, Default)]
pub struct Survey {
    /// Metadata, with `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// Kinds of which nobody knows, as `kubectl` names them, and why.
    pub unseen: BTreeMap<String, String>,
}

impl Kube {
    /// All that the cluster does not look after by itself, in the namespace or everywhere.
    pub(crate) async fn survey(&self, namespace: Option<&str>, selector: &str) -> Result<Survey> {
        let kinds = self.every_kind().await?;
        let kinds = kinds.into_iter().filter(|at| matters(at) && (namespace.is_none() || at.namespaced));
        let params = match selector {
            "" => ListParams::default(),
            selector => ListParams::default().labels(selector),
        };
        let deadline = Instant::now() + BRIEFLY;
        let lists = stream::iter(kinds).map(|at| {
            let params = &params;
            async move {
                let listed = self.list_metadata(&at, namespace, params, deadline).await;
                (at, listed)
            }
        });
        let mut found = Survey::default();
        for (at, listed) in lists.buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await {
            let resource = at.resource;
            match listed {
                Ok(objects) => found.objects.extend(objects),
                // A kind without objects of its own, such as a review.
                Err(::kube::Error::Api(status)) if status.code == 405 => {}
                Err(::kube::Error::Api(status)) if status.code != 401 => {
                    let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
                    found.unseen.insert(format!("{}{group}", resource.plural), status.message.clone());
                }
                Err(error) => {
                    let operation = format!("list {}", resource.plural);
                    return Err(failure::request_failed(&operation, &self.server, &error));
                }
            }
        }
        Ok(found)
    }
}

fn matters(at: &Resolved) -> bool {
    let (group, kind) = (at.resource.group.as_str(), at.resource.kind.as_str());
    // What is measured is stored nowhere.
    !group.ends_with("metrics.k8s.io") && !OF_THE_CLUSTER.contains(&(group, kind))
}

/// Whether it is somebody's own: not made by a controller for another object, and no namespace comes with it.
pub(crate) fn is_somebodys(object: &Value) -> bool {
    let owned = !json::list(object, "/metadata/ownerReferences").is_empty();
    let core = json::group(object).is_empty();
    let comes_along = core && IN_EVERY_NAMESPACE.contains(&(json::kind(object), json::name(object)));
    let token = core && json::annotation(object, "kubernetes.io/service-account.name") == Some("default");
    let election = json::annotation(object, "control-plane.alpha.kubernetes.io/leader").is_some();
    // A registration of the API server's own.
    let registered = json::label(object, "kube-aggregator.kubernetes.io/automanaged").is_some();
    let agent = json::label(object, "io.stackctl.agent").is_some();
    !(owned || comes_along || token || election || registered || agent)
}

/// Whether a controller made it for another object, whose labels it may bear, and takes it away with that one.
pub(crate) fn is_made_along(object: &Value) -> bool {
    let owned = !json::list(object, "/metadata/ownerReferences").is_empty();
    let endpoints = json::kind(object) == "Endpoints" && is_of_kubernetes(object);
    (owned || endpoints) && !writers(object).any(|writer| writer.starts_with(MANAGER))
}

/// The managers that wrote to the object proper.
fn writers(object: &Value) -> impl Iterator<Item = &str> {
    let entries = json::list(object, "/metadata/managedFields").iter();
    let proper = entries.filter(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty());
    proper.filter_map(|entry| entry["manager"].as_str())
}

/// Whether it bears the label of a set only because somebody copied it: nothing of stackctl has ever written to it.
pub fn is_copy(object: &Value) -> bool {
    json::label(object, PART_OF).is_some()
        && writers(object).next().is_some()
        && !writers(object).any(|writer| writer.starts_with(MANAGER))
}

/// Whether Kubernetes itself made it.
pub(crate) fn is_of_kubernetes(object: &Value) -> bool {
    // Nobody else's objects are written by the first of these; the controllers complete those of others.
    writers(object).any(|writer| matches!(writer, "kube-apiserver" | "kubeadm" | "kubelet"))
        || is_written_only_by(object, |writer| matches!(writer, "kube-controller-manager" | "kube-scheduler"))
}

/// Whether it is ours without being part of a set, such as what tells where the registry is.
pub(crate) fn is_of_stackctl(object: &Value) -> bool {
    json::label(object, PART_OF).is_none() && is_written_only_by(object, |writer| writer.starts_with(MANAGER))
}

fn is_written_only_by(object: &Value, is_one: impl Fn(&str) -> bool) -> bool {
    writers(object).next().is_some() && writers(object).all(is_one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_bears_a_label_of_ours_and_was_never_written_by_us_is_a_copy() {
        let labelled = |writers| {
            let mut object = written(writers);
            object["metadata"]["labels"][PART_OF] = "a".into();
            object
        };
        assert!(is_copy(&labelled(&[("kubectl-client-side-apply", "")])));
        assert!(!is_copy(&labelled(&[("kubectl-edit", ""), ("stackctl", "")])));
        assert!(!is_copy(&labelled(&[("stackctl-creation", "")])));
        assert!(!is_copy(&labelled(&[])), "nobody knows");
        assert!(!is_copy(&written(&[("kubectl", "")])));
    }

    fn written(writers: &[(&str, &str)]) -> Value {
        let entries: Vec<Value> = writers
            .iter()
            .map(
                |(manager, subresource)| json!({"manager": manager, "operation": "Update", "subresource": subresource}),
            )
            .collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "managedFields": entries}})
    }

    #[test]
    fn whose_an_object_is_shows_in_who_wrote_to_it() {
        assert!(is_of_kubernetes(&written(&[("kube-controller-manager", "")])));
        assert!(is_of_kubernetes(&written(&[("kubeadm", ""), ("kubectl-edit", "")])));
        assert!(!is_of_kubernetes(&written(&[("kubectl-create", ""), ("kube-controller-manager", "")])));
        assert!(!is_of_kubernetes(&written(&[("kubectl-create", ""), ("kubelet", "status")])));
        assert!(!is_of_kubernetes(&written(&[])));
        assert!(is_of_stackctl(&written(&[("stackctl", ""), ("stackctl-creation", "")])));
        assert!(!is_of_stackctl(&written(&[("stackctl", ""), ("helm", "")])));
    }

    #[test]
    fn what_comes_with_a_namespace_or_an_owner_is_nobodys_own() {
        let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        assert!(!is_somebodys(&named("ConfigMap", "kube-root-ca.crt")));
        assert!(!is_somebodys(&named("ServiceAccount", "default")));
        assert!(is_somebodys(&named("ServiceAccount", "robot")));
        let mut owned = named("Pod", "p");
        owned["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "r"}]);
        assert!(!is_somebodys(&owned) && is_made_along(&owned));
        owned["metadata"]["managedFields"] = json!([{"manager": "stackctl", "operation": "Apply"}]);
        assert!(!is_made_along(&owned), "its stack says whose it is");
    }
}
