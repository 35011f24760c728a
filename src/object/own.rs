//! What a cluster's provider puts into it by itself, as data.

use serde::Serialize;
use serde_json::Value;

use super::json;

/// What controllers of the provider make in a cluster, also long after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProviderObjects {
    /// API groups of which all objects are the provider's.
    pub groups: &'static [&'static str],
    /// API groups of which the definitions are, but not all objects.
    pub definitions: &'static [&'static str],
    /// Kind and name of cluster-wide objects.
    pub objects: &'static [(&'static str, &'static str)],
    /// What the names of further cluster-wide objects begin with.
    pub prefixes: &'static [&'static str],
}

impl ProviderObjects {
    pub const NONE: ProviderObjects = ProviderObjects { groups: &[], definitions: &[], objects: &[], prefixes: &[] };

    pub fn has(&self, object: &Value) -> bool {
        let (kind, name) = (json::kind(object), json::name(object));
        let defined = name.split_once('.').map(|(_, group)| group).filter(|_| kind == "CustomResourceDefinition");
        let defines = |groups: &[&str]| defined.is_some_and(|group| groups.contains(&group));
        let is_wide = json::namespace(object).is_none();
        self.groups.contains(&json::group(object))
            || defines(self.groups)
            || defines(self.definitions)
            || is_wide && self.objects.contains(&(kind, name))
            || is_wide && self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_provider_makes_is_told_from_what_people_make_with_its_kinds() {
        let own = ProviderObjects {
            groups: &["cloud.example"],
            definitions: &["pools.example"],
            objects: &[("Pool", "general")],
            prefixes: &["cloud:"],
        };
        let object = |api: &str, kind: &str, namespace: Option<&str>, name: &str| {
            let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            own.has(&object)
        };
        let definition = "apiextensions.k8s.io/v1";
        assert!(object("cloud.example/v1", "Binding", Some("team"), "any"));
        assert!(object(definition, "CustomResourceDefinition", None, "bindings.cloud.example"));
        assert!(object(definition, "CustomResourceDefinition", None, "pools.pools.example"));
        assert!(object("pools.example/v1", "Pool", None, "general"));
        assert!(!object("pools.example/v1", "Pool", None, "theirs"));
        assert!(object("rbac.authorization.k8s.io/v1", "ClusterRole", None, "cloud:nodes"));
        assert!(!object("v1", "ConfigMap", Some("team"), "cloud:nodes"));
        assert!(!object("v1", "Namespace", None, "team"));
    }
}
