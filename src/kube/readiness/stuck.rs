//! A StatefulSet that waits for a pod of an earlier version: with OrderedReady it makes no new one until each pod that
//! there is has become ready, also where the earlier version never will.

use serde_json::Value;

use super::{Failure, Surroundings, pod, workload};
use crate::object::json;

pub(super) fn trouble(object: &Value, around: &Surroundings) -> Option<Failure> {
    let rolls = json::text(object, "/spec/updateStrategy/type") != Some("OnDelete");
    let ordered = json::text(object, "/spec/podManagementPolicy") != Some("Parallel");
    let newest = json::text(object, "/status/updateRevision").filter(|_| rolls && ordered)?;
    let partition = json::int(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let old = |found: &&Value| {
        let ordinal = json::name(found).rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<i64>().ok());
        json::label(found, workload::REVISION).is_some_and(|revision| revision != newest)
            && ordinal.is_some_and(|ordinal| ordinal >= partition)
            && !json::is_being_deleted(found)
            && json::condition_status(found, "Ready") != Some(true)
    };
    // What an old pod lacked may be there by now; an image that it names wrongly will not be.
    let lost = |found: &&Value| pod::cannot_pull(found) || around.has_settled() && !pod::may_come(found);
    let found = around.pods.iter().filter(old).find(lost)?;
    let name = json::name(found);
    let namespace = json::namespace(found).unwrap_or_default();
    let failure = Failure::new(format!(
        "pod {name} is of an earlier version that does not become ready, and the new version waits for it"
    ))
    .hint(format!(
        "`kubectl delete pod {name} -n {namespace}` lets the new version come, as does the same command with --replace"
    ));
    Some(Failure { stuck: Some(name.to_owned()), ..failure })
}
