//! The load engine: one thread with a single-threaded runtime for each core, each with its share of the connections and
//! of the schedule; nothing is shared between them while they send.

mod answer;
mod clock;
mod connection;
mod limits;
mod needle;
mod queue;
mod record;
mod request;
mod schedule;
mod share;
mod target;
#[cfg(test)]
mod tests;
mod thread;
mod timer;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    clock::Clock,
    request::Requests,
    thread::{Message, Plan},
};
pub use self::{share::Share, target::Target};
use super::{
    spec::LoadSpec,
    stats::{PackedTally, SecondTally, Tick, WorkerResult},
};
use crate::error::{Context, Error, Kind, Result};

/// Of a load, what this process sends and when.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub share: Share,
    /// None: one for each core that the process may use.
    pub threads: Option<u32>,
    /// When the warm-up begins, or the measurement where there is none. What was due before now is left out.
    pub start: Instant,
}

/// Sends a part of a load to its end and counts what becomes of each request.
///
/// `on_tick` is called each second of the measurement, and a last time with what the last answers were. `cancel` ends
/// the load early: no request is begun, those under way have 5 s to end; the result is that of what was sent. Dropping
/// the future ends it at once.
pub async fn run(
    spec: &LoadSpec,
    target: &Target,
    part: Part,
    cancel: &CancellationToken,
    mut on_tick: impl FnMut(Tick),
) -> Result<WorkerResult> {
    spec.check()?;
    let connections = part.share.count(spec.connections.into());
    let Some(threads) = threads(part.threads, connections) else {
        return Ok(WorkerResult { paths: vec![PackedTally::default(); spec.paths.len()], ..WorkerResult::default() });
    };
    limits::allow(u32::try_from(connections).unwrap_or(u32::MAX))?;
    let clock = Clock::new(part.start);
    let abort = CancellationToken::new();
    let plan = Arc::new(Plan {
        requests: Requests::new(spec)?,
        spec: spec.clone(),
        target: target.clone(),
        clock,
        begin: clock.now(),
        stop: cancel.clone(),
        abort: abort.clone(),
    });
    // However this ends, the threads do.
    let _end = abort.drop_guard();
    let (sender, receiver) = mpsc::unbounded_channel();
    for number in 0..threads {
        let (plan, sender) = (plan.clone(), sender.clone());
        let share = part.share.part(Share { index: number, of: threads });
        std::thread::Builder::new()
            .name(format!("load-{number}"))
            .spawn(move || thread::run(plan, share, number as usize, &sender))
            .context(Kind::Unexpected, || "a thread of the load could not be started".to_owned())?;
    }
    drop(sender);
    let mut result = gather(receiver, threads as usize, &mut on_tick).await?;
    result.late = Duration::from_nanos(plan.begin);
    Ok(result)
}

/// None: there is nothing to do for any.
fn threads(asked: Option<u32>, connections: u64) -> Option<u32> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let most = u32::try_from(connections).unwrap_or(u32::MAX);
    Some(asked.unwrap_or(cores).min(most)).filter(|threads| *threads > 0)
}

/// Puts together what the threads tell until all have ended.
async fn gather(
    mut messages: mpsc::UnboundedReceiver<(usize, Message)>,
    threads: usize,
    on_tick: &mut impl FnMut(Tick),
) -> Result<WorkerResult> {
    let mut ticks = Ticks::new(threads);
    let mut done: Vec<WorkerResult> = Vec::new();
    while let Some((thread, message)) = messages.recv().await {
        match message {
            Message::Tick(tick) => ticks.add(thread, tick),
            Message::Done(result) => {
                done.push(result?);
                ticks.end(thread);
            }
        }
        while let Some(tick) = ticks.next() {
            on_tick(tick);
        }
    }
    if done.len() < threads {
        return Err(Error::new(Kind::Unexpected, "a thread of the load ended before its time"));
    }
    let mut sum = WorkerResult::default();
    done.iter().for_each(|result| sum.add(result));
    Ok(sum)
}

/// The ticks of each thread that have not been passed on. A second is passed on when no thread lacks it.
#[derive(Debug)]
struct Ticks(Vec<(VecDeque<Tick>, bool)>);

impl Ticks {
    fn new(threads: usize) -> Ticks {
        Ticks(vec![(VecDeque::new(), false); threads])
    }

    fn add(&mut self, thread: usize, tick: Tick) {
        self.0[thread].0.push_back(tick);
    }

    /// Nothing more comes from this thread.
    fn end(&mut self, thread: usize) {
        self.0[thread].1 = true;
    }

    fn next(&mut self) -> Option<Tick> {
        if self.0.iter().any(|(ticks, ended)| ticks.is_empty() && !ended) {
            return None;
        }
        let at = self.0.iter().filter_map(|(ticks, _)| ticks.front().map(|tick| tick.at)).min()?;
        let mut seconds: BTreeMap<u32, PackedTally> = BTreeMap::new();
        for (ticks, _) in &mut self.0 {
            if let Some(tick) = ticks.pop_front_if(|tick| tick.at == at) {
                tick.seconds.iter().for_each(|second| seconds.entry(second.at).or_default().add(&second.tally));
            }
        }
        let seconds = seconds.into_iter().map(|(at, tally)| SecondTally { at, tally }).collect();
        Some(Tick { at, seconds })
    }
}

/// Makes one connection and closes it: fails if there is nothing to send a load to.
pub async fn probe(spec: &LoadSpec, target: &Target) -> Result<()> {
    let failed = |words: String| {
        Error::new(Kind::Preflight, format!("{} cannot be reached: nothing was sent", spec.base)).cause(words)
    };
    match tokio::time::timeout(spec.timeout, target.connect(0)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(broken)) => Err(failed(broken.1)),
        Err(_) => Err(failed(format!("no connection within {} s", spec.timeout.as_secs_f64()))),
    }
}

/// When to begin, so that the first connections are there.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}
