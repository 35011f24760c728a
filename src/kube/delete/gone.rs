//! Waiting until deleted objects are gone, and naming what keeps them.

use std::{collections::BTreeMap, time::Duration};

use ::kube::api::ListParams;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Result, words::few},
    event::Progress,
};
use crate::{
    kube::{IN_FLIGHT, Kube, PART_OF, discovery::Resolved, failure, request::soon},
    object::json,
};

/// Between two looks: at first as often as this, later as seldom.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(500);
/// Up to as many of a kind and namespace are looked at one by one, more in one list.
const ONE_BY_ONE: usize = 4;
/// After as long it is said what an object waits for.
const SLOW: Duration = Duration::from_secs(3);
/// How many that do not go away are told one by one.
const TOLD: usize = 10;

/// An object that was deleted and may still be there.
pub(crate) struct Going {
    pub at: Resolved,
    /// As it was last seen.
    pub object: Value,
}

impl Kube {
    /// Waits until the object seen is gone or another has taken its name.
    pub(crate) async fn until_gone(
        &self,
        at: &Resolved,
        seen: &Value,
        timeout: Duration,
        progress: Option<&Progress>,
    ) -> Result<()> {
        let going = Going { at: at.clone(), object: seen.clone() };
        self.until_all_gone(vec![going], timeout, progress).await
    }

    /// Waits as long as they become fewer, and at most `timeout` while they do not.
    pub(crate) async fn until_all_gone(
        &self,
        mut going: Vec<Going>,
        timeout: Duration,
        progress: Option<&Progress>,
    ) -> Result<()> {
        let (mut moved, mut pause, mut said) = (Instant::now(), OFTEN, String::new());
        loop {
            let before = going.len();
            going = self.still_there(going).await?;
            if going.is_empty() {
                return Ok(());
            }
            if going.len() < before {
                (moved, pause) = (Instant::now(), OFTEN);
            }
            if moved.elapsed() >= timeout {
                return Err(stuck(&going, timeout));
            }
            let slow = moved.elapsed() >= SLOW;
            let now =
                format!("waiting until they are gone: {}", few(going.iter().map(|one| described(&one.object, slow))));
            if let Some(progress) = progress.filter(|_| said != now) {
                progress.say(now.as_str());
                said = now;
            }
            tokio::time::sleep_until((Instant::now() + pause).min(moved + timeout)).await;
            pause = (pause * 2).min(SELDOM);
        }
    }

    /// Those that are still there, as they are now.
    async fn still_there(&self, going: Vec<Going>) -> Result<Vec<Going>> {
        let mut groups: BTreeMap<(String, String, Option<String>), Vec<Going>> = BTreeMap::new();
        for one in going {
            let resource = &one.at.resource;
            let namespace = json::namespace(&one.object).map(str::to_owned);
            groups.entry((resource.api_version.clone(), resource.plural.clone(), namespace)).or_default().push(one);
        }
        let (few, many): (Vec<_>, Vec<_>) = groups.into_values().partition(|group| group.len() <= ONE_BY_ONE);
        let few = stream::iter(few.into_iter().flatten()).map(|one| self.look_at_one(one)).buffer_unordered(IN_FLIGHT);
        let many = stream::iter(many).map(|group| self.look_at_many(group)).buffer_unordered(IN_FLIGHT);
        let (few, many) = tokio::join!(few.collect::<Vec<_>>(), many.collect::<Vec<_>>());
        let mut left = Vec::new();
        for one in few {
            left.extend(one?);
        }
        for group in many {
            left.extend(group?);
        }
        Ok(left)
    }

    async fn look_at_one(&self, one: Going) -> Result<Option<Going>> {
        let key = json::key(&one.object);
        let found = self.get_opt(&one.at, key.namespace.as_deref(), &key.name).await;
        let found = found
            .map_err(|error| failure::request_failed(&format!("look whether {key} is gone"), &self.server, &error))?;
        let same = found.filter(|found| json::uid(found) == json::uid(&one.object));
        Ok(same.map(|object| Going { object, ..one }))
    }

    async fn look_at_many(&self, group: Vec<Going>) -> Result<Vec<Going>> {
        let Some(first) = group.first() else { return Ok(group) };
        let set = json::label(&first.object, PART_OF);
        let of_one_set = set.filter(|_| group.iter().all(|one| json::label(&one.object, PART_OF) == set));
        let params = match of_one_set {
            Some(set) => ListParams::default().labels(&format!("{PART_OF}={set}")),
            None => ListParams::default(),
        };
        let listed = self.list_metadata(&first.at, json::namespace(&first.object), &params, soon()).await;
        let listed = listed.map_err(|error| {
            let plural = &first.at.resource.plural;
            failure::request_failed(&format!("look which {plural} are gone"), &self.server, &error)
        })?;
        let there: BTreeMap<String, Value> =
            listed.into_iter().map(|object| (json::uid(&object).to_owned(), object)).collect();
        let still = |one: Going| there.get(json::uid(&one.object)).map(|now| Going { object: now.clone(), ..one });
        Ok(group.into_iter().filter_map(still).collect())
    }
}

fn described(object: &Value, slow: bool) -> String {
    let place = json::key(object).place();
    let finalizers: Vec<&str> = foreign_finalizers(object).filter(|_| slow).collect();
    if finalizers.is_empty() { place } else { format!("{place} (held by {})", finalizers.join(" and ")) }
}

/// What has to be said of objects that were deleted and do not go away.
fn stuck(going: &[Going], timeout: Duration) -> Error {
    let mut errors = going.iter().map(|one| still_there(&one.object));
    let Some(first) = errors.next() else { return Error::new(Kind::Unexpected, "nothing is left to wait for") };
    let first = match going.len() {
        1 => first,
        several => {
            let message = format!("{several} objects were deleted but do not go away");
            let told = errors.by_ref().take(TOLD - 1).map(|error| error.to_string()).collect::<Vec<_>>();
            let more = several.saturating_sub(TOLD);
            let error = Error { message, details: vec![first.to_string()], causes: Vec::new(), ..first }.details(told);
            if more > 0 { error.detail(format!("and {more} more")) } else { error }
        }
    };
    first.detail(format!("nothing moved for {} s", timeout.as_secs()))
}

/// Names what keeps an object from going: its finalizers, and for a namespace what the server says about it.
pub(crate) fn still_there(object: &Value) -> Error {
    let key = json::key(object);
    let error = Error::new(Kind::NotReady, format!("{} was deleted but does not go away", key.in_words()));
    let finalizers: Vec<_> = foreign_finalizers(object).collect();
    let error =
        if key.kind == "Namespace" { error.details(crate::kube::ownership::namespace::stuck(object)) } else { error };
    if finalizers.is_empty() {
        return error
            .hint("its pods may take their time to stop: run this again, or look at it with `kubectl describe`");
    }
    error
        .cause(format!("it waits for its finalizers: {}", finalizers.join(", ")))
        .hint("the controller that owns the finalizer must be running; bring it back and run this again")
        .hint(format!("if that controller is gone for good: kubectl patch {} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'", key.for_kubectl()))
}

/// Finalizers that a controller has to take away; those of the garbage collector are its own affair.
pub fn foreign_finalizers(object: &Value) -> impl Iterator<Item = &str> {
    let all = json::list(object, "/metadata/finalizers").iter().filter_map(Value::as_str);
    all.filter(|finalizer| !matches!(*finalizer, "foregroundDeletion" | "orphan"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(name: &str, finalizers: &[&str]) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "finalizers": finalizers}})
    }

    #[test]
    fn a_stuck_object_is_named_with_its_finalizers() {
        let error = still_there(&config("a", &["x.io/y"]));
        assert_eq!(error.kind, Kind::NotReady);
        assert!(error.message.contains("ConfigMap/a in namespace n"), "{error}");
        assert!(error.causes[0].contains("x.io/y"));
        assert!(error.hints[1].contains("kubectl patch configmap a -n n"));
        let waits = still_there(&config("a", &["foregroundDeletion"]));
        assert!(waits.causes.is_empty() && waits.hints[0].contains("pods"), "{waits:?}");
    }

    #[test]
    fn many_that_are_stuck_are_counted_and_a_few_told() {
        let at = crate::kube::discovery::core("ConfigMap");
        let going = |count: usize| -> Vec<Going> {
            (0..count).map(|one| Going { at: at.clone(), object: config(&format!("c{one}"), &["x.io/y"]) }).collect()
        };
        let error = stuck(&going(14), Duration::from_secs(3));
        assert_eq!(error.message, "14 objects were deleted but do not go away");
        assert!(error.details[0].contains("ConfigMap/c0") && error.details[0].contains("x.io/y"), "{error:?}");
        assert_eq!(error.details[10..], ["and 4 more", "nothing moved for 3 s"]);
        assert!(stuck(&going(1), Duration::from_secs(3)).message.contains("ConfigMap/c0"));
    }
}
