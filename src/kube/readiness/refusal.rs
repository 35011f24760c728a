//! Pods that the API server does not accept from the controller that makes them.

use serde_json::Value;

use super::{Failure, Surroundings, last_seen, references};
use crate::object::json;

/// What passes by itself, such as a new namespace without its ServiceAccount, has passed by then.
const PASSING: u64 = 5;

/// The server's words. The condition is the truth where there is one: an event may be of before the fix.
pub(super) fn message<'a>(object: &'a Value, around: &'a Surroundings) -> Option<&'a str> {
    let condition = json::condition(object, "ReplicaFailure").filter(|condition| condition["status"] == "True");
    if let Some(condition) = condition {
        return condition["message"].as_str();
    }
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let there = i64::try_from(around.pods.len()).unwrap_or(i64::MAX);
    let lacks = match json::kind(object) {
        "StatefulSet" => there < json::int(object, "/spec/replicas").unwrap_or(1),
        "DaemonSet" => there < status("desiredNumberScheduled"),
        "Job" => status("active") == 0 && there == 0,
        _ => false,
    };
    let counts = |event: &&Value| event["reason"] == "FailedCreate" && around.counts(object, Some(last_seen(event)));
    let refusals = around.events.iter().filter(counts);
    refusals.max_by_key(|event| last_seen(event).to_owned()).filter(|_| lacks)?["message"].as_str()
}

/// Whatever the words: what is still refused after a while is refused for good.
pub(super) fn trouble(object: &Value, around: &Surroundings) -> Option<Failure> {
    let message = message(object, around)?;
    if message.contains("exceeded quota") {
        return Some(
            Failure::new("a quota does not admit its pods")
                .detail(message)
                .hint("raise the ResourceQuota or lower what the pods ask for"),
        );
    }
    // What the pods name may be about to come.
    if references::lacking(around).any(|(looked, _)| looked.may_come) {
        return None;
    }
    // So may the webhook's own pods.
    if message.contains("failed calling webhook") || !around.hurried && !around.has_waited(PASSING) {
        return None;
    }
    let why = match message.contains("forbidden") || message.contains("denied") {
        true => "its pods are not admitted",
        false => "its pods cannot be created",
    };
    Some(Failure::new(why).detail(message))
}
