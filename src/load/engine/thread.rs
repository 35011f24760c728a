//! One thread of the engine: its connections, what they share, its beginning and its end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::SmallRng};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{Notify, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    answer::LastHead,
    clock::{Clock, SECOND, nanos},
    connection,
    needle::Needle,
    queue::{Next, Queue},
    record::Recorder,
    request::Requests,
    schedule::Schedule,
    share::Share,
    target::{Broken, Target},
    timer::Timer,
};
use crate::{
    error::{Context, Error, Kind, Result},
    load::{
        failure::Failure,
        spec::{Limit, LoadSpec},
        stats::{Tick, WorkerResult},
    },
};

/// What a connection reads at once. Shared by all of a thread: nothing stays in it.
const SCRATCH: usize = 64 << 10;
/// Connections that a thread makes at the same time: more are only refused by full queues.
const CONNECTING: usize = 128;
/// An ended load waits so long for the answers that are under way.
const GRACE: Duration = Duration::from_secs(5);
/// How often a backlog is looked through for what has waited too long.
const EXPIRING: Duration = Duration::from_millis(20);

/// The same for all threads.
pub struct Plan {
    pub spec: LoadSpec,
    pub requests: Requests,
    pub target: Target,
    pub clock: Clock,
    /// Nothing is sent before: in ns, 0 unless the load starts late.
    pub begin: u64,
    /// Ends the load: what is under way may end.
    pub stop: CancellationToken,
    /// Ends it at once.
    pub abort: CancellationToken,
}

#[derive(Debug)]
pub enum Message {
    Tick(Tick),
    Done(Result<WorkerResult>),
}

/// What the connections of a thread share.
pub struct Thread {
    pub plan: Arc<Plan>,
    pub timeout: u64,
    pub expected: Expected,
    pub arrivals: Arrivals,
    pub recorder: RefCell<Recorder>,
    pub scratch: RefCell<Scratch>,
    pub connecting: Semaphore,
    /// Requests that have been sent and are not decided.
    pub under_way: Cell<u64>,
    random: RefCell<SmallRng>,
}

pub struct Expected {
    pub status: Option<u16>,
    pub body: Option<Needle>,
}

pub enum Arrivals {
    /// `end` in ns; `left`: requests to send, in the measurement.
    Closed { end: Cell<u64>, left: Cell<u64> },
    /// `freed`: a connection has become idle.
    Open { queue: Box<RefCell<Queue>>, freed: Notify },
}

pub struct Scratch {
    pub bytes: Box<[u8]>,
    pub last: LastHead,
}

/// Runs one thread's share of a load to its end, on this thread.
pub fn run(plan: Arc<Plan>, share: Share, number: usize, messages: &mpsc::UnboundedSender<(usize, Message)>) {
    let done = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context(Kind::Unexpected, || "a thread of the load could not be set up".to_owned())
        .and_then(|runtime| runtime.block_on(drive(plan, share, |tick| send(messages, number, Message::Tick(tick)))));
    send(messages, number, Message::Done(done));
}

fn send(messages: &mpsc::UnboundedSender<(usize, Message)>, number: usize, message: Message) {
    // Without a receiver nobody wants the load any more, and `abort` ends it.
    let _ = messages.send((number, message));
}

async fn drive(plan: Arc<Plan>, share: Share, tick: impl Fn(Tick)) -> Result<WorkerResult> {
    let connections = usize::try_from(share.count(plan.spec.connections.into())).unwrap_or(usize::MAX);
    let from = nanos(plan.spec.warmup);
    let thread = Rc::new(Thread::new(plan, share, connections, from));
    let plan = thread.plan.clone();

    let serving: Vec<_> =
        (0..connections).map(|index| tokio::task::spawn_local(connection::serve(thread.clone(), index))).collect();
    let dispatching = tokio::task::spawn_local(dispatch(thread.clone()));
    let served = async {
        for connection in serving {
            connection.await.context(Kind::Unexpected, || "a connection of the load was given up".to_owned())?;
        }
        Ok::<(), Error>(())
    };
    let mut stopped = None;
    let ended = async {
        plan.stop.cancelled().await;
        stopped = Some(plan.clock.now());
        thread.stop(plan.clock.now());
        tokio::time::sleep(GRACE.min(plan.spec.timeout)).await;
    };
    let mut second = 0;
    let ticking = async {
        loop {
            let passed = plan.clock.moment(from + (u64::from(second) + 1) * SECOND);
            tokio::time::sleep_until(passed.into()).await;
            tick(thread.recorder.borrow_mut().tick(second));
            second += 1;
        }
        #[allow(unreachable_code, reason = "it says what is awaited")]
        ()
    };
    tokio::select! {
        served = served => served?,
        () = ended => {}
        () = plan.abort.cancelled() => {}
        () = ticking => {}
    }
    dispatching.abort();
    let end = stopped.or_else(|| plan.abort.is_cancelled().then(|| plan.clock.now()));
    let mut recorder = thread.recorder.replace(Recorder::new(from, plan.requests.paths()));
    tick(recorder.tick(second));
    let (last, mut result) = recorder.finish();
    let end = match (end, plan.spec.limit) {
        (Some(end), Limit::Duration { duration }) => end.min(from + nanos(duration)),
        (None, Limit::Duration { duration }) => from + nanos(duration),
        (_, Limit::Requests { .. }) => last,
    };
    result.measured = Duration::from_nanos(end.saturating_sub(from));
    result.unfinished = thread.under_way.get();
    if let Arrivals::Open { queue, .. } = &thread.arrivals {
        result.left_out = queue.borrow().left_out;
    }
    Ok(result)
}

/// Gives an open loop's requests to idle connections when they are due.
async fn dispatch(thread: Rc<Thread>) {
    let Arrivals::Open { queue, freed } = &thread.arrivals else { return };
    let mut timer = Timer::new();
    loop {
        let next = queue.borrow_mut().hand_out(thread.plan.clock.now());
        match next {
            Next::At(due) => timer.wait_until(thread.plan.clock.moment(due)).await,
            Next::Backlog => {
                tokio::select! {
                    () = freed.notified() => {}
                    () = tokio::time::sleep(EXPIRING) => {}
                }
                thread.expire();
            }
            Next::Over => return,
        }
    }
}

impl Thread {
    fn new(plan: Arc<Plan>, share: Share, connections: usize, from: u64) -> Thread {
        let spec = &plan.spec;
        let arrivals = match Schedule::new(spec, share) {
            Some(schedule) => Arrivals::Open {
                queue: Box::new(RefCell::new(Queue::new(schedule, connections, plan.begin))),
                freed: Notify::new(),
            },
            None => {
                let (end, left) = match spec.limit {
                    Limit::Duration { duration } => (from + nanos(duration), u64::MAX),
                    Limit::Requests { requests } => (u64::MAX, share.count(requests)),
                };
                Arrivals::Closed { end: Cell::new(end), left: Cell::new(left) }
            }
        };
        Thread {
            timeout: nanos(spec.timeout),
            expected: Expected { status: spec.expect_status, body: spec.expect_body.as_deref().map(Needle::new) },
            arrivals,
            recorder: RefCell::new(Recorder::new(from, plan.requests.paths())),
            scratch: RefCell::new(Scratch { bytes: vec![0; SCRATCH].into(), last: LastHead::default() }),
            connecting: Semaphore::new(CONNECTING),
            under_way: Cell::new(0),
            random: RefCell::new(SmallRng::seed_from_u64(spec.seed ^ u64::from(share.index).rotate_left(32))),
            plan,
        }
    }

    /// The path of the next request.
    pub fn choose(&self) -> usize {
        match self.plan.requests.paths() {
            1 => 0,
            _ => self.plan.requests.choose(&mut self.random.borrow_mut()),
        }
    }

    pub fn moment(&self, at: u64) -> Instant {
        self.plan.clock.moment(at)
    }

    pub fn fail(&self, due: u64, path: usize, (sent, received): (u64, u64), broken: Broken) {
        let mut recorder = self.recorder.borrow_mut();
        if !recorder.is_measured(due) {
            return;
        }
        let Broken(failure, words) = broken;
        recorder.failure(due, self.plan.clock.now(), path, (sent, received), failure);
        recorder.example(failure, || words);
        if self.plan.spec.abort_on_fail {
            recorder.aborted(failure);
            self.plan.abort.cancel();
        }
    }

    /// Counts requests of a backlog that have been due for longer than an answer may take.
    fn expire(&self) {
        let now = self.plan.clock.now();
        if let Some(overdue) = now.checked_sub(self.timeout) {
            while let Some(due) = self.take(overdue) {
                self.fail(due, self.choose(), (0, 0), late("no connection was free"));
            }
        }
    }

    /// The oldest request of an open loop that was due at a time.
    pub fn take(&self, by: u64) -> Option<u64> {
        match &self.arrivals {
            Arrivals::Open { queue, .. } => queue.borrow_mut().take(by),
            Arrivals::Closed { .. } => None,
        }
    }

    /// No request is begun from now on.
    fn stop(&self, now: u64) {
        match &self.arrivals {
            Arrivals::Closed { end, .. } => end.set(now.min(end.get())),
            Arrivals::Open { queue, .. } => queue.borrow_mut().end_at(now),
        }
    }
}

pub fn late(what: &str) -> Broken {
    Broken(Failure::Timeout, what.to_owned())
}
