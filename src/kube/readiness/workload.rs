//! What runs pods: a rollout is ready when all its pods are of the newest template and available.

use serde_json::Value;

use super::{
    Container, Failure, Readiness, Surroundings, crash, declared, pod, references, refusal, state, stuck, waiting,
};
use crate::object::json;

/// The label of a StatefulSet's pods that tells their version.
pub(super) const REVISION: &str = "controller-revision-hash";

/// These controllers always report the generation that they saw; none yet means not seen.
fn unseen(object: &Value) -> Option<Readiness> {
    let seen = json::int(object, "/status/observedGeneration").unwrap_or(0);
    (seen < json::int(object, "/metadata/generation").unwrap_or(0))
        .then(|| waiting("its controller has not seen it yet"))
}

fn number(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

/// Its pods, as far as they are of the newest template: what an older one suffers from is about to go.
pub fn newest<'a>(object: &Value, around: &'a Surroundings) -> Vec<&'a Value> {
    let with_label = |label: &str, value: Option<&str>| -> Vec<&'a Value> {
        around.pods.iter().filter(|pod| value.is_none_or(|value| json::label(pod, label) == Some(value))).collect()
    };
    match json::kind(object) {
        "Deployment" => {
            let own = around.replica_sets.iter().filter(|set| is_owned_by(set, json::uid(object)));
            let revision = |set: &Value| {
                json::annotation(set, "deployment.kubernetes.io/revision").and_then(|text| text.parse::<i64>().ok())
            };
            let newest = own.max_by_key(|set| revision(set)).and_then(|set| json::label(set, "pod-template-hash"));
            with_label("pod-template-hash", newest)
        }
        "StatefulSet" => with_label(REVISION, json::text(object, "/status/updateRevision")),
        "DaemonSet" => {
            let template = json::annotation(object, "deprecated.daemonset.template.generation");
            with_label("pod-template-generation", template)
        }
        _ => around.pods.iter().collect(),
    }
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    json::list(object, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
}

/// Ready, unless one of its pods is so only between two exits.
fn ready(object: &Value, around: &Surroundings) -> Readiness {
    let pods = newest(object, around);
    pods.iter().find_map(|found| crash::between_exits(found, around)).map_or(Readiness::Ready, waiting)
}

/// Why it waits, with what the least ready of its pods is doing; or that it failed.
fn not_yet(summary: String, object: &Value, around: &Surroundings) -> Readiness {
    let pods = newest(object, around);
    if let Some(failure) = lost(object, &pods, around, pod::trouble) {
        return failure.into();
    }
    let unready = pods.iter().find(|found| json::condition_status(found, "Ready") != Some(true));
    waiting(with_state(summary, unready.map(|found| state::state(found)), object, around))
}

/// What makes waiting pointless: what its pods lack, why they are refused, what they suffer from.
fn lost(
    object: &Value,
    pods: &[&Value],
    around: &Surroundings,
    trouble: fn(&Value, &Surroundings) -> Option<Failure>,
) -> Option<Failure> {
    let lacking = match refusal::trouble(object, around) {
        // The refusal is about what is missing.
        Some(refused) => Some(match references::never(around) {
            Some(lacking) => refused.details.into_iter().fold(lacking, Failure::detail),
            None => refused,
        }),
        None => references::trouble(around),
    };
    let of_pods = pods.iter().find_map(|found| trouble(found, around)).map(|first| {
        let hurried = Surroundings { hurried: true, ..around.clone() };
        pods.iter().filter_map(|found| trouble(found, &hurried)).fold(first, Failure::and)
    });
    lacking.into_iter().chain(of_pods).reduce(Failure::and)
}

fn with_state(summary: String, pod: Option<String>, object: &Value, around: &Surroundings) -> String {
    let lacking: Vec<String> = references::lacking(around).map(|(_, what)| what).collect();
    let lacking = (!lacking.is_empty()).then(|| format!("{} does not exist yet", lacking.join(", ")));
    let refused = || refusal::message(object, around).map(|message| format!("its pods are refused: {message}"));
    [Some(summary), lacking.or_else(refused), pod].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

pub fn deployment(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let (all, updated, available) =
        (number(object, "replicas"), number(object, "updatedReplicas"), number(object, "availableReplicas"));
    if updated >= wanted && all <= updated && available >= updated {
        return ready(object, around);
    }
    if json::flag(object, "/spec/paused") {
        return match declared(object, "f:paused") {
            true => Readiness::Settled(
                "its rollout is paused, as declared: its pods stay as they are until it is not".into(),
            ),
            false => Failure::new("its rollout is paused, and not by the stack")
                .hint(format!("{} lets it go on", command("rollout resume", object)))
                .into(),
        };
    }
    let summary = if updated < wanted {
        format!("{updated} of {wanted} pods are of the new version")
    } else if all > updated {
        format!("{} old pods are stopping", all - updated)
    } else {
        format!("{available} of {wanted} pods are available")
    };
    // It stays until there is progress, so it may be of before the fix.
    let exceeded = json::condition(object, "Progressing").filter(|condition| {
        condition["reason"] == "ProgressDeadlineExceeded" && around.counts(object, condition["lastUpdateTime"].as_str())
    });
    match (not_yet(summary, object, around), exceeded) {
        (Readiness::Waiting(state), Some(condition)) => {
            let pods = newest(object, around);
            let unready = pods.into_iter().find(|found| json::condition_status(found, "Ready") != Some(true));
            Failure {
                logs_of: unready.and_then(first_container),
                ..Failure::new("its rollout made no progress within its own deadline")
                    .detail(json::reason(condition))
                    .detail(state)
            }
            .into()
        }
        (readiness, _) => readiness,
    }
}

/// `kubectl VERB deployment/web -n shop`
pub(super) fn command(verb: &str, object: &Value) -> String {
    let namespace = json::namespace(object).map_or(String::new(), |namespace| format!(" -n {namespace}"));
    format!("`kubectl {verb} {}/{}{namespace}`", json::kind(object).to_lowercase(), json::name(object))
}

fn first_container(pod: &Value) -> Option<Container> {
    Some(Container {
        namespace: json::namespace(pod)?.to_owned(),
        pod: json::name(pod).to_owned(),
        container: json::text(pod, "/spec/containers/0/name")?.to_owned(),
        previous: false,
    })
}

pub fn stateful_set(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let ready_pods = number(object, "readyReplicas");
    let by_hand = json::text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    let partition = json::int(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let (updated, must) = (number(object, "updatedReplicas"), (wanted - partition).max(0));
    let newest = json::text(object, "/status/updateRevision");
    let settled = by_hand || partition > 0 || newest == json::text(object, "/status/currentRevision");
    if ready_pods >= wanted && (by_hand || updated >= must) && settled {
        return ready(object, around);
    }
    if let Some(failure) = stuck::trouble(object, around) {
        return failure.into();
    }
    let summary = if ready_pods < wanted {
        format!("{ready_pods} of {wanted} pods are ready")
    } else {
        format!("{updated} of {must} pods are of the new version")
    };
    not_yet(summary, object, around)
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
    if wanted == 0 {
        return Readiness::Settled("it runs nowhere: no node fits what its pods select and tolerate".to_owned());
    }
    let by_hand = json::text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    if (by_hand || updated >= wanted) && available >= wanted {
        return ready(object, around);
    }
    let summary = if updated < wanted && !by_hand {
        format!("{updated} of {wanted} nodes have the new version")
    } else {
        format!("available on {available} of {wanted} nodes")
    };
    not_yet(summary, object, around)
}

pub fn replica_set(object: &Value, around: &Surroundings) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = json::int(object, "/spec/replicas").unwrap_or(1);
    let available = number(object, "availableReplicas");
    if available >= wanted && number(object, "replicas") <= wanted {
        return ready(object, around);
    }
    not_yet(format!("{available} of {wanted} pods are available"), object, around)
}

/// Why no pod of this workload is to be expected, if so: what selects its pods selects none.
pub(super) fn rests(object: &Value) -> Option<String> {
    let name = format!("{}/{}", json::kind(object), json::name(object));
    match json::kind(object) {
        "DaemonSet" => (number(object, "observedGeneration") > 0 && number(object, "desiredNumberScheduled") == 0)
            .then(|| format!("{name} runs on no node")),
        "Job" => json::flag(object, "/spec/suspend").then(|| format!("{name} is suspended")),
        _ if json::int(object, "/spec/replicas") == Some(0) => Some(format!("{name} is at 0 replicas")),
        _ => json::flag(object, "/spec/paused").then(|| format!("{name} is paused")),
    }
}

pub fn is_complete(job: &Value) -> bool {
    json::condition_status(job, "Complete") == Some(true)
}

pub fn job(object: &Value, around: &Surroundings) -> Readiness {
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
        return match declared(object, "f:suspend") {
            true => Readiness::Settled("it is suspended, as declared: it runs nothing until it is not".to_owned()),
            false => waiting("it is suspended, and not by the stack: somebody else starts it"),
        };
    }
    let pods: Vec<&Value> = around.pods.iter().collect();
    if let Some(failure) = lost(object, &pods, around, pod::trouble_before_running) {
        return failure.into();
    }
    let wanted = json::int(object, "/spec/completions").unwrap_or(1);
    let summary = format!(
        "{} of {wanted} runs have succeeded, {} active, {} failed",
        number(object, "succeeded"),
        number(object, "active"),
        number(object, "failed")
    );
    let going = pods.iter().filter(|found| json::text(found, "/status/phase") == Some("Pending"));
    waiting(with_state(summary, going.map(|found| state::state(found)).next(), object, around))
}

/// What became of a Job that was there and has vanished: it removes itself once it has ended. None: nobody has said yet.
pub fn vanished(last: &Value, events: &[Value]) -> Option<Readiness> {
    if is_complete(last) || events.iter().any(|event| event["reason"] == "Completed") {
        return Some(Readiness::Ready);
    }
    let failed = |event: &&Value| {
        event["type"] == "Warning" && event["involvedObject"]["kind"] == "Job" && event["reason"] != "FailedCreate"
    };
    let why = events.iter().rfind(failed).map(json::reason);
    let why =
        why.or_else(|| json::condition(last, "Failed").filter(|found| found["status"] == "True").map(json::reason));
    let ttl = json::int(last, "/spec/ttlSecondsAfterFinished").unwrap_or_default();
    why.map(|why| {
        Failure::new(format!("the job failed and has removed itself: {why}"))
            .hint(format!("raise ttlSecondsAfterFinished, which is {ttl}, to keep its logs"))
            .into()
    })
}

/// Of a Job that has vanished and of which no event tells how it ended.
pub fn unknown_end(last: &Value) -> Readiness {
    let wanted = json::int(last, "/spec/completions").unwrap_or(1);
    match number(last, "succeeded") >= wanted {
        true => Readiness::Ready,
        false => Failure::new("the job has ended and removed itself, and nothing tells how it ended")
            .hint("raise ttlSecondsAfterFinished to keep it, and its logs, for a while")
            .into(),
    }
}
