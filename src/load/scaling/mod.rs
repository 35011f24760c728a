//! What a workload and its autoscaler say of themselves, as a sample and as facts that explain a verdict. Pure.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

use crate::event::load::ClusterSample;
use crate::object::Key;
use crate::{
    object::{json, podspec},
    quantity,
    stack::model::{SetKind, Stack},
};

/// A workload of a stack, and what scales it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub workload: Key,
    pub autoscaler: Option<Key>,
}

/// The workloads of the stack's own set that keep pods running, in the order of its manifests, and whatever else its
/// autoscalers target.
pub fn watched(stack: &Stack) -> Vec<Watched> {
    let own = || stack.sets.iter().filter(|set| set.kind == SetKind::Stack).flat_map(|set| &set.objects);
    let scalers: Vec<(Key, Key)> = own()
        .filter(|object| json::kind(&object.value) == "HorizontalPodAutoscaler")
        .filter_map(|object| Some((target(&object.value)?, object.key())))
        .collect();
    let scaler_of = |workload: &Key| scalers.iter().find(|(target, _)| target == workload).map(|(_, key)| key.clone());
    let workloads = own()
        .map(crate::object::Object::key)
        .filter(|key| key.group == "apps" && matches!(key.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet"));
    let mut watched: Vec<Watched> =
        workloads.map(|workload| Watched { autoscaler: scaler_of(&workload), workload }).collect();
    for (target, autoscaler) in &scalers {
        if !watched.iter().any(|known| known.workload == *target) {
            watched.push(Watched { workload: target.clone(), autoscaler: Some(autoscaler.clone()) });
        }
    }
    watched
}

/// The workload that an autoscaler scales.
fn target(autoscaler: &Value) -> Option<Key> {
    let version = json::text(autoscaler, "/spec/scaleTargetRef/apiVersion").unwrap_or_default();
    Some(Key {
        group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
        kind: json::text(autoscaler, "/spec/scaleTargetRef/kind")?.to_owned(),
        namespace: json::namespace(autoscaler).map(str::to_owned),
        name: json::text(autoscaler, "/spec/scaleTargetRef/name")?.to_owned(),
    })
}

/// One look at a workload.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub workload: &'a Value,
    pub autoscaler: Option<&'a Value>,
    /// Of the workload.
    pub pods: &'a [Value],
}

/// What was last seen of a workload beside the numbers of a sample: where a verdict finds its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scaling {
    /// `Deployment/hello-service`
    pub workload: String,
    /// None: nothing scales it.
    pub autoscaler: Option<Autoscaler>,
    /// A container without a request for the resource whose utilization is measured: `cpu of container hello`.
    pub without_request: Option<String>,
    /// What the scheduler says of a pod that no node takes.
    pub no_room: Option<String>,
    /// Why containers ended before they were restarted.
    pub ends: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Autoscaler {
    pub name: String,
    pub minimum: u32,
    pub maximum: u32,
    /// Measured by metrics.k8s.io, that is by metrics-server.
    pub resource_metric: bool,
    /// Why it has no value of its metric.
    pub no_metric: Option<String>,
    /// How long it waits before it scales down.
    pub stabilization: Duration,
}

/// The API's default.
const STABILIZATION: u64 = 300;

/// `at`: seconds since the start of the measurement. `restarts`: since the start of the run.
pub fn sample(at: f64, look: Look<'_>, restarts: u32) -> ClusterSample {
    let status = |field: &str| number(look.workload, &format!("/status/{field}"));
    let (replicas, ready) = match json::kind(look.workload) {
        "DaemonSet" => (status("currentNumberScheduled"), status("numberReady")),
        _ => (status("replicas"), status("readyReplicas")),
    };
    let metric = look.autoscaler.and_then(deciding_metric);
    ClusterSample {
        at,
        workload: json::key(look.workload).to_string(),
        replicas,
        ready,
        desired: look.autoscaler.map(|scaler| number(scaler, "/status/desiredReplicas")),
        metric: metric.as_ref().map(|metric| metric.name.clone()),
        value: metric.as_ref().and_then(|metric| metric.value),
        target: metric.as_ref().map(|metric| metric.target),
        restarts,
    }
}

pub fn scaling(look: Look<'_>, ends: Vec<String>) -> Scaling {
    Scaling {
        workload: json::key(look.workload).to_string(),
        autoscaler: look.autoscaler.map(autoscaler),
        without_request: look.autoscaler.and_then(|scaler| without_request(scaler, look.workload)),
        no_room: look.pods.iter().find_map(no_room),
        ends,
    }
}

fn number(value: &Value, pointer: &str) -> u32 {
    json::int(value, pointer).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn autoscaler(scaler: &Value) -> Autoscaler {
    let is_resource = |metric: &Value| matches!(metric["type"].as_str(), Some("Resource" | "ContainerResource"));
    let no_metric = json::condition(scaler, "ScalingActive").filter(|condition| condition["status"] == "False");
    let window = json::int(scaler, "/spec/behavior/scaleDown/stabilizationWindowSeconds");
    let window = window.and_then(|seconds| u64::try_from(seconds).ok());
    Autoscaler {
        stabilization: Duration::from_secs(window.unwrap_or(STABILIZATION)),
        name: json::name(scaler).to_owned(),
        // The API's default.
        minimum: json::int(scaler, "/spec/minReplicas").and_then(|number| u32::try_from(number).ok()).unwrap_or(1),
        maximum: number(scaler, "/spec/maxReplicas"),
        resource_metric: json::list(scaler, "/spec/metrics").iter().any(is_resource),
        no_metric: no_metric.map(json::reason),
    }
}

#[derive(Debug, PartialEq)]
struct Metric {
    name: String,
    value: Option<f64>,
    target: f64,
}

/// Of several metrics the one that asks for the most replicas: the highest share of its target.
fn deciding_metric(scaler: &Value) -> Option<Metric> {
    let current = json::list(scaler, "/status/currentMetrics");
    let metrics = json::list(scaler, "/spec/metrics").iter().filter_map(|spec| metric(spec, current));
    let share = |metric: &Metric| metric.value.map_or(-1.0, |value| value / metric.target.max(f64::MIN_POSITIVE));
    metrics.reduce(|best, other| if share(&other) > share(&best) { other } else { best })
}

/// A metric's source within its entry, such as `resource`.
fn source(metric: &Value) -> Option<(&str, &Value)> {
    let type_ = metric["type"].as_str()?;
    let field = match type_ {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return None,
    };
    Some((type_, metric.get(field)?))
}

fn name(source: &Value) -> &str {
    source["name"].as_str().or_else(|| json::text(source, "/metric/name")).unwrap_or_default()
}

fn metric(spec: &Value, current: &[Value]) -> Option<Metric> {
    let (type_, wanted) = source(spec)?;
    let seen = current
        .iter()
        .filter_map(source)
        .find(|(kind, seen)| *kind == type_ && name(seen) == name(wanted) && seen["container"] == wanted["container"]);
    let read = |field: &str, value: &Value| match field {
        "averageUtilization" => value.as_f64(),
        _ => quantity::parse(value.as_str()?),
    };
    let (field, target) = ["averageUtilization", "averageValue", "value"]
        .into_iter()
        .find_map(|field| Some((field, read(field, &wanted["target"][field])?)))?;
    let value = seen.and_then(|(_, seen)| read(field, &seen["current"][field]));
    Some(Metric { name: name(wanted).to_owned(), value, target })
}

/// Utilization is a share of what containers request; one that requests nothing makes it unmeasurable.
fn without_request(scaler: &Value, workload: &Value) -> Option<String> {
    let spec = podspec::spec(workload)?;
    json::list(scaler, "/spec/metrics").iter().filter_map(source).find_map(|(type_, source)| {
        if !matches!(type_, "Resource" | "ContainerResource") || source["target"]["type"] != "Utilization" {
            return None;
        }
        let resource = name(source);
        let measured = |container: &&Value| type_ == "Resource" || container["name"] == source["container"];
        let lacks = |container: &&Value| {
            // A limit alone counts as a request.
            ["requests", "limits"].iter().all(|kind| container["resources"][kind].get(resource).is_none())
        };
        let container = json::list(spec, "/containers").iter().filter(measured).find(lacks)?;
        Some(format!("{resource} of container {}", container["name"].as_str().unwrap_or_default()))
    })
}

fn no_room(pod: &Value) -> Option<String> {
    let condition = json::condition(pod, "PodScheduled")?;
    (condition["status"] == "False" && condition["reason"] == "Unschedulable")
        .then(|| condition["message"].as_str().unwrap_or_default().trim().to_owned())
}

/// Counts restarts from a first look on, pods that come and go included.
#[derive(Debug, Default)]
pub struct Restarts {
    began: bool,
    /// By pod and container: restarts before the first look, and now.
    counts: HashMap<(String, String), (u32, u32)>,
    ends: Vec<String>,
}

impl Restarts {
    pub fn look(&mut self, pods: &[Value]) {
        for pod in pods {
            for status in json::list(pod, "/status/containerStatuses") {
                let key = (json::uid(pod).to_owned(), status["name"].as_str().unwrap_or_default().to_owned());
                let now = number(status, "/restartCount");
                // A pod that came later had none before.
                let before = if self.began { 0 } else { now };
                let (_, seen) = self.counts.entry(key).or_insert((before, before));
                if now > *seen {
                    *seen = now;
                    self.ends.push(end(pod, status));
                }
            }
        }
        self.began = true;
    }

    pub fn count(&self) -> u32 {
        self.counts.values().map(|(before, now)| now - before).sum()
    }

    /// One for each restart that was seen to be new.
    pub fn ends(&self) -> &[String] {
        &self.ends
    }
}

/// `hello-service-x1: OOMKilled (exit code 137)`
fn end(pod: &Value, status: &Value) -> String {
    let ended = status.pointer("/lastState/terminated");
    let reason = ended.and_then(|ended| ended["reason"].as_str()).unwrap_or("restarted");
    let code = ended.and_then(|ended| ended["exitCode"].as_i64());
    let code = code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    format!("{}: {reason}{code}", json::name(pod))
}
