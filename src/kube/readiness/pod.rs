//! Pods: which troubles pass, and which never will.

use serde_json::Value;

use super::{
    Container, Failure, Readiness, Surroundings, count, crash, last_seen, references, schedule, state, waiting,
};
use crate::{error::cause::What, object::json};

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
    match references::trouble(around).or_else(|| trouble(pod, around)) {
        Some(failure) => failure.into(),
        None => waiting(state::state(pod)),
    }
}

/// Why this pod will never be ready, if so.
pub fn trouble(pod: &Value, around: &Surroundings) -> Option<Failure> {
    trouble_of(pod, around, true)
}

/// The same without crashes, for those whose controller counts them itself.
pub fn trouble_before_running(pod: &Value, around: &Surroundings) -> Option<Failure> {
    trouble_of(pod, around, false)
}

/// Once one container is lost, each of the others that is in trouble is named with it.
fn trouble_of(pod: &Value, around: &Surroundings, crashes: bool) -> Option<Failure> {
    if json::is_being_deleted(pod) || json::condition_status(pod, "Ready") == Some(true) {
        return None;
    }
    let verdict = |status: &Value, hurried: bool| {
        cannot_start(pod, status, around, hurried)
            .or_else(|| (crashes || is_sidecar(pod, status)).then(|| crash::crash(pod, status, around)).flatten())
    };
    schedule::unschedulable(pod, around).or_else(|| {
        statuses(pod).find_map(|status| verdict(status, around.hurried))?;
        statuses(pod).filter_map(|status| verdict(status, true)).reduce(Failure::and)
    })
}

/// A container that is meant to run beside the others, though it is listed with those that run before them.
fn is_sidecar(pod: &Value, status: &Value) -> bool {
    let named = json::list(pod, "/spec/initContainers").iter().find(|container| container["name"] == status["name"]);
    named.is_some_and(|container| container["restartPolicy"] == "Always")
}

/// Whether it is meant to run as long as the pod, unlike those that run before the others.
pub(super) fn runs_on(pod: &Value, status: &Value) -> bool {
    json::list(pod, "/status/containerStatuses").contains(status) || is_sidecar(pod, status)
}

pub(super) fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"))
}

pub(super) fn named(status: &Value) -> &str {
    status["name"].as_str().unwrap_or_default()
}

pub(super) fn container(pod: &Value, name: &str, previous: bool) -> Container {
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

pub(super) fn events_of<'a>(pod: &'a Value, around: &'a Surroundings) -> impl Iterator<Item = &'a Value> {
    around.events.iter().filter(|event| {
        let about = &event["involvedObject"];
        about["name"] == json::name(pod) && about["uid"].as_str().is_none_or(|uid| uid == json::uid(pod))
    })
}

fn cannot_start(pod: &Value, status: &Value, around: &Surroundings, hurried: bool) -> Option<Failure> {
    let waiting = status.pointer("/state/waiting")?;
    let message = waiting["message"].as_str().unwrap_or_default();
    let image = image(pod, status);
    let at = format!("pod {}, container {}", json::name(pod), named(status));
    match waiting["reason"].as_str()? {
        "InvalidImageName" => {
            Some(Failure::new(format!("{image:?} is no valid image name")).detail(format!("{at}: {message}")))
        }
        "ErrImageNeverPull" if hurried || tried_again(pod, message, around) => Some(
            Failure::new(format!("image {image} is not on the node and must not be pulled"))
                .detail(format!("{at}: {message}")),
        ),
        reason @ ("ImagePullBackOff" | "ErrImagePull") => {
            let pulls: Vec<_> = pulls(pod, status, around).collect();
            let tries: i64 = pulls.iter().map(|event| count(event)).sum();
            let words = pulls.iter().rev().find_map(|event| event["message"].as_str()).unwrap_or(message);
            let needed = match (reason, may_pass(words)) {
                (_, true) => 3,
                ("ErrImagePull", false) if !hurried => 2,
                _ => 0,
            };
            // An older pod's back-off may be of before the fix: then the next pull decides.
            let fresh = around.is_new(pod)
                || pulls.iter().any(|event| around.counts(pod, Some(last_seen(event))))
                || reason == "ErrImagePull" && around.has_settled();
            (fresh && tries >= needed).then(|| {
                let failure = Failure::of(What::Image(image.to_owned())).detail(format!("{at}: {words}"));
                logins_missing(around)
                    .fold(failure, |failure, secret| {
                        failure.detail(format!("{at}: imagePullSecret {secret} does not exist"))
                    })
                    .hint("check that the image's name and tag exist and that the nodes may pull from that registry")
            })
        }
        "CreateContainerConfigError" if references::lacking(around).next().is_some() => None,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError"
            if hurried || tried_again(pod, message, around) =>
        {
            let failure = Failure::new(format!("container {} cannot be made: {message}", named(status))).detail(at);
            Some(match message.contains("not found") || message.contains("couldn't find key") {
                true => failure.hint("a ConfigMap, Secret or key that the pod refers to is missing"),
                false => failure,
            })
        }
        _ => None,
    }
}

/// As the pod names it: the kubelet may report what it resolved the name to.
fn image<'a>(pod: &'a Value, status: &'a Value) -> &'a str {
    let written = spec_of(pod, named(status)).and_then(|container| container["image"].as_str());
    written.or(status["image"].as_str()).unwrap_or_default()
}

/// The pulls of this container's image that failed.
fn pulls<'a>(pod: &'a Value, status: &'a Value, around: &'a Surroundings) -> impl Iterator<Item = &'a Value> {
    let place = format!("{{{}}}", named(status));
    events_of(pod, around).filter(move |event| {
        let text = event["message"].as_str().unwrap_or_default();
        let here = json::text(event, "/involvedObject/fieldPath")
            .map_or(text.contains(image(pod, status)), |path| path.ends_with(&place));
        event["reason"] == "Failed" && text.contains("Failed to pull image") && here
    })
}

/// Secrets for registries that the pods name and that are not there.
fn logins_missing(around: &Surroundings) -> impl Iterator<Item = &str> {
    let missing = around.references.iter().filter(|looked| looked.reference.to_pull && looked.found.is_none());
    missing.map(|looked| looked.reference.name.as_str())
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

/// The network had a bad moment, or the registry asks to wait.
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

pub(super) fn spec_of<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    json::list(pod, "/spec/initContainers")
        .iter()
        .chain(json::list(pod, "/spec/containers"))
        .find(|container| container["name"] == name)
}

/// Whether time alone may bring it: nothing has failed yet.
pub fn may_come(pod: &Value) -> bool {
    let is_lost = |status: &Value| {
        let why = json::text(status, "/state/waiting/reason").unwrap_or_default();
        !matches!(why, "" | "PodInitializing" | "ContainerCreating")
    };
    json::condition_status(pod, "PodScheduled") != Some(false) && !statuses(pod).any(is_lost)
}

/// Whether one of its images has not been pulled when that was tried.
pub(super) fn cannot_pull(pod: &Value) -> bool {
    let failed = ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"];
    statuses(pod).any(|status| json::text(status, "/state/waiting/reason").is_some_and(|why| failed.contains(&why)))
}

/// Whether something that it needs of ConfigMaps and Secrets is not there, as the kubelet says.
pub fn lacks_configuration(pod: &Value) -> bool {
    statuses(pod).any(|status| json::text(status, "/state/waiting/reason") == Some("CreateContainerConfigError"))
}
