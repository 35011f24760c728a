//! What lives in a cluster besides Kubernetes, its provider and some sets of ours: whether the cluster can go as a whole.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    holds::is_namespace,
    survey::{is_of_kubernetes, is_of_stackctl, is_somebodys},
};
use crate::error::Result;
use crate::object::{Key, ProviderObjects};
use crate::{
    kube::{Kube, PART_OF, SYSTEM_NAMESPACE, discovery::KindRef},
    object::json,
};

/// Of every cluster.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// What tells tools where the registry is: the first thing that `up` makes in a cluster.
const FIRST_OF_OURS: (&str, &str) = ("kube-public", "local-registry-hosting");
/// How long the making of a cluster takes where nothing tells its end, and at most.
const MAKING: SignedDuration = SignedDuration::from_secs(60);
const LONGEST_MAKING: SignedDuration = SignedDuration::from_mins(15);

/// What else lives in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreign {
    /// And how many objects are in each.
    pub namespaces: BTreeMap<String, usize>,
    /// Outside of these namespaces.
    pub objects: Vec<Key>,
    /// PersistentVolumes and PersistentVolumeClaims that are not among these.
    pub data: Vec<Key>,
    /// Kinds that could not be looked at, and why.
    pub unseen: BTreeMap<String, String>,
}

impl Foreign {
    /// Whether nobody loses anything with the cluster. `data`: volumes may go.
    pub fn is_empty(&self, data: bool) -> bool {
        self.namespaces.is_empty()
            && self.objects.is_empty()
            && self.unseen.is_empty()
            && (data || self.data.is_empty())
    }

    /// One line for each thing.
    pub fn lines(&self) -> Vec<String> {
        let namespaces = self.namespaces.iter().map(|(name, count)| match count {
            0 => format!("namespace {name}"),
            1 => format!("namespace {name} with 1 object"),
            count => format!("namespace {name} with {count} objects"),
        });
        let objects = self.objects.iter().map(Key::in_words);
        let data = self.data.iter().map(|key| format!("{}, which holds data", key.in_words()));
        let unseen =
            self.unseen.iter().map(|(kind, why)| format!("perhaps {kind}, which could not be looked at: {why}"));
        namespaces.chain(objects).chain(data).chain(unseen).collect()
    }
}

impl Kube {
    /// All that neither Kubernetes nor the provider made and that is not part of one of these sets. `kept_by_others`: sets
    /// of which other stacks have left their data. `own`: what the provider makes in its clusters.
    pub async fn foreign(&self, ours: &[String], kept_by_others: &[&str], own: &ProviderObjects) -> Result<Foreign> {
        let selector = match ours {
            [] => String::new(),
            ours => format!("{PART_OF} notin ({})", ours.join(",")),
        };
        let [claims, volumes] =
            ["PersistentVolumeClaim", "PersistentVolume"].map(|kind| KindRef::any_version("", kind));
        let (found, claims, volumes) = tokio::try_join!(
            self.survey(None, &selector),
            self.list_all(&claims, None),
            self.list_all(&volumes, None)
        )?;
        let stays = |object: &&Value| json::text(object, "/spec/persistentVolumeReclaimPolicy") == Some("Retain");
        let data = claims.iter().chain(&volumes).filter(|object| !is_provisioned(object) || stays(object));
        let is_others = |object: &&Value| json::label(object, PART_OF).is_some_and(|id| kept_by_others.contains(&id));
        let (others, data): (Vec<&Value>, Vec<&Value>) = data.partition(is_others);
        let mut data: Vec<Key> = data.into_iter().map(json::key).collect();
        data.sort();
        let mut foreign = Foreign { data, unseen: found.unseen, ..sorted_out(&found.objects, own) };
        foreign.objects.extend(others.into_iter().map(json::key));
        foreign.data.retain(|key| !foreign.objects.contains(key));
        Ok(foreign)
    }
}

fn sorted_out(objects: &[Value], own: &ProviderObjects) -> Foreign {
    let made = made_until(objects);
    let foreign = objects.iter().filter(|object| is_foreign(object, made) && !own.has(object));
    let foreign: Vec<Key> = foreign.map(json::key).collect();
    let (namespaces, mut objects): (Vec<Key>, Vec<Key>) = foreign.into_iter().partition(is_namespace);
    objects.sort();
    let mut found =
        Foreign { namespaces: namespaces.into_iter().map(|key| (key.name, 0)).collect(), ..Foreign::default() };
    for key in objects {
        match key.namespace.as_ref().and_then(|namespace| found.namespaces.get_mut(namespace)) {
            Some(count) => *count += 1,
            None => found.objects.push(key),
        }
    }
    found
}

/// When the cluster was made: until then only its provider had a way into it, whatever tools that uses.
fn made_until(objects: &[Value]) -> Option<Timestamp> {
    let named = |kind: &str, namespace: Option<&str>, name: &str| {
        let is_it = |object: &&Value| {
            json::kind(object) == kind && json::namespace(object) == namespace && json::name(object) == name
        };
        objects.iter().find(is_it)
    };
    let began = named("Namespace", None, "kube-system").and_then(created)?;
    let (namespace, name) = FIRST_OF_OURS;
    let ours = named("ConfigMap", Some(namespace), name).filter(|object| is_of_stackctl(object)).and_then(created);
    // One that was made anew tells nothing.
    let ours = ours.filter(|ours| ours.duration_since(began) <= LONGEST_MAKING);
    let inventory = named("Namespace", None, SYSTEM_NAMESPACE).and_then(created);
    let inventory = inventory.filter(|made| made.duration_since(began) <= LONGEST_MAKING);
    [ours, inventory].into_iter().flatten().min().or_else(|| began.checked_add(MAKING).ok())
}

fn created(object: &Value) -> Option<Timestamp> {
    json::text(object, "/metadata/creationTimestamp")?.parse().ok()
}

fn is_foreign(object: &Value, made_until: Option<Timestamp>) -> bool {
    let key = json::key(object);
    let system = match is_namespace(&key) {
        true => SYSTEM_NAMESPACES.contains(&key.name.as_str()) || key.name == SYSTEM_NAMESPACE,
        false => key.namespace.as_deref() == Some(SYSTEM_NAMESPACE),
    };
    let early = made_until.zip(created(object)).is_some_and(|(until, created)| created <= until);
    let with_the_cluster = early && json::label(object, PART_OF).is_none();
    let made =
        is_of_kubernetes(object) || is_of_stackctl(object) || is_provisioned(object) || is_of_a_controller(object);
    !system && !with_the_cluster && !made && is_somebodys(object) && !json::is_being_deleted(object)
}

/// Controllers of Kubernetes make their accounts when they first need them, with a name and nothing else.
fn is_of_a_controller(object: &Value) -> bool {
    let said = ["/metadata/labels", "/metadata/annotations", "/metadata/managedFields"];
    json::kind(object) == "ServiceAccount"
        && json::namespace(object) == Some("kube-system")
        && said.iter().all(|path| object.pointer(path).is_none_or(|value| value.is_null()))
}

/// A PersistentVolume that was made for a PersistentVolumeClaim and goes with it.
fn is_provisioned(object: &Value) -> bool {
    json::kind(object) == "PersistentVolume" && json::annotation(object, "pv.kubernetes.io/provisioned-by").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `at`: seconds after the cluster was begun.
    fn object(kind: &str, namespace: Option<&str>, name: &str, writer: &str, at: i64) -> Value {
        let created = Timestamp::from_second(1_800_000_000 + at).unwrap().to_string();
        let fields = json!([{"manager": writer, "operation": "Update"}]);
        let metadata = json!({"name": name, "managedFields": fields, "creationTimestamp": created});
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
        object
    }

    fn began() -> Value {
        object("Namespace", None, "kube-system", "kube-apiserver", 0)
    }

    #[test]
    fn what_kubernetes_and_the_provider_made_is_not_foreign() {
        let made = [
            began(),
            object("Namespace", None, "local-path-storage", "kubectl-client-side-apply", 80),
            object("Deployment", Some("local-path-storage"), "local-path-provisioner", "kubectl", 81),
            object("ClusterRole", None, "kindnet", "kubectl-create", 70),
            object("ConfigMap", Some("kube-public"), "local-registry-hosting", "stackctl", 90),
            object("Namespace", None, SYSTEM_NAMESPACE, "stackctl-creation", 91),
            object("Deployment", Some("kube-system"), "coredns", "kubeadm", 1000),
            object("ConfigMap", Some("default"), "kube-root-ca.crt", "kube-controller-manager", 1000),
            object("ServiceAccount", Some("team"), "default", "kubectl-patch", 1000),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pvc-protection-controller",
                "namespace": "kube-system", "creationTimestamp": "2027-01-15T09:00:00Z"}}),
        ];
        assert_eq!(sorted_out(&made, &ProviderObjects::NONE), Foreign::default());
        assert!(Foreign::default().is_empty(false));
        // Made anew much later, it does not make everything before it the provider's.
        let mut anew = made.clone();
        anew[4] = object("ConfigMap", Some("kube-public"), "local-registry-hosting", "stackctl", 5000);
        anew[3] = object("ClusterRole", None, "theirs", "kubectl-create", 4000);
        assert!(sorted_out(&anew, &ProviderObjects::NONE).lines().contains(&"ClusterRole/theirs".to_owned()));
    }

    #[test]
    fn what_controllers_of_the_provider_make_later_is_not_foreign() {
        let own = ProviderObjects { groups: &["cloud.example"], prefixes: &["cloud:"], ..ProviderObjects::NONE };
        let mut binding = object("Binding", Some("hello"), "k8s-hello-edge", "cloud", 5000);
        binding["apiVersion"] = json!("cloud.example/v1");
        let made = [
            began(),
            binding,
            object("ClusterRole", None, "cloud:nodes", "cloud", 5000),
            object("ClusterRole", None, "reader", "kubectl-create", 5000),
        ];
        assert_eq!(sorted_out(&made, &own).lines(), ["ClusterRole/reader"]);
    }

    #[test]
    fn what_people_and_other_tools_made_is_listed() {
        let mut theirs = object("Widget", Some("hello"), "theirs", "stackctl", 1000);
        theirs["metadata"]["labels"] = json!({PART_OF: "of-another-set"});
        let made = [
            began(),
            theirs,
            object("Namespace", None, "team", "kubectl-create", 1000),
            object("ConfigMap", Some("team"), "a", "kubectl-create", 1000),
            object("ConfigMap", Some("kube-system"), "mine", "helm", 1000),
            object("ClusterRole", None, "reader", "kubectl-client-side-apply", 1000),
            object("PersistentVolumeClaim", Some("default"), "theirs", "kubectl-create", 1000),
        ];
        let found = sorted_out(&made, &ProviderObjects::NONE);
        let mut lines = found.lines();
        lines.sort();
        let wanted = [
            "ClusterRole/reader",
            "ConfigMap/mine in namespace kube-system",
            "PersistentVolumeClaim/theirs in namespace default",
            "Widget/theirs in namespace hello",
            "namespace team with 1 object",
        ];
        assert_eq!(lines, wanted);
        assert!(!found.is_empty(true));
    }

    #[test]
    fn data_counts_unless_it_may_go() {
        let claim = json::key(&object("PersistentVolumeClaim", Some("db"), "data", "stackctl", 1000));
        let found = Foreign { data: vec![claim], ..Foreign::default() };
        assert!(!found.is_empty(false) && found.is_empty(true));
        assert_eq!(found.lines(), ["PersistentVolumeClaim/data in namespace db, which holds data"]);
    }
}
