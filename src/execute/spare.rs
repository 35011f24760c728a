//! What a removal spares: looked at again just before it would go.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    error::Result,
    kube::{
        Kube,
        delete::gone::foreign_finalizers,
        ownership::holds::{Kept, Why, holds_data, is_of},
    },
    object::json,
    stack::desired,
};

/// Of definitions or namespaces, those that may go now.
#[derive(Debug, Default)]
pub struct Spared {
    /// Namespaces that hold nothing: Kubernetes takes its time to end them, and nobody needs to wait for it.
    pub empty: Vec<Value>,
    pub go: Vec<Value>,
    pub kept: Vec<Kept>,
}

/// Looks at definitions for objects of others. `ids`: of the sets that go.
pub async fn definitions(kube: &Kube, definitions: Vec<Value>, ids: &[String], prune_data: bool) -> Result<Spared> {
    let mut spared = Spared::default();
    for definition in definitions {
        let held = match prune_data {
            true => None,
            false => Some(kube.held_by(&definition, &|object| is_of(object, ids)).await?),
        };
        match held.filter(|held| !held.is_empty()) {
            Some(held) => spared.kept.push(Kept { key: json::key(&definition), why: Why::Holds(held) }),
            None => spared.go.push(definition),
        }
    }
    Ok(spared)
}

/// Looks into namespaces.
pub async fn namespaces(kube: &Kube, namespaces: Vec<Value>, ids: &[String], prune_data: bool) -> Result<Spared> {
    let mut spared = Spared::default();
    for namespace in namespaces {
        let contents = kube.contents(json::name(&namespace), &|object| is_of(object, ids)).await?;
        if !prune_data && !contents.holding.is_empty() {
            spared.kept.push(Kept { key: json::key(&namespace), why: Why::Holds(contents.holding) });
        } else if contents.empty {
            spared.empty.push(namespace);
        } else {
            spared.go.push(namespace);
        }
    }
    Ok(spared)
}

/// The objects in the order in which they go: backwards through the waves in which they were applied. What a controller
/// has to let go of goes before the workloads, among which that controller may be.
pub fn backwards(objects: impl IntoIterator<Item = Value>) -> Vec<Vec<Value>> {
    let objects: Vec<Value> = objects.into_iter().collect();
    let wave = |object: &Value| desired::wave(json::kind(object), json::group(object));
    let workloads = desired::wave("Deployment", "apps");
    let has_workloads = objects.iter().any(|object| wave(object) == workloads);
    let mut waves: BTreeMap<u8, Vec<Value>> = BTreeMap::new();
    for object in objects {
        let wave = wave(&object);
        let is_held = foreign_finalizers(&object).any(|finalizer| !finalizer.starts_with("kubernetes.io/"));
        let early = has_workloads && is_held && !holds_data(&json::key(&object));
        let wave = if early { wave.max(workloads + 1) } else { wave };
        waves.entry(wave).or_default().push(object);
    }
    waves.into_values().rev().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_controller_has_to_let_go_of_goes_before_the_controller() {
        let object = |kind: &str, group: &str, finalizers: &[&str]| json!({"apiVersion": format!("{group}v1"), "kind": kind, "metadata": {"name": kind, "finalizers": finalizers}});
        let waves = backwards([
            object("ConfigMap", "", &["example.org/cleanup"]),
            object("ConfigMap", "", &[]),
            object("Deployment", "apps/", &[]),
            object("Widget", "x.io/", &[]),
            object("PersistentVolumeClaim", "", &["kubernetes.io/pvc-protection"]),
            object("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/", &[]),
        ]);
        let kinds: Vec<Vec<&str>> = waves.iter().map(|wave| wave.iter().map(json::kind).collect()).collect();
        assert_eq!(
            kinds,
            [
                vec!["ValidatingWebhookConfiguration"],
                vec!["ConfigMap", "Widget"],
                vec!["Deployment"],
                vec!["ConfigMap", "PersistentVolumeClaim"]
            ]
        );
        let alone = [object("ConfigMap", "", &["example.org/cleanup"]), object("ConfigMap", "", &[])];
        assert_eq!(backwards(alone).len(), 1, "nobody among them holds it");
    }
}
