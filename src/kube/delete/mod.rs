//! Deleting many objects: wave by wave, all of a wave at once, with one wait for all of it.

pub mod gone;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ::kube::api::DeleteParams;
use futures::{StreamExt, stream};
use serde_json::Value;

use super::{
    IN_FLIGHT, Kube, PART_OF,
    discovery::KindRef,
    failure::{self, Subject},
    request::Deletion,
};
use crate::object::Key;
use crate::{
    error::{Error, Result, words::few},
    event::Progress,
};
use crate::{
    kube::{delete::gone::Going, ownership::holds::may_delete},
    object::json,
};

/// After as many the user is told how far it is.
const TOLD_EVERY: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct DeleteOptions {
    /// Dependents go before their owner, so that "gone" includes the pods.
    pub foreground: bool,
    /// How long nothing may move before it is given up; None: nobody waits until they are gone.
    pub timeout: Option<Duration>,
}

/// What a request to delete left to do.
enum Asked {
    Gone,
    Going(Box<Going>),
    /// It is not the object that was seen, or another set's by now.
    LeftAlone,
}

impl Kube {
    /// Deletes the objects seen, wave by wave in the order given (the reverse of applying), and waits until each wave is
    /// gone. An object that was replaced or given to another set in the meantime is left alone. All of a wave is tried
    /// before an error is returned. Returns what was deleted.
    pub async fn delete_waves(
        &self,
        waves: &[Vec<Value>],
        options: DeleteOptions,
        progress: &Progress,
    ) -> Result<Vec<Key>> {
        let mut removed = Vec::new();
        for wave in waves {
            let wave: Vec<&Value> = wave.iter().filter(|object| may_delete(object)).collect();
            if wave.is_empty() {
                continue;
            }
            let (mut going, mut errors) = (Vec::new(), Vec::new());
            for (object, asked) in self.ask_to_delete(&wave, options, progress).await {
                match asked {
                    Ok(Asked::LeftAlone) => {}
                    Ok(Asked::Gone) => removed.push(json::key(object)),
                    Ok(Asked::Going(one)) => {
                        removed.push(json::key(object));
                        going.push(*one);
                    }
                    Err(error) => errors.push(error),
                }
            }
            if let Some(timeout) = options.timeout {
                errors.extend(self.until_all_gone(going, timeout, Some(progress)).await.err());
            }
            if let Some(first) = merged(errors) {
                return Err(first);
            }
        }
        removed.sort();
        Ok(removed)
    }

    async fn ask_to_delete<'a>(
        &self,
        wave: &[&'a Value],
        options: DeleteOptions,
        progress: &Progress,
    ) -> Vec<(&'a Value, Result<Asked>)> {
        let all = wave.len();
        progress.say(format!("deleting {}", few(wave.iter().map(|object| json::key(object)))));
        let done = AtomicUsize::new(0);
        let done = &done;
        let requests = stream::iter(wave.iter().copied()).map(|object| async move {
            let asked = self.delete_one(object, options.foreground && has_dependents(object)).await;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(TOLD_EVERY) {
                progress.say(format!("deleted {done} of {all}"));
            }
            (object, asked)
        });
        requests.buffer_unordered(IN_FLIGHT).collect().await
    }

    async fn delete_one(&self, seen: &Value, foreground: bool) -> Result<Asked> {
        let key = json::key(seen);
        let Some(at) = self.resolve_opt(&KindRef::of_value(seen)).await? else { return Ok(Asked::Gone) };
        let params = || if foreground { DeleteParams::foreground() } else { DeleteParams::background() };
        let failed = |error: ::kube::Error| {
            failure::refused("delete", &Subject { key: &key, origin: None }, &self.server, &error)
        };
        let mut asked = self.delete_if(&at, seen, params(), true).await.map_err(failed)?;
        if asked == Deletion::Refused {
            // Somebody wrote to it since: it goes if it still is this object, and this set's.
            let now = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
            let same = |now: &Value| {
                json::uid(now) == json::uid(seen) && json::label(now, PART_OF) == json::label(seen, PART_OF)
            };
            let Some(now) = now.filter(same) else { return Ok(Asked::LeftAlone) };
            asked = self.delete_seen(&at, &now, params()).await.map_err(failed)?;
        }
        Ok(match asked {
            Deletion::Gone => Asked::Gone,
            Deletion::Going => Asked::Going(Box::new(Going { at, object: seen.clone() })),
            Deletion::Refused => Asked::LeftAlone,
        })
    }
}

/// Whether objects of the kind make pods, which can be waited for with them. For all others the garbage collector would
/// have to let go of each one: that takes it minutes for thousands, and half a minute to hear of a new kind.
fn has_dependents(object: &Value) -> bool {
    match json::group(object) {
        "" => json::kind(object) == "ReplicationController",
        group => matches!(group, "apps" | "batch"),
    }
}

/// The first error, and a line for each of the others.
fn merged(errors: Vec<Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    Some(errors.fold(first, |first, other| first.detail(other.to_string())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{error::Kind, event::Events, kube::testing::Fake};

    #[test]
    fn several_failures_are_told_together() {
        let errors = ["a", "b", "c"].map(|text| Error::new(Kind::NotReady, text));
        let error = merged(errors.into()).unwrap();
        assert_eq!((error.message.as_str(), error.details), ("a", vec!["b".to_owned(), "c".to_owned()]));
        assert!(merged(Vec::new()).is_none());
    }

    fn config(name: &str) -> (String, Value) {
        let path = format!("/api/v1/namespaces/n/configmaps/{name}");
        (
            path,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "labels": {PART_OF: "a"}}}),
        )
    }

    fn options(timeout: Duration) -> DeleteOptions {
        DeleteOptions { foreground: true, timeout: Some(timeout) }
    }

    #[tokio::test]
    async fn a_thousand_go_with_a_request_each_and_nothing_to_wait_for() {
        let fake = Fake::plain().await;
        for number in 0..1000 {
            let (path, object) = config(&format!("c{number}"));
            fake.objects().put(&path, object);
        }
        let wave: Vec<Value> = fake.objects().all.values().cloned().collect();
        let progress = Events::channel().0.progress("test");
        let removed = fake.kube.delete_waves(&[wave], options(Duration::from_secs(5)), &progress).await.unwrap();
        assert_eq!((removed.len(), fake.requests().len()), (1000, 1000));
        assert!(fake.objects().all.is_empty());
    }

    #[tokio::test]
    async fn what_was_changed_goes_and_what_is_another_object_or_anothers_stays() {
        let fake = Fake::plain().await;
        for name in ["changed", "replaced", "given"] {
            let (path, object) = config(name);
            fake.objects().put(&path, object);
        }
        let wave: Vec<Value> = fake.objects().all.values().cloned().collect();
        for (name, field, value) in
            [("changed", "/data", json!({})), ("replaced", "/metadata/uid", json!("new")), ("given", "", json!(null))]
        {
            let (path, _) = config(name);
            let mut object = fake.objects().all[&path].clone();
            match field {
                "" => object["metadata"]["labels"][PART_OF] = json!("b"),
                "/data" => object["data"] = value,
                _ => object["metadata"]["uid"] = value,
            }
            fake.objects().put(&path, object);
        }
        let progress = Events::channel().0.progress("test");
        let removed = fake.kube.delete_waves(&[wave], options(Duration::from_secs(5)), &progress).await.unwrap();
        assert_eq!(removed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["changed"]);
        assert_eq!(fake.objects().all.len(), 2);
    }

    #[tokio::test]
    async fn what_a_finalizer_holds_is_named_and_the_rest_is_gone() {
        let fake = Fake::plain().await;
        for number in 0..8 {
            let (path, mut object) = config(&format!("c{number}"));
            if number < 6 {
                object["metadata"]["finalizers"] = json!(["example.org/cleanup"]);
            }
            fake.objects().put(&path, object);
        }
        let wave: Vec<Value> = fake.objects().all.values().cloned().collect();
        let progress = Events::channel().0.progress("test");
        let deleted = fake.kube.delete_waves(&[wave], options(Duration::from_millis(300)), &progress).await;
        let error = deleted.unwrap_err();
        assert!(error.message.starts_with("6 objects"), "{error:?}");
        assert!(error.details[0].contains("example.org/cleanup"), "{error:?}");
        assert_eq!(fake.objects().all.len(), 6);
    }
}
