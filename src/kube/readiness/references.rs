//! What a workload or another object names and cannot do without: read from its own fields, then held against what is
//! there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Failure, Surroundings, volume, workload};
use crate::{
    error::cause::What,
    object::{json, podspec},
};

/// What somebody else in the cluster may still make of its own accord, such as copies of a Secret in each namespace, is
/// there by then.
const LATE: u64 = 10;
/// The cluster itself makes it in every namespace.
const ROOT_CA: &str = "kube-root-ca.crt";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub group: String,
    pub kind: String,
    /// None for kinds that are in no namespace.
    pub namespace: Option<String>,
    pub name: String,
    /// The key of a ConfigMap or Secret that is needed.
    pub key: Option<String>,
    /// A pod starts without it: it helps to pull images.
    pub to_pull: bool,
}

/// What was found where a reference points to.
#[derive(Debug, Clone)]
pub struct Looked {
    pub reference: Reference,
    pub found: Option<Value>,
    /// Something in the run may make it, or put the key in.
    pub may_come: bool,
}

impl Reference {
    pub fn new(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> Reference {
        Reference {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            key: None,
            to_pull: false,
        }
    }

    fn object(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

impl Looked {
    /// What is not there.
    pub fn missing(&self) -> Option<String> {
        let object = self.reference.object();
        let Some(found) = &self.found else { return Some(object) };
        let key = self.reference.key.as_deref()?;
        let has = |field: &str| found.get(field).and_then(|data| data.get(key)).is_some();
        (!has("data") && !has("binaryData")).then(|| format!("key {key} of {object}"))
    }
}

/// What holds the object up, whether or not it may still come.
pub(super) fn lacking(around: &Surroundings) -> impl Iterator<Item = (&Looked, String)> {
    let needed = around.references.iter().filter(|looked| !looked.reference.to_pull);
    needed.filter_map(|looked| Some((looked, looked.missing()?)))
}

/// What will never be there, and PersistentVolumeClaims that will never be bound; once there was time for somebody else to make it.
pub(super) fn trouble(around: &Surroundings) -> Option<Failure> {
    if around.hurried || around.has_waited(LATE) { never(around) } else { None }
}

/// The same without giving it time.
pub(super) fn never(around: &Surroundings) -> Option<Failure> {
    let missing = lacking(around).filter(|(looked, _)| !looked.may_come).map(|(looked, what)| {
        let found = looked.found.as_ref();
        let keys = found.and_then(|found| found.get("data")?.as_object()).into_iter().flat_map(|data| data.keys());
        let keys: Vec<&str> = keys.map(String::as_str).take(20).collect();
        let failure = Failure::of(What::Missing(what)).hint(advice(&looked.reference));
        match found {
            Some(_) if keys.is_empty() => failure.detail(format!("{} has no keys", looked.reference.object())),
            Some(_) => failure.detail(format!("{} has the keys {}", looked.reference.object(), keys.join(", "))),
            None => failure,
        }
    });
    let claims = around.references.iter().filter(|looked| looked.reference.kind == "PersistentVolumeClaim");
    let unbound = claims.filter_map(|looked| volume::trouble(looked.found.as_ref()?, around));
    missing.chain(unbound).reduce(Failure::and)
}

fn advice(reference: &Reference) -> String {
    let place = reference.namespace.as_deref().map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
    match (reference.kind.as_str(), &reference.key) {
        (_, Some(key)) => format!("add {key} to {}{place}, or correct the key", reference.object()),
        _ => format!("declare {} in the stack, make it{place}, or correct the name", reference.object()),
    }
}

/// Of the pods that have not started; of the template where there are no pods.
pub fn of_object(object: &Value, around: &Surroundings) -> BTreeSet<Reference> {
    let namespace = json::namespace(object);
    let mut found = BTreeSet::new();
    match json::kind(object) {
        "PersistentVolumeClaim" => {}
        "Ingress" => {
            let class = json::text(object, "/spec/ingressClassName");
            found.extend(class.map(|class| Reference::new("networking.k8s.io", "IngressClass", None, class)));
        }
        "HorizontalPodAutoscaler" => {
            let target = |field: &str| json::text(object, &format!("/spec/scaleTargetRef/{field}"));
            if let (Some(kind), Some(name)) = (target("kind"), target("name")) {
                let group = target("apiVersion").and_then(|version| version.split_once('/')).map_or("", |(it, _)| it);
                found.insert(Reference::new(group, kind, namespace, name));
            }
        }
        "APIService" => {
            let service = |field: &str| json::text(object, &format!("/spec/service/{field}"));
            if let (Some(namespace), Some(name)) = (service("namespace"), service("name")) {
                found.insert(Reference::new("", "Service", Some(namespace), name));
            }
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            let services = super::service::webhook_services(object);
            found.extend(services.map(|(namespace, name)| Reference::new("", "Service", Some(namespace), name)));
        }
        _ => {
            let pods = workload::newest(object, around);
            for pod in pods.iter().filter(|pod| is_starting(pod)) {
                if let Some(spec) = pod.get("spec") {
                    of_spec(spec, namespace, &mut found);
                }
            }
            if pods.is_empty()
                && let Some(spec) = podspec::spec(object)
            {
                of_spec(spec, namespace, &mut found);
                for template in json::list(object, "/spec/volumeClaimTemplates") {
                    class(template.get("spec"), &mut found);
                }
            }
        }
    }
    found
}

/// None of its containers has run, or one of them cannot be made.
fn is_starting(pod: &Value) -> bool {
    let mut statuses =
        json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    let unmade = |status: &Value| json::text(status, "/state/waiting/reason") == Some("CreateContainerConfigError");
    let has_run =
        |status: &Value| status.pointer("/state/waiting").is_none() || !status["lastState"]["terminated"].is_null();
    statuses.clone().any(unmade) || json::text(pod, "/status/phase") == Some("Pending") && !statuses.any(has_run)
}

fn class(claim: Option<&Value>, found: &mut BTreeSet<Reference>) {
    let name = claim.and_then(|claim| json::text(claim, "/storageClassName")).filter(|name| !name.is_empty());
    found.extend(name.map(|name| Reference::new("storage.k8s.io", "StorageClass", None, name)));
}

fn of_spec(spec: &Value, namespace: Option<&str>, found: &mut BTreeSet<Reference>) {
    let mut add = |kind: &str, source: Option<&Value>, field: &str, keys: Vec<&str>| {
        let Some(source) = source.filter(|source| !json::flag(source, "/optional")) else { return };
        let Some(name) = source.get(field).and_then(Value::as_str).filter(|name| *name != ROOT_CA) else { return };
        let reference = Reference::new("", kind, namespace, name);
        let keyed = keys.iter().map(|key| Reference { key: Some((*key).to_owned()), ..reference.clone() });
        found.extend(keyed);
        if keys.is_empty() {
            found.insert(reference);
        }
    };
    let items = |source: Option<&'_ Value>| -> Vec<String> {
        let items = source.map(|source| json::list(source, "/items")).unwrap_or_default();
        items.iter().filter_map(|item| Some(item["key"].as_str()?.to_owned())).collect()
    };
    let mut sources: Vec<(&str, Option<&Value>, &str)> = Vec::new();
    for volume in json::list(spec, "/volumes") {
        sources.push(("ConfigMap", volume.get("configMap"), "name"));
        sources.push(("Secret", volume.get("secret"), "secretName"));
        for source in json::list(volume, "/projected/sources") {
            sources.push(("ConfigMap", source.get("configMap"), "name"));
            sources.push(("Secret", source.get("secret"), "name"));
        }
        add("PersistentVolumeClaim", volume.get("persistentVolumeClaim"), "claimName", Vec::new());
        add("Secret", volume.pointer("/csi/nodePublishSecretRef"), "name", Vec::new());
    }
    for (kind, source, field) in sources {
        let keys = items(source);
        add(kind, source, field, keys.iter().map(String::as_str).collect());
    }
    let containers =
        ["initContainers", "containers"].into_iter().flat_map(|list| json::list(spec, &format!("/{list}")));
    for container in containers {
        for source in json::list(container, "/envFrom") {
            add("ConfigMap", source.get("configMapRef"), "name", Vec::new());
            add("Secret", source.get("secretRef"), "name", Vec::new());
        }
        for variable in json::list(container, "/env") {
            for (kind, field) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
                let source = variable.get("valueFrom").and_then(|from| from.get(field));
                let key = source.and_then(|source| source["key"].as_str());
                add(kind, source, "name", key.into_iter().collect());
            }
        }
    }
    for secret in json::list(spec, "/imagePullSecrets") {
        let name = secret["name"].as_str();
        let reference = name.map(|name| Reference::new("", "Secret", namespace, name));
        found.extend(reference.map(|reference| Reference { to_pull: true, ..reference }));
    }
    for volume in json::list(spec, "/volumes") {
        class(volume.pointer("/ephemeral/volumeClaimTemplate/spec"), found);
    }
    let mut named = |group: &str, kind: &str, namespace: Option<&str>, field: &str| {
        let name = spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
        found.extend(name.map(|name| Reference::new(group, kind, namespace, name)));
    };
    named("", "ServiceAccount", namespace, "serviceAccountName");
    named("scheduling.k8s.io", "PriorityClass", None, "priorityClassName");
    named("node.k8s.io", "RuntimeClass", None, "runtimeClassName");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(spec: Value) -> Vec<String> {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "n"},
            "spec": {"template": {"spec": spec}}});
        let all = of_object(&object, &Surroundings::default());
        let text = |it: &Reference| {
            let key = it.key.as_deref().map_or(String::new(), |key| format!("[{key}]"));
            format!("{} {}{key}{}", it.kind, it.name, if it.to_pull { " to pull" } else { "" })
        };
        all.iter().map(text).collect()
    }

    #[test]
    fn what_pods_cannot_start_without() {
        let spec = json!({
            "volumes": [{"configMap": {"name": "a"}}, {"secret": {"secretName": "b", "items": [{"key": "x"}, {"key": "y"}]}},
                {"secret": {"secretName": "may-lack", "optional": true}}, {"persistentVolumeClaim": {"claimName": "data"}},
                {"projected": {"sources": [{"configMap": {"name": "c"}}, {"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "d", "items": [{"key": "z"}]}}]}},
                {"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "fast"}}}}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "e"}}, {"secretRef": {"name": "f", "optional": true}}]}],
            "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "g", "key": "k"}}}, {"value": "plain"}]}],
            "imagePullSecrets": [{"name": "login"}], "serviceAccountName": "robot", "priorityClassName": "high", "runtimeClassName": "gvisor",
        });
        assert_eq!(
            named(spec),
            [
                "ConfigMap a",
                "ConfigMap c",
                "ConfigMap e",
                "PersistentVolumeClaim data",
                "Secret b[x]",
                "Secret b[y]",
                "Secret d[z]",
                "Secret g[k]",
                "Secret login to pull",
                "ServiceAccount robot",
                "RuntimeClass gvisor",
                "PriorityClass high",
                "StorageClass fast",
            ]
        );
    }

    #[test]
    fn a_key_may_be_missing_alone() {
        let key = Reference { key: Some("k".into()), ..Reference::new("", "Secret", Some("n"), "s") };
        let looked = |found| Looked { reference: key.clone(), found, may_come: false }.missing();
        assert_eq!(looked(None).as_deref(), Some("Secret s"));
        assert_eq!(looked(Some(json!({"data": {"other": ""}}))).as_deref(), Some("key k of Secret s"));
        assert_eq!(looked(Some(json!({"data": {"k": ""}}))), None);
    }

    #[test]
    fn a_pod_that_runs_needs_nothing_more() {
        let pod = |state: Value| json!({"status": {"phase": "Pending", "containerStatuses": [{"state": state}]}});
        assert!(is_starting(&json!({"status": {"phase": "Pending"}})));
        assert!(is_starting(&pod(json!({"waiting": {"reason": "ContainerCreating"}}))));
        assert!(!is_starting(&pod(json!({"running": {}}))));
        let mut half = pod(json!({"waiting": {"reason": "CreateContainerConfigError"}}));
        half["status"]["phase"] = json!("Running");
        assert!(is_starting(&half), "one of its containers");
    }
}
