//! The pod that runs the agent: how it is built, and what its status means. Pure.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};

/// Arguments of this executable that make it the agent; the image's entry point is the executable.
pub const ARGUMENTS: [&str; 2] = ["agent", "prove"];
/// Environment variable that holds the checks.
pub const INPUT: &str = "STACKCTL_CHECKS";
/// Environment variable with the certificate of the stack's CA, PEM.
pub const CA: &str = "STACKCTL_CA";
/// Selects every agent pod.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=stackctl,io.stackctl.agent=proof";

/// Annotation: for how many seconds from the pod's creation its run waits for it, at most.
const AWAITED: &str = "io.stackctl.awaited";

/// Linux refuses a longer string in an environment (MAX_ARG_STRLEN).
const INPUT_LIMIT: usize = 120 * 1024;
/// A pod this much past the deadlines of itself and of its run belongs to a run that was killed.
const GRACE: Duration = Duration::from_secs(60);

/// What a pod of the agent runs from and with.
#[derive(Debug, Clone, Copy)]
pub struct PodOptions<'a> {
    pub image: &'a str,
    /// Certificate of the stack's CA, PEM; public.
    pub ca: Option<&'a str>,
    /// The ServiceAccount whose token it gets; None: no token.
    pub service_account: Option<&'a str>,
}

/// `suffix`: random, lower-case letters and digits. `checks`: what `run_agent` takes; not secret, but visible to whoever
/// may read pods. `awaited`: how long our run waits for it. The kubelet, which counts from the pod's start and so with the
/// pull of its image, ends it after as long, whatever became of us.
pub fn build(suffix: &str, options: PodOptions, checks: &str, awaited: Duration) -> Result<Value> {
    if checks.len() > INPUT_LIMIT {
        return Err(Error::new(Kind::Usage, "the proofs are too long to be handed to the agent")
            .cause(format!("{} bytes, at most {INPUT_LIMIT}", checks.len()))
            .hint("shorten the bodies and expectations of the proofs"));
    }
    let variable = |name: &str, text: &str| json!({ "name": name, "value": escape_references(text) });
    let environment: Vec<Value> =
        [variable(INPUT, checks)].into_iter().chain(options.ca.map(|ca| variable(CA, ca))).collect();
    let resources = json!({ "cpu": "10m", "memory": "16Mi" });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("stackctl-proof-{suffix}"),
            "labels": { "app.kubernetes.io/managed-by": "stackctl", "io.stackctl.agent": "proof" },
            "annotations": { AWAITED: awaited.as_secs().to_string() },
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": awaited.as_secs().max(1),
            "terminationGracePeriodSeconds": 1,
            "serviceAccountName": options.service_account.unwrap_or("default"),
            "automountServiceAccountToken": options.service_account.is_some(),
            // Variables for every service of the namespace would only crowd the environment.
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "agent",
                "image": options.image,
                "imagePullPolicy": "IfNotPresent",
                "args": ARGUMENTS,
                "env": environment,
                "resources": { "requests": resources, "limits": { "cpu": "500m", "memory": "128Mi" } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    }))
}

/// Kubernetes expands `$(NAME)` in values; `$$` stands for one `$`.
fn escape_references(text: &str) -> String {
    text.replace('$', "$$")
}

/// Whether the run of an agent pod must have ended without deleting it. `now`: by the API server's clock. The kubelet
/// counts the pod's deadline only from its start, which a run may wait for longer than for anything.
pub fn abandoned(pod: &Pod, now: Timestamp) -> bool {
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let deadline = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or(0);
    let awaited = pod.metadata.annotations.as_ref().and_then(|all| all.get(AWAITED)?.parse().ok()).unwrap_or(0);
    let limit = deadline.max(awaited).saturating_add(GRACE.as_secs() as i64);
    created.is_some_and(|created| now.duration_since(created).as_secs() > limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::agent_pod::{State, state};

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": {"name": "p"}, "status": status })).unwrap()
    }

    fn waiting(reason: &str) -> Pod {
        let state = json!({"waiting": {"reason": reason, "message": "because"}});
        let status =
            json!({"name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        pod(json!({ "phase": "Pending", "containerStatuses": [status] }))
    }

    const OPTIONS: PodOptions = PodOptions { image: "registry/agent:1", ca: None, service_account: None };

    #[test]
    fn an_account_and_a_ca_are_handed_over() {
        let options = PodOptions { ca: Some("PEM"), service_account: Some("rbac-test"), ..OPTIONS };
        let pod: Pod = serde_json::from_value(build("a", options, "[]", GRACE).unwrap()).unwrap();
        let spec = pod.spec.unwrap();
        assert_eq!(spec.service_account_name.as_deref(), Some("rbac-test"));
        assert_eq!(spec.automount_service_account_token, Some(true));
        let env = spec.containers[0].env.as_ref().unwrap();
        assert_eq!((env[1].name.as_str(), env[1].value.as_deref()), (CA, Some("PEM")));
    }

    #[test]
    fn the_pod_is_valid_and_restricted() {
        let value = build("abc12", OPTIONS, "[\"$(HOME)\"]", Duration::from_secs(90)).unwrap();
        let pod: Pod = serde_json::from_value(value).unwrap();
        assert_eq!(pod.metadata.name.as_deref(), Some("stackctl-proof-abc12"));
        let labels = pod.metadata.labels.unwrap();
        for label in SELECTOR.split(',') {
            let (key, value) = label.split_once('=').unwrap();
            assert_eq!(labels[key], value);
        }
        let spec = pod.spec.unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(90));
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        let security = spec.security_context.unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
        let container = &spec.containers[0];
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(container.env.as_ref().unwrap()[0].value.as_deref(), Some("[\"$$(HOME)\"]"));
    }

    #[test]
    fn too_much_input_is_refused() {
        assert_eq!(build("a", OPTIONS, &"x".repeat(INPUT_LIMIT + 1), GRACE).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn states_are_told_apart() {
        assert_eq!(state(&waiting("ContainerCreating")), State::Starting("ContainerCreating: because".into()));
        assert_eq!(state(&waiting("ErrImagePull")), State::Starting("ErrImagePull: because".into()));
        assert_eq!(state(&waiting("ImagePullBackOff")), State::Broken("ImagePullBackOff: because".into()));
        assert_eq!(state(&pod(json!({"phase": "Succeeded"}))), State::Ended(None));
        let failed = json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"});
        assert_eq!(state(&pod(failed)), State::Ended(Some("DeadlineExceeded: too long".into())));
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"});
        assert_eq!(
            state(&pod(json!({"phase": "Pending", "conditions": [condition]}))),
            State::Unschedulable("Unschedulable: 0/1 nodes".into())
        );
        assert_eq!(state(&pod(json!({"phase": "Pending"}))), State::Starting("waiting for a node".into()));
        let condition = json!({"type": "PodScheduled", "status": "True"});
        assert_eq!(
            state(&pod(json!({"phase": "Pending", "conditions": [condition]}))),
            State::Starting("starting on its node".into())
        );
        let ended = json!({"name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0}}});
        let status = json!({"phase": "Running", "conditions": [condition], "containerStatuses": [ended]});
        assert_eq!(state(&pod(status)), State::Running);
    }

    #[test]
    fn only_pods_that_no_run_waits_for_are_abandoned() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "activeDeadlineSeconds": 30, "containers": [] },
        }))
        .unwrap();
        assert!(!abandoned(&pod, "2026-01-01T00:01:29Z".parse().unwrap()));
        assert!(abandoned(&pod, "2026-01-01T00:01:31Z".parse().unwrap()));
        // No node took it for long, and its run still waits.
        pod.metadata.annotations = Some([(AWAITED.to_owned(), "300".to_owned())].into());
        assert!(!abandoned(&pod, "2026-01-01T00:05:59Z".parse().unwrap()));
        assert!(abandoned(&pod, "2026-01-01T00:06:01Z".parse().unwrap()));
    }
}
