//! Waiting until an object is ready, or until it is clear that it never will be.

mod address;
mod nodes;
pub mod surroundings;

use std::{collections::BTreeSet, pin::Pin, time::Duration};

use ::kube::{api::DeleteParams, runtime::watcher};
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Kube,
    discovery::{KindRef, Resolved, core},
    failure,
    readiness::{
        self, Failure, Readiness, Since, Surroundings, may_be_idle, readiness, references::Reference, workload,
    },
    selector::pod_selector,
};
use crate::object::Key;
use crate::{
    error::{
        Error, Kind, Result,
        cause::{Root, What},
    },
    event::{Progress, interrupt::interrupted},
};
use crate::{
    kube::wait::surroundings::{Looking, needs_definition},
    object::json,
};

/// Between two looks at least, however much happens.
const PAUSE: Duration = Duration::from_millis(150);
/// Where watching fails.
const POLL: Duration = Duration::from_millis(500);
/// What no watch shows, such as events, is looked at this often.
const TICK: Duration = Duration::from_secs(2);
/// How long the events of a Job that has removed itself may take to come.
const EVENTS_WITHIN: Duration = Duration::from_secs(5);
/// How long an object may be away that somebody deletes and creates again.
const RETURN: Duration = Duration::from_secs(3);
/// For a last look, when something else has failed.
const LAST: Duration = Duration::from_secs(2);
const LOG_LINES: i64 = 20;

#[derive(Clone, Copy)]
pub struct WaitOptions<'a> {
    pub deadline: Instant,
    /// An autoscaler may add nodes larger than those there are: what fits none is not lost yet.
    pub nodes_may_grow: bool,
    /// Whether something in the run may make what this names, as far as it is not there.
    pub may_come: &'a (dyn Fn(&Reference) -> bool + Sync),
    /// Pods that keep their controller from going on are deleted.
    pub replace: bool,
}

/// When a wait began, by our clock and by the server's.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    at: Instant,
    time: Timestamp,
}

type Changes = Pin<Box<dyn Stream<Item = ()> + Send>>;

impl Kube {
    pub fn begin_wait(&self) -> Begun {
        Begun { at: Instant::now(), time: self.clock.now() }
    }

    fn since(&self, begun: Begun) -> Since {
        Since { run: self.clock.began(), wait: begun.time, waited: begun.at.elapsed() }
    }

    /// Returns once the object is ready; what there is to say, where it is as ready as it will be. `known` is the object
    /// as an apply returned it or a list showed it: what is ready by that alone costs no request.
    pub async fn wait_ready(
        &self,
        key: &Key,
        known: Option<&Value>,
        options: WaitOptions<'_>,
        begun: Begun,
        progress: &Progress,
    ) -> Result<Option<String>> {
        let by_itself = |known: &Value| {
            readiness(known, &Surroundings::default()) == Readiness::Ready
                && !needs_definition(known)
                && !may_be_idle(known)
        };
        if known.is_some_and(by_itself) {
            return Ok(None);
        }
        let at = match known {
            Some(known) => self.resolve(&KindRef::of_value(known)).await?,
            None => self.resolve(&KindRef::any_version(&key.group, &key.kind)).await?,
        };
        let mut changes: Option<Changes> = None;
        let (mut said, mut seen, mut deleted) = (String::new(), BTreeSet::new(), BTreeSet::new());
        let mut last = known.cloned();
        let mut vanished: Option<Instant> = None;
        loop {
            let looked = Instant::now();
            let since = self.since(begun);
            let looking = Looking { since: Some(since), hurried: false, seen: &mut seen, options };
            let (object, around) = self.look(&at, key, looking).await?;
            let state = match object.as_ref().map(|object| readiness(object, &around)) {
                Some(Readiness::Ready) => return Ok(None),
                Some(Readiness::Settled(note)) => return Ok(Some(note)),
                Some(Readiness::Failed(failure)) => {
                    if options.replace && self.unstick(&failure, &around, &mut deleted, progress).await? {
                        continue;
                    }
                    return Err(self.failed(key, failure).await);
                }
                Some(Readiness::Waiting(state)) => state,
                None => match last.as_ref().filter(|last| removes_itself(last)) {
                    Some(job) => {
                        let since = *vanished.get_or_insert(looked);
                        match self.how_it_ended(job, since.elapsed()).await? {
                            Some(Readiness::Failed(failure)) => return Err(self.failed(key, failure).await),
                            Some(_) => return Ok(Some("it has ended and removed itself".to_owned())),
                            None => "it has ended and removed itself".to_owned(),
                        }
                    }
                    // It was there, and whoever makes it anew does so at once.
                    None if last.is_some() => {
                        if vanished.get_or_insert(looked).elapsed() >= RETURN {
                            return Err(Error::new(
                                Kind::NotReady,
                                format!("{key} was deleted while it was waited for"),
                            )
                            .hint("run the same command again: it creates what is missing"));
                        }
                        "it was deleted".to_owned()
                    }
                    None => "it does not exist".to_owned(),
                },
            };
            if object.is_some() {
                vanished = None;
            }
            if Instant::now() >= options.deadline {
                return Err(self.too_late(key, object.as_ref(), &state, &around, begun.at.elapsed()).await);
            }
            if state != said {
                progress.say(state.as_str());
                said = state;
            }
            let changes = changes.get_or_insert_with(|| self.changes(&at, key, object.as_ref()));
            last = object.or(last);
            tokio::time::sleep_until((looked + PAUSE).min(options.deadline)).await;
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep_until((looked + TICK).min(options.deadline)) => {}
            }
        }
    }

    /// For a wait that is given up because something else failed: whether this object fails too, as far as it shows.
    pub async fn last_look(&self, key: &Key, options: WaitOptions<'_>, begun: Begun) -> Result<Option<String>> {
        let look = async {
            let at = self.resolve(&KindRef::any_version(&key.group, &key.kind)).await?;
            let mut seen = BTreeSet::new();
            let looking = Looking { since: Some(self.since(begun)), hurried: true, seen: &mut seen, options };
            let (object, around) = self.look(&at, key, looking).await?;
            match object.map(|object| readiness(&object, &around)) {
                Some(Readiness::Failed(failure)) => Err(self.failed(key, failure).await),
                _ => Err(interrupted()),
            }
        };
        tokio::time::timeout(LAST, look).await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Deletes the pod that its controller waits for in vain. False: there is none, or it was deleted before.
    async fn unstick(
        &self,
        failure: &Failure,
        around: &Surroundings,
        deleted: &mut BTreeSet<String>,
        progress: &Progress,
    ) -> Result<bool> {
        let stuck = failure.stuck.as_deref();
        let Some(pod) = around.pods.iter().find(|pod| Some(json::name(pod)) == stuck) else { return Ok(false) };
        if !deleted.insert(json::uid(pod).to_owned()) {
            return Ok(false);
        }
        let name = json::name(pod);
        let gone = self.delete_seen(&core("Pod"), pod, DeleteParams::default()).await;
        gone.map_err(|error| failure::request_failed(&format!("delete pod {name}"), &self.server, &error))?;
        progress.info(format!("pod {name} is deleted: it was of an earlier version, and the new one waited for it"));
        Ok(true)
    }

    /// How a Job ended that has removed itself. None: its events may still come.
    async fn how_it_ended(&self, job: &Value, gone_for: Duration) -> Result<Option<Readiness>> {
        let looked = self.events(json::namespace(job), &[job]).await;
        let failed = |error: ::kube::Error| failure::request_failed("list events", &self.server, &error);
        let told = workload::vanished(job, &looked.map_err(failed)?);
        Ok(told.or_else(|| (gone_for >= EVENTS_WITHIN).then(|| workload::unknown_end(job))))
    }

    /// The object and all that its readiness depends on, now. One more request per thing that matters.
    async fn look(&self, at: &Resolved, key: &Key, looking: Looking<'_>) -> Result<(Option<Value>, Surroundings)> {
        let failed = |error: ::kube::Error| failure::request_failed(&format!("look at {key}"), &self.server, &error);
        let Some(object) = self.get_opt(at, key.namespace.as_deref(), &key.name).await.map_err(failed)? else {
            return Ok((None, Surroundings::default()));
        };
        let around = self.surroundings(at, &object, looking).await.map_err(failed)?;
        Ok((Some(object), around))
    }

    /// Yields whenever the object, its pods or its endpoints change; at a slow pace where watching fails.
    fn changes(&self, at: &Resolved, key: &Key, object: Option<&Value>) -> Changes {
        let mut all: Vec<Changes> = vec![self.watch(
            at,
            key.namespace.as_deref(),
            watcher::Config::default().fields(&format!("metadata.name={}", key.name)),
        )];
        if let Some(selector) = object.and_then(pod_selector) {
            all.push(self.watch(&core("Pod"), key.namespace.as_deref(), watcher::Config::default().labels(&selector)));
        }
        if key.kind == "Service" {
            let labels = format!("kubernetes.io/service-name={}", key.name);
            all.push(self.watch(
                &core("EndpointSlice"),
                key.namespace.as_deref(),
                watcher::Config::default().labels(&labels),
            ));
        }
        Box::pin(stream::select_all(all))
    }

    fn watch(&self, at: &Resolved, namespace: Option<&str>, config: watcher::Config) -> Changes {
        let events = watcher::watcher(self.metadata_api(at, namespace), config);
        Box::pin(events.then(|event| async move {
            if event.is_err() {
                tokio::time::sleep(POLL).await;
            }
        }))
    }

    async fn failed(&self, key: &Key, failure: Failure) -> Error {
        let mut error = Error::new(Kind::NotReady, format!("{key} will not become ready: {}", failure.why()))
            .details(failure.details);
        error.hints = failure.hints;
        error.roots = failure.causes.into_iter().map(|what| Root { subject: key.to_string(), what }).collect();
        match &failure.logs_of {
            Some(container) => error.details(self.tail(container, LOG_LINES).await),
            None => error,
        }
    }

    async fn too_late(
        &self,
        key: &Key,
        object: Option<&Value>,
        state: &str,
        around: &Surroundings,
        waited: Duration,
    ) -> Error {
        let why = format!("not ready after {} s: {state}", waited.as_secs());
        let mut error = Error::new(Kind::NotReady, format!("{key} is {why}"));
        error.roots.push(Root { subject: key.to_string(), what: What::Other(why) });
        let Some(object) = object else { return error };
        if around.nodes_may_grow && nodes::lack_a_node(&around.pods) {
            error = self.why_no_node().await.into_iter().rev().fold(error, Error::cause);
        }
        let warnings = readiness::warnings(object, around);
        error = error.details(warnings.iter().skip(warnings.len().saturating_sub(5)));
        let unready = |pod: &&Value| json::condition_status(pod, "Ready") != Some(true) && !json::is_being_deleted(pod);
        if let Some(container) = workload::newest(object, around).into_iter().find(unready).and_then(talkative) {
            error = error.details(self.tail(&container, LOG_LINES).await);
        }
        error.hint(match readiness::longer_may_help(object, around) {
            true => "give it longer with --timeout, or look closer with `stackctl status` and `stackctl logs`",
            false => {
                "what is in the way does not go away by waiting: look closer with `stackctl status` and `stackctl logs`"
            }
        })
    }

    /// The last lines of a container's log, each with its origin; empty if there are none.
    pub async fn tail(&self, container: &readiness::Container, lines: i64) -> Vec<String> {
        let mut text = self.log_text(container, container.previous, lines).await;
        if container.previous && text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            text = self.log_text(container, false, lines).await;
        }
        let text = text.unwrap_or_default();
        text.lines().map(|line| format!("{}/{}: {line}", container.pod, container.container)).collect()
    }
}

/// The first container that is not ready and has run: only those have something to say.
fn talkative(pod: &Value) -> Option<readiness::Container> {
    let statuses =
        json::list(pod, "/status/initContainerStatuses").iter().chain(json::list(pod, "/status/containerStatuses"));
    let ran = |status: &&Value| {
        status["ready"] != true
            && (status.pointer("/state/running").is_some()
                || status.pointer("/lastState/terminated").is_some()
                || status.pointer("/state/terminated").is_some())
    };
    let status = statuses
        .filter(ran)
        .find(|status| status.pointer("/state/terminated/exitCode").is_none_or(|code| code != 0))?;
    Some(readiness::Container {
        namespace: json::namespace(pod)?.to_owned(),
        pod: json::name(pod).to_owned(),
        container: status["name"].as_str()?.to_owned(),
        previous: status.pointer("/state/running").is_none() && status.pointer("/state/terminated").is_none(),
    })
}

/// A Job that is deleted once it has ended.
fn removes_itself(object: &Value) -> bool {
    json::kind(object) == "Job" && json::int(object, "/spec/ttlSecondsAfterFinished").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{event::Events, kube::testing::Fake};

    #[tokio::test]
    async fn what_is_deleted_while_it_is_waited_for_ends_the_wait() {
        const PATH: &str = "/apis/apps/v1/namespaces/n/deployments/web";
        let fake = Fake::plain().await;
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}}});
        fake.objects().put(PATH, web.clone());
        let options = WaitOptions {
            deadline: Instant::now() + Duration::from_secs(60),
            nodes_may_grow: false,
            may_come: &|_| false,
            replace: false,
        };
        let (key, progress) = (json::key(&web), Events::channel().0.progress("test"));
        let wait = fake.kube.wait_ready(&key, Some(&web), options, fake.kube.begin_wait(), &progress);
        let delete = async {
            // Once it was looked at.
            while !fake.requests().contains(&format!("GET {PATH}")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            fake.objects().all.remove(PATH);
        };
        let error = tokio::join!(wait, delete).0.unwrap_err();
        assert_eq!(error.message, "Deployment/web was deleted while it was waited for");
        assert_eq!(error.kind, Kind::NotReady);
    }
}
