//! Runs a plan. Each step is idempotent, looks again before it destroys, and says what it came to as data.

mod actions;
mod address;
mod agent;
mod apply;
mod certificate;
mod delete;
mod disruption;
pub mod garbage;
mod images;
mod job;
pub mod load;
mod outputs;
mod prove;
mod provider;
mod prune;
mod run;
mod schedule;
mod share;
mod spare;
mod untried;
mod wait;

pub use self::{
    outputs::Outputs,
    run::{ChangeOptions, Options, Run},
    wait::network,
};

use self::{outputs::Output, untried::Begun};
use crate::{
    error::{Error, Kind, Result},
    plan::Step,
};

/// How a step ended.
#[derive(Debug, Default)]
pub struct Done {
    /// It looked and found nothing to do.
    pub unchanged: bool,
    /// A few words for the report: "created", "pushed 12 MB".
    pub note: Option<String>,
    pub output: Output,
    /// It was done, and what it found is the failure of the run: a proof that does not hold, a job that failed.
    pub failure: Option<Error>,
}

impl Done {
    pub fn note(note: impl Into<String>) -> Done {
        Done { note: Some(note.into()), ..Done::default() }
    }

    pub fn unchanged() -> Done {
        Done { unchanged: true, ..Done::default() }
    }

    /// Where something was written, or nothing had to be.
    pub fn changed(changed: bool) -> Done {
        Done { unchanged: !changed, ..Done::default() }
    }

    pub fn with(self, output: Output) -> Done {
        Done { output, ..self }
    }
}

/// Runs the steps of a plan, and records what each comes to. Where objects were refused, the error also tells which others
/// would be.
pub async fn all(run: &Run<'_>) -> Result<()> {
    let (machine, begun) = (run.machine, Begun::default());
    let ended = schedule::run(run.plan, &machine.events, &machine.cancel, |step, progress, cancel| {
        begun.add(step);
        Box::pin(async move { recorded(run, step, actions::act(run, step, progress, cancel).await?) })
    })
    .await;
    match ended {
        Err(error) if error.kind == Kind::Refused && !machine.cancel.is_cancelled() => {
            let others = Box::pin(untried::refusals(run, &begun));
            let others = machine.until_stopped(async { Ok(others.await) }).await.unwrap_or_default();
            Err(error.beside(others))
        }
        ended => ended,
    }
}

fn recorded(run: &Run<'_>, step: &Step, done: Done) -> Result<Done> {
    let Done { unchanged, note, output, failure } = done;
    run.outputs.record(&step.id, output);
    match failure {
        Some(error) => Err(error),
        None => Ok(Done { unchanged, note, ..Done::default() }),
    }
}
