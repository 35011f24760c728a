//! What each step of a plan does, in the words of the modules that know how.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Done, certificate, delete, disruption, job, load, provide, provider, prune, share};
use crate::object::{Key, Object};
use crate::{
    error::{Error, Kind, Result},
    event::{Progress, interrupt::interrupted},
    kube::{
        apply::{ApplyOptions, ApplyOutcome},
        ownership::inventory::Write,
        readiness::references::Reference,
        wait::WaitOptions,
    },
    object::json,
    plan::{
        Action, Plan, Step,
        applied::yielding,
        expected,
        observed::{LiveState, Observed},
        up,
    },
    provider::Answer,
    session::Session,
    stack::desired::{self, DesiredObject, DesiredSet},
};

pub async fn act(
    session: &Session,
    plan: &Plan,
    observed: &Observed,
    step: &Step,
    progress: Progress,
    cancel: CancellationToken,
) -> Result<Done> {
    let live = observed.live.as_ref();
    match &step.action {
        Action::Barrier => Ok(Done::default()),
        Action::Provider(step) => provider::act(session, live, step, &progress).await,
        Action::AwaitNetwork => await_network(session, plan, &progress, &cancel).await,
        Action::Build { service } => provide::build(session, observed, service, &progress).await,
        Action::Push { service } => provide::push(session, observed, service, &progress).await,
        Action::Preload { images } => provide::preload(session, observed, images, &progress, &cancel).await,
        Action::Tag { service, tag } => provide::tag(session, observed, service, tag, &progress).await,
        Action::ProvideAgent => provide::agent(session, &progress).await,
        Action::CollectGarbage => provide::collect_garbage(session).await,
        Action::WriteInventory { set } => {
            let parent = up::inventory(&plan.sets[*set], &session.stack);
            let how = if session.apply.take_over { Write::TakeOver } else { Write::Widen };
            let written = session.kube().await?.write_parent(&parent, how).await?;
            let planned = live.and_then(|live| live.parents.get(&parent.name));
            if up::was_removed(planned, written.before.as_ref()) {
                return Err(Error::new(
                    Kind::Refused,
                    format!("{} was removed by another run while this one was planned", plan.sets[*set].name),
                )
                .hint("run the same command again: it brings back what is gone"));
            }
            Ok(Done { unchanged: !written.wrote, note: None })
        }
        Action::CreateSecret { set, secret } => {
            let set = &plan.sets[*set];
            let created = session.kube().await?.ensure_secret(&set.secrets[*secret], &set.labels()).await?;
            Ok(Done { unchanged: !created, note: None })
        }
        Action::IssueCertificate { set } => certificate::issue(session, &plan.sets[*set]).await,
        Action::ProvidePullSecret { set, namespace } => {
            provide::pull_secret(session, &plan.sets[*set], namespace).await
        }
        Action::Apply { set, object } => apply(session, live, &plan.sets[*set], *object, progress).await,
        Action::RelaxWebhook { set, object } => relax(session, live, &plan.sets[*set].objects[*object]).await,
        Action::PruneFirst { set } | Action::Prune { set } => {
            let (Some(live), set) = (live, &plan.sets[*set]) else { return Ok(Done { unchanged: true, note: None }) };
            match step.action {
                Action::PruneFirst { .. } => prune::first(session, live, set, &step.deletes, &progress).await,
                _ => prune::prune(session, live, set, &step.deletes, &progress).await,
            }
        }
        Action::Await { set, object } => {
            let key = plan.sets[*set].objects[*object].object.key();
            let known = observed.live.as_ref().and_then(|live| live.live.objects.get(&key));
            wait(session, plan, &key, known, &progress, &cancel).await
        }
        Action::EndDisruption => disruption::restore(session, &progress).await,
        Action::Prove => Box::pin(provide::prove(session, &progress, &cancel)).await,
        Action::Load { .. } => load::run(session, &progress, &cancel).await,
        Action::RunJob { object, timeout_seconds } => {
            job::run(session, object, *timeout_seconds, &progress, &cancel).await
        }
        Action::AwaitScaleDown => load::await_scale_down(session, &progress, &cancel).await,
        Action::DeleteSet { kind, name } => delete::set(session, live, *kind, name, &progress).await,
        Action::LeaveComponent { name } => delete::component(session, None, name, &progress).await,
        Action::DeleteInventory => delete::inventory(session, &progress).await,
    }
}

/// Until connections to Services are no longer refused, after the cluster was started.
pub async fn network(session: &Session, progress: &Progress) -> Result<()> {
    await_network(session, &Plan::default(), progress, &session.cancel).await.map(drop)
}

/// kube-proxy is what makes Services reachable; a cluster without one has its own way.
async fn await_network(
    session: &Session,
    plan: &Plan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    let (group, kind, name) = ("apps".to_owned(), "DaemonSet".to_owned(), "kube-proxy".to_owned());
    let key = Key { group, kind, namespace: Some("kube-system".to_owned()), name };
    match session.kube().await?.get(&key).await? {
        Some(proxy) => wait(session, plan, &key, Some(&proxy), progress, cancel).await,
        None => Ok(Done { unchanged: true, note: None }),
    }
}

async fn apply(
    session: &Session,
    live: Option<&LiveState>,
    set: &DesiredSet,
    index: usize,
    progress: Progress,
) -> Result<Done> {
    let kube = session.kube().await?;
    // Closed never, so never an error.
    let _turn = session.applying.acquire().await;
    let desired = &set.objects[index];
    let key = desired.object.key();
    let mut created = false;
    if key.kind == "Namespace" && key.group.is_empty() {
        let (there, made) = kube.namespace(&key.name, &set.labels(), Some(&progress)).await?;
        if !made && !share::may_take(live, &there, &set.applyset_id()) {
            return Ok(Done { unchanged: true, note: Some("another's, left as it is".to_owned()) });
        }
        created = made;
    }
    let now = match desired.yields.is_empty() {
        true => None,
        // Looked at again, for the controller may have taken the field over since.
        false => kube.get(&key).await?,
    };
    let mut object =
        Object { value: yielding(desired, now.as_ref()).into_owned(), origin: desired.object.origin.clone() };
    session.learn(|learned| {
        desired::pin_images(&mut object.value, &learned.images);
        desired::mark_certificates(&mut object.value, &learned.certificates);
    });
    let there = live.and_then(|live| live.live.objects.get(&key));
    let options = ApplyOptions {
        force_conflicts: session.apply.force_conflicts,
        replace: session.apply.replace,
        prune_data: session.apply.prune_data,
        adopt: session.apply.adopt,
        initial_replicas: desired.initial_replicas,
        scaled: desired.scaled,
        dry_run: false,
        progress: Some(progress),
    };
    let applied = kube.apply(&object, there, &options).await?;
    session.known.remember(&object.value, &applied.object);
    let outcome = applied.outcome;
    session.learn(|learned| {
        learned.applied_uids.insert(json::uid(&applied.object).to_owned());
        learned.applied.insert(key, applied.object);
    });
    Ok(match outcome {
        _ if created => Done::note("created"),
        ApplyOutcome::Unchanged => Done { unchanged: true, note: None },
        ApplyOutcome::Created => Done::note("created"),
        ApplyOutcome::Adopted => Done::note("adopted"),
        ApplyOutcome::Configured => Done::note("changed"),
        ApplyOutcome::Replaced => Done::note("replaced"),
    })
}

/// As it is declared, but for what happens while nobody answers.
async fn relax(session: &Session, live: Option<&LiveState>, configuration: &DesiredObject) -> Result<Done> {
    let object = &configuration.object;
    let there = live.and_then(|live| live.live.objects.get(&object.key()));
    let mut relaxed = configuration.clone();
    relaxed.object.value = up::webhooks::relaxed(&object.value);
    // What is left to a controller is not ours to relax.
    let object = Object { value: yielding(&relaxed, there).into_owned(), origin: object.origin.clone() };
    let options = ApplyOptions { force_conflicts: session.apply.force_conflicts, ..ApplyOptions::default() };
    let applied = session.kube().await?.apply(&object, there, &options).await?;
    match applied.outcome {
        ApplyOutcome::Unchanged => Ok(Done { unchanged: true, note: None }),
        _ => Ok(Done::note("lets pass what nobody answers while its pods are replaced")),
    }
}

async fn wait(
    session: &Session,
    plan: &Plan,
    key: &Key,
    known: Option<&Value>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    // What an apply of this run returned is newer than what was observed.
    let applied = session.learn(|learned| learned.applied.remove(key));
    let may_come = |wanted: &Reference| expected::may_come(&plan.sets, wanted);
    let options = WaitOptions {
        deadline: session.deadline(),
        nodes_may_grow: session.provider.traits().nodes_may_grow == Answer::Yes,
        may_come: &may_come,
        replace: session.apply.replace,
    };
    let kube = session.kube().await?;
    let begun = kube.begin_wait();
    let note = tokio::select! {
        biased;
        ready = Box::pin(kube.wait_ready(key, applied.as_ref().or(known), options, begun, progress)) => ready?,
        () = cancel.cancelled() => match session.cancel.is_cancelled() {
            true => return Err(interrupted()),
            false => kube.last_look(key, options, begun).await?,
        },
    };
    if let Some(note) = note {
        progress.info(format!("{key}: {note}"));
    }
    Ok(Done::default())
}
