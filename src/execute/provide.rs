//! Images: from a service's sources to what pods can pull. And the proofs, which run from such an image.

use std::collections::BTreeMap;

use super::{disruption, garbage};
use crate::error::words::count;
use tokio_util::sync::CancellationToken;

use super::{Done, interrupted};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    image::{self, agent::AgentImage},
    observe,
    plan::{
        Images,
        observed::{ImageState, Observed},
    },
    proof::{self, ProofResult},
    session::Session,
    stack::{desired::DesiredSet, model::Proof},
};

fn state<'a>(observed: &'a Observed, service: &str) -> Result<&'a ImageState> {
    observed
        .images
        .get(service)
        .ok_or_else(|| Error::new(Kind::Unexpected, format!("service {service} was not looked at")))
}

fn tag_of(reference: &str) -> &str {
    reference.rsplit_once(':').map_or(reference, |(_, tag)| tag)
}

pub async fn build(session: &Session, observed: &Observed, service: &str, progress: &Progress) -> Result<Done> {
    let engine = session.engine()?;
    let spec = session.build_spec(service, &session.provider.platform().await?)?;
    let ImageState { reference, doubt, .. } = state(observed, service)?;
    let mut labels = session.image_labels(service);
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
    if let Some(sources) = session.learn(|learned| learned.sources.get(service).cloned()) {
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
    Ok(Done { unchanged, note: Some(notes.join("; ")).filter(|note| !note.is_empty()) })
}

pub async fn push(session: &Session, observed: &Observed, service: &str, progress: &Progress) -> Result<Done> {
    let ImageState { reference, digest: before, .. } = state(observed, service)?;
    if session.loads_images() {
        session.provider.load_image(reference, progress).await?;
        return Ok(Done::note("loaded"));
    }
    let remote = session.push_reference(&session.repository(service), tag_of(reference))?;
    let digest = push_as(session, reference, &remote, progress).await?;
    let unchanged = before.as_ref() == Some(&digest);
    session.learn(|learned| learned.images.insert(reference.clone(), format!("{reference}@{digest}")));
    Ok(Done { unchanged, note: None })
}

/// Pushes a local image under another name, which the engine then forgets; returns the digest.
async fn push_as(session: &Session, local: &str, remote: &str, progress: &Progress) -> Result<String> {
    let engine = session.engine()?;
    if local == remote {
        return image::store::push::push(engine, remote, progress).await;
    }
    image::store::tag::add(engine, local, remote).await?;
    let pushed = image::store::push::push(engine, remote, progress).await;
    image::store::tag::remove(engine, remote).await?;
    pushed
}

pub async fn preload(
    session: &Session,
    observed: &Observed,
    images: &Images,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    let images: Vec<String> = match images {
        Images::Named(images) => images.iter().cloned().collect(),
        Images::Service(service) => {
            let state = state(observed, service)?;
            let pushed = session.learn(|learned| learned.images.get(&state.reference).cloned());
            vec![pushed.unwrap_or_else(|| state.pinned())]
        }
    };
    for image in images {
        let loaded = tokio::select! {
            loaded = session.provider.preload(&image, progress) => loaded,
            () = cancel.cancelled() => return Err(interrupted()),
        };
        if let Err(error) = loaded {
            progress.output(error.to_string());
            return Ok(Done { unchanged: true, note: Some("left to the nodes".to_owned()) });
        }
    }
    Ok(Done::default())
}

pub async fn tag(
    session: &Session,
    observed: &Observed,
    service: &str,
    tag: &str,
    progress: &Progress,
) -> Result<Done> {
    let state = state(observed, service)?;
    let reference = &state.reference;
    let repository = session.repository(service);
    if session.loads_images() {
        let further = session.pod_reference(&repository, tag);
        image::store::tag::add(session.engine()?, reference, &further).await?;
        return session.provider.load_image(&further, progress).await.map(|()| Done::default());
    }
    if let Some(remote) = &session.remote {
        let pinned = session.learn(|learned| learned.images.get(reference).cloned());
        let digest = pinned.as_ref().and_then(|pinned| Some(pinned.rsplit_once('@')?.1)).or(state.digest.as_deref());
        if let Some(digest) = digest
            && remote.tag(&repository, digest, tag).await?
        {
            return Ok(Done::default());
        }
    }
    image::store::tag::ensure_local(
        session.engine()?,
        reference,
        &session.push_reference(&repository, tag_of(reference))?,
    )
    .await?;
    push_as(session, reference, &session.push_reference(&repository, tag)?, progress).await?;
    Ok(Done::default())
}

/// What nodes pull with, where pods are made.
pub async fn pull_secret(session: &Session, set: &DesiredSet, namespace: &str) -> Result<Done> {
    let secret = session.remote.as_ref().and_then(|remote| remote.secret.as_ref());
    let (Some(secret), Some(accounts)) = (secret, set.pull_accounts.get(namespace)) else {
        return Ok(Done { unchanged: true, note: None });
    };
    let kube = session.kube().await?;
    let wrote = kube.ensure_pull_secret(namespace, &set.labels(), accounts, &secret.base64()).await?;
    Ok(Done { unchanged: !wrote, note: None })
}

/// The image of this executable, in the registry from which the cluster pulls.
pub async fn agent(session: &Session, progress: &Progress) -> Result<Done> {
    let platform = session.provider.platform().await?;
    let agent = crate::error::blocking(move || image::agent::agent_image(&platform)).await?;
    let repository = session.repository(image::agent::SERVICE);
    let reference = session.pod_reference(&repository, &agent.tag);
    if session.loads_images() {
        let there = session.provider.has_image(&reference).await?;
        if !there {
            build_agent(session, agent, &reference, progress).await?;
            session.provider.load_image(&reference, progress).await?;
        }
        session.learn(|learned| learned.agent = Some(reference));
        return Ok(Done { unchanged: there, note: None });
    }
    let remote = session.push_reference(&repository, &agent.tag)?;
    let (digest, unchanged) = match session.digest(&repository, &agent.tag).await? {
        Some(digest) => (digest, true),
        None => {
            build_agent(session, agent, &reference, progress).await?;
            (push_as(session, &reference, &remote, progress).await?, false)
        }
    };
    session.learn(|learned| learned.agent = Some(format!("{reference}@{digest}")));
    Ok(Done { unchanged, note: None })
}

async fn build_agent(session: &Session, agent: AgentImage, reference: &String, progress: &Progress) -> Result<()> {
    let labels = session.image_labels(image::agent::SERVICE);
    let (engine, spec, references) = (session.engine()?, agent.spec(), std::slice::from_ref(reference));
    image::build::build_context(engine, &spec, agent.context, references, &labels, progress).await.map(drop)
}

pub async fn collect_garbage(session: &Session) -> Result<Done> {
    let removed = match garbage::collect(session, image::store::gc::KEEP).await {
        Ok(removed) => removed,
        // The stack is up; what could not be tidied away is the next run's to try.
        Err(error) => {
            session.events.warn(format!("old images stay: {error}"));
            return Ok(Done { unchanged: true, note: None });
        }
    };
    let note = (!removed.is_empty()).then(|| format!("removed {}", count(removed.len(), "old image")));
    Ok(Done { unchanged: removed.is_empty(), note })
}

/// What the cluster has of the values that the chosen proofs refer to, by their names.
async fn values(session: &Session) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let named = session.stack.referred();
    for (name, reference) in session.stack.references.iter().filter(|(name, _)| named.contains(*name)) {
        let object = session.kube().await?.get(&reference.key).await?;
        let value = object.and_then(|object| reference.find(&session.stack.name, &object)).ok_or_else(|| {
            let place = reference.key.in_words();
            Error::new(Kind::Preflight, format!("proofs refer to value {name}, which {place} does not show"))
                .hint(format!("`stackctl up {}` brings the cluster to what the files say", session.stack.name))
        })?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

pub async fn prove(session: &Session, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let agent = session.settings.agent_image.clone().or_else(|| session.learn(|learned| learned.agent.clone()));
    let agent = agent.ok_or_else(|| Error::new(Kind::Unexpected, "there is no agent image"))?;
    let kube = session.kube().await?;
    let ca = observe::ca_bundle(kube, &session.stack).await?;
    let place = proof::Place { namespace: &session.stack.namespace, agent_image: &agent, ca: ca.as_deref() };
    let proofs = session.stack.proofs_with(&values(session).await?)?;
    let (disruptive, calm): (Vec<Proof>, Vec<Proof>) =
        proofs.into_iter().partition(|proof| proof.check.is_disruptive());
    let mut results = proof::run(kube, place, &calm, session.settings.timeout, cancel, progress).await?;
    for proof in &disruptive {
        let result = match results.iter().any(ProofResult::has_failed) {
            true => ProofResult::skipped(&proof.name, "nothing is disturbed while another proof fails"),
            false => Box::pin(disruption::prove(session, place, proof, cancel, progress)).await?,
        };
        results.push(result);
    }
    let failed = results.iter().filter(|result| result.has_failed()).count();
    let total = results.iter().filter(|result| result.skipped.is_none()).count();
    results.extend(
        session.stack.skipped_proofs.iter().map(|skipped| ProofResult::skipped(&skipped.name, &skipped.reason)),
    );
    session.remember_proofs(&results);
    session.learn(|learned| learned.proofs = results);
    match failed {
        0 => Ok(Done::note(format!("{total} of {total} passed"))),
        _ => Err(Error::new(Kind::ProofFailed, format!("{failed} of {total} proofs failed"))),
    }
}
