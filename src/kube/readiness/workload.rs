//! What runs pods: a rollout is ready when all its pods are of the newest template and available.

use serde_json::Value;

use super::{Container, Failure, Readiness, Surroundings, pod, waiting};
use crate::kube::json;

/// These controllers always report the generation that they saw; none yet means not seen.
fn unseen(object: &Value) -> Option<Readiness> {
    let seen = json::int(object, "/status/observedGeneration").unwrap_or(0);
    (seen < json::int(object, "/metadata/generation").unwrap_or(0))
        .then(|| waiting("its controller has not seen it yet"))
}

fn number(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

/// Why it waits, with what the least ready of its pods is doing; or that it failed.
fn not_yet<'a>(
    summary: String,
    pods: impl Iterator<Item = &'a Value> + Clone,
    object: &Value,
    around: &Surroundings,
) -> Readiness {
    if let Some(failure) = refused_pods(object, around) {
        return failure.into();
    }
    if let Some(failure) = pods.clone().find_map(|found| pod::trouble(found, around)) {
        return failure.into();
    }
    let unready = pods.filter(|found| json::condition_status(found, "Ready") != Some(true));
    match unready.map(pod::state).next() {
        Some(state) => waiting(format!("{summary}; {state}")),
        None => waiting(summary),
    }
}

/// The controller may not create its pods: a quota, a policy.
fn refused_pods(object: &Value, around: &Surroundings) -> Option<Failure> {
    let condition = json::condition(object, "ReplicaFailure").filter(|condition| condition["status"] == "True");
    let from_condition = condition.and_then(|condition| condition["message"].as_str());
    let newest = || {
        let counts =
            |event: &&Value| event["reason"] == "FailedCreate" && around.counts(object, Some(super::last_seen(event)));
        let mut refusals: Vec<_> = around.events.iter().filter(counts).collect();
        refusals.sort_by_key(|event| super::last_seen(event).to_owned());
        // Where there is a condition it is the truth; an event may be of before the cure.
        let kind = json::kind(object);
        (kind != "Deployment" && kind != "ReplicaSet").then_some(())?;
        refusals.last().and_then(|event| event["message"].as_str())
    };
    let message = from_condition.or_else(newest)?;
    if message.contains("exceeded quota") {
        return Some(
            Failure::new("a quota does not admit its pods")
                .detail(message)
                .hint("raise the ResourceQuota or lower what the pods ask for"),
        );
    }
    message.contains("forbidden").then(|| Failure::new("its pods are not admitted").detail(message))
}

pub fn deployment(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    if json::flag(object, "/spec/paused") {
        return waiting("its rollout is paused");
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let (all, updated, available) =
        (number(object, "replicas"), number(object, "updatedReplicas"), number(object, "availableReplicas"));
    if updated >= wanted && all <= updated && available >= updated {
        return Readiness::Ready;
    }
    let newest = newest_pods(object, around);
    let summary = if updated < wanted {
        format!("{updated} of {wanted} pods are of the new version")
    } else if all > updated {
        format!("{} old pods are stopping", all - updated)
    } else {
        format!("{available} of {wanted} pods are available")
    };
    // It stays until there is progress, so it may be of before the cure.
    let exceeded = json::condition(object, "Progressing").filter(|condition| {
        condition["reason"] == "ProgressDeadlineExceeded" && around.counts(object, condition["lastUpdateTime"].as_str())
    });
    match (not_yet(summary, newest.clone(), object, around), exceeded) {
        (Readiness::Waiting(state), Some(condition)) => Failure {
            logs_of: newest
                .clone()
                .find(|found| json::condition_status(found, "Ready") != Some(true))
                .and_then(first_container),
            ..Failure::new("its rollout made no progress within its own deadline")
                .detail(json::reason(condition))
                .detail(state)
        }
        .into(),
        (readiness, _) => readiness,
    }
}

fn first_container(pod: &Value) -> Option<Container> {
    Some(Container {
        namespace: json::namespace(pod)?.to_owned(),
        pod: json::name(pod).to_owned(),
        container: json::text(pod, "/spec/containers/0/name")?.to_owned(),
        previous: false,
    })
}

/// Pods of the newest ReplicaSet: what an older one suffers from is about to go.
fn newest_pods<'a>(deployment: &Value, around: &'a Surroundings) -> impl Iterator<Item = &'a Value> + Clone {
    let own = around.replica_sets.iter().filter(|set| is_owned_by(set, json::uid(deployment)));
    let revision = |set: &Value| {
        json::annotation(set, "deployment.kubernetes.io/revision").and_then(|text| text.parse::<i64>().ok())
    };
    let newest = own.max_by_key(|set| revision(set)).and_then(|set| json::label(set, "pod-template-hash"));
    let newest = newest.map(str::to_owned);
    around
        .pods
        .iter()
        .filter(move |pod| newest.as_deref().is_none_or(|hash| json::label(pod, "pod-template-hash") == Some(hash)))
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    json::list(object, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
}

fn with_label<'a>(
    around: &'a Surroundings,
    label: &'a str,
    value: Option<&'a str>,
) -> impl Iterator<Item = &'a Value> + Clone {
    around.pods.iter().filter(move |pod| value.is_none_or(|value| json::label(pod, label) == Some(value)))
}

pub fn stateful_set(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let ready = number(object, "readyReplicas");
    let by_hand = json::text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    let partition = json::int(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let (updated, must) = (number(object, "updatedReplicas"), (wanted - partition).max(0));
    let newest = json::text(object, "/status/updateRevision");
    let settled = by_hand || partition > 0 || newest == json::text(object, "/status/currentRevision");
    if ready >= wanted && (by_hand || updated >= must) && settled {
        return Readiness::Ready;
    }
    let summary = if ready < wanted {
        format!("{ready} of {wanted} pods are ready")
    } else {
        format!("{updated} of {must} pods are of the new version")
    };
    not_yet(summary, with_label(around, "controller-revision-hash", newest), object, around)
}

pub fn daemon_set(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let (wanted, updated, available) = (
        number(object, "desiredNumberScheduled"),
        number(object, "updatedNumberScheduled"),
        number(object, "numberAvailable"),
    );
    let by_hand = json::text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    if (by_hand || updated >= wanted) && available >= wanted {
        return Readiness::Ready;
    }
    let summary = if updated < wanted && !by_hand {
        format!("{updated} of {wanted} nodes have the new version")
    } else {
        format!("available on {available} of {wanted} nodes")
    };
    let template = json::annotation(object, "deprecated.daemonset.template.generation");
    not_yet(summary, with_label(around, "pod-template-generation", template), object, around)
}

pub fn replica_set(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let available = number(object, "availableReplicas");
    if available >= wanted && number(object, "replicas") <= wanted {
        return Readiness::Ready;
    }
    not_yet(format!("{available} of {wanted} pods are available"), around.pods.iter(), object, around)
}

pub fn job(object: &Value, around: &Surroundings) -> Readiness {
    if json::condition_status(object, "Complete") == Some(true) {
        return Readiness::Ready;
    }
    if let Some(condition) = ["Failed", "FailureTarget"]
        .into_iter()
        .find_map(|type_| json::condition(object, type_).filter(|found| found["status"] == "True"))
    {
        let last = around
            .pods
            .iter()
            .filter(|found| json::text(found, "/status/phase") == Some("Failed"))
            .max_by_key(|found| json::text(found, "/metadata/creationTimestamp"));
        return Failure {
            logs_of: last.or(around.pods.last()).and_then(first_container),
            ..Failure::new(format!("the job failed: {}", json::reason(condition)))
        }
        .into();
    }
    if json::flag(object, "/spec/suspend") {
        return waiting("it is suspended");
    }
    if let Some(failure) = refused_pods(object, around)
        .or_else(|| around.pods.iter().find_map(|found| pod::trouble_before_running(found, around)))
    {
        return failure.into();
    }
    let wanted = json::int(object, "/spec/completions").unwrap_or(1);
    waiting(format!(
        "{} of {wanted} runs have succeeded, {} active, {} failed",
        number(object, "succeeded"),
        number(object, "active"),
        number(object, "failed")
    ))
}
