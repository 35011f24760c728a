//! The Job that the workers are: how it is built, and when one is nobody's any more. Pure.

use std::time::Duration;

use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    jiff::Timestamp,
};
use serde_json::{Value, json};

use super::{super::wire, control};

/// Selects every Job of workers, and their pods.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=stackctl,io.stackctl.agent=load";
/// Set on pods by the Job's controller.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const OF_JOB: &str = "batch.kubernetes.io/job-name";

/// How long an ended Job stays when nobody removes it.
const KEPT: Duration = Duration::from_secs(60);
/// A Job this much past its own deadline belongs to a run that was killed.
const GRACE: Duration = Duration::from_secs(60);

/// `suffix`: random, lower-case letters and digits. `deadline`: after it the Job's controller ends the pods, whatever
/// became of us. What the workers shall send is not in it: they are told once they run.
pub fn build(suffix: &str, image: &str, workers: u32, deadline: Duration) -> Value {
    let labels = json!({ "app.kubernetes.io/managed-by": "stackctl", "io.stackctl.agent": "load" });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": format!("stackctl-load-{suffix}"), "labels": labels },
        "spec": {
            "completionMode": "Indexed",
            "completions": workers,
            "parallelism": workers,
            // A lost worker is not replaced, and takes no other with it.
            "backoffLimitPerIndex": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": deadline.as_secs().max(1),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": { "metadata": { "labels": labels }, "spec": pod_spec(image) },
        },
    })
}

fn pod_spec(image: &str) -> Value {
    json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": false,
        // Variables for every service of the namespace would only crowd the environment.
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        // Load grows with the cluster only if the workers don't crowd one node.
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "io.stackctl.agent": "load" } },
        }],
        "containers": [{
            "name": "agent",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": [wire::ARGUMENTS[0], wire::ARGUMENTS[1], "--control", control::PORT.to_string()],
            "resources": {
                "requests": { "cpu": "100m", "memory": "32Mi" },
                "limits": { "cpu": "1", "memory": "256Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    })
}

/// Selects the pods of one Job.
pub fn pods_of(job: &str) -> String {
    format!("{SELECTOR},{OF_JOB}={job}")
}

/// Which worker a pod is.
pub fn index(pod: &Pod) -> Option<u32> {
    let annotations = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(INDEX));
    annotations.or_else(|| pod.metadata.labels.as_ref()?.get(INDEX))?.parse().ok()
}

/// Whether nobody waits for a Job any more: it ended a while ago, or it has outlived its own deadline. `now`: by the
/// API server's clock.
pub fn abandoned(job: &Job, now: Timestamp) -> bool {
    let older = |time: Timestamp, than: i64| now.duration_since(time).as_secs() > than;
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ended = conditions
        .iter()
        .filter(|condition| condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed"))
        .filter_map(|condition| condition.last_transition_time.as_ref())
        .any(|time| older(time.0, KEPT.as_secs() as i64));
    let deadline = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or(0);
    let limit = deadline.saturating_add(GRACE.as_secs() as i64);
    ended || job.metadata.creation_timestamp.as_ref().is_some_and(|created| older(created.0, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        serde_json::from_value(build("abc12", "registry/agent:1", 3, Duration::from_secs(90))).unwrap()
    }

    #[test]
    fn the_job_is_valid_restricted_and_cleans_up_after_itself() {
        let job = job();
        assert_eq!(job.metadata.name.as_deref(), Some("stackctl-load-abc12"));
        let spec = job.spec.unwrap();
        assert_eq!((spec.completions, spec.parallelism), (Some(3), Some(3)));
        assert_eq!((spec.completion_mode.as_deref(), spec.backoff_limit_per_index), (Some("Indexed"), Some(0)));
        assert_eq!((spec.active_deadline_seconds, spec.ttl_seconds_after_finished), (Some(90), Some(60)));
        let template = spec.template;
        for labels in [job.metadata.labels.unwrap(), template.metadata.unwrap().labels.unwrap()] {
            for label in SELECTOR.split(',') {
                let (key, value) = label.split_once('=').unwrap();
                assert_eq!(labels[key], value);
            }
        }
        let pod = template.spec.unwrap();
        assert_eq!((pod.automount_service_account_token, pod.restart_policy.as_deref()), (Some(false), Some("Never")));
        assert_eq!(pod.security_context.unwrap().run_as_non_root, Some(true));
        let container = &pod.containers[0];
        assert!(container.env.is_none() && pod.volumes.is_none(), "what to send may hold credentials");
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(
            (security.read_only_root_filesystem, security.allow_privilege_escalation),
            (Some(true), Some(false))
        );
        assert_eq!(security.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
        assert!(container.resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("memory"));
    }

    #[test]
    fn pods_know_which_worker_they_are() {
        let pod = |metadata: Value| serde_json::from_value::<Pod>(json!({ "metadata": metadata })).unwrap();
        assert_eq!(index(&pod(json!({ "annotations": { INDEX: "7" } }))), Some(7));
        assert_eq!(index(&pod(json!({ "labels": { INDEX: "3" } }))), Some(3));
        assert_eq!(index(&pod(json!({}))), None);
    }

    #[test]
    fn only_jobs_that_nobody_waits_for_are_abandoned() {
        let mut job = job();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        job.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time("2026-01-01T00:00:00Z")));
        assert!(!abandoned(&job, time("2026-01-01T00:02:29Z")));
        assert!(abandoned(&job, time("2026-01-01T00:02:31Z")));
        let condition = json!({ "type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z" });
        job.status = Some(serde_json::from_value(json!({ "conditions": [condition] })).unwrap());
        assert!(!abandoned(&job, time("2026-01-01T00:01:09Z")));
        assert!(abandoned(&job, time("2026-01-01T00:01:11Z")));
    }
}
