//! Why no node comes for a pod that waits for one, where nodes come on demand.

use ::kube::api::ListParams;
use serde_json::Value;

use crate::{
    kube::{
        Kube,
        discovery::{KindRef, core},
        readiness,
    },
    object::json,
};

/// What asks a cloud for a node: those of Karpenter, which EKS Auto Mode has, too.
const CLAIM: (&str, &str) = ("karpenter.sh", "NodeClaim");
const LINES: usize = 5;

/// Whether one of the pods waits for a node.
pub(super) fn lack_a_node(pods: &[Value]) -> bool {
    pods.iter().any(|pod| json::condition(pod, "PodScheduled").is_some_and(|it| it["reason"] == "Unschedulable"))
}

impl Kube {
    /// Newest last; empty where the cluster has no such claims, or all of them are fine.
    pub(super) async fn why_no_node(&self) -> Vec<String> {
        let all = ListParams::default();
        let Ok(kind) = self.resolve(&KindRef::any_version(CLAIM.0, CLAIM.1)).await else { return Vec::new() };
        let claims = self.list(&kind, None, &all).await.unwrap_or_default();
        let about = ListParams::default().fields(&format!("involvedObject.kind={}", CLAIM.1));
        let events = self.list(&core("Event"), None, &about).await.unwrap_or_default();
        told(&claims, events)
    }
}

fn told(claims: &[Value], mut events: Vec<Value>) -> Vec<String> {
    let of_claim = |claim: &Value| {
        let name = json::name(claim).to_owned();
        let bad = json::list(claim, "/status/conditions").iter().filter(|it| it["status"] == "False").cloned();
        bad.map(move |condition| format!("{}/{name}: {}", CLAIM.1, json::reason(&condition))).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = claims.iter().flat_map(of_claim).collect();
    events.retain(|event| event["type"] == "Warning");
    events.sort_by_key(|event| readiness::last_seen(event).to_owned());
    for event in events {
        let name = event["involvedObject"]["name"].as_str().unwrap_or_default();
        let line = format!("{}/{name}: {}", CLAIM.1, json::reason(&event));
        // The newest one last.
        lines.retain(|known| *known != line);
        lines.push(line);
    }
    lines.split_off(lines.len().saturating_sub(LINES))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_tell_what_the_cloud_refused() {
        let claim = json!({ "metadata": { "name": "general-1" }, "status": { "conditions": [
            { "type": "Launched", "status": "False", "reason": "LaunchFailed", "message": "no subnet has a way out" },
            { "type": "Ready", "status": "Unknown" },
        ] } });
        let event = |at: &str, kind: &str, message: &str| {
            json!({ "type": kind, "reason": "InsufficientCapacityError", "message": message, "lastTimestamp": at,
                "involvedObject": { "kind": "NodeClaim", "name": "general-2" } })
        };
        let events = vec![
            event("2026-11-21T03:05:09Z", "Warning", "VcpuLimitExceeded"),
            event("2026-11-21T03:05:01Z", "Warning", "UnfulfillableCapacity"),
            event("2026-11-21T03:05:10Z", "Normal", "all is well"),
        ];
        let lines = told(&[claim], events);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("NodeClaim/general-1: ") && lines[0].contains("no subnet has a way out"));
        assert!(lines[2].starts_with("NodeClaim/general-2: ") && lines[2].contains("VcpuLimitExceeded"), "{lines:?}");
        assert_eq!(told(&[], Vec::new()), Vec::<String>::new());
    }

    #[test]
    fn only_a_pod_without_a_node_lacks_one() {
        let pod = |reason: &str| json!({ "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": reason }] } });
        assert!(lack_a_node(&[pod("SchedulingGated"), pod("Unschedulable")]));
        assert!(!lack_a_node(&[pod("SchedulingGated"), json!({})]));
    }
}
