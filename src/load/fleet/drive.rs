//! The load itself: started on all workers at once, listened to, ended in time, each worker's result awaited.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use tokio::{
    sync::watch as channel,
    time::{Instant, MissedTickBehavior},
};

use super::{
    super::{
        document::{LostWorker, Workers},
        spec::Limit,
        verdict,
        watch::since,
    },
    collect::Collected,
    control::Wish,
    job,
    part::{share, short},
    pods::{self, Pods},
    run::{Fleet, Ran, SCALE_UP_TIMEOUT, Until, longest},
};
use crate::{
    error::{Error, Kind, Result},
    event::{Event, LoadTick},
    kube::agent_pod::{self, State},
    kube::logs::LogOptions,
};

/// From the moment at which all workers are told to start to the start: the word must have arrived everywhere.
const HEADWAY: Duration = Duration::from_secs(1);
/// How long a load goes on after the scale-up that it waited for: so the new pods are seen to serve.
const AFTER_SCALE_UP: Duration = Duration::from_secs(20);
/// How long the last lines of a worker that has ended may be on their way.
const LAST_LINES: Duration = Duration::from_secs(5);
/// What a worker gets beside the timeout of its last requests to say what it measured.
const FAREWELL: Duration = Duration::from_secs(15);
/// A second is shown without those who have not told of it after so long.
const OVERDUE: u32 = 3;
const TICK: Duration = Duration::from_millis(200);

/// Everything between a Job that was created and one that can be removed.
pub async fn drive(fleet: &Fleet<'_>, job: &str) -> Result<Ran> {
    let api = ::kube::Api::<Pod>::namespaced(fleet.kube.client().clone(), fleet.namespace);
    let pods = Pods::watch(api, job);
    let (wish, wishes) = channel::channel(Wish::Wait);
    let mut order = fleet.order.clone();
    if let (Limit::Duration { duration }, Some(longest)) = (&mut order.spec.limit, longest(fleet.order, fleet.until)) {
        // They are stopped once what they are kept going for has come.
        *duration = longest;
    }
    let gathering = Fleet { order: &order, ..*fleet };
    let members = pods::gather(&gathering, job, &pods, &wishes).await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut logs = fleet.kube.logs(fleet.namespace, &job::pods_of(job), options).await?;

    let start = Instant::now() + HEADWAY;
    let zero = start + fleet.order.spec.warmup;
    let ahead = zero.saturating_duration_since(Instant::now());
    let started = jiff::Timestamp::now() + jiff::SignedDuration::try_from(ahead).unwrap_or_default();
    wish.send_replace(Wish::Start(start));

    let mut drive = Drive {
        fleet,
        zero,
        collected: Collected::default(),
        own: members.iter().map(|(worker, member)| (member.pod.clone(), *worker)).collect(),
        lost: BTreeMap::new(),
        ended: BTreeMap::new(),
        load_end: None,
        told: 0,
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !drive.is_over() {
        tokio::select! {
            line = logs.next() => match line {
                Some(line) => drive.line(&line.pod, &line.line),
                None => return Err(Error::new(Kind::Platform, "the logs of the workers ended before the load did")),
            },
            _ = ticks.tick() => {
                drive.pods(&pods.newest());
                if drive.load_end.is_none() && (drive.is_enough() || drive.is_aborted()) {
                    drive.load_end = Some(Instant::now());
                    wish.send_replace(Wish::Stop);
                }
                drive.show();
            }
        }
    }
    drive.show();
    drop(members);
    drive.finish(started)
}

struct Drive<'a> {
    fleet: &'a Fleet<'a>,
    zero: Instant,
    collected: Collected,
    /// The worker that each pod is that was ready at the start: one that comes later was told nothing.
    own: BTreeMap<String, u32>,
    /// Why a worker's result will not come.
    lost: BTreeMap<u32, String>,
    /// When a pod was first seen to have ended, and why if it did not end well.
    ended: BTreeMap<u32, (Instant, Option<String>)>,
    /// When the workers were told to stop, or are known to have stopped by themselves.
    load_end: Option<Instant>,
    /// The second of the run that was last told of.
    told: u64,
}

impl Drive<'_> {
    fn workers(&self) -> BTreeSet<u32> {
        (0..self.fleet.order.workers).filter(|worker| !self.lost.contains_key(worker)).collect()
    }

    fn is_over(&self) -> bool {
        self.workers().iter().all(|worker| self.collected.results.contains_key(worker))
    }

    fn line(&mut self, pod: &str, text: &str) {
        let Some(&worker) = self.own.get(pod) else { return };
        self.collected.take(worker, text);
        // Told to by nobody here: its node was drained, or it heard nothing for too long.
        if let (Some(result), None) = (self.collected.results.get(&worker), self.load_end)
            && let Some(why) = short(self.fleet.order, self.fleet.until, worker, result)
        {
            self.lose(worker, why);
        }
    }

    fn lose(&mut self, worker: u32, why: String) {
        if !self.lost.contains_key(&worker) {
            let percent = share(self.fleet.order, worker) * 100.0;
            self.fleet.events.warn(format!("worker {worker} was lost with {percent:.0} % of the load: {why}"));
            self.lost.insert(worker, why);
        }
    }

    /// When all must have said their last.
    fn deadline(&self) -> Option<Instant> {
        let end = match (self.load_end, longest(self.fleet.order, self.fleet.until)) {
            (Some(end), _) => end,
            (None, Some(longest)) => self.zero + longest,
            (None, None) => return None,
        };
        Some(end + self.fleet.order.spec.timeout + FAREWELL)
    }

    fn pods(&mut self, pods: &[(u32, Pod)]) {
        let now = Instant::now();
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        let pods: BTreeMap<u32, &Pod> = pods
            .iter()
            .filter(|(_, pod)| self.own.contains_key(&name(pod)))
            .map(|(worker, pod)| (*worker, pod))
            .collect();
        for (worker, pod) in &pods {
            if let State::Ended(why) = agent_pod::state(pod) {
                self.ended.entry(*worker).or_insert((now, why));
            }
        }
        let late = self.deadline().is_some_and(|deadline| now > deadline);
        for worker in self.workers() {
            if self.collected.results.contains_key(&worker) {
                continue;
            }
            let gone = (None, "its pod was deleted".to_owned());
            let (since, why) = match self.ended.get(&worker) {
                Some((since, why)) => {
                    (Some(*since), why.clone().unwrap_or_else(|| "it ended without a result".to_owned()))
                }
                None if !pods.contains_key(&worker) => gone,
                None if late => (None, "it did not say in time what it measured".to_owned()),
                None => continue,
            };
            // Its last lines may still be on their way.
            if since.is_some_and(|since| since.elapsed() < LAST_LINES) {
                continue;
            }
            self.lose(worker, why);
        }
    }

    /// Whether the workers shall stop now, since what they were kept going for has come or will not come.
    fn is_enough(&self) -> bool {
        let Limit::Duration { duration } = &self.fleet.order.spec.limit else { return false };
        let now = Instant::now();
        if now < self.zero + *duration {
            return false;
        }
        let up = match self.fleet.until {
            Until::Due => return false,
            Until::Word(word) => return word.end.is_cancelled(),
            Until::ScaleUp(up) => up,
        };
        let reached = self.fleet.watch.read(|course| verdict::scaled_up(up, &course.samples(self.zero)));
        let until = match reached {
            Some(at) => Duration::from_secs_f64(at.max(0.0)) + AFTER_SCALE_UP,
            None => *duration + SCALE_UP_TIMEOUT,
        };
        now >= self.zero + until
    }

    /// A failure that ends one worker's load ends all.
    fn is_aborted(&self) -> bool {
        self.collected.results.values().any(|result| result.aborted.is_some())
    }

    /// Tells of each second that has become complete; of every second while nothing is sent.
    fn show(&mut self) {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.zero);
        let samples = || self.fleet.watch.read(|course| course.newest(self.zero));
        let asked = match self.fleet.order.spec.limit {
            Limit::Duration { duration } => Some(duration),
            Limit::Requests { .. } => None,
        };
        let tick = |phase, second| {
            let tick = LoadTick { phase, second, elapsed, expected: asked, samples: samples() };
            self.fleet.events.send(Event::Load(Box::new(tick)));
        };
        if now < self.zero {
            let second = since(now, self.zero).ceil() as u64;
            if second != self.told {
                self.told = second;
                tick("warming up", None);
                self.fleet.progress.say("warming up");
            }
            return;
        }
        // Not by the seconds that are shown: answers that take long come after theirs.
        if let Until::Word(word) = self.fleet.until
            && self.collected.timeline.has_requests()
        {
            word.begun.cancel();
        }
        let overdue = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX).saturating_sub(OVERDUE);
        // What is past the end of the load holds nothing.
        let longest = longest(self.fleet.order, self.fleet.until).map(|longest| self.zero + longest);
        let end = self.load_end.or(longest).map_or(u32::MAX, |end| since(self.zero, end).max(0.0).ceil() as u32);
        let workers = self.workers();
        for second in self.collected.complete(&workers, overdue, end) {
            let goes_on = asked.is_some_and(|asked| Duration::from_secs(second.at.into()) >= asked);
            let phase = match self.fleet.until {
                Until::ScaleUp(_) if goes_on => "waiting for the scale-up",
                _ => "sending",
            };
            let (rate, failed) = (second.succeeded, second.requests - second.succeeded);
            let message = format!("{phase}: {rate} requests/s, p99 {:.0} ms, {failed} failed", second.latency.p99);
            tick(phase, Some(second));
            self.fleet.progress.say(message);
        }
    }

    fn finish(self, started: jiff::Timestamp) -> Result<Ran> {
        let Drive { fleet, zero, collected, lost, load_end, .. } = self;
        let total = fleet.order.workers;
        if collected.results.is_empty() {
            let error = Error::new(Kind::Platform, format!("all workers were lost ({total} of {total})"));
            let error = lost.values().collect::<BTreeSet<_>>().into_iter().fold(error, Error::cause);
            let said = (0..total).flat_map(|worker| collected.others(worker).to_vec());
            return Err(error.details(said.take(40)));
        }
        let lost = lost.into_iter().map(|(index, why)| {
            let said = collected.others(index).last().map(|line| format!("; it said: {line}")).unwrap_or_default();
            LostWorker { index, share: share(fleet.order, index), why: format!("{why}{said}") }
        });
        let workers = Workers { started: total, lost: lost.collect() };
        let load_end = load_end.unwrap_or_else(|| zero + collected.sum().measured);
        Ok(Ran { workers, zero, started, load_end, collected })
    }
}
