//! Images: from a service's sources to what pods can pull.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::{Done, garbage, outputs::Output, run::Run};
use crate::{
    error::{Error, Kind, Result, words::count},
    event::{Progress, interrupt::interrupted},
    image::{self, BuildSpec, LABEL_CREATED, LABEL_SERVICE, LABEL_STACK},
    plan::{Images, Step, observed::ImageState},
    provider::{CLUSTER_LABEL, OWNER, OWNER_LABEL},
    stack::desired::DesiredSet,
};

fn state<'a>(run: &'a Run<'_>, service: &str) -> Result<&'a ImageState> {
    let state = run.observed.images.get(service);
    state.ok_or_else(|| Error::new(Kind::Unexpected, format!("service {service} was not looked at")))
}

fn tag_of(reference: &str) -> &str {
    reference.rsplit_once(':').map_or(reference, |(_, tag)| tag)
}

/// What an image of ours carries.
pub fn labels(run: &Run<'_>, service: &str) -> BTreeMap<String, String> {
    let labels = [
        (OWNER_LABEL, OWNER.to_owned()),
        (CLUSTER_LABEL, run.machine.name.clone()),
        (LABEL_STACK, run.stack.name.clone()),
        (LABEL_SERVICE, service.to_owned()),
        (LABEL_CREATED, jiff::Timestamp::now().as_second().to_string()),
    ];
    labels.map(|(key, value)| (key.to_owned(), value)).into()
}

pub async fn build(run: &Run<'_>, service: &str, progress: &Progress) -> Result<Done> {
    let engine = run.machine.engine().await?;
    let platform = run.machine.provider.platform().await?;
    let spec = BuildSpec::of(run.stack, service, &platform, &run.options.build)?;
    let ImageState { reference, doubt, .. } = state(run, service)?;
    let mut labels = labels(run, service);
    labels
        .extend(image::git::tree::of(&spec.context).await.map(|tree| (image::git::tree::LABEL_TREE.to_owned(), tree)));
    let build =
        async |labels| image::build::build(engine, &spec, std::slice::from_ref(reference), labels, progress).await;
    // Built again in doubt, an image is the same only with the same labels.
    let before = match doubt {
        Some(_) => image::base::inspect(engine, reference).await?,
        None => None,
    };
    let (built, unchanged) = match &before {
        Some(before) => match build(&before.labels).await? {
            built if built.id == before.id => (built, true),
            _ => (build(&labels).await?, false),
        },
        None => (build(&labels).await?, false),
    };
    if let Some(sources) = run.observed.sources.get(service).cloned() {
        if let Err(changed) = image::fingerprint::require_unchanged(&spec, &sources).await {
            // Under this name it would pass for what it is not.
            image::store::tag::remove(engine, reference).await?;
            return Err(changed);
        }
        if doubt.is_none() {
            let taken = built.clone();
            crate::error::blocking(move || image::fingerprint::note_misreading(&spec, &sources, &taken)).await?;
        }
    }
    let cached = match built.cached_steps {
        0 => None,
        steps => Some(format!("{} cached", count(steps, "step"))),
    };
    let notes: Vec<String> = cached.into_iter().chain(doubt.clone()).collect();
    let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
    Ok(Done { unchanged, note, ..Done::default() })
}

pub async fn push(run: &Run<'_>, service: &str, progress: &Progress) -> Result<Done> {
    let ImageState { reference, digest: before, .. } = state(run, service)?;
    let kept = run.store().await?.put(&run.repository(service), tag_of(reference), progress).await?;
    if kept.loaded {
        return Ok(Done::note("loaded"));
    }
    let output = Output::Image { reference: reference.clone(), pinned: kept.pinned(reference) };
    Ok(Done { unchanged: *before == kept.digest, output, ..Done::default() })
}

pub async fn preload(
    run: &Run<'_>,
    step: &Step,
    images: &Images,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    let images: Vec<String> = match images {
        Images::Named(images) => images.iter().cloned().collect(),
        Images::Service(service) => {
            let state = state(run, service)?;
            vec![run.pushed(step).unwrap_or_else(|| state.pinned())]
        }
    };
    for image in images {
        let loaded = tokio::select! {
            loaded = run.machine.provider.preload(&image, progress) => loaded,
            () = cancel.cancelled() => return Err(interrupted()),
        };
        if let Err(error) = loaded {
            progress.output(error.to_string());
            return Ok(Done { note: Some("left to the nodes".to_owned()), ..Done::unchanged() });
        }
    }
    Ok(Done::default())
}

pub async fn tag(run: &Run<'_>, step: &Step, service: &str, tag: &str, progress: &Progress) -> Result<Done> {
    let state = state(run, service)?;
    let pushed = run.pushed(step);
    let digest = pushed.as_ref().and_then(|pinned| Some(pinned.rsplit_once('@')?.1)).or(state.digest.as_deref());
    let store = run.store().await?;
    store.tag(&run.repository(service), tag_of(&state.reference), digest, tag, progress).await?;
    Ok(Done::default())
}

/// What nodes pull with, where pods are made.
pub async fn pull_secret(run: &Run<'_>, set: &DesiredSet, namespace: &str) -> Result<Done> {
    let store = run.store().await?;
    let (Some(secret), Some(accounts)) = (store.pull_secret(), set.pull_accounts.get(namespace)) else {
        return Ok(Done::unchanged());
    };
    let kube = run.kube().await?;
    let wrote = kube.ensure_pull_secret(namespace, &set.labels(), accounts, &secret.base64()).await?;
    Ok(Done::changed(wrote))
}

pub async fn collect_garbage(run: &Run<'_>) -> Result<Done> {
    let collected = async {
        let store = run.store().await?;
        garbage::collect(run.machine, run.stack, store.as_ref(), image::store::gc::KEEP).await
    };
    let removed = match collected.await {
        Ok(removed) => removed,
        // The stack is up; what could not be tidied away is the next run's to try.
        Err(error) => {
            run.machine.events.warn(format!("old images stay: {error}"));
            return Ok(Done::unchanged());
        }
    };
    let note = (!removed.is_empty()).then(|| format!("removed {}", count(removed.len(), "old image")));
    Ok(Done { note, ..Done::changed(!removed.is_empty()) })
}
