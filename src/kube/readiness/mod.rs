//! Is an object doing what it declares? Pure: from the object and what is around it to a verdict.
//!
//! In this order: being deleted, not yet seen by its controller, Stalled and Reconciling, the kind's own rule, Ready.

#[cfg(test)]
mod cannot_come_tests;
mod crash;
mod failure;
pub mod pod;
pub mod references;
mod refusal;
mod schedule;
pub(super) mod service;
mod since;
mod state;
mod stuck;
#[cfg(test)]
mod tests;
mod volume;
pub mod workload;

pub use failure::{Container, Failure};
pub use since::Since;

use references::Looked;
use serde_json::Value;

use super::MANAGER;
use crate::object::Key;
use crate::object::json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not yet; what is missing, in a few words.
    Waiting(String),
    /// As it was declared, and nothing more will come of it; what that is.
    Settled(String),
    /// Waiting longer won't help.
    Failed(Failure),
}

impl Readiness {
    /// Whether there is nothing left to wait for.
    pub fn is_reached(&self) -> bool {
        matches!(self, Readiness::Ready | Readiness::Settled(_))
    }
}

/// What a verdict may depend on beside the object. What isn't there is not taken into account.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Those that the object selects.
    pub pods: Vec<Value>,
    pub replica_sets: Vec<Value>,
    /// Of the object, its ReplicaSets and its pods.
    pub events: Vec<Value>,
    /// Of the Services that the object is or names.
    pub endpoint_slices: Vec<Value>,
    pub nodes: Vec<Value>,
    /// An autoscaler may bring nodes larger than those there are.
    pub nodes_may_grow: bool,
    /// The definition of a custom resource.
    pub definition: Option<Value>,
    /// What the object and its pods name, as far as it could be looked at.
    pub references: Vec<Looked>,
    /// None: they could not be listed.
    pub storage_classes: Option<Vec<Value>>,
    pub volumes: Vec<Value>,
    /// Something in the run may make volumes.
    pub volumes_may_come: bool,
    pub ingress_classes: Option<Vec<Value>>,
    /// Of a Service without pods: all in its namespace that may run some.
    pub workloads: Option<Vec<Value>>,
    /// Something in the run, such as an operator, may make the pods that a Service selects.
    pub pods_may_come: bool,
    /// Of a Service that waits for an address.
    pub balancing: Option<service::Balancing>,
    /// Another object has failed: what will fail too is told now.
    pub hurried: bool,
    /// None: what is seen counts, however old.
    pub since: Option<Since>,
}

fn waiting(text: impl Into<String>) -> Readiness {
    Readiness::Waiting(text.into())
}

pub fn readiness(object: &Value, around: &Surroundings) -> Readiness {
    // One that removes itself once it has ended may be seen on its way.
    if json::kind(object) == "Job" && json::group(object) == "batch" && workload::is_complete(object) {
        return Readiness::Ready;
    }
    if json::is_being_deleted(object) {
        return waiting("is being deleted");
    }
    let generation = json::int(object, "/metadata/generation").unwrap_or(0);
    if json::int(object, "/status/observedGeneration").is_some_and(|observed| observed < generation) {
        return waiting("its controller has not seen the change yet");
    }
    if json::condition_status(object, "Stalled") == Some(true) {
        let why = json::condition(object, "Stalled").map(json::reason).unwrap_or_default();
        return Failure::new(format!("it is stalled: {why}")).into();
    }
    if json::condition_status(object, "Reconciling") == Some(true) {
        return waiting(json::condition(object, "Reconciling").map(json::reason).unwrap_or_default());
    }
    match (json::group(object), json::kind(object)) {
        ("apps", "Deployment") => workload::deployment(object, around),
        ("apps", "StatefulSet") => workload::stateful_set(object, around),
        ("apps", "DaemonSet") => workload::daemon_set(object, around),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => workload::replica_set(object, around),
        ("batch", "Job") => workload::job(object, around),
        ("", "Pod") => pod::readiness(object, around),
        ("", "Service") => service::service(object, around),
        ("", "PersistentVolumeClaim") => volume::claim(object, around),
        ("", "Namespace") => service::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => service::definition(object),
        ("apiregistration.k8s.io", "APIService") => service::api_service(object, around),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            service::webhooks(object, around)
        }
        // Their conditions speak of traffic and load, not of whether they are in force.
        ("autoscaling", "HorizontalPodAutoscaler") => service::autoscaler(object, around),
        ("batch", "CronJob") => match json::flag(object, "/spec/suspend") {
            true => Readiness::Settled("it is suspended: it starts no Job until it is not".to_owned()),
            false => Readiness::Ready,
        },
        ("networking.k8s.io", "Ingress") => service::ingress(object, around),
        ("policy", "PodDisruptionBudget") => Readiness::Ready,
        _ => by_conditions(object, around, generation),
    }
}

/// Whether objects of this kind can be there and not be ready: all but plain configuration, and what only takes effect
/// when others act.
pub fn is_awaited(key: &Key) -> bool {
    !matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("", "ConfigMap" | "Secret" | "ServiceAccount" | "LimitRange" | "ResourceQuota" | "Namespace")
            | ("autoscaling", "HorizontalPodAutoscaler")
            | ("batch", "CronJob")
            | ("networking.k8s.io" | "rbac.authorization.k8s.io" | "scheduling.k8s.io" | "storage.k8s.io", _)
            | ("policy", "PodDisruptionBudget")
    )
}

/// Whether an object of another kind, which is ready by being there, may still be of no use: then that is worth a look.
pub fn may_be_idle(object: &Value) -> bool {
    match (json::group(object), json::kind(object)) {
        ("batch", "CronJob") => json::flag(object, "/spec/suspend"),
        ("autoscaling", "HorizontalPodAutoscaler") | ("networking.k8s.io", "Ingress") => true,
        _ => false,
    }
}

/// Whether a field of `spec`, such as `f:paused`, is there by our declaration and not by somebody else's doing.
fn declared(object: &Value, field: &str) -> bool {
    let owns = |entry: &&Value| entry.pointer(&format!("/fieldsV1/f:spec/{field}")).is_some();
    let owners: Vec<&str> = json::list(object, "/metadata/managedFields")
        .iter()
        .filter(owns)
        .filter_map(|it| it["manager"].as_str())
        .collect();
    owners.is_empty() || owners.contains(&MANAGER)
}

/// Any other kind says by itself whether it is ready.
fn by_conditions(object: &Value, around: &Surroundings, generation: i64) -> Readiness {
    if let Some(condition) = json::condition(object, "Failed").filter(|condition| condition["status"] == "True") {
        return Failure::new(format!("it has failed: {}", json::reason(condition))).into();
    }
    for type_ in ["Ready", "Programmed", "Available"] {
        let Some(condition) = json::condition(object, type_) else { continue };
        if condition["observedGeneration"].as_i64().is_some_and(|observed| observed < generation) {
            return waiting("its controller has not seen the change yet");
        }
        return match condition["status"].as_str() {
            Some("True") => Readiness::Ready,
            _ => waiting(json::reason(condition)),
        };
    }
    let reports_none = json::list(object, "/status/conditions").is_empty();
    if reports_none
        && around.definition.as_ref().is_some_and(|definition| declares_conditions(definition, json::version(object)))
    {
        return waiting("its controller has not reported yet");
    }
    Readiness::Ready
}

fn declares_conditions(definition: &Value, version: &str) -> bool {
    let versions = json::list(definition, "/spec/versions");
    versions
        .iter()
        .filter(|candidate| candidate["name"] == version)
        .any(|found| found.pointer("/schema/openAPIV3Schema/properties/status/properties/conditions").is_some())
}

/// Warnings about an object and those of its pods that are of the newest template, each once, newest last.
pub fn warnings(object: &Value, around: &Surroundings) -> Vec<String> {
    let pods = workload::newest(object, around);
    let is_old = |event: &&Value| {
        let about = &event["involvedObject"]["uid"];
        let is_new = |pod: &&Value| *about == json::uid(pod);
        around.pods.iter().any(|pod| *about == json::uid(pod)) && !pods.iter().any(is_new)
    };
    let mut warnings: Vec<&Value> =
        around.events.iter().filter(|event| event["type"] == "Warning").filter(|event| !is_old(event)).collect();
    warnings.sort_by_key(|event| last_seen(event).to_owned());
    let mut lines: Vec<String> = Vec::new();
    for event in warnings {
        let about = event["involvedObject"]["name"].as_str().unwrap_or_default();
        let line = format!("{about}: {}", json::reason(event));
        lines.retain(|known| *known != line);
        lines.push(line);
    }
    lines
}

/// Whether longer waiting may help: nothing that it takes has failed or is missing.
pub fn longer_may_help(object: &Value, around: &Surroundings) -> bool {
    references::lacking(around).next().is_none()
        && refusal::message(object, around).is_none()
        && workload::newest(object, around).iter().all(|pod| pod::may_come(pod))
}

/// Whether an event was seen after that time. Events are dated with whole seconds: what was seen within the same second may
/// be older, and what matters is said again.
pub(in crate::kube) fn is_after(event: &Value, time: jiff::Timestamp) -> bool {
    last_seen(event).parse::<jiff::Timestamp>().is_ok_and(|seen| seen.as_second() > time.as_second())
}

pub(in crate::kube) fn last_seen(event: &Value) -> &str {
    let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().find_map(|pointer| json::text(event, pointer)).unwrap_or_default()
}

/// How often it happened.
fn count(event: &Value) -> i64 {
    json::int(event, "/count").or_else(|| json::int(event, "/series/count")).unwrap_or(1).max(1)
}
