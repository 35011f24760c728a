//! What only a cluster knows about a stack's objects, and which of them that concerns.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::{Key, Object, remove_namespace};
use crate::stack::{
    manifests,
    model::{Set, Stack},
};

/// Empty where there is no cluster to ask.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Group and kind of objects that live outside namespaces, as the API server serves them.
    pub cluster_scoped: BTreeSet<(String, String)>,
    /// Workloads that an autoscaler in the cluster scales.
    pub scaled: BTreeSet<Key>,
    /// Nodes pull the stack's images with a Secret.
    pub pull_secret: bool,
}

/// Groups of Kubernetes' own kinds. Others that end the same way, such as `gateway.networking.k8s.io`, are defined.
const OWN_GROUPS: [&str; 22] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

impl Facts {
    /// The object without a namespace where its kind has none, as the server keeps it.
    pub fn settle(&self, object: &mut Value) {
        let kind = (group(object).to_owned(), kind(object).to_owned());
        if self.cluster_scoped.contains(&kind) {
            remove_namespace(object);
        }
    }
}

/// Kinds, by group, of which neither Kubernetes' own list nor a definition in the stack tells whether they live in
/// namespaces. The stack takes them to.
pub fn unknown_kinds(stack: &Stack) -> BTreeSet<(String, String)> {
    let objects = || stack.sets.iter().flat_map(|set| &set.objects);
    let defined: BTreeSet<(&str, &str)> = objects().filter_map(|object| defined(&object.value)).collect();
    let kinds = objects().map(|object| (group(&object.value), kind(&object.value)));
    let unknown = kinds.filter(|(group, kind)| !OWN_GROUPS.contains(group) && !defined.contains(&(*group, *kind)));
    unknown.map(|(group, kind)| (group.to_owned(), kind.to_owned())).collect()
}

/// What one set defines, others use: their objects of kinds outside namespaces get none.
pub fn settle_across(sets: &mut [Set]) {
    let definitions: Vec<Value> = sets.iter().flat_map(|set| &set.objects).filter_map(definition).collect();
    if definitions.is_empty() {
        return;
    }
    for object in sets.iter_mut().flat_map(|set| &mut set.objects) {
        if manifests::is_cluster_scoped(group(&object.value), kind(&object.value), &definitions) {
            remove_namespace(&mut object.value);
        }
    }
}

fn definition(object: &Object) -> Option<Value> {
    defined(&object.value).map(|_| object.value.clone())
}

/// Group and kind that a CustomResourceDefinition defines.
fn defined(object: &Value) -> Option<(&str, &str)> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    (kind(object) == "CustomResourceDefinition").then_some(())?;
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

fn group(object: &Value) -> &str {
    object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stack::{desired::desired_in, testing::shop};

    const ISSUER: &str = "apiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: { name: a }\n---\napiVersion: cert-manager.io/v1\n\
         kind: ClusterIssuer\nmetadata: { name: b, namespace: elsewhere }\n---\napiVersion: v1\nkind: ConfigMap\n\
         metadata: { name: c }\n";

    #[test]
    fn a_kind_that_only_the_cluster_knows_gets_its_scope_from_there() {
        let stack = shop("name: shop\nmanifests: [a.yaml]\n", &[("a.yaml", ISSUER)]).stack();
        let kind = ("cert-manager.io".to_owned(), "ClusterIssuer".to_owned());
        assert_eq!(unknown_kinds(&stack), BTreeSet::from([kind.clone()]));
        let namespaces = |facts: &Facts| {
            let set = desired_in(&stack, &BTreeMap::new(), facts).remove(0);
            let keys = set.objects.iter().map(|object| object.object.key()).filter(|key| key.kind != "Namespace");
            keys.map(|key| key.namespace).collect::<Vec<_>>()
        };
        let shop = Some("shop".to_owned());
        assert_eq!(namespaces(&Facts::default()), [shop.clone(), shop.clone(), Some("elsewhere".to_owned())]);
        let facts = Facts { cluster_scoped: [kind].into(), ..Facts::default() };
        assert_eq!(namespaces(&facts), [shop, None, None]);
    }

    #[test]
    fn a_definition_in_the_stack_needs_no_cluster() {
        let definition = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: x }\n\
                          spec: { group: cert-manager.io, scope: Cluster, names: { kind: ClusterIssuer } }\n";
        let all = format!("{ISSUER}{definition}");
        let stack = shop("name: shop\nmanifests: [a.yaml]\n", &[("a.yaml", &all)]).stack();
        assert!(unknown_kinds(&stack).is_empty());
        let issuers = stack.sets[0].objects.iter().filter(|object| kind(&object.value) == "ClusterIssuer");
        assert!(issuers.map(Object::key).all(|key| key.namespace.is_none()));
    }
}
