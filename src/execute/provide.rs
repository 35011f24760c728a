//! Images: from a service's sources to what pods can pull. And the proofs, which run from such an image.

use tokio_util::sync::CancellationToken;

use super::{Done, interrupted};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    image,
    plan::observed::{ImageState, Observed},
    proof,
    session::Session,
};

/// How many tags of a service stay besides those that run.
const KEPT_TAGS: usize = 3;

fn state<'a>(observed: &'a Observed, service: &str) -> Result<&'a ImageState> {
    observed.images.get(service).ok_or_else(|| Error::new(Kind::Unexpected, format!("service {service} was not looked at")))
}

fn tag_of(reference: &str) -> &str {
    reference.rsplit_once(':').map_or(reference, |(_, tag)| tag)
}

pub async fn build(session: &Session, service: &str, progress: &Progress) -> Result<Done> {
    let engine = session.engine()?;
    let spec = session.build_spec(service, &session.provider.platform().await?)?;
    let tag = image::fingerprint(&spec, Some(engine)).await?;
    let local = session.local_reference(&session.repository(service), &tag);
    let built = image::build(engine, &spec, &[local], &session.image_labels(service), progress).await?;
    Ok(Done::note(built.summary()))
}

pub async fn push(session: &Session, observed: &Observed, service: &str, progress: &Progress) -> Result<Done> {
    let reference = &state(observed, service)?.reference;
    let digest = push_as(session, &session.repository(service), tag_of(reference), tag_of(reference), progress).await?;
    let pinned = format!("{reference}@{digest}");
    session.learn(|learned| learned.images.insert(reference.clone(), pinned));
    Ok(Done::default())
}

/// Pushes the local image of `tag` under `remote_tag`; returns the digest.
async fn push_as(session: &Session, repository: &str, tag: &str, remote_tag: &str, progress: &Progress) -> Result<String> {
    let engine = session.engine()?;
    let local = session.local_reference(repository, tag);
    let remote = session.push_reference(repository, remote_tag)?;
    image::push_as(engine, &local, &remote, progress).await
}

pub async fn tag(session: &Session, observed: &Observed, service: &str, tag: &str, progress: &Progress) -> Result<Done> {
    let repository = session.repository(service);
    let hash = tag_of(&state(observed, service)?.reference);
    match session.registry()? {
        Some(registry) => registry.add_tag(&repository, hash, tag).await?,
        None => drop(push_as(session, &repository, hash, tag, progress).await?),
    }
    Ok(Done::default())
}

/// The image of this executable, in the registry from which the cluster pulls.
pub async fn agent(session: &Session, progress: &Progress) -> Result<Done> {
    let engine = session.engine()?;
    let agent = image::agent::image(&session.provider.platform().await?)?;
    let reference = session.pod_reference(image::agent::REPOSITORY, &agent.tag);
    let present = match session.registry()? {
        Some(registry) => registry.manifest_digest(image::agent::REPOSITORY, &agent.tag).await?,
        None => image::remote_digest(engine, &reference).await?,
    };
    let (digest, unchanged) = match present {
        Some(digest) => (digest, true),
        None => {
            let local = session.local_reference(image::agent::REPOSITORY, &agent.tag);
            image::agent::build(engine, &agent, &local, &session.image_labels("agent"), progress).await?;
            (push_as(session, image::agent::REPOSITORY, &agent.tag, &agent.tag, progress).await?, false)
        }
    };
    session.learn(|learned| learned.agent = Some(format!("{reference}@{digest}")));
    Ok(Done { unchanged, note: None })
}

pub async fn collect_garbage(session: &Session, progress: &Progress) -> Result<Done> {
    let removed = session.collect_garbage(KEPT_TAGS, progress).await?;
    Ok(Done { unchanged: removed == 0, note: (removed > 0).then(|| format!("{removed} old tags removed")) })
}

pub async fn prove(session: &Session, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let agent = session.settings.agent_image.clone().or_else(|| session.learn(|learned| learned.agent.clone()));
    let agent = agent.ok_or_else(|| Error::new(Kind::Unexpected, "there is no agent image"))?;
    let kube = session.kube().await?;
    let run = proof::run::Run {
        client: kube.client(),
        namespace: &session.stack.namespace,
        agent_image: &agent,
        proofs: &session.stack.proofs,
        timeout: session.settings.timeout,
        cancel,
    };
    let results = proof::run::run(&run, progress).await?;
    let failed = results.iter().filter(|result| !result.passed && result.skipped.is_none()).count();
    let total = results.len();
    session.learn(|learned| learned.proofs = results);
    if cancel.is_cancelled() {
        return Err(interrupted());
    }
    match failed {
        0 => Ok(Done::note(format!("{total} of {total} passed"))),
        _ => Err(Error::new(Kind::ProofFailed, format!("{failed} of {total} proofs failed"))),
    }
}
