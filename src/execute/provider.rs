//! Steps of the provider: it gets what it asks for, and what it hands back goes where it belongs.

use futures::future::BoxFuture;

use super::{Done, outputs::Output, run::Run};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    kube::apply::ApplyOptions,
    machine::Machine,
    object::{Object, Origin},
    plan::observed::LiveState,
    provider::step::{Step, StepContext},
};

pub async fn act(run: &Run<'_>, step: &Step, progress: &Progress) -> Result<Done> {
    let machine = run.machine;
    let object = match step.reads() {
        Some(key) => run.kube().await?.get(key).await?,
        None => None,
    };
    let seen = run.observed.live.as_ref();
    let may_go = || -> BoxFuture<'_, Result<()>> { Box::pin(may_go(machine, seen)) };
    let context = StepContext { object: object.as_ref(), engine: &machine.engine, may_go: &may_go, progress };
    let acted = machine.provider.act(step, context).await?;
    if let Some(value) = acted.object {
        let origin = Origin { file: "the provider".to_owned(), line: 1, column: 1 };
        let options = ApplyOptions { force_conflicts: true, ..ApplyOptions::default() };
        run.kube().await?.apply(&Object { value, origin }, None, &options).await?;
    }
    Ok(Done { unchanged: acted.unchanged, note: acted.note, output: Output::Provided(acted.output), ..Done::default() })
}

/// A stack that came since the plan was made keeps the cluster. `seen`: those that were in it then.
async fn may_go(machine: &Machine, seen: Option<&LiveState>) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    let parents = machine.kube().await?.read_parents().await?;
    let new = parents.keys().filter(|parent| !seen.parents.contains_key(*parent));
    let new: Vec<&str> = new.filter_map(|parent| parent.strip_prefix("stack-")).collect();
    match new.as_slice() {
        [] => Ok(()),
        new => Err(Error::new(Kind::Refused, format!("the cluster stays: it holds {} by now", new.join(", ")))
            .hint("run the same command again: it looks at what is there")),
    }
}
