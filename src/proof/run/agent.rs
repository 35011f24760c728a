//! The agent's pod from its creation to its removal, which comes in any case.

use std::{pin::pin, time::Duration};

use ::kube::{
    Api,
    api::{DeleteParams, ListParams, LogParams, PostParams, Preconditions},
    runtime::{WatchStreamExt, watcher},
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::random;
use crate::{
    error::{Context, Error, Kind, Result},
    event::{Progress, interrupt::interrupted},
    kube::agent_pod::{self, State},
    proof::{
        agent::expectation,
        pod,
        result::ProofResult,
        wire::{AgentCheck, AgentResult},
    },
};

/// How long a node may take to come for a pod that no node takes.
const SCHEDULING: Duration = Duration::from_secs(90);
/// What a pod that runs gets beside the time of its checks, for all that lies between them.
const MARGIN: Duration = Duration::from_secs(60);
/// For each request that cleans up.
const CLEANUP: Duration = Duration::from_secs(10);
/// The same after an interruption, when whoever waits for the whole run does not wait for long.
const LEAVING: Duration = Duration::from_secs(2);
/// The kubelet may still be writing the last lines when the pod has ended.
const LOG_ATTEMPTS: u32 = 5;

/// What runs checks in a pod.
pub struct Agent<'a> {
    pub api: Api<Pod>,
    pub namespace: &'a str,
    pub options: pod::PodOptions<'a>,
    pub stop: &'a CancellationToken,
    pub progress: &'a Progress,
}

impl Agent<'_> {
    pub async fn results(&self, checks: &[AgentCheck], limit: Instant) -> Result<Vec<(usize, ProofResult)>> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        // A pod that was asked for is awaited for a moment even then: unknown, it would stay.
        let created = tokio::select! {
            created = self.create(checks, limit) => created?,
            () = async { self.stop.cancelled().await; sleep(LEAVING).await } => return Err(interrupted()),
        };
        let mut guard = Guard { api: self.api.clone(), pod: Some(created.clone()) };
        let work = async {
            let why = self.ended(&created, checks, limit).await?;
            self.read(&created, checks, why).await
        };
        let results = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            results = work => Some(results),
        };
        match &results {
            None => self.remove(&created, LEAVING).await,
            Some(_) => {
                futures::join!(self.remove(&created, CLEANUP), self.sweep(&created));
            }
        }
        guard.pod = None;
        results.unwrap_or_else(|| Err(interrupted()))
    }

    async fn create(&self, checks: &[AgentCheck], limit: Instant) -> Result<Pod> {
        let input =
            serde_json::to_string(checks).context(Kind::Unexpected, || "the checks could not be written".to_owned())?;
        let left = limit.saturating_duration_since(Instant::now());
        let value = pod::build(&random(6), self.options, &input, left)?;
        let pod: Pod =
            serde_json::from_value(value).context(Kind::Unexpected, || "the agent's pod is malformed".to_owned())?;
        let parameters = PostParams { field_manager: Some("stackctl".to_owned()), ..PostParams::default() };
        let what = || format!("creating the agent's pod in namespace {} failed", self.namespace);
        match timeout_at(limit, self.api.create(&parameters, &pod)).await {
            Ok(Ok(pod)) => Ok(pod),
            Ok(Err(::kube::Error::Api(status))) => Err(Error::new(Kind::Refused, what()).cause(&status.message)),
            Ok(Err(error)) => Err(Error::new(Kind::Platform, what()).caused_by(&error)),
            Err(_) => Err(Error::new(Kind::Platform, what()).cause("the API server did not answer in time")),
        }
    }

    /// Waits for the end of the pod; Some says why it did not end well. Until it runs it has all the time there is, for
    /// a node and its image to come; from then on what its checks may take.
    async fn ended(&self, created: &Pod, checks: &[AgentCheck], limit: Instant) -> Result<Option<String>> {
        let name = created.metadata.name.as_deref().unwrap_or_default();
        let what = || format!("the agent's pod {}/{name} did not run", self.namespace);
        let mut states = pin!(watcher::watch_object(self.api.clone(), name).default_backoff());
        let mut last = "nothing was seen of it".to_owned();
        let needed: Duration = checks.iter().map(|check| check.eventually() + check.check.timeout()).sum();
        let mut until = limit;
        let mut running = None;
        loop {
            let pod = match timeout_at(until, states.next()).await {
                Ok(Some(Ok(Some(pod)))) => pod,
                Ok(Some(Ok(None))) => return Err(Error::new(Kind::NotReady, what()).cause("someone deleted it")),
                Ok(Some(Err(error))) => {
                    last = format!("watching it failed: {error}");
                    self.progress.say(last.clone());
                    continue;
                }
                Ok(None) => return Err(Error::new(Kind::Platform, what()).cause("the watch ended").cause(last)),
                Err(_) => {
                    return Err(Error::new(Kind::NotReady, what())
                        .cause(last)
                        .hint(format!("look at the nodes and the events: kubectl -n {} get events", self.namespace)));
                }
            };
            match agent_pod::state(&pod) {
                State::Ended(why) => return Ok(why),
                State::Broken(why) => {
                    let hint = format!("is the image {} where the nodes can pull it?", self.options.image);
                    let error = Error::new(Kind::NotReady, what()).cause(why.clone());
                    // The back-off of older kubelets does not say what the attempt before it did.
                    let more = last.starts_with("ErrImagePull") && !why.contains(&last);
                    let error = if more { error.detail(last) } else { error };
                    return Err(error.hint(hint));
                }
                State::Running => {
                    let since = *running.get_or_insert_with(Instant::now);
                    until = limit.min(since + needed + MARGIN);
                    last = format!("it still ran after {} s", until.saturating_duration_since(since).as_secs());
                    self.progress.say("checking from inside the cluster");
                }
                State::Starting(why) => {
                    until = limit;
                    self.progress.say(why.clone());
                    last = why;
                }
                State::Unschedulable(why) => {
                    until = limit.min(if until == limit { Instant::now() + SCHEDULING } else { until });
                    self.progress.say(why.clone());
                    last = why;
                }
            }
        }
    }

    /// One result for each check; one without a line of its own failed.
    async fn read(&self, pod: &Pod, checks: &[AgentCheck], why: Option<String>) -> Result<Vec<(usize, ProofResult)>> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let mut log = Ok(String::new());
        let mut found: Vec<AgentResult> = Vec::new();
        for attempt in 0..LOG_ATTEMPTS {
            if attempt > 0 {
                sleep(Duration::from_millis(200)).await;
            }
            log = match timeout(CLEANUP, self.api.logs(name, &LogParams::default())).await {
                Ok(log) => log.map_err(|error| error.to_string()),
                Err(_) => Err("the API server did not answer in time".to_owned()),
            };
            found = log.iter().flat_map(|log| log.lines()).filter_map(|line| serde_json::from_str(line).ok()).collect();
            // An agent that was cut short will not say more.
            if found.len() == checks.len() || why.is_some() && log.is_ok() {
                break;
            }
        }
        if found.is_empty() {
            let error = Error::new(Kind::NotReady, format!("the agent's pod {}/{name} said nothing", self.namespace));
            let error = why.into_iter().fold(error, Error::cause);
            return Err(match log {
                Ok(log) => error.details(log.lines()),
                Err(cause) => error.cause(format!("its log could not be read: {cause}")),
            });
        }
        Ok(checks.iter().map(|check| (check.index, result(check, &found, why.as_deref()))).collect())
    }

    /// Deletes our pod; a failure is told, but does not change the results.
    async fn remove(&self, ours: &Pod, within: Duration) {
        if let Err(error) = delete(&self.api, ours, within).await {
            let name = ours.metadata.name.as_deref().unwrap_or_default();
            self.progress.warn(format!(
                "the agent's pod {}/{name} could not be deleted: {error}; a later test does it, or: kubectl -n {} delete pod {name}",
                self.namespace, self.namespace
            ));
        }
    }

    /// Deletes the pods of runs that were killed. Those of a run that may still be at work stay.
    async fn sweep(&self, ours: &Pod) {
        let selection = ListParams::default().labels(pod::SELECTOR);
        let Some(now) = ours.metadata.creation_timestamp.as_ref().map(|time| time.0) else { return };
        if let Ok(Ok(pods)) = timeout(CLEANUP, self.api.list(&selection)).await {
            for pod in pods.iter().filter(|pod| pod::abandoned(pod, now)) {
                // The next run tries again.
                let _ = delete(&self.api, pod, CLEANUP).await;
            }
        }
    }
}

fn result(check: &AgentCheck, found: &[AgentResult], why: Option<&str>) -> ProofResult {
    match found.iter().find(|result| result.index == check.index) {
        Some(found) => ProofResult {
            name: check.name.clone(),
            passed: found.passed,
            took: Duration::from_millis(found.took_ms),
            attempts: found.attempts,
            expected: Some(found.expected.clone()),
            seen: found.seen.clone(),
            skipped: None,
            note: found.note.clone(),
        },
        None => {
            let seen = format!("the agent ended before it was decided ({})", why.unwrap_or("its log is incomplete"));
            ProofResult::failed(&check.name, Duration::ZERO, expectation(&check.check), seen)
        }
    }
}

/// Deletes exactly this pod; one that is gone already is as good.
async fn delete(api: &Api<Pod>, pod: &Pod, within: Duration) -> std::result::Result<(), ::kube::Error> {
    let Some(name) = &pod.metadata.name else { return Ok(()) };
    let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    // Nothing in it needs a grace period, and without one nothing is left when this returns.
    let parameters = DeleteParams::background().grace_period(0).preconditions(preconditions);
    match timeout(within, api.delete(name, &parameters)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(::kube::Error::Api(status))) if status.is_not_found() => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(late) => Err(::kube::Error::Service(late.into())),
    }
}

/// Deletes the pod when the run is dropped halfway, as long as the runtime lives.
struct Guard {
    api: Api<Pod>,
    pod: Option<Pod>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(pod), Ok(runtime)) = (self.pod.take(), tokio::runtime::Handle::try_current()) {
            let api = self.api.clone();
            runtime.spawn(async move { delete(&api, &pod, CLEANUP).await });
        }
    }
}
