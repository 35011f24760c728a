//! Parse, observe, plan, execute: what `up` and its relatives do with a stack. Neither prints nor asks, so that it can be
//! called in a loop.

pub mod preflight;

use crate::{
    error::{Error, Kind, Result, words::few},
    execute::{
        self, actions,
        untried::{self, Begun},
    },
    observe,
    plan::{self, Action, Plan, observed::Observed},
    session::Session,
};

/// What a look at the cluster and the engine comes to: nothing is changed by it.
pub struct Look {
    pub observed: Observed,
    pub plan: Plan,
}

/// What a run came to.
pub struct Reconciled {
    pub observed: Observed,
    pub plan: Plan,
    /// Steps that were done before a failure stay done: the next run goes on from there.
    pub ended: Result<()>,
}

/// Observes and plans.
pub async fn look(session: &Session, options: &plan::up::Options) -> Result<Look> {
    let observed = observe::all(session).await?;
    let plan = plan::up::plan(&session.stack, options, &observed)?;
    Ok(Look { observed, plan })
}

/// Does what a look found to be missing. Err: nothing was begun.
pub async fn act(session: &Session, Look { observed, plan }: Look) -> Result<Reconciled> {
    session.until_stopped(Box::pin(session.preflight(&plan, &observed))).await?;
    let ended = execute(session, &plan, &observed).await.map_err(|error| unpruned(error, &plan));
    Ok(Reconciled { observed, plan, ended })
}

/// Runs a plan made from `observed`.
pub async fn execute(session: &Session, plan: &Plan, observed: &Observed) -> Result<()> {
    let begun = Begun::default();
    let ended = execute::run(plan, &session.events, &session.cancel, |step, progress, cancel| {
        begun.add(step);
        Box::pin(actions::act(session, plan, observed, step, progress, cancel))
    })
    .await;
    let ended = match ended {
        Err(error) if error.kind == Kind::Refused && !session.cancel.is_cancelled() => {
            let others = Box::pin(untried::refusals(session, plan, observed, &begun));
            let others = session.until_stopped(async { Ok(others.await) }).await.unwrap_or_default();
            Err(error.beside(others))
        }
        ended => ended,
    };
    // After the cluster is gone there is nothing to remember.
    if !plan.removes_cluster()
        && let Err(error) = session.known.save()
    {
        session.events.warn(format!("could not save the cache; the next run will be slower: {error}"));
    }
    ended
}

/// A refusal ends the run before what left the stack is pruned, and perhaps that is just what is in the way.
fn unpruned(error: Error, plan: &Plan) -> Error {
    let prunes = plan.steps.iter().filter(|step| matches!(step.action, Action::Prune { .. }));
    let stale: Vec<_> = prunes.flat_map(|step| &step.deletes).collect();
    if error.kind != Kind::Refused || stale.is_empty() {
        return error;
    }
    error.hint(format!(
        "what left the stack is still there: {}; if that is in the way, --prune-first removes it before anything is applied",
        few(stale)
    ))
}
