//! What an object's readiness depends on, fetched: no more than its state asks for.

use std::collections::{BTreeMap, BTreeSet};

use ::kube::api::ListParams;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::{
    kube::{
        Kube,
        discovery::{KindRef, Resolved, core},
        failure, readiness,
        readiness::{
            Readiness, Since, Surroundings, may_be_idle, readiness, references,
            references::{Looked, Reference},
            service::Balancing,
        },
        selector::pod_selector,
        wait::WaitOptions,
    },
    object::json,
};

type Answer<T> = std::result::Result<T, ::kube::Error>;

/// What a pod names is there before it in nearly all runs: it is looked at once the pod does not start by itself.
const TIMEOUT: u64 = 1;
/// Requests for what an object names, at once.
const AT_ONCE: usize = 8;
/// Definitions of what hands out addresses to load balancers in clusters without a cloud.
const BALANCERS: [&str; 4] = [
    "ipaddresspools.metallb.io",
    "ciliumloadbalancerippools.cilium.io",
    "servicegroups.purelb.io",
    "eips.network.kubesphere.io",
];

pub struct Looking<'a> {
    /// None: no wait is under way, what is seen counts.
    pub since: Option<Since>,
    pub hurried: bool,
    /// What was there at an earlier look is not looked at again.
    pub seen: &'a mut BTreeSet<Reference>,
    pub options: WaitOptions<'a>,
}

impl<'a> Looking<'a> {
    /// Outside of any run: what is missing may still come.
    pub fn once(seen: &'a mut BTreeSet<Reference>) -> Looking<'a> {
        fn may_come(_: &Reference) -> bool {
            true
        }
        let options =
            WaitOptions { deadline: Instant::now(), nodes_may_grow: false, may_come: &may_come, replace: false };
        Looking { since: None, hurried: false, seen, options }
    }

    fn has_waited(&self, seconds: u64) -> bool {
        self.hurried || self.since.is_none_or(|since| since.waited.as_secs() >= seconds)
    }
}

impl Kube {
    pub(crate) async fn surroundings(
        &self,
        at: &Resolved,
        object: &Value,
        mut looking: Looking<'_>,
    ) -> Answer<Surroundings> {
        let mut around = Surroundings {
            nodes_may_grow: looking.options.nodes_may_grow,
            since: looking.since,
            hurried: looking.hurried,
            ..Surroundings::default()
        };
        let namespace = json::namespace(object);
        match json::kind(object) {
            "Service" => self.around_service(object, &mut around, &looking).await?,
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                for (namespace, service) in readiness::service::webhook_services(object) {
                    around.endpoint_slices.extend(self.slices(Some(namespace), service).await?);
                }
                if readiness(object, &around) != Readiness::Ready {
                    self.look_at_references(object, &mut around, &mut looking).await;
                }
            }
            "PersistentVolumeClaim" if readiness(object, &around) != Readiness::Ready => {
                around.events = self.events(namespace, &[object]).await?;
                self.classes_and_volumes(&mut around, &[object], &looking).await;
            }
            "Pod" if readiness(object, &around) != Readiness::Ready => {
                around.events = self.events(namespace, &[object]).await?;
                around.pods = vec![object.clone()];
                self.what_pods_lack(object, &mut around, &mut looking).await;
            }
            _ if may_be_idle(object) => {
                if json::kind(object) == "Ingress" {
                    around.ingress_classes = self.list(&core("IngressClass"), None, &ListParams::default()).await.ok();
                }
                self.look_at_references(object, &mut around, &mut looking).await;
            }
            // While it is waited for, also what looks ready: a pod may be so between two exits only.
            _ if readiness(object, &around).is_reached() && looking.since.is_none() && !needs_definition(object) => {}
            _ => match pod_selector(object) {
                Some(selector) => {
                    self.around_pods(object, &selector, &mut around).await?;
                    if !readiness(object, &around).is_reached() {
                        self.what_pods_lack(object, &mut around, &mut looking).await;
                    }
                }
                None if needs_definition(object) => {
                    let name = format!("{}.{}", at.resource.plural, at.resource.group);
                    around.definition = self.get_opt(&core("CustomResourceDefinition"), None, &name).await?;
                }
                None if readiness(object, &around) != Readiness::Ready => {
                    self.look_at_references(object, &mut around, &mut looking).await;
                }
                None => {}
            },
        }
        Ok(around)
    }

    /// Whether there is nothing to wait for with an object that does not say so by itself.
    pub async fn is_reached(&self, object: &Value) -> Result<bool> {
        let failed = |error: ::kube::Error| {
            failure::request_failed(&format!("look at {}", json::key(object)), &self.server, &error)
        };
        let at = self.resolve(&KindRef::of_value(object)).await?;
        let mut seen = BTreeSet::new();
        let around = self.surroundings(&at, object, Looking::once(&mut seen)).await.map_err(failed)?;
        Ok(readiness(object, &around).is_reached())
    }

    async fn around_pods(&self, object: &Value, selector: &str, around: &mut Surroundings) -> Answer<()> {
        let namespace = json::namespace(object);
        let params = ListParams::default().labels(selector);
        around.pods = self.list(&core("Pod"), namespace, &params).await?;
        if json::kind(object) == "Deployment" {
            around.replica_sets = self.list(&core("ReplicaSet"), namespace, &params).await?;
        }
        if readiness(object, around).is_reached() {
            return Ok(());
        }
        let about: Vec<&Value> = std::iter::once(object).chain(&around.replica_sets).chain(&around.pods).collect();
        around.events = self.events(namespace, &about).await?;
        Ok(())
    }

    /// Nodes for pods that have none, and what pods name that do not start.
    async fn what_pods_lack(&self, object: &Value, around: &mut Surroundings, looking: &mut Looking<'_>) {
        let unscheduled =
            |pod: &Value| json::condition(pod, "PodScheduled").is_some_and(|it| it["reason"] == "Unschedulable");
        if around.pods.iter().any(unscheduled) {
            // Without the right to list nodes the deadline decides.
            around.nodes = self.list(&core("Node"), None, &ListParams::default()).await.unwrap_or_default();
        }
        if looking.has_waited(TIMEOUT) || around.pods.iter().any(readiness::pod::lacks_configuration) {
            self.look_at_references(object, around, looking).await;
        }
    }

    /// What may not be looked at is left out.
    async fn look_at_references(&self, object: &Value, around: &mut Surroundings, looking: &mut Looking<'_>) {
        let wanted = references::of_object(object, around);
        let mut by_object: BTreeMap<Reference, Vec<Reference>> = BTreeMap::new();
        for reference in wanted.difference(looking.seen) {
            let object = Reference { key: None, to_pull: false, ..reference.clone() };
            by_object.entry(object).or_default().push(reference.clone());
        }
        let looks = stream::iter(by_object).map(|(object, wanted)| async move {
            let at = self.resolve_opt(&KindRef::any_version(&object.group, &object.kind)).await.ok()??;
            let found = self.get_opt(&at, object.namespace.as_deref(), &object.name).await.ok()?;
            Some((found.map(without_values), wanted))
        });
        let looks: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        for (found, wanted) in looks.into_iter().flatten() {
            for reference in wanted {
                let mut looked = Looked { reference, found: found.clone(), may_come: false };
                match looked.missing() {
                    Some(_) => looked.may_come = (looking.options.may_come)(&looked.reference),
                    // A PersistentVolumeClaim that is there may still be unbound.
                    None if looked.reference.kind != "PersistentVolumeClaim" => {
                        looking.seen.insert(looked.reference.clone());
                    }
                    None => {}
                }
                around.references.push(looked);
            }
        }
        let claims = around.references.iter().filter(|looked| looked.reference.kind == "PersistentVolumeClaim");
        let pending: Vec<Value> = claims
            .filter_map(|looked| looked.found.clone())
            .filter(|claim| json::text(claim, "/status/phase") == Some("Pending"))
            .collect();
        if !pending.is_empty() {
            self.classes_and_volumes(around, &pending.iter().collect::<Vec<_>>(), looking).await;
        }
    }

    async fn classes_and_volumes(&self, around: &mut Surroundings, claims: &[&Value], looking: &Looking<'_>) {
        let all = ListParams::default();
        let (classes, volumes) = (core("StorageClass"), core("PersistentVolume"));
        let (classes, volumes) = tokio::join!(self.list(&classes, None, &all), self.list(&volumes, None, &all));
        // Where volumes may not be listed, one may be there.
        around.volumes_may_come = volumes.is_err()
            || claims.iter().filter_map(|claim| json::text(claim, "/spec/storageClassName")).any(|class| {
                (looking.options.may_come)(&Reference::new("storage.k8s.io", "StorageClass", None, class))
            });
        around.volumes = volumes.unwrap_or_default();
        around.storage_classes = classes.ok();
    }

    async fn around_service(&self, object: &Value, around: &mut Surroundings, looking: &Looking<'_>) -> Answer<()> {
        let namespace = json::namespace(object);
        around.endpoint_slices = self.slices(namespace, json::name(object)).await?;
        let all = ListParams::default();
        let selector = json::selector(object.pointer("/spec/selector"));
        match (readiness(object, around), selector) {
            (Readiness::Ready, _) => {}
            (_, Some(selector)) if readiness::service::has_no_pods(object, around) => {
                around.pods = self.list(&core("Pod"), namespace, &ListParams::default().labels(&selector)).await?;
                if !around.pods.is_empty() {
                    return Ok(());
                }
                let mut workloads = Vec::new();
                for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"] {
                    workloads.extend(self.list(&core(kind), namespace, &all).await?);
                }
                // A Deployment speaks for its ReplicaSets.
                workloads.retain(|workload| {
                    json::kind(workload) != "ReplicaSet" || json::list(workload, "/metadata/ownerReferences").is_empty()
                });
                around.workloads = Some(workloads);
                around.pods_may_come = (looking.options.may_come)(&Reference::new("", "Pod", namespace, ""));
            }
            _ => {
                around.events = self.events(namespace, &[object]).await?;
                let (services, nodes) = (core("Service"), core("Node"));
                let (services, nodes) = tokio::join!(self.list(&services, None, &all), self.list(&nodes, None, &all));
                // Without the rights to see who could hand one out, the address is waited for.
                let (Ok(services), Ok(nodes)) = (services, nodes) else { return Ok(()) };
                let mut installed = false;
                for name in BALANCERS {
                    installed |= self.get_opt(&core("CustomResourceDefinition"), None, name).await?.is_some();
                }
                around.balancing = Some(Balancing { services, nodes, installed });
            }
        }
        Ok(())
    }

    async fn slices(&self, namespace: Option<&str>, service: &str) -> Answer<Vec<Value>> {
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        self.list(&core("EndpointSlice"), namespace, &params).await
    }

    pub(crate) async fn events(&self, namespace: Option<&str>, about: &[&Value]) -> Answer<Vec<Value>> {
        let params = match about {
            [one] => ListParams::default().fields(&format!("involvedObject.uid={}", json::uid(one))),
            _ => ListParams::default(),
        };
        let mut events = self.list(&core("Event"), namespace, &params).await?;
        events.retain(|event| about.iter().any(|object| event["involvedObject"]["uid"] == json::uid(object)));
        Ok(events)
    }
}

/// What a Secret holds is nobody's business here: only that it is there.
fn without_values(mut object: Value) -> Value {
    for field in ["data", "binaryData"] {
        for value in object.get_mut(field).and_then(Value::as_object_mut).into_iter().flat_map(|data| data.values_mut())
        {
            *value = Value::Null;
        }
    }
    object
}

/// A custom resource that reports nothing: whether it should is in its definition.
pub(crate) fn needs_definition(object: &Value) -> bool {
    let group = json::group(object);
    group.contains('.') && !group.ends_with(".k8s.io") && json::list(object, "/status/conditions").is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_custom_resources_without_conditions_need_their_definition() {
        assert!(needs_definition(&json!({"apiVersion": "cert-manager.io/v1", "kind": "Issuer"})));
        assert!(!needs_definition(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"})));
        assert!(!needs_definition(&json!({"apiVersion": "apps/v1", "kind": "Deployment"})));
        assert!(!needs_definition(
            &json!({"apiVersion": "x.io/v1", "kind": "X", "status": {"conditions": [{"type": "Ready"}]}})
        ));
    }

    #[test]
    fn of_a_secret_only_the_keys_are_kept() {
        let secret = without_values(json!({"kind": "Secret", "data": {"password": "aHVudGVyMg=="}}));
        assert_eq!(secret, json!({"kind": "Secret", "data": {"password": null}}));
    }
}
