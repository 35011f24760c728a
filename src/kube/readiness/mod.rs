//! Is an object doing what it declares? Pure: from the object and what is around it to a verdict.
//!
//! In this order: being deleted, not yet seen by its controller, Stalled and Reconciling, the kind's own rule, Ready.

mod pod;
pub(super) mod service;
mod since;
mod workload;

pub use since::Since;

use serde_json::Value;

use super::json;
use crate::stack::model::Key;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not yet; what is missing, in a few words.
    Waiting(String),
    /// Waiting longer won't help.
    Failed(Failure),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    pub why: String,
    pub details: Vec<String>,
    pub hints: Vec<String>,
    /// The container whose last log lines tell more.
    pub logs_of: Option<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// The run before the current one.
    pub previous: bool,
}

impl Failure {
    fn new(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), ..Failure::default() }
    }

    fn detail(mut self, line: impl Into<String>) -> Failure {
        let line = line.into();
        if !line.is_empty() && !self.details.contains(&line) {
            self.details.push(line);
        }
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }
}

impl From<Failure> for Readiness {
    fn from(failure: Failure) -> Readiness {
        Readiness::Failed(failure)
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
    /// None: what is seen counts, however old.
    pub since: Option<Since>,
}

fn waiting(text: impl Into<String>) -> Readiness {
    Readiness::Waiting(text.into())
}

pub fn readiness(object: &Value, around: &Surroundings) -> Readiness {
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
        ("", "PersistentVolumeClaim") => service::claim(object, around),
        ("", "Namespace") => service::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => service::definition(object),
        ("apiregistration.k8s.io", "APIService") => service::api_service(object),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            service::webhooks(object, around)
        }
        // Their conditions speak of traffic and load, not of whether they are in force.
        ("autoscaling", "HorizontalPodAutoscaler")
        | ("batch", "CronJob")
        | ("networking.k8s.io", "Ingress")
        | ("policy", "PodDisruptionBudget") => Readiness::Ready,
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

/// Any other kind says by itself whether it is ready.
fn by_conditions(object: &Value, around: &Surroundings, generation: i64) -> Readiness {
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

/// Newest last; warnings about these objects, each once.
pub fn warnings(events: &[Value]) -> Vec<String> {
    let mut warnings: Vec<&Value> = events.iter().filter(|event| event["type"] == "Warning").collect();
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

fn last_seen(event: &Value) -> &str {
    let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().find_map(|pointer| json::text(event, pointer)).unwrap_or_default()
}

/// How often it happened.
fn count(event: &Value) -> i64 {
    json::int(event, "/count").or_else(|| json::int(event, "/series/count")).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests;
