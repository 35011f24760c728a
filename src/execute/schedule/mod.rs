//! Runs a plan: every step whose needs are met runs at the same time as the others. Knows nothing of printing.

#[cfg(test)]
mod tests;

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

use super::Done;
use crate::{
    error::{Error, Kind, Result, cause},
    event::{Event, Events, Outcome, Progress, interrupt::interrupted},
    plan::{Plan, Step},
};

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
    let mut given_up = pin!(grace_is_over(cancel, grace));
    // What is left of a plan without required steps is not worth a wait either.
    while left > 0 {
        let next = tokio::select! {
            next = running.next() => next,
            () = &mut given_up => None,
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

async fn grace_is_over(cancel: &CancellationToken, grace: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(grace).await;
}
