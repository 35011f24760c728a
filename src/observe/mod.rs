//! Looks at engine, cluster, registry and objects, side by side, and changes nothing.

pub mod doctor;
pub mod overview;
pub mod reach;
mod removal;
pub mod urls;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::Value;

use crate::{
    error::{Error, Kind, Result},
    image,
    kube::{
        CREATED_LABEL, Kube, MANAGER, PART_OF,
        discovery::KindRef,
        live::Live,
        ownership::{
            foreign::Foreign,
            holds::{Holding, is_definition, is_namespace, is_of},
            inventory::Parent,
        },
        pull_secret,
        readiness::{Surroundings, readiness},
    },
    object::json,
    plan::{
        observed::{ImageState, LiveState, Observed},
        up::{self, inventory},
    },
    provider::{ClusterState, ImagesBy, Observation, RegistryState, hosting},
    session::{
        Session,
        images::{plain_spec, pod_reference},
    },
    settings::Settings,
    stack::{
        desired::{self, DesiredSet},
        facts::{self, Facts},
        model::{SetKind, Stack, instance_name},
        yields,
    },
    tls::{self, Authority, Decision, OwnTrust, Seen, authority},
};
use crate::{object::Key, tls::wanted::Certificate};

pub use removal::for_removal;
/// Objects of which more has to be seen, at once.
const LOOKS: usize = 8;

/// Label of all that we make.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// What nodes are where nobody can be asked.
const NODES: &str = "linux/amd64";

/// Everything that a plan of `up` depends on.
pub async fn all(session: &Session) -> Result<Observed> {
    session.until_stopped(Box::pin(everything(session))).await
}

async fn everything(session: &Session) -> Result<Observed> {
    let ((cluster, live), (registry, images), proxy) = tokio::try_join!(
        Box::pin(cluster_and_live(session)),
        Box::pin(registry_and_images(session)),
        session.provider.observe_proxy(&session.stack.name)
    )?;
    let is_there = matches!(cluster, ClusterState::Ours { .. });
    let nodes_outdated = is_there && session.provider.outdated().await?;
    let kubeconfig_outdated = is_there && session.provider.kubeconfig_outdated().await?;
    let provider = Observation { cluster, nodes_outdated, kubeconfig_outdated, registry, proxy };
    Ok(Observed { traits: session.provider.traits(), provider, images, live })
}

/// What plans of `build` and `push` depend on: no cluster.
pub async fn images(session: &Session) -> Result<Observed> {
    let (registry, images) = session.until_stopped(registry_and_images(session)).await?;
    let provider = Observation { registry, ..Observation::of(ClusterState::Absent) };
    Ok(Observed { traits: session.provider.traits(), provider, images, live: None })
}

/// What would go along with the definitions and namespaces among these objects.
async fn holdings<'a>(
    kube: &Kube,
    objects: impl Iterator<Item = (&'a Key, &'a Value)>,
    ours: &(dyn Fn(&Value) -> bool + Sync),
) -> Result<BTreeMap<Key, Holding>> {
    let is_ours = |object: &Value| json::label(object, CREATED_LABEL).is_some();
    let objects = objects.filter(|(key, object)| is_definition(key) || is_namespace(key) && is_ours(object));
    let found = try_join_all(objects.map(async |(key, object)| {
        let holding = kube.held_by(object, ours).await?;
        Ok::<_, Error>((key.clone(), holding))
    }));
    Ok(found.await?.into_iter().filter(|(_, holding)| !holding.is_empty()).collect())
}

async fn cluster_and_live(session: &Session) -> Result<(ClusterState, Option<LiveState>)> {
    let cluster = session.provider.observe().await?;
    let live = match cluster {
        ClusterState::Ours { stopped: false } => Some(live_of_stack(session).await?),
        _ => None,
    };
    Ok((cluster, live))
}

/// Objects of all sets on record, or of those that one stack uses.
pub async fn recorded_objects(kube: &Kube, only: Option<&str>) -> Result<LiveState> {
    let mut parents = kube.read_parents().await?;
    if let Some(stack) = only {
        let own = desired::parent_name(SetKind::Stack, stack);
        parents.retain(|name, parent| desired::are_of_one_stack(name, &own) || parent.users.contains(stack));
    }
    let live = list(kube, &parents.values().collect::<Vec<_>>()).await?;
    Ok(LiveState { live, parents, ..LiveState::default() })
}

async fn list(kube: &Kube, parents: &[&Parent]) -> Result<Live> {
    let ids: BTreeSet<&str> = parents.iter().map(|parent| parent.id.as_str()).collect();
    let kinds: BTreeSet<KindRef> = parents.iter().flat_map(|parent| parent.kinds.iter().cloned()).collect();
    let namespaces: BTreeSet<String> = parents.iter().flat_map(|parent| parent.namespaces.iter().cloned()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let (kinds, namespaces): (Vec<_>, Vec<_>) = (kinds.into_iter().collect(), namespaces.into_iter().collect());
    kube.live(&ids, &kinds, &namespaces).await
}

/// The sets of this stack as they are declared and as they are on record: what left the stack must be seen too.
pub async fn live_of_stack(session: &Session) -> Result<LiveState> {
    let kube = session.kube().await?;
    let mut facts = Facts { cluster_scoped: cluster_scoped(kube, &session.stack).await?, ..Facts::default() };
    let declared = desired::desired_in(&session.stack, &BTreeMap::new(), &facts);
    let wanted: Vec<Parent> = declared.iter().map(|set| inventory(set, &session.stack)).collect();
    let parents_and_live = async {
        let parents = kube.read_parents().await?;
        let instances = desired::parent_name(SetKind::Component, &instance_name(&session.stack.name, ""));
        let ours = |parent: &&Parent| {
            parent.name.starts_with(&instances) || wanted.iter().any(|wanted| wanted.id == parent.id)
        };
        let recorded = parents.values().filter(ours);
        let asked: Vec<&Parent> = wanted.iter().chain(recorded).collect();
        let live = list(kube, &asked).await?;
        // What is there is ours; what is not may be another's. A run that finds all there asks for nothing more.
        let missing: BTreeSet<Key> = declared.iter().flat_map(up::keys).filter(|key| !is_namespace(key)).collect();
        let missing = missing.into_iter().filter(|key| !live.objects.contains_key(key)).collect();
        let ids: BTreeSet<&str> = asked.iter().map(|parent| parent.id.as_str()).collect();
        let others = kube.of_others(&ids.iter().copied().collect::<Vec<_>>(), &missing).await?;
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let kept: BTreeSet<Key> = declared.iter().flat_map(up::keys).collect();
        let leaves = |object: &Value| is_of(object, &ids) && !kept.contains(&json::key(object));
        let stale = live.objects.iter().filter(|(key, _)| !kept.contains(key));
        let holdings = holdings(kube, stale, &leaves).await?;
        Ok((parents, live, others, holdings, kept))
    };
    let namespaces: BTreeSet<String> = wanted.iter().flat_map(|parent| parent.namespaces.iter().cloned()).collect();
    let made = declared.iter().flat_map(|set| &set.objects).map(|object| object.object.key());
    let made: BTreeSet<String> = made.filter(is_namespace).map(|key| key.name).collect();
    let (
        (parents, mut live, mut others, holdings, kept),
        scaled,
        seen,
        published_port,
        endpoint_slices,
        mut certificates,
    ) = tokio::try_join!(
        parents_and_live,
        scaled(kube, &declared),
        try_join_all(made.union(&namespaces).map(|name| kube.namespace_now(name))),
        published_port(kube),
        endpoint_slices(kube, &namespaces),
        Box::pin(certificates(session, kube))
    )?;
    facts.scaled = scaled;
    let seen: Vec<Value> = seen.into_iter().flatten().collect();
    // All that is in a namespace goes with it, also what is not being deleted yet.
    let going: BTreeSet<&str> = seen.iter().filter(|it| json::is_being_deleted(it)).map(json::name).collect();
    let goes = |key: &Key| key.namespace.as_deref().is_some_and(|namespace| going.contains(namespace));
    live.objects.retain(|key, _| !goes(key));
    others.objects.retain(|key, _| !goes(key));
    certificates.retain(|key, _| !goes(key));
    let made: Vec<&Value> = seen.iter().filter(|namespace| made.contains(json::name(namespace))).collect();
    let (ours, foreign): (Vec<&Value>, Vec<&Value>) =
        made.into_iter().partition(|namespace| json::label(namespace, CREATED_LABEL).is_some());
    let name = |namespace: &&Value| json::name(namespace).to_owned();
    let foreign_namespaces = foreign.iter().map(name).collect();
    let namespace_owners = ours
        .iter()
        .filter_map(|namespace| Some((name(namespace), json::label(namespace, PART_OF)?.to_owned())))
        .collect();
    let pull_secrets = pull_secrets(session, kube, &live, &others).await?;
    let around = Surroundings { endpoint_slices, ..Surroundings::default() };
    let (done, rest): (Vec<_>, Vec<_>) =
        live.objects.iter().partition(|(_, object)| readiness(object, &around).is_reached());
    // These may be as ready as they will be for reasons that are in other objects.
    let depends = |key: &Key| key.group.is_empty() && matches!(key.kind.as_str(), "Service" | "PersistentVolumeClaim");
    let looks = rest
        .into_iter()
        .filter(|(key, _)| depends(key))
        .map(async |(key, object)| Ok::<_, Error>(kube.is_reached(object).await?.then(|| key.clone())));
    let looks: Vec<Option<Key>> = stream::iter(looks).buffer_unordered(LOOKS).try_collect().await?;
    let ready = done.into_iter().map(|(key, _)| key.clone()).chain(looks.into_iter().flatten()).collect();
    let known = Some(Arc::clone(&session.known));
    Ok(LiveState {
        live,
        facts,
        known,
        parents,
        ready,
        published_port,
        certificates,
        foreign_namespaces,
        namespace_owners,
        others,
        declared: kept,
        pull_secrets,
        holdings,
        foreign: Foreign::default(),
    })
}

/// Of the stack's kinds that Kubernetes itself does not have, those that live outside namespaces.
async fn cluster_scoped(kube: &Kube, stack: &Stack) -> Result<BTreeSet<(String, String)>> {
    let asked = facts::unknown_kinds(stack).into_iter().map(async |(group, kind)| {
        let found = kube.resolve_opt(&KindRef::any_version(&group, &kind)).await?;
        Ok::<_, Error>(found.filter(|found| !found.namespaced).map(|_| (group, kind)))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// The targets of the cluster's autoscalers. Nothing is asked where no workload of the stack says how many it wants.
async fn scaled(kube: &Kube, declared: &[DesiredSet]) -> Result<BTreeSet<Key>> {
    let objects = declared.iter().flat_map(|set| &set.objects).map(|object| &object.object);
    let sized = objects.filter(|object| object.value.pointer("/spec/replicas").is_some());
    let namespaces: BTreeSet<String> = sized.filter_map(|object| object.key().namespace).collect();
    let found = try_join_all(namespaces.iter().map(|namespace| kube.autoscalers(namespace))).await?;
    Ok(found.iter().flatten().filter_map(yields::scaled_by).collect())
}

/// What is known of the certificates of the stack's edges; those of somebody else are told.
pub async fn certificates(session: &Session, kube: &Kube) -> Result<BTreeMap<Key, Seen>> {
    let mut found = BTreeMap::new();
    let wanted: Vec<&Certificate> = session.stack.sets.iter().filter_map(|set| set.certificate.as_ref()).collect();
    if wanted.is_empty() {
        return Ok(found);
    }
    let authority = session.known_authority().await?;
    for wanted in wanted {
        let Some(seen) = certificate(kube, wanted, authority.as_ref()).await? else { continue };
        if let Decision::KeepForeign { issuer, not_after, .. } = tls::decide(wanted, Some(&seen)) {
            let trusted = match seen.own.as_ref().is_some_and(|own| own.authority.is_some()) {
                true => "requests from here trust its own ca.crt",
                false => "it has no ca.crt, so requests from here trust this certificate alone",
            };
            session.events.warn(format!(
                "{} in namespace {} is not stackctl's and stays as it is: issued by {issuer}, valid until {}; {trusted}",
                wanted.secret_key(),
                wanted.namespace,
                authority::date(not_after)
            ));
            session.learn(|learned| learned.foreign_certificates.insert(wanted.secret.clone(), seen.own.clone()));
        }
        found.insert(wanted.secret_key(), seen);
    }
    Ok(found)
}

/// A certificate's Secret as it is now; None: there is none. Its key is not looked at.
pub async fn certificate(kube: &Kube, wanted: &Certificate, authority: Option<&Authority>) -> Result<Option<Seen>> {
    let (secret_key, bundle_key) = (wanted.secret_key(), wanted.bundle_key());
    let (secret, bundle) = tokio::try_join!(kube.get(&secret_key), kube.get(&bundle_key))?;
    let Some(secret) = secret else { return Ok(None) };
    let text = pem(&secret, "tls.crt");
    let facts = text.as_deref().ok_or_else(|| "it has no tls.crt".to_owned()).and_then(tls::certificate::facts);
    let ours = json::label(&secret, MANAGED_BY) == Some(MANAGER);
    let signed = text
        .as_ref()
        .zip(authority)
        .is_some_and(|(text, authority)| tls::certificate::is_signed_by(text, authority.certificate()));
    let known = bundle.as_ref().and_then(|bundle| bundle.pointer("/data/ca.crt")?.as_str());
    // A foreign Secret that does not name its authority leaves nothing to say about it.
    let bundled = named_authority(&secret).is_none_or(|wanted| known == Some(wanted.as_str()));
    let own = text.filter(|_| !ours).map(|certificate| OwnTrust { certificate, authority: own_authority(&secret) });
    Ok(Some(Seen { now: authority::now(), certificate: facts, ours, signed, bundled, own }))
}

fn own_authority(secret: &Value) -> Option<String> {
    pem(secret, "ca.crt").filter(|text| !text.trim().is_empty())
}

/// Whose signature a certificate's Secret bears, as far as the Secret itself tells.
pub fn named_authority(secret: &Value) -> Option<String> {
    own_authority(secret).or_else(|| pem(secret, "tls.crt").filter(|text| tls::certificate::is_self_signed(text)))
}

/// The certificate, PEM, of the authority whose signature clients in the cluster have to accept from the stack's edge.
/// None: it has no certificate, or its authority is not known.
pub async fn ca_bundle(kube: &Kube, stack: &Stack) -> Result<Option<String>> {
    let Some(wanted) = stack.sets.iter().find_map(|set| set.certificate.as_ref()) else { return Ok(None) };
    let bundle = kube.get(&wanted.bundle_key()).await?;
    Ok(bundle.as_ref().and_then(|bundle| json::text(bundle, "/data/ca.crt")).map(str::to_owned))
}

/// A text of a Secret.
pub fn pem(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}

/// Namespaces where nodes can pull from the private registry. Nothing is asked where there is none.
async fn pull_secrets(session: &Session, kube: &Kube, live: &Live, others: &Live) -> Result<BTreeSet<String>> {
    let Some(secret) = session.remote.as_ref().and_then(|remote| remote.secret.as_ref()) else {
        return Ok(BTreeSet::new());
    };
    let content = secret.base64();
    let checks = try_join_all(session.stack.pull_accounts.iter().map(async |(namespace, accounts)| {
        let key = pull_secret::key(namespace);
        let there = live.objects.get(&key).or(others.objects.get(&key));
        let current = there.is_some_and(|there| pull_secret::holds(there, &content));
        Ok::<_, Error>(current && kube.pull_secret_is_attached(namespace, accounts).await?)
    }))
    .await?;
    let namespaces = session.stack.pull_accounts.keys().zip(checks);
    Ok(namespaces.filter(|(_, current)| *current).map(|(namespace, _)| namespace.clone()).collect())
}

/// The port that the KEP-1755 ConfigMap names.
async fn published_port(kube: &Kube) -> Result<Option<u16>> {
    Ok(kube.get(&hosting::key()).await?.as_ref().and_then(hosting::port))
}

async fn endpoint_slices(kube: &Kube, namespaces: &BTreeSet<String>) -> Result<Vec<Value>> {
    let kind = KindRef::any_version("discovery.k8s.io", "EndpointSlice");
    let lists = try_join_all(namespaces.iter().map(|namespace| kube.list_all(&kind, Some(namespace)))).await?;
    Ok(lists.concat())
}

async fn registry_and_images(session: &Session) -> Result<(RegistryState, BTreeMap<String, ImageState>)> {
    let (registry, tags) = tokio::try_join!(registry_state(session), fingerprints(session))?;
    if let RegistryState::Running { port } = registry {
        session.learn(|learned| learned.registry_port = Some(port));
    }
    let is_up = match registry {
        RegistryState::None => session.provider.observe().await? == ClusterState::Ours { stopped: false },
        _ => false,
    };
    let images = try_join_all(tags.into_iter().map(|(service, (tag, doubt))| async move {
        let repository = session.repository(&service);
        let digest = session.digest(&repository, &tag).await?;
        let reference = session.pod_reference(&repository, &tag);
        // Nodes that are not there, or sleep, have nothing that could be asked for.
        let loaded = is_up && session.provider.has_image(&reference).await?;
        let tags = missing_tags(session, &service, &repository, digest.as_deref()).await?;
        Ok::<_, Error>((service, ImageState { reference, digest, loaded, tags, doubt }))
    }))
    .await?;
    Ok((registry, images.into_iter().collect()))
}

/// Further tags that the registry has not, or has on something else than `digest`.
async fn missing_tags(session: &Session, service: &str, repository: &str, digest: Option<&str>) -> Result<Vec<String>> {
    let wanted = session.further_tags(service).await;
    let Some(digest) = digest else { return Ok(wanted) };
    let found = try_join_all(wanted.iter().map(|tag| session.digest(repository, tag))).await?;
    let missing = wanted.into_iter().zip(found).filter(|(_, found)| found.as_deref() != Some(digest));
    Ok(missing.map(|(tag, _)| tag).collect())
}

async fn registry_state(session: &Session) -> Result<RegistryState> {
    if session.settings.registry.is_some() {
        return Ok(RegistryState::External);
    }
    if session.provider.traits().images_reach_nodes_by == ImagesBy::Registry {
        return match session.stack.services.is_empty() {
            true => Ok(RegistryState::External),
            false => Err(Error::new(Kind::Usage, "an existing cluster needs a registry from which it can pull")
                .hint("name it with --registry, such as --registry ghcr.io/ORG")),
        };
    }
    match session.provider.traits().images_reach_nodes_by {
        ImagesBy::NodeStore => Ok(RegistryState::None),
        _ => session.provider.observe_registry().await,
    }
}

/// The tag of each service's image, and why it may not stand for all of it.
async fn fingerprints(session: &Session) -> Result<Vec<(String, (String, Option<String>))>> {
    if session.stack.services.is_empty() {
        return Ok(Vec::new());
    }
    let engine = session.engine()?;
    let platform = session.provider.platform().await?;
    let platform = &platform;
    try_join_all(session.stack.services.keys().map(|service| async move {
        let spec = session.build_spec(service, platform)?;
        if spec.pull {
            // Asked for with --pull: what is newer upstream must be part of the fingerprint.
            image::base::pull(engine, &spec, &session.events.progress(format!("pull:{service}"))).await?;
        }
        let found = image::fingerprint::fingerprint(&spec, Some(engine), None).await?;
        session.learn(|learned| learned.sources.insert(service.clone(), found.sources));
        Ok((service.clone(), (found.tag, found.doubt)))
    }))
    .await
}

/// References without digests. An engine that answers is asked for the base images that it has, so that the tags are
/// those of an `up` on this machine; without one, images.lock speaks for them.
pub async fn references(stack: &Stack, settings: &Settings) -> Result<BTreeMap<String, String>> {
    let engine = image::engine::connect(None).await.ok();
    let engine = engine.as_ref();
    let references = try_join_all(stack.services.values().map(|service| async {
        let tag = image::fingerprint::fingerprint(&plain_spec(service, NODES), engine, None).await?.tag;
        let repository = format!("{}/{}", stack.name, service.name);
        Ok::<_, Error>((service.name.clone(), pod_reference(settings, &repository, &tag)))
    }))
    .await?;
    Ok(references.into_iter().collect())
}
