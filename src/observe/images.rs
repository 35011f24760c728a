//! The images of a stack: what its sources amount to, and what the store of images has of them.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::{
    error::Result,
    image::{
        self, BuildOptions, BuildSpec,
        fingerprint::{Fingerprint, Sources},
        store::Store,
    },
    machine::Machine,
    plan::observed::ImageState,
    provider::{REGISTRY_HOST, RegistryState},
    settings::Settings,
    stack::model::Stack,
};

/// What nodes are where nobody can be asked.
const NODES: &str = "linux/amd64";

/// What was seen of a stack's images and of where they are kept.
pub struct Images<'a> {
    pub registry: RegistryState,
    pub store: Box<dyn Store + 'a>,
    pub states: BTreeMap<String, ImageState>,
    pub sources: BTreeMap<String, Sources>,
}

pub async fn all<'a>(machine: &'a Machine, stack: &Stack, build: &BuildOptions) -> Result<Images<'a>> {
    let (registry, found) = tokio::try_join!(registry(machine, stack), Box::pin(fingerprints(machine, stack, build)))?;
    let store = store(machine, stack, &registry).await?;
    let looks = found.iter().map(|(service, found)| state(store.as_ref(), stack, service, found));
    let states = try_join_all(looks).await?.into_iter().collect();
    let sources = found.into_iter().map(|(service, found)| (service, found.sources)).collect();
    Ok(Images { registry, store, states, sources })
}

async fn registry(machine: &Machine, stack: &Stack) -> Result<RegistryState> {
    machine.observe_registry(!stack.services.is_empty()).await
}

/// Where a stack's images are kept, as far as there is such a place by now.
pub async fn where_kept<'a>(machine: &'a Machine, stack: &Stack) -> Result<Box<dyn Store + 'a>> {
    store(machine, stack, &registry(machine, stack).await?).await
}

async fn store<'a>(machine: &'a Machine, stack: &Stack, registry: &RegistryState) -> Result<Box<dyn Store + 'a>> {
    let port = match registry {
        RegistryState::Running { port } => Some(*port),
        _ => None,
    };
    machine.store(port, !stack.services.is_empty()).await
}

async fn state(store: &dyn Store, stack: &Stack, service: &str, found: &Fingerprint) -> Result<(String, ImageState)> {
    let repository = image::repository(&stack.name, service);
    let kept = store.look(&repository, &found.tag).await?;
    let tags = missing_tags(store, stack, service, &repository, kept.digest.as_deref()).await?;
    let state = ImageState {
        reference: store.pod_name(&repository, &found.tag),
        digest: kept.digest,
        loaded: kept.loaded,
        tags,
        doubt: found.doubt.clone(),
    };
    Ok((service.to_owned(), state))
}

/// Further tags that the store has not, or has on something else than `digest`: where others look into it, the commit that
/// the image was built from, if there is one, and `latest`.
async fn missing_tags(
    store: &dyn Store,
    stack: &Stack,
    service: &str,
    repository: &str,
    digest: Option<&str>,
) -> Result<Vec<String>> {
    let Some(service) = stack.services.get(service).filter(|_| store.is_shared()) else { return Ok(Vec::new()) };
    let commit = image::git::revision::of(&service.context).await;
    let wanted: Vec<String> = commit.into_iter().chain(["latest".to_owned()]).collect();
    let Some(digest) = digest else { return Ok(wanted) };
    let found = try_join_all(wanted.iter().map(|tag| store.look(repository, tag))).await?;
    let missing = wanted.into_iter().zip(found).filter(|(_, found)| found.digest.as_deref() != Some(digest));
    Ok(missing.map(|(tag, _)| tag).collect())
}

/// What each service's sources amount to, and why that may not stand for all of its image.
async fn fingerprints(machine: &Machine, stack: &Stack, build: &BuildOptions) -> Result<Vec<(String, Fingerprint)>> {
    if stack.services.is_empty() {
        return Ok(Vec::new());
    }
    let engine = machine.engine().await?;
    let platform = machine.provider.platform().await?;
    let platform = &platform;
    try_join_all(stack.services.keys().map(|service| async move {
        let spec = BuildSpec::of(stack, service, platform, build)?;
        if spec.pull {
            // Asked for with --pull: what is newer upstream must be part of the fingerprint.
            image::base::pull(engine, &spec, &machine.events.progress(format!("pull:{service}"))).await?;
        }
        Ok((service.clone(), image::fingerprint::fingerprint(&spec, Some(engine), None).await?))
    }))
    .await
}

/// References without digests. An engine that answers at once is asked for the base images that it has, so that the
/// tags are those of an `up` on this machine; without one, images.lock speaks for them.
pub async fn references(stack: &Stack, settings: &Settings) -> Result<BTreeMap<String, String>> {
    let engine = image::engine::connect_at_once().await;
    let engine = engine.as_ref();
    let references = try_join_all(stack.services.values().map(|service| async {
        let tag = image::fingerprint::fingerprint(&BuildSpec::plain(service, NODES), engine, None).await?.tag;
        let registry = settings.registry.as_deref().unwrap_or(REGISTRY_HOST);
        let repository = image::repository(&stack.name, &service.name);
        Ok((service.name.clone(), image::store::name(registry, &repository, &tag)))
    }))
    .await?;
    Ok(references.into_iter().collect())
}
