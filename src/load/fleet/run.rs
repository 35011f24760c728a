//! A run from its Job's creation to its removal, which comes in any case.

use std::time::Duration;

use ::kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use rand::Rng;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{document::Workers, watch::Watch, wire::Order},
    collect::Collected,
    drive, job,
};
use crate::{
    error::{Context, Error, Kind, Result},
    event::{Events, Progress, interrupt::until_cancelled},
    kube::Kube,
    stack::model::ScaleUp,
};

/// For each request that creates or cleans up.
pub const REQUEST: Duration = Duration::from_secs(10);
/// How long the removal is waited for; the second one after an interruption, when nobody likes to wait.
const REMOVAL: Duration = Duration::from_secs(20);
const HASTY_REMOVAL: Duration = Duration::from_secs(4);
/// How long the load may go on past its duration for a scale-up to come.
pub const SCALE_UP_TIMEOUT: Duration = Duration::from_secs(180);
/// And for a word to come that ends it.
const WORD_TIMEOUT: Duration = Duration::from_secs(1800);
/// What a Job gets beside the time of the load: its deadline is only for the case that nobody ends it.
const MARGIN: Duration = Duration::from_secs(120);
/// The longest load whose end is not known beforehand.
const OPEN_ENDED: Duration = Duration::from_secs(4 * 3600);

/// How long the load goes on past its duration.
#[derive(Debug, Clone, Copy)]
pub enum Until<'a> {
    /// Not at all.
    Due,
    /// For this to come.
    ScaleUp(ScaleUp),
    /// For somebody's word.
    Word(&'a Word),
}

/// Between a load and what goes on during it.
#[derive(Debug, Default)]
pub struct Word {
    /// Requests are being sent.
    pub begun: CancellationToken,
    /// The load is not needed any more.
    pub end: CancellationToken,
}

impl Until<'_> {
    /// How long it goes on at most.
    fn longest_wait(self) -> Duration {
        match self {
            Until::Due => Duration::ZERO,
            Until::ScaleUp(_) => SCALE_UP_TIMEOUT,
            Until::Word(_) => WORD_TIMEOUT,
        }
    }
}

/// What to run, and where.
pub struct Fleet<'a> {
    pub kube: &'a Kube,
    /// Of the stack: the workers run beside what they load.
    pub namespace: &'a str,
    /// An image whose entry point is this executable, as the nodes name it.
    pub image: &'a str,
    /// The load as it was asked for, and the number of workers.
    pub order: &'a Order,
    pub until: Until<'a>,
    /// How long the workers may take until all of them run.
    pub starting: Duration,
    pub watch: &'a Watch,
    pub events: &'a Events,
    pub progress: &'a Progress,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub collected: Collected,
    pub workers: Workers,
    /// The start of the measurement.
    pub zero: Instant,
    pub started: jiff::Timestamp,
    /// When the last request was due.
    pub load_end: Instant,
}

/// Runs the load. Errors: `Refused` (the Job was not admitted), `NotReady` (the workers did not get ready, with the
/// cause), `Platform` (all were lost), `Interrupted`. Whatever happens, the Job is removed with its pods.
pub async fn run(fleet: &Fleet<'_>, cancel: &CancellationToken) -> Result<Ran> {
    let client = fleet.kube.client();
    let jobs: Api<Job> = Api::namespaced(client.clone(), fleet.namespace);
    let created = create(fleet, &jobs).await?;
    let mut guard = Guard { jobs: jobs.clone(), job: Some(created.clone()) };
    sweep(&jobs, &created).await;
    let name = created.metadata.name.clone().unwrap_or_default();
    let ran = until_cancelled(cancel, drive::drive(fleet, &name)).await;
    let limit = if cancel.is_cancelled() { HASTY_REMOVAL } else { REMOVAL };
    fleet.progress.say("removing the workers");
    if let Err(why) = remove(client, fleet.namespace, &created, limit).await {
        let place = format!("{}/{name}", fleet.namespace);
        fleet.progress.warn(format!("the Job {place} of the workers may be left: {why}; it removes itself in time"));
    }
    guard.job = None;
    ran
}

/// How long the load lasts at most, from its start; None: until its requests are sent.
pub fn longest(order: &Order, until: Until<'_>) -> Option<Duration> {
    match order.spec.limit {
        super::super::spec::Limit::Duration { duration } => Some(duration + until.longest_wait()),
        super::super::spec::Limit::Requests { .. } => None,
    }
}

async fn create(fleet: &Fleet<'_>, jobs: &Api<Job>) -> Result<Job> {
    let spec = &fleet.order.spec;
    let load = spec.warmup + longest(fleet.order, fleet.until).unwrap_or(OPEN_ENDED) + spec.timeout;
    let deadline = fleet.starting + load + MARGIN;
    let value = job::build(&suffix(), fleet.image, fleet.order.workers, deadline);
    let job: Job =
        serde_json::from_value(value).context(Kind::Unexpected, || "the workers' Job is malformed".to_owned())?;
    let parameters = PostParams { field_manager: Some("stackctl".to_owned()), ..PostParams::default() };
    let what = || format!("creating the Job of the workers in namespace {} failed", fleet.namespace);
    match timeout(REQUEST, jobs.create(&parameters, &job)).await {
        Ok(Ok(job)) => Ok(job),
        Ok(Err(::kube::Error::Api(status))) => Err(Error::new(Kind::Refused, what()).cause(&status.message)),
        Ok(Err(error)) => Err(Error::new(Kind::Platform, what()).caused_by(&error)),
        Err(_) => Err(Error::new(Kind::Platform, what()).cause("the API server did not answer in time")),
    }
}

/// Removes Jobs of runs that were killed; what cannot be removed now is the next run's to try.
async fn sweep(jobs: &Api<Job>, ours: &Job) {
    let Some(now) = ours.metadata.creation_timestamp.as_ref().map(|time| time.0) else { return };
    let selection = ListParams::default().labels(job::SELECTOR);
    if let Ok(Ok(found)) = timeout(REQUEST, jobs.list(&selection)).await {
        for job in found.iter().filter(|job| job::abandoned(job, now)) {
            let _ = delete(jobs, job).await;
        }
    }
}

/// Deletes exactly this Job; one that is gone already is as good.
async fn delete(jobs: &Api<Job>, job: &Job) -> std::result::Result<(), String> {
    let Some(name) = &job.metadata.name else { return Ok(()) };
    let preconditions = Preconditions { uid: job.metadata.uid.clone(), resource_version: None };
    let parameters = DeleteParams::background().grace_period(0).preconditions(preconditions);
    match timeout(REQUEST, jobs.delete(name, &parameters)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(::kube::Error::Api(status))) if status.is_not_found() => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the API server did not answer in time".to_owned()),
    }
}

/// Removes the Job and its pods, and returns when they are gone.
async fn remove(client: &Client, namespace: &str, job: &Job, limit: Duration) -> std::result::Result<(), String> {
    let until = Instant::now() + limit;
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    delete(&jobs, job).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selection = ListParams::default().labels(&job::pods_of(job.metadata.name.as_deref().unwrap_or_default()));
    // The Job is gone, so nothing starts them again; without a grace period nothing is left once they are gone.
    let at_once = DeleteParams::background().grace_period(0);
    loop {
        let deleted = timeout(REQUEST, pods.delete_collection(&at_once, &selection)).await;
        let left = match timeout(REQUEST, pods.list(&selection)).await {
            Ok(Ok(left)) if left.items.is_empty() => return Ok(()),
            Ok(Ok(left)) => format!("{} of its pods are still there", left.items.len()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        if Instant::now() >= until {
            return Err(match deleted {
                Ok(Err(error)) => error.to_string(),
                _ => left,
            });
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Deletes the Job when the run is dropped halfway, as long as the runtime lives.
struct Guard {
    jobs: Api<Job>,
    job: Option<Job>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(job), Ok(runtime)) = (self.job.take(), tokio::runtime::Handle::try_current()) {
            let jobs = self.jobs.clone();
            runtime.spawn(async move { delete(&jobs, &job).await });
        }
    }
}

fn suffix() -> String {
    let mut random = rand::rng();
    (0..6).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[random.random_range(0..36)])).collect()
}
