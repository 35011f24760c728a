//! Runs a plan: every step whose needs are met runs at the same time as the others. Knows nothing of printing.

pub mod actions;
mod certificate;
mod delete;
mod disruption;
pub mod garbage;
mod job;
pub mod load;
pub mod provide;
mod provider;
mod prune;
mod share;
mod spare;
pub mod untried;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, Kind, Result, cause},
    event::{Event, Events, Outcome, Progress, interrupt::interrupted},
    plan::{Plan, Step},
};

/// How a step ended well.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// It looked and found nothing to do.
    pub unchanged: bool,
    /// A few words for the report: "created", "pushed 12 MB".
    pub note: Option<String>,
}

impl Done {
    pub fn note(note: impl Into<String>) -> Done {
        Done { unchanged: false, note: Some(note.into()) }
    }
}

/// How long steps may take to leave after an interruption before they are dropped where they stand.
const GRACE: Duration = Duration::from_secs(5);

/// Objects that fail of one mistake fail one after the other: so long after the last failure the other waits go on.
const QUIET: Duration = Duration::from_secs(5);
/// And so long after the first.
const GATHERING: Duration = Duration::from_secs(30);

/// Runs all steps. After a failure no step starts any more, steps that only wait are stopped, steps that work are
/// brought to their end (each leaves something that the next run builds on). Where an object does not become ready, the
/// other waits get a moment to find out the same. Returns all failures as one. `cancel` is an interruption: everything
/// leaves within `GRACE`. An optional step that still runs when the others have ended is dropped: nobody waits for what
/// nothing needs any more.
pub async fn run<'a, F>(plan: &'a Plan, events: &Events, cancel: &CancellationToken, act: F) -> Result<()>
where
    F: Fn(&'a Step, Progress, CancellationToken) -> LocalBoxFuture<'a, Result<Done>>,
{
    run_within(GRACE, QUIET, plan, events, cancel, act).await
}

async fn run_within<'a, F>(
    grace: Duration,
    quiet: Duration,
    plan: &'a Plan,
    events: &Events,
    cancel: &CancellationToken,
    act: F,
) -> Result<()>
where
    F: Fn(&'a Step, Progress, CancellationToken) -> LocalBoxFuture<'a, Result<Done>>,
{
    // Asked to stop before anything began: then nothing does.
    if cancel.is_cancelled() {
        return Err(interrupted());
    }
    let began = Instant::now();
    events.send(Event::Planned { steps: plan.outline() });

    let mut waiting: Vec<usize> = plan.steps.iter().map(|step| step.needs.len()).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        for &need in &step.needs {
            dependents[need].push(index);
        }
    }

    // Stops what only waits; the outer token also asks steps that work.
    let idle = cancel.child_token();
    let start = |index: usize| {
        let step = &plan.steps[index];
        let progress = events.progress(Arc::clone(&step.id));
        events.send(Event::Started { step: Arc::clone(&step.id), at: began.elapsed() });
        let token = if step.action.only_waits() { idle.clone() } else { cancel.clone() };
        let future = act(step, progress, token);
        async move { (index, future.await) }
    };
    let mut running: FuturesUnordered<_> =
        (0..plan.steps.len()).filter(|&index| waiting[index] == 0).map(start).collect();
    let mut finished = vec![false; plan.steps.len()];
    let mut failures: Vec<Error> = Vec::new();
    let is_required = |index: usize| !plan.steps[index].action.is_optional();
    let mut left = (0..plan.steps.len()).filter(|&index| is_required(index)).count();
    // When the first and the last object were found not to become ready.
    let mut gathering: Option<(Instant, Instant)> = None;

    // One for all steps: those that end in it must not prolong it for the others.
    let mut patience = pin!(out_of_patience(cancel, grace));
    // What is left of a plan without required steps is not worth a wait either.
    while left > 0 {
        let next = tokio::select! {
            next = running.next() => next,
            () = &mut patience => None,
            () = all_gathered(gathering, quiet) => {
                gathering = None;
                idle.cancel();
                continue;
            }
        };
        let Some((index, result)) = next else { break };
        finished[index] = true;
        left -= usize::from(is_required(index));
        let step = &plan.steps[index];
        let (outcome, note) = match &result {
            Ok(done) if done.unchanged => (Outcome::Unchanged, done.note.clone()),
            Ok(done) => (Outcome::Done, done.note.clone()),
            Err(error) if error.kind == Kind::Interrupted => (Outcome::Skipped, None),
            Err(error) => (Outcome::Failed, Some(error.message.clone())),
        };
        events.send(Event::Finished { step: Arc::clone(&step.id), at: began.elapsed(), outcome, note });
        match result {
            Ok(_) if failures.is_empty() && !cancel.is_cancelled() => {
                for &dependent in &dependents[index] {
                    waiting[dependent] -= 1;
                    if waiting[dependent] == 0 {
                        running.push(start(dependent));
                    }
                }
            }
            Ok(_) => {}
            // A wait that was stopped because something else failed has nothing to add.
            Err(error) if error.kind == Kind::Interrupted => {}
            Err(error) => {
                let now = Instant::now();
                match error.kind {
                    Kind::NotReady if !idle.is_cancelled() => {
                        gathering = Some((gathering.map_or(now, |(first, _)| first), now));
                    }
                    _ => idle.cancel(),
                }
                failures.push(error);
            }
        }
    }
    drop(running);
    for (index, step) in plan.steps.iter().enumerate() {
        if !finished[index] {
            let note = (left == 0).then(|| "nothing needs it any more".to_owned());
            let step = Arc::clone(&step.id);
            events.send(Event::Finished { step, at: began.elapsed(), outcome: Outcome::Skipped, note });
        }
    }
    if cancel.is_cancelled() {
        return Err(interrupted().hint("run the same command again to go on from here"));
    }
    cause::together(failures).map_or(Ok(()), Err)
}

/// Never where nothing is being gathered.
async fn all_gathered(gathering: Option<(Instant, Instant)>, quiet: Duration) {
    match gathering {
        Some((first, last)) => tokio::time::sleep_until((last + quiet).min(first + GATHERING).into()).await,
        None => std::future::pending().await,
    }
}

async fn out_of_patience(cancel: &CancellationToken, grace: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(grace).await;
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Mutex};

    use super::*;
    use crate::{
        event::interrupt::until_cancelled,
        plan::{Action, Graph, Images},
    };

    /// a ─▶ c, b ─▶ c, c ─▶ d
    fn diamond() -> Plan {
        let mut graph = Graph::default();
        let a = graph.add("a", &[], Action::Barrier);
        let b = graph.add("b", &[], Action::Barrier);
        let c = graph.add("c", &[a, b], Action::Barrier);
        graph.add("d", &[c], Action::Barrier);
        graph.into()
    }

    #[tokio::test]
    async fn independent_steps_overlap_and_needs_come_first() {
        let plan = diamond();
        let (events, _receiver) = Events::channel();
        let both = tokio::sync::Barrier::new(2);
        let log = Mutex::new(Vec::new());
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            let id = step.id.to_string();
            let (both, log) = (&both, &log);
            Box::pin(async move {
                if id == "a" || id == "b" {
                    both.wait().await;
                }
                log.lock().unwrap().push(id);
                Ok(Done::default())
            })
        };
        let cancel = CancellationToken::new();
        let run = run(&plan, &events, &cancel, act);
        tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
        assert_eq!(log.lock().unwrap()[2..], ["c", "d"]);
    }

    #[tokio::test]
    async fn a_failure_starts_nothing_more_but_lets_work_end() {
        let plan = diamond();
        let (events, mut receiver) = Events::channel();
        let ended = Mutex::new(false);
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            let (id, ended) = (step.id.to_string(), &ended);
            Box::pin(async move {
                match id.as_str() {
                    "a" => Err(Error::new(Kind::Build, "no")),
                    "b" => {
                        tokio::task::yield_now().await;
                        *ended.lock().unwrap() = true;
                        Ok(Done::default())
                    }
                    other => panic!("{other} must not start"),
                }
            })
        };
        let error = run(&plan, &events, &CancellationToken::new(), act).await.unwrap_err();
        assert_eq!(error.kind, Kind::Build);
        assert!(*ended.lock().unwrap());
        drop(events);
        let mut skipped = Vec::new();
        while let Some(event) = receiver.recv().await {
            if let Event::Finished { step, outcome: Outcome::Skipped, .. } = event {
                skipped.push(step.to_string());
            }
        }
        assert_eq!(skipped, ["c", "d"]);
    }

    #[tokio::test]
    async fn every_failure_is_told_with_all_that_it_says() {
        let plan = diamond();
        let (events, _receiver) = Events::channel();
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            let id = step.id.to_string();
            Box::pin(async move { Err(Error::new(Kind::Refused, id.clone()).detail(format!("why {id}"))) })
        };
        let error = run(&plan, &events, &CancellationToken::new(), act).await.unwrap_err();
        assert_eq!(error.others.len(), 1);
        assert_eq!(error.others[0].details, [format!("why {}", error.others[0].message)]);
    }

    #[tokio::test]
    async fn a_step_that_nothing_needs_never_delays_the_end() {
        let mut graph = Graph::default();
        let optional = Action::Preload { images: Images::Named(BTreeSet::new()) };
        let a = graph.add("a", &[], Action::Barrier);
        let slow = graph.add("slow", &[a], optional.clone());
        graph.add("after slow", &[slow], optional);
        graph.add("b", &[a], Action::Barrier);
        let plan = graph.into();
        let (events, mut receiver) = Events::channel();
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            match &*step.id {
                "slow" => Box::pin(futures::future::pending()),
                _ => Box::pin(std::future::ready(Ok(Done::default()))),
            }
        };
        let cancel = CancellationToken::new();
        let run = run(&plan, &events, &cancel, act);
        tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
        drop(events);
        let mut skipped = Vec::new();
        while let Some(event) = receiver.recv().await {
            if let Event::Finished { step, outcome: Outcome::Skipped, note: Some(note), .. } = event {
                skipped.push(format!("{step}: {note}"));
            }
        }
        assert_eq!(skipped, ["slow: nothing needs it any more", "after slow: nothing needs it any more"]);
    }

    #[tokio::test]
    async fn a_failure_does_not_wait_for_what_is_optional() {
        let mut graph = Graph::default();
        graph.add("slow", &[], Action::Preload { images: Images::Named(BTreeSet::new()) });
        graph.add("a", &[], Action::Barrier);
        let plan = graph.into();
        let (events, _receiver) = Events::channel();
        let act = |step: &Step, _, cancel: CancellationToken| -> LocalBoxFuture<'_, Result<Done>> {
            match &*step.id {
                "slow" => Box::pin(async move { until_cancelled(&cancel, futures::future::pending()).await }),
                _ => Box::pin(std::future::ready(Err(Error::new(Kind::Build, "no")))),
            }
        };
        let cancel = CancellationToken::new();
        let run = run(&plan, &events, &cancel, act);
        let error = tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Build);
    }

    #[tokio::test]
    async fn what_is_not_ready_for_one_reason_is_gathered() {
        let mut graph = Graph::default();
        for id in ["first", "second", "never"] {
            graph.add(id, &[], Action::AwaitNetwork);
        }
        let plan: Plan = graph.into();
        let (events, _receiver) = Events::channel();
        let act = |step: &Step, _, token: CancellationToken| -> LocalBoxFuture<'_, Result<Done>> {
            let id = step.id.to_string();
            Box::pin(async move {
                match id.as_str() {
                    "never" => {
                        token.cancelled().await;
                        return Err(interrupted());
                    }
                    "second" => tokio::time::sleep(Duration::from_millis(50)).await,
                    _ => {}
                }
                let what = cause::What::Image(format!("{id}:1"));
                let mut error = Error::new(Kind::NotReady, id.clone());
                error.roots.push(cause::Root { subject: id, what });
                Err(error)
            })
        };
        let (quiet, cancel) = (Duration::from_secs(3), CancellationToken::new());
        let ended = run_within(GRACE, quiet, &plan, &events, &cancel, act).await;
        assert_eq!(ended.unwrap_err().message, "2 images cannot be pulled: first:1, second:1");
    }

    #[tokio::test]
    async fn an_interruption_ends_even_steps_that_do_not_listen() {
        let plan = diamond();
        let (events, _receiver) = Events::channel();
        let cancel = CancellationToken::new();
        let act = |_: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            cancel.cancel();
            Box::pin(futures::future::pending())
        };
        let error = run_within(Duration::from_millis(1), QUIET, &plan, &events, &cancel, act).await.unwrap_err();
        assert_eq!(error.kind, Kind::Interrupted);
    }

    #[tokio::test]
    async fn steps_that_end_after_an_interruption_do_not_prolong_its_grace() {
        let mut graph = Graph::default();
        for nth in 0..1000 {
            graph.add(nth, &[], Action::Barrier);
        }
        let plan = Plan::from(graph);
        let (events, _receiver) = Events::channel();
        let cancel = CancellationToken::new();
        // One ends every 20 ms, for 20 s in all.
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> {
            let nth: u64 = step.id.parse().unwrap();
            cancel.cancel();
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20 * nth)).await;
                Ok(Done::default())
            })
        };
        let run = run_within(Duration::from_millis(200), QUIET, &plan, &events, &cancel, act);
        let ended = tokio::time::timeout(Duration::from_secs(10), run).await;
        assert_eq!(ended.expect("each step began the grace anew").unwrap_err().kind, Kind::Interrupted);
    }

    #[tokio::test]
    async fn nothing_begins_after_an_interruption() {
        let plan = diamond();
        let (events, _receiver) = Events::channel();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let act = |step: &Step, _, _| -> LocalBoxFuture<'_, Result<Done>> { panic!("{} began", step.id) };
        assert_eq!(run(&plan, &events, &cancel, act).await.unwrap_err().kind, Kind::Interrupted);
    }
}
