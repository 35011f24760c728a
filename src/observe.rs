//! Looks at engine, cluster, registry and objects, side by side, and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::{
    cluster::{ClusterState, registry},
    config::Settings,
    error::Result,
    image,
    kube::{
        CREATED_LABEL, Kube,
        discovery::KindRef,
        inventory::Parent,
        json,
        known::Known,
        readiness::{self, Readiness},
    },
    plan::{
        observed::{ImageState, LiveState, Observed, RegistryState},
        up::inventory,
    },
    session::Session,
    stack::{desired, model::Stack},
};

/// Everything that a plan of `up` depends on.
pub async fn all(session: &Session) -> Result<Observed> {
    let ((cluster, live), (registry, images)) = tokio::try_join!(cluster_and_live(session), registry_and_images(session))?;
    let nodes_outdated = cluster == ClusterState::Ours { stopped: false } && session.provider.outdated().await?;
    Ok(Observed { cluster, nodes_outdated, registry, images, live })
}

/// What a plan of `down` depends on: no images, and no stack that could be read.
pub async fn for_removal(session: &Session) -> Result<Observed> {
    let cluster = session.provider.observe().await?;
    let live = match cluster {
        ClusterState::Ours { stopped: false } => match session.kube().await {
            Ok(kube) => Some(recorded_objects(kube).await?),
            // A cluster that is ours but does not answer is removed as a whole, or not at all.
            Err(error) if session.is_disposable() => {
                session.events.warn(format!("the API server does not answer: {error}"));
                None
            }
            Err(error) => return Err(error),
        },
        _ => None,
    };
    let registry = RegistryState::External;
    Ok(Observed { cluster, nodes_outdated: false, registry, images: BTreeMap::new(), live })
}

async fn cluster_and_live(session: &Session) -> Result<(ClusterState, Option<LiveState>)> {
    let cluster = session.provider.observe().await?;
    let live = match cluster {
        ClusterState::Ours { stopped: false } => Some(live_of_stack(session).await?),
        _ => None,
    };
    Ok((cluster, live))
}

/// Objects of all sets on record, whichever stack they belong to.
async fn recorded_objects(kube: &Kube) -> Result<LiveState> {
    let parents = kube.read_parents().await?;
    let live = list(kube, parents.values()).await?;
    Ok(LiveState { live, parents, ..LiveState::default() })
}

async fn list<'a>(kube: &Kube, parents: impl Iterator<Item = &'a Parent> + Clone) -> Result<crate::kube::live::Live> {
    let ids: Vec<&str> = parents.clone().map(|parent| parent.id.as_str()).collect();
    let kinds: BTreeSet<KindRef> = parents.clone().flat_map(|parent| parent.kinds.iter().cloned()).collect();
    let namespaces: BTreeSet<String> = parents.flat_map(|parent| parent.namespaces.iter().cloned()).collect();
    let (kinds, namespaces): (Vec<_>, Vec<_>) = (kinds.into_iter().collect(), namespaces.into_iter().collect());
    kube.live(&ids, &kinds, &namespaces).await
}

/// The sets of this stack as they are declared and as they are on record: what left the stack must be seen too.
async fn live_of_stack(session: &Session) -> Result<LiveState> {
    let kube = session.kube().await?;
    let declared = desired::desired(&session.stack, &BTreeMap::new());
    let wanted: Vec<Parent> = declared.iter().map(|set| inventory(set, &session.stack.name)).collect();
    let namespaces: BTreeSet<String> = declared
        .iter()
        .flat_map(|set| &set.objects)
        .map(|object| object.object.key())
        .filter(|key| key.kind == "Namespace")
        .map(|key| key.name)
        .collect();
    let mut asked = wanted.clone();
    let parents = async {
        let parents = kube.read_parents().await?;
        asked.extend(parents.values().filter(|parent| wanted.iter().any(|wanted| wanted.id == parent.id)).cloned());
        let live = list(kube, asked.iter()).await?;
        Ok((parents, live))
    };
    let foreign = foreign_namespaces(kube, &namespaces);
    let ((parents, live), foreign_namespaces, published_port, endpoints) =
        tokio::try_join!(parents, foreign, published_port(kube), kube.surroundings(&namespaces))?;
    let is_ready = |object: &&Value| readiness::readiness(object, &endpoints) == Readiness::Ready;
    let ready: HashSet<_> = live.objects.iter().filter(|(_, object)| is_ready(object)).map(|(key, _)| key.clone()).collect();
    let known = Some(Known::load(&session.known_file()));
    Ok(LiveState { live, known, parents, ready, published_port, foreign_namespaces })
}

/// Namespaces that exist without our mark.
async fn foreign_namespaces(kube: &Kube, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let found = try_join_all(wanted.iter().map(|name| kube.namespace(name))).await?;
    Ok(found
        .iter()
        .flatten()
        .filter(|namespace| json::label(namespace, CREATED_LABEL).is_none())
        .map(|namespace| json::name(namespace).to_owned())
        .collect())
}

async fn published_port(kube: &Kube) -> Result<Option<u16>> {
    Ok(kube.get(&registry::hosting_key()).await?.as_ref().and_then(registry::published_port))
}

async fn registry_and_images(session: &Session) -> Result<(RegistryState, BTreeMap<String, ImageState>)> {
    let (registry, tags) = tokio::try_join!(registry_state(session), fingerprints(session))?;
    if let RegistryState::Running { port } = registry {
        session.learn(|learned| learned.registry_port = Some(port));
    }
    let images = try_join_all(tags.into_iter().map(|(service, tag)| async {
        let repository = session.repository(&service);
        let digest = match &registry {
            RegistryState::External => {
                image::remote_digest(session.engine()?, &session.push_reference(&repository, &tag)?).await?
            }
            RegistryState::Running { .. } => match session.registry()? {
                Some(registry) => registry.manifest_digest(&repository, &tag).await?,
                None => None,
            },
            RegistryState::Absent | RegistryState::Stopped => None,
        };
        let reference = session.pod_reference(&repository, &tag);
        Ok::<_, crate::error::Error>((service, ImageState { reference, digest }))
    }))
    .await?;
    Ok((registry, images.into_iter().collect()))
}

async fn registry_state(session: &Session) -> Result<RegistryState> {
    if session.settings.registry.is_some() {
        return Ok(RegistryState::External);
    }
    Ok(match registry::observe(&session.engine()?.docker, &session.settings.cluster_name).await? {
        registry::RegistryState::Absent => RegistryState::Absent,
        registry::RegistryState::Stopped => RegistryState::Stopped,
        registry::RegistryState::Running { port } => RegistryState::Running { port },
    })
}

/// The tag of each service's image.
async fn fingerprints(session: &Session) -> Result<Vec<(String, String)>> {
    if session.stack.services.is_empty() {
        return Ok(Vec::new());
    }
    let engine = session.engine()?;
    let platform = session.provider.platform().await?;
    try_join_all(session.stack.services.keys().map(|service| async {
        let spec = session.build_spec(service, &platform)?;
        Ok((service.clone(), image::fingerprint(&spec, Some(engine)).await?))
    }))
    .await
}

/// References without digests, from the sources alone.
pub async fn references_without_engine(stack: &Stack, settings: &Settings) -> Result<BTreeMap<String, String>> {
    try_join_all(stack.services.keys().map(|service| async {
        let spec = crate::session::plain_spec(stack, settings, service)?;
        let tag = image::fingerprint(&spec, None).await?;
        Ok((service.clone(), crate::session::reference(settings, &stack.name, service, &tag)))
    }))
    .await
    .map(|pairs: Vec<_>| pairs.into_iter().collect())
}
