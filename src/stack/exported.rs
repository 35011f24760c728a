//! Manifests that were exported from a cluster: what the API server and its controllers set is left out.

use crate::stack::located::{Content, Entry, Node};

/// Of `metadata`. An object's own version or uid would make each change of it a conflict.
const METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations by which `kubectl apply` and the controllers keep their own account of an object. Written by others they
/// are fought over, or mislead: a PersistentVolumeClaim that says it is bound is taken for lost.
const ANNOTATIONS: [&str; 11] = [
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
];

/// Takes the fields out and returns the paths of those that said something.
pub fn take(object: &mut Node) -> Vec<String> {
    let mut taken = Vec::new();
    let Content::Mapping(entries) = &mut object.content else { return taken };
    remove(entries, |key| key == "status", "", &mut taken);
    if let Some(metadata) = map(entries, "metadata") {
        remove(metadata, |key| METADATA.contains(&key), "metadata.", &mut taken);
        if let Some(annotations) = map(metadata, "annotations") {
            remove(annotations, |key| ANNOTATIONS.contains(&key), "metadata.annotations.", &mut taken);
        }
    }
    taken
}

fn map<'a>(entries: &'a mut [Entry], key: &str) -> Option<&'a mut Vec<Entry>> {
    match &mut entries.iter_mut().find(|entry| entry.key == key)?.value.content {
        Content::Mapping(entries) => Some(entries),
        _ => None,
    }
}

fn remove(entries: &mut Vec<Entry>, is: impl Fn(&str) -> bool, path: &str, taken: &mut Vec<String>) {
    entries.retain(|entry| {
        let gone = is(&entry.key);
        if gone && !is_empty(&entry.value) {
            taken.push(format!("{path}{}", entry.key));
        }
        !gone
    });
}

/// `creationTimestamp: null` and `status: {}` are what generators write for nothing.
fn is_empty(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { .. } => node.is_null(),
        Content::Sequence(items) => items.iter().all(is_empty),
        Content::Mapping(entries) => entries.iter().all(|entry| is_empty(&entry.value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::stack::testing::{object, shop};

    #[test]
    fn what_the_server_sets_is_left_out_with_a_note() {
        let text = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  uid: 11111111-2222-3333-4444-555555555555
  resourceVersion: \"4242\"
  generation: 3
  creationTimestamp: \"2025-01-01T00:00:00Z\"
  selfLink: /apis/apps/v1
  managedFields: [{manager: kubectl}]
  annotations: {team: a, deployment.kubernetes.io/revision: \"2\", kubectl.kubernetes.io/last-applied-configuration: x}
spec: {template: {metadata: {creationTimestamp: null}}}
status: {replicas: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: null}
status: {loadBalancer: {}}
";
        let stack = shop("name: shop\nmanifests: [a.yaml]\n", &[("a.yaml", text)]).stack();
        let web = object(&stack, "Deployment/web");
        assert_eq!(web.value["metadata"], json!({"name": "web", "namespace": "shop", "annotations": {"team": "a"}}));
        assert!(web.value.get("status").is_none() && object(&stack, "Service/web").value.get("status").is_none());
        assert_eq!(stack.notes.len(), 1, "{:?}", stack.notes);
        let (_, note) = stack.notes[0].split_once("manifests/shop/").unwrap();
        assert_eq!(
            note,
            "a.yaml:1:1: Deployment/web is applied without what Kubernetes sets itself: status, metadata.uid, \
             metadata.resourceVersion, metadata.generation, metadata.creationTimestamp, metadata.selfLink, \
             metadata.managedFields, metadata.annotations.deployment.kubernetes.io/revision, \
             metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"
        );
    }
}
