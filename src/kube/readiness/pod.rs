//! Pods: which troubles pass, and which never will.

use serde_json::Value;

use super::{Container, Failure, Readiness, Surroundings, count, last_seen, waiting};
use crate::{kube::json, quantity};

/// So many exits of a container that never was ready are a verdict.
const EXITS: i64 = 3;

/// A pod that nobody manages.
pub fn readiness(pod: &Value, around: &Surroundings) -> Readiness {
    match json::text(pod, "/status/phase") {
        Some("Succeeded") => return Readiness::Ready,
        Some("Failed") => {
            let why = json::reason(&pod["status"]);
            return Failure { logs_of: first_failed(pod), ..Failure::new(format!("the pod failed {why}").trim_end()) }
                .into();
        }
        _ => {}
    }
    if json::condition_status(pod, "Ready") == Some(true) {
        return Readiness::Ready;
    }
    match trouble(pod, around) {
        Some(failure) => failure.into(),
        None => waiting(state(pod)),
    }
}

/// Why this pod will never be ready, if so.
pub fn trouble(pod: &Value, around: &Surroundings) -> Option<Failure> {
    trouble_before_running(pod, around).or_else(|| statuses(pod).find_map(|status| crash(pod, status, around)))
}

/// The same without crashes, for those whose controller counts them itself.
pub fn trouble_before_running(pod: &Value, around: &Surroundings) -> Option<Failure> {
    if json::is_being_deleted(pod) || json::condition_status(pod, "Ready") == Some(true) {
        return None;
    }
    unschedulable(pod, around).or_else(|| statuses(pod).find_map(|status| cannot_start(pod, status, around)))
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"))
}

fn named(status: &Value) -> &str {
    status["name"].as_str().unwrap_or_default()
}

fn container(pod: &Value, name: &str, previous: bool) -> Container {
    Container {
        namespace: json::namespace(pod).unwrap_or_default().to_owned(),
        pod: json::name(pod).to_owned(),
        container: name.to_owned(),
        previous,
    }
}

fn first_failed(pod: &Value) -> Option<Container> {
    let failed =
        statuses(pod).find(|status| json::int(status, "/state/terminated/exitCode").is_some_and(|code| code != 0));
    failed.map(|status| container(pod, named(status), false))
}

fn events_of<'a>(pod: &'a Value, around: &'a Surroundings) -> impl Iterator<Item = &'a Value> {
    around.events.iter().filter(|event| {
        let about = &event["involvedObject"];
        about["name"] == json::name(pod) && about["uid"].as_str().is_none_or(|uid| uid == json::uid(pod))
    })
}

fn cannot_start(pod: &Value, status: &Value, around: &Surroundings) -> Option<Failure> {
    let waiting = status.pointer("/state/waiting")?;
    let (image, message) =
        (status["image"].as_str().unwrap_or_default(), waiting["message"].as_str().unwrap_or_default());
    let at = format!("pod {}, container {}", json::name(pod), named(status));
    match waiting["reason"].as_str()? {
        "InvalidImageName" => {
            Some(Failure::new(format!("{image:?} is no valid image name")).detail(format!("{at}: {message}")))
        }
        "ErrImageNeverPull" if tried_again(pod, message, around) => Some(
            Failure::new(format!("image {image} is not on the node and must not be pulled"))
                .detail(format!("{at}: {message}")),
        ),
        reason @ ("ImagePullBackOff" | "ErrImagePull") => {
            let pulls: Vec<_> = events_of(pod, around)
                .filter(|event| {
                    event["reason"] == "Failed"
                        && event["message"].as_str().is_some_and(|text| text.contains("Failed to pull image"))
                })
                .collect();
            let tries: i64 = pulls.iter().map(|event| count(event)).sum();
            let words = pulls.iter().rev().find_map(|event| event["message"].as_str()).unwrap_or(message);
            let needed = match (reason, may_pass(words)) {
                (_, true) => 3,
                ("ErrImagePull", false) => 2,
                _ => 0,
            };
            // An older pod's back-off may be of before the cure: then the next pull decides.
            let fresh = around.is_new(pod)
                || pulls.iter().any(|event| around.counts(pod, Some(last_seen(event))))
                || reason == "ErrImagePull" && around.has_settled();
            (fresh && tries >= needed).then(|| {
                Failure::new(format!("image {image} cannot be pulled"))
                    .detail(format!("{at}: {words}"))
                    .hint("check that the image's name and tag exist and that the nodes may pull from that registry")
            })
        }
        "CreateContainerConfigError" if tried_again(pod, message, around) => Some(
            Failure::new(format!("container {} cannot be made: {message}", named(status)))
                .detail(at)
                .hint("a ConfigMap, Secret or key that the pod refers to is missing"),
        ),
        _ => None,
    }
}

/// Whether what the kubelet could not do has failed within this run. It says so in an event, but not every time.
fn tried_again(pod: &Value, message: &str, around: &Surroundings) -> bool {
    let told = |event: &Value| {
        event["reason"] == "Failed"
            && event["message"].as_str().is_some_and(|text| text.contains(message))
            && around.counts(pod, Some(last_seen(event)))
    };
    around.is_new(pod) || around.has_settled() || events_of(pod, around).any(told)
}

/// The network had a bad moment, or the registry asks for patience.
fn may_pass(words: &str) -> bool {
    let signs = [
        "timeout",
        "connection refused",
        "connection reset",
        "deadline exceeded",
        "429",
        "503",
        "502",
        "Too Many Requests",
        "unexpected EOF",
    ];
    signs.iter().any(|sign| words.contains(sign))
}

fn crash(pod: &Value, status: &Value, around: &Surroundings) -> Option<Failure> {
    let is_init = !json::list(pod, "/status/containerStatuses").contains(status);
    if status["ready"] == true || was_ready(pod) {
        return None;
    }
    let restarts = json::int(status, "/restartCount").unwrap_or(0);
    let now = status.pointer("/state/terminated");
    let down =
        now.is_some() || status.pointer("/state/waiting/reason").is_some_and(|reason| reason == "CrashLoopBackOff");
    let last = now.or_else(|| status.pointer("/lastState/terminated"))?;
    if is_init && last["exitCode"] == 0 {
        return None;
    }
    let name = named(status);
    // Restarts by a failed probe count against the deadline alone.
    let kills = events_of(pod, around).filter(|event| {
        let text = event["message"].as_str().unwrap_or_default();
        event["reason"] == "Killing"
            && text.contains("probe")
            && text.to_lowercase().contains(&format!("container {name} ").to_lowercase())
    });
    let exits = restarts + i64::from(down) - kills.map(count).sum::<i64>();
    if exits < EXITS {
        return None;
    }
    // What it lacked when it exited last may be there by now.
    if !around.is_new(pod) && !around.counts(pod, last["finishedAt"].as_str()) {
        return None;
    }
    let code = last["exitCode"].as_i64().unwrap_or(-1);
    let how = match last["reason"].as_str().unwrap_or_default() {
        "OOMKilled" => {
            let limit =
                spec_of(pod, name).and_then(|spec| json::text(spec, "/resources/limits/memory")).unwrap_or("none");
            format!("it ran out of memory (limit {limit})")
        }
        "Error" | "Completed" | "" => format!("exit code {code}"),
        reason => format!("exit code {code}, {reason}"),
    };
    let failure = Failure::new(format!("container {name} exited {exits} times without ever being ready: {how}"));
    let failure =
        failure.detail(format!("pod {}", json::name(pod))).detail(last["message"].as_str().unwrap_or_default().trim());
    Some(Failure { logs_of: Some(container(pod, name, now.is_none())), ..failure })
}

fn spec_of<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    json::list(pod, "/spec/initContainers")
        .iter()
        .chain(json::list(pod, "/spec/containers"))
        .find(|container| container["name"] == name)
}

/// Ready is False from the pod's first second on; a later transition to False means that it was True in between.
fn was_ready(pod: &Value) -> bool {
    let time = |text: Option<&str>| text?.parse::<jiff::Timestamp>().ok();
    let condition = json::condition(pod, "Ready");
    let flipped = time(condition.and_then(|condition| condition["lastTransitionTime"].as_str()));
    match (time(json::text(pod, "/status/startTime")), flipped) {
        (Some(start), Some(flipped)) => flipped.as_second() - start.as_second() > 2,
        _ => false,
    }
}

/// Only what no node could ever hold is a failure: room may become free.
fn unschedulable(pod: &Value, around: &Surroundings) -> Option<Failure> {
    let condition = json::condition(pod, "PodScheduled").filter(|condition| condition["reason"] == "Unschedulable")?;
    let scaling =
        events_of(pod, around).any(|event| matches!(event["reason"].as_str(), Some("TriggeredScaleUp" | "Nominated")));
    if around.nodes.is_empty() || around.nodes_may_grow || scaling {
        return None;
    }
    let message = condition["message"].as_str().unwrap_or_default();
    for (resource, wanted) in requests(pod) {
        let of_node = |node: &Value| node.pointer("/status/allocatable")?.get(&resource)?.as_str().map(str::to_owned);
        let sizes = around.nodes.iter().filter_map(of_node);
        let largest = sizes.filter_map(|size| Some((quantity::thousandths(&size)?, size))).max();
        if largest.as_ref().is_none_or(|(most, _)| *most < wanted) {
            let asked = shown(pod, &resource, wanted);
            let most = largest.map_or("no node has any".to_owned(), |(_, size)| format!("the largest node has {size}"));
            return Some(
                Failure::new(format!(
                    "no node can hold pod {}: it asks for {asked} of {resource}, {most}",
                    json::name(pod)
                ))
                .detail(message)
                .hint(format!("lower resources.requests.{resource}, or use larger nodes")),
            );
        }
    }
    None
}

/// What the pod asks a node for, in thousandths: the sum of its containers or its largest init container.
fn requests(pod: &Value) -> Vec<(String, i128)> {
    let of = |container: &Value| -> Vec<(String, i128)> {
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        let requests = container.pointer("/resources/requests").and_then(Value::as_object);
        let both = limits
            .into_iter()
            .flatten()
            .filter(|(name, _)| requests.is_none_or(|requests| !requests.contains_key(*name)))
            .chain(requests.into_iter().flatten());
        both.filter_map(|(name, amount)| {
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            Some((name.clone(), quantity::thousandths(&text)?))
        })
        .collect()
    };
    let mut total = std::collections::BTreeMap::new();
    for (name, amount) in json::list(pod, "/spec/containers").iter().flat_map(of) {
        *total.entry(name).or_insert(0) += amount;
    }
    for (name, amount) in json::list(pod, "/spec/initContainers").iter().flat_map(of) {
        let slot = total.entry(name).or_insert(0);
        *slot = amount.max(*slot);
    }
    total.into_iter().collect()
}

/// As written when one container asks for it, else the sum.
fn shown(pod: &Value, resource: &str, sum: i128) -> String {
    let written = json::list(pod, "/spec/containers")
        .iter()
        .filter_map(|container| container.pointer("/resources/requests")?.get(resource));
    match written.collect::<Vec<_>>().as_slice() {
        [one] => one.as_str().map_or_else(|| one.to_string(), str::to_owned),
        _ if sum % 1000 == 0 => (sum / 1000).to_string(),
        _ => format!("{sum}m"),
    }
}

/// What a pod that isn't ready is doing, in a few words.
pub fn state(pod: &Value) -> String {
    let name = json::name(pod);
    if json::is_being_deleted(pod) {
        return format!("{name} is stopping");
    }
    if let Some(condition) = json::condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False") {
        return format!("{name} has no node yet: {}", condition["message"].as_str().unwrap_or_default());
    }
    for status in statuses(pod) {
        let container = named(status);
        if let Some(waiting) = status.pointer("/state/waiting") {
            let reason = waiting["reason"].as_str().unwrap_or_default();
            match reason {
                "PodInitializing" => continue,
                "ContainerCreating" => return format!("{name} is being made"),
                _ => return format!("{name}, container {container}: {}", json::reason(waiting)),
            }
        }
        if let Some(ended) = status.pointer("/state/terminated").filter(|ended| ended["exitCode"] != 0) {
            return format!("{name}, container {container}: exit code {}", ended["exitCode"]);
        }
    }
    match json::text(pod, "/status/phase") {
        Some("Running") => format!("{name} runs but is not ready"),
        Some(phase) => format!("{name} is {}", phase.to_lowercase()),
        None => format!("{name} is new"),
    }
}
