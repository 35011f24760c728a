//! Observe, plan, execute: what commands do with a stack. Neither prints nor asks, so that it can be called in a loop.

pub mod preflight;
pub mod removal;

use crate::{
    error::{Error, Kind, Result, words::few},
    execute::{self, Outputs, Run},
    machine::Machine,
    observe,
    plan::{self, Action, Plan, observed::Observed},
    stack::model::{Job, Stack},
};

use removal::Meant;

/// What is asked for.
pub struct Options {
    pub goal: Goal,
    pub how: execute::Options,
}

/// What the plan is to lead to.
pub enum Goal {
    /// The cluster is as the stack declares.
    Up(plan::up::Options),
    /// A stack that is up is proved to do what it declares.
    Test,
    /// A stack that is up is put under load.
    Load(plan::load::Options),
    /// A job of a stack that is up has run.
    Job(Box<Job>, plan::job::Options),
    /// The engine has the stack's images.
    Build,
    /// The store of images has them. `rebuild`: built anew, although it has them.
    Push { rebuild: bool },
    /// Nothing of the stack is left.
    Down(plan::down::Options, Option<Meant>),
}

/// What a look at the cluster and the engine comes to: nothing is changed by it.
pub struct Look {
    pub observed: Observed,
    pub plan: Plan,
}

/// What a run came to.
pub struct Outcome {
    pub observed: Observed,
    pub plan: Plan,
    pub outputs: Outputs,
    /// Steps that were done before a failure stay done: the next run goes on from there.
    pub ended: Result<()>,
}

/// Brings about what is asked for. Err: nothing was begun.
pub async fn reconcile(machine: &Machine, stack: &Stack, options: &Options) -> Result<Outcome> {
    act(machine, stack, options, look(machine, stack, options).await?).await
}

/// Observes and plans.
pub async fn look(machine: &Machine, stack: &Stack, options: &Options) -> Result<Look> {
    let build = &options.how.build;
    let observed = match &options.goal {
        Goal::Up(_) | Goal::Test | Goal::Load(_) | Goal::Job(..) => observe::all(machine, stack, build).await?,
        Goal::Build | Goal::Push { .. } => observe::images(machine, stack, build).await?,
        Goal::Down(down, _) => observe::for_removal(machine, down).await?,
    };
    let plan = match &options.goal {
        Goal::Up(up) => plan::up::plan(stack, up, &observed)?,
        Goal::Test => plan::test::plan(stack, options.how.agent_image.is_some(), &observed)?,
        Goal::Load(load) => plan::load::plan(stack, load, &observed)?,
        Goal::Job(job, how) => plan::job::plan(stack, job, how, &observed)?,
        Goal::Build => plan::images::build(&observed),
        Goal::Push { rebuild } => plan::images::push(&observed, *rebuild)?,
        Goal::Down(down, meant) => {
            meant.iter().try_for_each(|meant| meant.check(down, &observed))?;
            plan::down::plan(down, &observed)?
        }
    };
    Ok(Look { observed, plan })
}

/// Does what a look found to be missing. Err: nothing was begun.
pub async fn act(machine: &Machine, stack: &Stack, options: &Options, look: Look) -> Result<Outcome> {
    let Look { observed, plan } = look;
    machine.until_stopped(Box::pin(preflight::check(machine, stack, options, &plan, &observed))).await?;
    let outputs = Outputs::default();
    let run = Run { machine, stack, options: &options.how, plan: &plan, observed: &observed, outputs: &outputs };
    let ended = execute(&run).await.map_err(|error| unpruned(error, &plan));
    Ok(Outcome { observed, plan, outputs, ended })
}

async fn execute(run: &Run<'_>) -> Result<()> {
    let ended = execute::all(run).await;
    // After the cluster is gone there is nothing to remember.
    if !run.plan.removes_cluster()
        && let Err(error) = run.machine.known.save()
    {
        run.machine.events.warn(format!("could not save the cache; the next run will be slower: {error}"));
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
