//! What a pod that is not ready is doing, in words.

use serde_json::Value;

use super::pod::{named, spec_of, statuses};
use crate::object::json;

/// What a pod that isn't ready is doing, in a few words.
pub fn state(pod: &Value) -> String {
    let name = json::name(pod);
    if json::is_being_deleted(pod) {
        return format!("{name} is stopping");
    }
    if let Some(condition) = json::condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False") {
        return format!("{name} has no node yet: {}", condition["message"].as_str().unwrap_or_default());
    }
    let troubles: Vec<String> = statuses(pod).filter_map(|status| state_of(pod, status)).collect();
    match (troubles.is_empty(), json::text(pod, "/status/phase")) {
        (false, _) => format!("{name}: {}", troubles.join("; ")),
        (true, Some("Running")) => format!("{name} runs but is not ready"),
        (true, Some(_)) if !json::list(pod, "/status/containerStatuses").is_empty() => format!("{name} is being made"),
        (true, Some(phase)) => format!("{name} is {}", phase.to_lowercase()),
        (true, None) => format!("{name} is new"),
    }
}

/// What there is to say of a container that is not ready.
fn state_of(pod: &Value, status: &Value) -> Option<String> {
    let container = named(status);
    if let Some(waiting) = status.pointer("/state/waiting") {
        return match waiting["reason"].as_str().unwrap_or_default() {
            "PodInitializing" | "ContainerCreating" => None,
            _ => Some(format!("container {container}: {}", json::reason(waiting))),
        };
    }
    if let Some(ended) = status.pointer("/state/terminated") {
        return (ended["exitCode"] != 0).then(|| format!("container {container}: exit code {}", ended["exitCode"]));
    }
    let spec = spec_of(pod, container)?;
    let probed = |field: &str| spec.get(field).filter(|probe| probe.is_object()).map(probe);
    let startup = probed("startupProbe").filter(|_| status["started"] != true);
    let words = match (startup, probed("readinessProbe")) {
        (Some(probe), _) => format!("has not started: its startup probe ({probe}) has not succeeded"),
        (None, Some(probe)) if status["ready"] != true => {
            format!("is not ready: its readiness probe ({probe}) has not succeeded")
        }
        _ => return None,
    };
    Some(format!("container {container} runs but {words}"))
}

/// `HTTP GET /healthz at port 80`
fn probe(probe: &Value) -> String {
    let port = |of: &Value| of["port"].as_str().map_or_else(|| of["port"].to_string(), str::to_owned);
    if let Some(get) = probe.get("httpGet") {
        return format!("HTTP GET {} at port {}", get["path"].as_str().unwrap_or("/"), port(get));
    }
    if let Some(socket) = probe.get("tcpSocket") {
        return format!("a connection to port {}", port(socket));
    }
    if let Some(grpc) = probe.get("grpc") {
        return format!("gRPC at port {}", port(grpc));
    }
    let command = json::list(probe, "/exec/command").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    command.chars().take(80).collect()
}
