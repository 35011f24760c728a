//! What each step of a plan does, in the words of the modules that know how.

use tokio_util::sync::CancellationToken;

use super::{
    Done, address, agent, apply, certificate, delete, disruption, images, job, load, prove, provider, prune, run::Run,
    wait,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    kube::ownership::inventory::Write,
    plan::{Action, Step, up},
};

pub async fn act(run: &Run<'_>, step: &Step, progress: Progress, cancel: CancellationToken) -> Result<Done> {
    let (plan, live) = (run.plan, run.observed.live.as_ref());
    match &step.action {
        Action::Barrier => Ok(Done::default()),
        Action::Provider(step) => provider::act(run, step, &progress).await,
        Action::AwaitNetwork => wait::await_network(run, &progress, &cancel).await,
        Action::Build { service } => images::build(run, service, &progress).await,
        Action::Push { service } => images::push(run, service, &progress).await,
        Action::Preload { images } => images::preload(run, step, images, &progress, &cancel).await,
        Action::Tag { service, tag } => images::tag(run, step, service, tag, &progress).await,
        Action::ProvideAgent => agent::provide(run, &progress).await,
        Action::CollectGarbage => images::collect_garbage(run).await,
        Action::WriteInventory { set } => write_inventory(run, *set).await,
        Action::CreateSecret { set, secret } => {
            let set = &plan.sets[*set];
            let created = run.kube().await?.ensure_secret(&set.secrets[*secret], &set.labels()).await?;
            Ok(Done::changed(created))
        }
        Action::IssueCertificate { set } => certificate::issue(run, &plan.sets[*set]).await,
        Action::ProvidePullSecret { set, namespace } => images::pull_secret(run, &plan.sets[*set], namespace).await,
        Action::Apply { set, object } => apply::apply(run, &plan.sets[*set], *object, progress).await,
        Action::RelaxWebhook { set, object } => apply::relax(run, &plan.sets[*set].objects[*object]).await,
        Action::PruneFirst { set } | Action::Prune { set } => {
            let (Some(live), set) = (live, &plan.sets[*set]) else { return Ok(Done::unchanged()) };
            match step.action {
                Action::PruneFirst { .. } => prune::first(run, live, set, &step.deletes, &progress).await,
                _ => prune::prune(run, live, set, &step.deletes, &progress).await,
            }
        }
        Action::Await { set, object } => {
            let key = plan.sets[*set].objects[*object].object.key();
            wait::ready(run, &key, &progress, &cancel).await
        }
        Action::AwaitAddress { set, object } => {
            let key = plan.sets[*set].objects[*object].object.key();
            address::known(run, &key, &progress, &cancel).await
        }
        Action::EndDisruption => disruption::restore(run, &progress).await,
        Action::Prove => Box::pin(prove::prove(run, step, &progress, &cancel)).await,
        Action::Load { .. } => load::run(run, step, &progress, &cancel).await,
        Action::RunJob { object, timeout_seconds } => job::run(run, object, *timeout_seconds, &progress, &cancel).await,
        Action::AwaitScaleDown => load::await_scale_down(run, step, &progress, &cancel).await,
        Action::DeleteSet { kind, name } => delete::set(run, live, *kind, name, &progress).await,
        Action::LeaveComponent { name } => delete::component(run, None, name, &progress).await,
        Action::DeleteInventory => delete::inventory(run, &progress).await,
    }
}

async fn write_inventory(run: &Run<'_>, set: usize) -> Result<Done> {
    let set = &run.plan.sets[set];
    let parent = up::inventory(set, run.stack);
    let how = if run.options.change.take_over { Write::TakeOver } else { Write::Widen };
    let written = run.kube().await?.write_parent(&parent, how).await?;
    let planned = run.observed.live.as_ref().and_then(|live| live.parents.get(&parent.name));
    if up::was_removed(planned, written.before.as_ref()) {
        return Err(Error::new(
            Kind::Refused,
            format!("{} was removed by another run while this one was planned", set.name),
        )
        .hint("run the same command again: it brings back what is gone"));
    }
    Ok(Done::changed(written.wrote))
}
