//! From when on troubles count: what is seen may be of before a fix.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Surroundings;
use crate::{
    kube::{CREATION_MANAGER, MANAGER},
    object::json,
};

/// Within this time a kubelet has tried again whatever it could not do: it does after 10 to 15 s.
const SETTLED: Duration = Duration::from_secs(20);

/// The moments of one wait, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The start of the run: what was made later was never without a fix that preceded the run.
    pub run: Timestamp,
    /// The start of the wait: of what is older, only what happens from here on counts.
    pub wait: Timestamp,
    pub waited: Duration,
}

impl Surroundings {
    /// Whether what happened to an object at this time is of this run.
    pub(super) fn counts(&self, object: &Value, time: Option<&str>) -> bool {
        let Some(since) = self.since else { return true };
        // What this run changed has been tried anew from then on.
        let from = changed(object).filter(|changed| *changed >= since.run).map_or(since.wait, |it| it.min(since.wait));
        time.and_then(parsed).is_some_and(|time| time >= from)
    }

    /// Whether all that ever happened to an object is of this run.
    pub(super) fn is_new(&self, object: &Value) -> bool {
        self.since.is_none_or(|since| created(object).is_some_and(|created| created >= since.run))
    }

    /// Whether what still is so has outlived another attempt.
    pub(super) fn has_settled(&self) -> bool {
        self.since.is_none_or(|since| since.waited >= SETTLED)
    }

    pub(super) fn has_waited(&self, seconds: u64) -> bool {
        self.since.is_none_or(|since| since.waited.as_secs() >= seconds)
    }

    /// The server's time; None where no time counts.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.since.and_then(|since| since.wait.checked_add(SignedDuration::try_from(since.waited).ok()?).ok())
    }
}

fn parsed(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn created(object: &Value) -> Option<Timestamp> {
    json::text(object, "/metadata/creationTimestamp").and_then(parsed)
}

/// When the object was made, or last changed by this program.
fn changed(object: &Value) -> Option<Timestamp> {
    let ours = json::list(object, "/metadata/managedFields").iter().filter(|entry| {
        let manager = entry["manager"].as_str();
        (manager == Some(MANAGER) || manager == Some(CREATION_MANAGER)) && entry["subresource"].is_null()
    });
    ours.filter_map(|entry| entry["time"].as_str().and_then(parsed)).chain(created(object)).max()
}
