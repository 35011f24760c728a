//! Applies objects.

use std::sync::Arc;

use super::{Done, outputs::Output, run::Run, share};
use crate::{
    error::Result,
    event::Progress,
    kube::apply::{ApplyOptions, ApplyOutcome},
    object::Object,
    plan::{applied::yielding, up},
    stack::desired::{self, DesiredObject, DesiredSet},
};

pub async fn apply(run: &Run<'_>, set: &DesiredSet, index: usize, progress: Progress) -> Result<Done> {
    let (kube, live) = (run.kube().await?, run.observed.live.as_ref());
    // Closed never, so never an error.
    let _turn = run.machine.applying.acquire().await;
    let desired = &set.objects[index];
    let key = desired.object.key();
    let mut created = false;
    if key.kind == "Namespace" && key.group.is_empty() {
        let (there, made) = kube.namespace(&key.name, &set.labels(), Some(&progress)).await?;
        if !made && !share::may_take(live, &there, &set.applyset_id()) {
            return Ok(Done { note: Some("another's, left as it is".to_owned()), ..Done::unchanged() });
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
    desired::pin_images(&mut object.value, &run.outputs.images());
    desired::mark_certificates(&mut object.value, &run.outputs.certificates());
    let there = live.and_then(|live| live.live.objects.get(&key));
    let change = run.options.change;
    let options = ApplyOptions {
        force_conflicts: change.force_conflicts,
        replace: change.replace,
        prune_data: change.prune_data,
        adopt: change.adopt,
        initial_replicas: desired.initial_replicas,
        scaled: desired.scaled,
        dry_run: false,
        progress: Some(progress),
    };
    let applied = kube.apply(&object, there, &options).await?;
    run.machine.known.remember(&object.value, &applied.object);
    let done = match applied.outcome {
        _ if created => Done::note("created"),
        ApplyOutcome::Unchanged => Done::unchanged(),
        ApplyOutcome::Created => Done::note("created"),
        ApplyOutcome::Adopted => Done::note("adopted"),
        ApplyOutcome::Configured => Done::note("changed"),
        ApplyOutcome::Replaced => Done::note("replaced"),
    };
    Ok(done.with(Output::Applied { key, object: Arc::new(applied.object) }))
}

/// As it is declared, but for what happens while nobody answers.
pub async fn relax(run: &Run<'_>, configuration: &DesiredObject) -> Result<Done> {
    let object = &configuration.object;
    let there = run.observed.live.as_ref().and_then(|live| live.live.objects.get(&object.key()));
    let mut relaxed = configuration.clone();
    relaxed.object.value = up::webhooks::relaxed(&object.value);
    // What is left to a controller is not ours to relax.
    let object = Object { value: yielding(&relaxed, there).into_owned(), origin: object.origin.clone() };
    let options = ApplyOptions { force_conflicts: run.options.change.force_conflicts, ..ApplyOptions::default() };
    let applied = run.kube().await?.apply(&object, there, &options).await?;
    match applied.outcome {
        ApplyOutcome::Unchanged => Ok(Done::unchanged()),
        _ => Ok(Done::note("lets pass what nobody answers while its pods are replaced")),
    }
}
