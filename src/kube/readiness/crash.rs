//! Containers that exit: which of them will never stay.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Failure, Surroundings, count,
    pod::{container, events_of, named, runs_on, spec_of, statuses},
};
use crate::object::json;

/// So many exits of a container that never was ready are a verdict.
const EXITS: i64 = 3;
/// A container that ran for less, in seconds, was not of use to anybody.
const INSTANT: i64 = 10;

/// Why a container that exits is lost, if so.
pub(super) fn crash(pod: &Value, status: &Value, around: &Surroundings) -> Option<Failure> {
    let is_init = !runs_on(pod, status);
    let restarts = json::int(status, "/restartCount").unwrap_or(0);
    let now = status.pointer("/state/terminated");
    let down =
        now.is_some() || status.pointer("/state/waiting/reason").is_some_and(|reason| reason == "CrashLoopBackOff");
    let last = now.or_else(|| status.pointer("/lastState/terminated"))?;
    if is_init && last["exitCode"] == 0 {
        return None;
    }
    // Each time ready for no more than an instant is never ready.
    let fleeting = around.is_new(pod) && down && ran_for(last).is_some_and(|seconds| seconds < INSTANT);
    if status["ready"] == true || was_ready(pod) && !fleeting {
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
    let enough = if around.hurried && down { EXITS - 1 } else { EXITS };
    if exits < enough {
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
    let never = if was_ready(pod) { "within seconds of its start" } else { "without ever being ready" };
    let failure = Failure::new(format!("container {name} exited {exits} times {never}: {how}"));
    let failure =
        failure.detail(format!("pod {}", json::name(pod))).detail(last["message"].as_str().unwrap_or_default().trim());
    Some(Failure { logs_of: Some(container(pod, name, now.is_none())), ..failure })
}

/// Seconds.
fn ran_for(ended: &Value) -> Option<i64> {
    let time = |field: &str| ended[field].as_str()?.parse::<Timestamp>().ok();
    Some(time("finishedAt")?.as_second() - time("startedAt")?.as_second())
}

/// Ready is False from the pod's first second on; a later transition to False means that it was True in between.
fn was_ready(pod: &Value) -> bool {
    let time = |text: Option<&str>| text?.parse::<Timestamp>().ok();
    let condition = json::condition(pod, "Ready");
    let flipped = time(condition.and_then(|condition| condition["lastTransitionTime"].as_str()));
    match (time(json::text(pod, "/status/startTime")), flipped) {
        (Some(start), Some(flipped)) => flipped.as_second() - start.as_second() > 2,
        _ => false,
    }
}

/// A container that runs again after it exited within seconds of its start has to stay before it counts as ready.
pub(super) fn between_exits(pod: &Value, around: &Surroundings) -> Option<String> {
    let now = around.now()?;
    if json::is_being_deleted(pod) || !around.is_new(pod) {
        return None;
    }
    let again = statuses(pod).filter(|status| runs_on(pod, status)).find(|status| {
        let ended = status.pointer("/state/terminated").or_else(|| status.pointer("/lastState/terminated"));
        let began = json::text(status, "/state/running/startedAt").and_then(|text| text.parse::<Timestamp>().ok());
        ended.and_then(ran_for).is_some_and(|seconds| seconds < INSTANT)
            && began.is_none_or(|began| now.as_second() - began.as_second() < INSTANT)
    })?;
    Some(format!(
        "{}: container {} exited soon after it started, and has to stay up this time",
        json::name(pod),
        named(again)
    ))
}
