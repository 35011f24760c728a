//! Which path serves a kind. Built-in kinds are known without asking; the rest is discovered once and again on a miss.

use ::kube::{
    Client,
    api::{Api, ListParams},
    core::{DynamicObject, GroupVersionKind, PartialObjectMeta},
    discovery::{self, ApiResource, Scope},
};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{Kube, failure};
use crate::object::Object;
use crate::object::json;
use crate::{
    error::{Error, Kind, Result},
    object::retired::Retired,
};

/// A kind, and the version in which to speak of it; None: the one that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindRef {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    pub version: Option<String>,
}

impl KindRef {
    pub fn of(object: &Object) -> KindRef {
        let key = object.key();
        KindRef { group: key.group, kind: key.kind, version: Some(object.version().to_owned()) }
    }

    pub fn of_value(object: &serde_json::Value) -> KindRef {
        let text = |text: &str| text.to_owned();
        KindRef {
            group: text(json::group(object)),
            kind: text(json::kind(object)),
            version: Some(text(json::version(object))),
        }
    }

    pub fn any_version(group: &str, kind: &str) -> KindRef {
        KindRef { group: group.to_owned(), kind: kind.to_owned(), version: None }
    }

    /// Why the servers of today do not have it in this version, if Kubernetes removed it.
    fn retired(&self) -> Option<Retired> {
        let version = self.version.as_deref()?;
        Retired::find(&format!("{}/{version}", self.group), &self.kind)
    }

    /// `Deployment.apps`, as ApplySets write it.
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

/// Where requests for a kind go.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub resource: ApiResource,
    pub namespaced: bool,
}

impl Resolved {
    /// The namespace to put in a path: none for kinds without.
    pub fn scope<'a>(&self, namespace: Option<&'a str>) -> Option<&'a str> {
        namespace.filter(|_| self.namespaced)
    }
}

#[derive(Default)]
struct Found {
    discovery: Option<discovery::Discovery>,
    /// When it failed last, and how.
    failed: Option<(Instant, Error)>,
}

pub struct Discovery {
    client: Client,
    found: Mutex<Found>,
}

impl Discovery {
    pub fn new(client: Client) -> Discovery {
        Discovery { client, found: Mutex::default() }
    }

    /// Two requests, or one per group on servers before 1.26.
    async fn run(&self) -> ::std::result::Result<discovery::Discovery, ::kube::Error> {
        match discovery::Discovery::new(self.client.clone()).run_aggregated().await {
            Ok(found) => Ok(found),
            Err(_) => discovery::Discovery::new(self.client.clone()).run().await,
        }
    }
}

/// Where the kind will be served, if this CustomResourceDefinition defines it.
fn defined(definition: &Value, wanted: &KindRef) -> Option<Resolved> {
    let is_wanted = json::text(definition, "/spec/group") == Some(&wanted.group)
        && json::text(definition, "/spec/names/kind") == Some(&wanted.kind)
        && !json::is_being_deleted(definition);
    let mut served = json::list(definition, "/spec/versions").iter().filter(|version| version["served"] == true);
    let version = served
        .find(|version| wanted.version.as_deref().is_none_or(|wanted| version["name"] == wanted))
        .filter(|_| is_wanted)?;
    let gvk = GroupVersionKind::gvk(&wanted.group, version["name"].as_str()?, &wanted.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, json::text(definition, "/spec/names/plural")?);
    Some(Resolved { resource, namespaced: json::text(definition, "/spec/scope") == Some("Namespaced") })
}

fn find(discovery: &discovery::Discovery, wanted: &KindRef) -> Option<Resolved> {
    let group = discovery.get(&wanted.group)?;
    let found = match &wanted.version {
        Some(version) => {
            group.versioned_resources(version).into_iter().find(|(resource, _)| resource.kind == wanted.kind)
        }
        None => group.recommended_kind(&wanted.kind),
    };
    found.map(|(resource, capabilities)| Resolved { resource, namespaced: capabilities.scope == Scope::Namespaced })
}

impl Kube {
    /// Every kind that the server serves and can list, in its preferred version.
    pub async fn every_kind(&self) -> Result<Vec<Resolved>> {
        let found = self.discover().await?;
        let kinds = found.groups().flat_map(discovery::ApiGroup::recommended_resources);
        Ok(kinds
            .filter(|(_, capabilities)| capabilities.supports_operation(discovery::verbs::LIST))
            .map(|(resource, capabilities)| Resolved { resource, namespaced: capabilities.scope == Scope::Namespaced })
            .collect())
    }

    /// Asks the server again if it did not know the kind before: a CRD may have come in between.
    pub async fn resolve(&self, wanted: &KindRef) -> Result<Resolved> {
        match self.resolve_opt(wanted).await? {
            Some(found) => Ok(found),
            None => {
                let version =
                    wanted.version.as_deref().map_or(String::new(), |version| format!(" in version {version}"));
                let error = Error::new(
                    Kind::Refused,
                    format!("the cluster does not know the kind {}{version}", wanted.group_kind()),
                );
                Err(match wanted.retired() {
                    Some(retired) => error.cause(retired),
                    None => {
                        error.hint("a CustomResourceDefinition is missing, or the component that brings it is left out")
                    }
                })
            }
        }
    }

    /// None: the server does not serve this kind.
    pub async fn resolve_opt(&self, wanted: &KindRef) -> Result<Option<Resolved>> {
        if let Some(known) = builtin(wanted) {
            return Ok(Some(known));
        }
        let asked = Instant::now();
        let mut found = self.discovery.found.lock().await;
        if let Some(found) = found.discovery.as_ref().and_then(|discovery| find(discovery, wanted)) {
            return Ok(Some(found));
        }
        // What failed while this one waited for its turn failed for it too: a server that is silent is asked once.
        if let Some((_, error)) = found.failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        let fresh = match self.discover().await {
            Ok(fresh) => fresh,
            Err(error) => {
                found.failed = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        let answer = find(&fresh, wanted);
        found.discovery = Some(fresh);
        drop(found);
        match answer {
            Some(answer) => Ok(Some(answer)),
            None => self.resolve_by_definition(wanted).await,
        }
    }

    async fn discover(&self) -> Result<discovery::Discovery> {
        let found = self.retried(Instant::now() + self.silence, || self.discovery.run()).await;
        found.map_err(|error| failure::request_failed("discover the cluster's kinds", &self.server, &error))
    }

    /// Discovery lags behind a CRD that was just created; the CRD itself says what its path will be.
    async fn resolve_by_definition(&self, wanted: &KindRef) -> Result<Option<Resolved>> {
        let definitions = match self.list(&core("CustomResourceDefinition"), None, &ListParams::default()).await {
            Ok(definitions) => definitions,
            Err(::kube::Error::Api(status)) if status.is_forbidden() => Vec::new(),
            Err(error) => return Err(failure::request_failed("list the cluster's custom kinds", &self.server, &error)),
        };
        Ok(definitions.iter().find_map(|definition| defined(definition, wanted)))
    }

    /// For watches that only say that something changed.
    pub(super) fn metadata_api(&self, at: &Resolved, namespace: Option<&str>) -> Api<PartialObjectMeta<DynamicObject>> {
        match at.scope(namespace) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &at.resource),
            None => Api::all_with(self.client.clone(), &at.resource),
        }
    }
}

/// group, version, kind, plural, namespaced: stable kinds that every supported server has.
const BUILTIN: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Endpoints", "endpoints", true),
    ("", "v1", "Event", "events", true),
    ("", "v1", "LimitRange", "limitranges", true),
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Node", "nodes", false),
    ("", "v1", "PersistentVolume", "persistentvolumes", false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "ReplicationController", "replicationcontrollers", true),
    ("", "v1", "ResourceQuota", "resourcequotas", true),
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("apiregistration.k8s.io", "v1", "APIService", "apiservices", false),
    ("apps", "v1", "DaemonSet", "daemonsets", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("apps", "v1", "StatefulSet", "statefulsets", true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch", "v1", "CronJob", "cronjobs", true),
    ("batch", "v1", "Job", "jobs", true),
    ("coordination.k8s.io", "v1", "Lease", "leases", true),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", true),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", false),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
];

fn builtin(wanted: &KindRef) -> Option<Resolved> {
    let &(group, version, kind, plural, namespaced) = BUILTIN.iter().find(|(group, version, kind, ..)| {
        *group == wanted.group
            && *kind == wanted.kind
            && wanted.version.as_deref().is_none_or(|wanted| wanted == *version)
    })?;
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.into(),
        plural: plural.into(),
    };
    Some(Resolved { resource, namespaced })
}

/// A kind of the table above, by its name alone.
pub(super) fn core(kind: &str) -> Resolved {
    let (group, ..) = BUILTIN.iter().find(|(_, _, known, ..)| *known == kind).unwrap_or(&BUILTIN[0]);
    let found = builtin(&KindRef::any_version(group, kind));
    debug_assert!(found.is_some(), "{kind} is not in the table of built-in kinds");
    found.unwrap_or_else(|| Resolved {
        resource: ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind)),
        namespaced: true,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kube::testing::{Fake, Reply};

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_and_named() {
        let fake = Fake::start(|_, _| Some(Reply::Hang)).await;
        let mut kube = fake.kube.clone();
        kube.silence = Duration::from_millis(200);
        let begun = Instant::now();
        let wanted = KindRef::any_version("x.io", "Fox");
        let (one, other) = tokio::join!(kube.resolve_opt(&wanted), kube.resolve_opt(&wanted));
        for answer in [one, other] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, Kind::Platform);
            assert!(error.message.contains(&*kube.server), "{error:?}");
            assert!(error.details.iter().any(|line| line.contains("discover")), "{error:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(fake.requests().len(), 1, "for both");
    }

    #[test]
    fn builtin_kinds_resolve_in_their_stable_version_only() {
        let hpa = builtin(&KindRef::any_version("autoscaling", "HorizontalPodAutoscaler")).unwrap();
        assert_eq!(
            (hpa.resource.api_version.as_str(), hpa.resource.plural.as_str()),
            ("autoscaling/v2", "horizontalpodautoscalers")
        );
        let old =
            KindRef { version: Some("v1".into()), ..KindRef::any_version("autoscaling", "HorizontalPodAutoscaler") };
        assert!(builtin(&old).is_none(), "left to discovery");
        assert_eq!(core("Namespace").scope(Some("x")), None);
        assert_eq!(core("Pod").resource.api_version, "v1");
    }

    #[test]
    fn the_table_agrees_with_kubes_plurals() {
        for (group, version, kind, plural, _) in BUILTIN {
            let guessed = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            assert_eq!(&guessed.plural, plural);
        }
    }

    #[test]
    fn a_definition_says_where_its_kind_will_be_served() {
        let definition = serde_json::json!({"spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Fox", "plural": "foxes"},
            "versions": [{"name": "v1alpha1", "served": false}, {"name": "v1", "served": true}]}});
        let found = defined(&definition, &KindRef::any_version("x.io", "Fox")).unwrap();
        assert_eq!(
            (found.resource.api_version.as_str(), found.resource.plural.as_str(), found.namespaced),
            ("x.io/v1", "foxes", true)
        );
        let unserved = KindRef { version: Some("v1alpha1".into()), ..KindRef::any_version("x.io", "Fox") };
        assert!(defined(&definition, &unserved).is_none());
        assert!(defined(&definition, &KindRef::any_version("x.io", "Hen")).is_none());
    }

    #[test]
    fn group_kinds_read_as_applysets_write_them() {
        assert_eq!(KindRef::any_version("apps", "Deployment").group_kind(), "Deployment.apps");
        assert_eq!(KindRef::any_version("", "Secret").group_kind(), "Secret");
    }
}
