//! What the status of a pod says that runs one command to its end. Pure.

use k8s_openapi::api::core::v1::Pod;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not running yet, and why.
    Starting(String),
    /// No node takes it now; one may come.
    Unschedulable(String),
    Running,
    /// Its logs can be read; the cause if it did not end well.
    Ended(Option<String>),
    /// It will never run.
    Broken(String),
}

pub fn state(pod: &Pod) -> State {
    let Some(status) = &pod.status else { return State::Starting("not seen by the scheduler yet".to_owned()) };
    let container = status.container_statuses.as_deref().unwrap_or_default().first();
    let container = container.and_then(|container| container.state.as_ref());
    let phase = status.phase.as_deref().unwrap_or_default();
    if phase == "Succeeded" {
        return State::Ended(None);
    }
    if phase == "Failed" {
        let pod = sentence(status.reason.as_deref(), status.message.as_deref());
        let ended = container.and_then(|state| state.terminated.as_ref()).map(|ended| {
            let why = sentence(ended.reason.as_deref(), ended.message.as_deref());
            format!("exit code {}{}", ended.exit_code, why.map(|why| format!(", {why}")).unwrap_or_default())
        });
        return State::Ended(Some(pod.or(ended).unwrap_or_else(|| "the pod failed".to_owned())));
    }
    if let Some(waiting) = container.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let why = sentence(Some(reason), waiting.message.as_deref()).unwrap_or_default();
        return match reason {
            "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError" => State::Broken(why),
            _ => State::Starting(why),
        };
    }
    // A container has ended a moment before its pod says so.
    if container.is_some_and(|state| state.running.is_some() || state.terminated.is_some()) {
        return State::Running;
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "PodScheduled") {
        Some(condition) if condition.status == "False" => {
            let why = sentence(condition.reason.as_deref(), condition.message.as_deref()).unwrap_or_default();
            State::Unschedulable(why)
        }
        Some(_) => State::Starting("starting on its node".to_owned()),
        None => State::Starting("waiting for a node".to_owned()),
    }
}

fn sentence(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = [reason, message].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}
