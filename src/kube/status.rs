//! A set's state as plain data, for `stackctl status`.

use std::{collections::BTreeSet, time::Duration};

use ::kube::api::ListParams;
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    Kube,
    discovery::{KindRef, core},
    failure,
    readiness::{Readiness, readiness},
    selector::pod_selector,
};
use crate::error::Result;
use crate::object::Key;
use crate::{kube::wait::surroundings::Looking, object::json};

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    /// `ready`, `waiting` or `failed`.
    pub state: &'static str,
    /// What it waits for, or why it failed.
    pub note: Option<String>,
    pub workload: Option<Workload>,
    pub autoscaler: Option<Autoscaler>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    pub ready: i64,
    pub desired: i64,
    pub images: Vec<String>,
    pub pods: Vec<PodStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    pub name: String,
    pub ready: bool,
    /// As `kubectl get pods` puts it: the phase, or why a container waits or ended.
    pub state: String,
    pub restarts: i64,
    pub node: Option<String>,
    pub started: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaler {
    pub target: String,
    pub replicas: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub metrics: Vec<Metric>,
}

/// Of a resource metric: percent of the request; None until it is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    pub name: String,
    pub current: Option<String>,
    pub target: String,
}

/// What a user looks for in a status: workloads, what scales them and what makes them reachable.
pub fn is_shown(key: &Key) -> bool {
    matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("apps" | "batch" | "autoscaling" | "apiregistration.k8s.io", _)
            | ("", "Pod" | "Service" | "PersistentVolumeClaim")
            | ("networking.k8s.io", "Ingress")
    )
}

impl Kube {
    /// The state of these objects, in the order given.
    pub async fn status(&self, objects: &[Value]) -> Result<Vec<ObjectStatus>> {
        let all = stream::iter(objects).map(|object| self.status_of(object)).buffered(16);
        all.collect::<Vec<_>>().await.into_iter().collect()
    }

    /// JSON that a Service answers to a GET through the API server. `service`: `NAME:PORT`. None: no such answer in time.
    pub async fn ask_service(&self, namespace: &str, service: &str, path: &str, within: Duration) -> Option<Value> {
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path}");
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        tokio::time::timeout(within, self.client.request(request)).await.ok()?.ok()
    }

    async fn status_of(&self, object: &Value) -> Result<ObjectStatus> {
        let key = json::key(object);
        let failed = |error: ::kube::Error| failure::request_failed(&format!("look at {key}"), &self.server, &error);
        let at = self.resolve(&KindRef::of_value(object)).await?;
        let mut seen = BTreeSet::new();
        let mut around = self.surroundings(&at, object, Looking::once(&mut seen)).await.map_err(failed)?;
        if around.pods.is_empty()
            && let Some(selector) = pod_selector(object)
        {
            around.pods = self
                .list(&core("Pod"), json::namespace(object), &ListParams::default().labels(&selector))
                .await
                .map_err(failed)?;
        }
        let (state, note) = match readiness(object, &around) {
            Readiness::Ready => ("ready", None),
            Readiness::Settled(note) => ("ready", Some(note)),
            Readiness::Waiting(note) => ("waiting", Some(note)),
            Readiness::Failed(failure) => ("failed", Some(failure.why())),
        };
        Ok(ObjectStatus {
            kind: json::kind(object).to_owned(),
            name: json::name(object).to_owned(),
            namespace: json::namespace(object).map(str::to_owned),
            state,
            note,
            workload: workload(object, &around.pods),
            autoscaler: autoscaler(object),
        })
    }
}

fn workload(object: &Value, pods: &[Value]) -> Option<Workload> {
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let replicas = json::int(object, "/spec/replicas").unwrap_or(1);
    let (ready, desired) = match json::kind(object) {
        "Deployment" | "StatefulSet" | "ReplicaSet" => (status("readyReplicas"), replicas),
        "DaemonSet" => (status("numberReady"), status("desiredNumberScheduled")),
        "Job" => (status("succeeded"), json::int(object, "/spec/completions").unwrap_or(1)),
        _ => return None,
    };
    let containers = json::list(object, "/spec/template/spec/containers");
    let images = containers.iter().filter_map(|container| Some(container["image"].as_str()?.to_owned())).collect();
    Some(Workload { ready, desired, images, pods: pods.iter().map(pod_status).collect() })
}

fn pod_status(pod: &Value) -> PodStatus {
    let statuses =
        || json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    let troubled = statuses().find_map(|status| {
        let reason = json::text(status, "/state/waiting/reason").filter(|reason| *reason != "PodInitializing");
        let ended = status.pointer("/state/terminated").filter(|ended| ended["exitCode"] != 0);
        reason.or_else(|| ended.and_then(|ended| ended["reason"].as_str())).map(str::to_owned)
    });
    let phase = json::text(pod, "/status/reason").or(json::text(pod, "/status/phase")).unwrap_or("Unknown");
    PodStatus {
        name: json::name(pod).to_owned(),
        ready: json::condition_status(pod, "Ready") == Some(true),
        state: if json::is_being_deleted(pod) {
            "Terminating".to_owned()
        } else {
            troubled.unwrap_or_else(|| phase.to_owned())
        },
        restarts: statuses().filter_map(|status| json::int(status, "/restartCount")).sum(),
        node: json::text(pod, "/spec/nodeName").map(str::to_owned),
        started: json::text(pod, "/status/startTime").map(str::to_owned),
    }
}

fn autoscaler(object: &Value) -> Option<Autoscaler> {
    if json::kind(object) != "HorizontalPodAutoscaler" {
        return None;
    }
    let metrics = json::list(object, "/spec/metrics").iter().filter_map(|metric| {
        let resource = metric.get("resource")?;
        let name = resource["name"].as_str()?;
        let current = json::list(object, "/status/currentMetrics")
            .iter()
            .find(|current| json::text(current, "/resource/name") == Some(name));
        Some(Metric {
            name: name.to_owned(),
            current: current.and_then(|current| amount(&current["resource"]["current"])),
            target: amount(&resource["target"])?,
        })
    });
    Some(Autoscaler {
        target: format!(
            "{}/{}",
            json::text(object, "/spec/scaleTargetRef/kind")?,
            json::text(object, "/spec/scaleTargetRef/name")?
        ),
        replicas: json::int(object, "/status/currentReplicas").unwrap_or(0),
        minimum: json::int(object, "/spec/minReplicas").unwrap_or(1),
        maximum: json::int(object, "/spec/maxReplicas").unwrap_or(0),
        metrics: metrics.collect(),
    })
}

fn amount(value: &Value) -> Option<String> {
    let percent = value["averageUtilization"].as_i64().map(|percent| format!("{percent}%"));
    percent.or_else(|| value["averageValue"].as_str().or(value["value"].as_str()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_summed_up_as_kubectl_does() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "startTime": "2026-11-21T02:00:00Z",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "a", "restartCount": 2, "state": {"running": {}}}, {"name": "b", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        let status = pod_status(&pod);
        assert_eq!((status.state.as_str(), status.restarts, status.ready), ("CrashLoopBackOff", 3, false));
    }

    #[test]
    fn an_autoscaler_shows_current_and_target() {
        let mut object = json!({"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 10, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}, "status": {"currentReplicas": 3}});
        assert_eq!(autoscaler(&object).unwrap().metrics[0].current, None);
        object["status"]["currentMetrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "3m"}}}]);
        let found = autoscaler(&object).unwrap();
        assert_eq!((found.target.as_str(), found.replicas, found.maximum), ("Deployment/web", 3, 10));
        assert_eq!(found.metrics, [Metric { name: "cpu".into(), current: Some("12%".into()), target: "50%".into() }]);
    }
}
