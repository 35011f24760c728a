//! Looks at engine, cluster, registry and objects, side by side, and changes nothing.

pub mod certificates;
pub mod doctor;
pub mod entrance;
pub mod images;
pub mod left;
pub mod overview;
pub mod reach;
mod removal;
pub mod urls;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    image::{BuildOptions, store::Store},
    kube::{
        CREATED_LABEL, Kube, PART_OF,
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
    machine::Machine,
    object::{Key, json},
    plan::{
        observed::{LiveState, Observed},
        up::{self, inventory},
    },
    provider::{ClusterState, Observation, hosting},
    stack::{
        desired::{self, DesiredSet},
        facts::{self, Facts},
        model::{SetKind, Stack, instance_name},
        pull, yields,
    },
};

pub use removal::for_removal;

/// Objects of which more has to be seen, at once.
const LOOKS: usize = 8;

/// Everything that a plan of `up` depends on.
pub async fn all(machine: &Machine, stack: &Stack, build: &BuildOptions) -> Result<Observed> {
    machine.until_stopped(Box::pin(everything(machine, stack, build))).await
}

async fn everything(machine: &Machine, stack: &Stack, build: &BuildOptions) -> Result<Observed> {
    let provider = &machine.provider;
    let ((cluster, live), images, proxy, cloud) = tokio::try_join!(
        Box::pin(cluster_and_live(machine, stack)),
        Box::pin(images::all(machine, stack, build)),
        provider.observe_proxy(&stack.name),
        provider.observe_cloud()
    )?;
    let is_there = matches!(cluster, ClusterState::Ours { .. });
    let nodes_outdated = is_there && provider.outdated().await?;
    let kubeconfig_outdated = is_there && provider.kubeconfig_outdated().await?;
    let seen = Observation { cluster, nodes_outdated, kubeconfig_outdated, registry: images.registry, proxy, cloud };
    Ok(Observed {
        traits: provider.traits(),
        provider: seen,
        images: images.states,
        sources: images.sources,
        pull_secret: images.store.pull_secret().is_some(),
        live,
    })
}

/// What plans of `build` and `push` depend on: no cluster.
pub async fn images(machine: &Machine, stack: &Stack, build: &BuildOptions) -> Result<Observed> {
    let images = machine.until_stopped(Box::pin(images::all(machine, stack, build))).await?;
    let provider = Observation { registry: images.registry, ..Observation::of(ClusterState::Absent) };
    let seen = Observed::of(machine.provider.traits(), provider);
    Ok(Observed { images: images.states, sources: images.sources, ..seen })
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

async fn cluster_and_live(machine: &Machine, stack: &Stack) -> Result<(ClusterState, Option<LiveState>)> {
    let cluster = machine.provider.observe().await?;
    let live = match cluster {
        ClusterState::Ours { stopped: false } => Some(live_of_stack(machine, stack).await?),
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
async fn live_of_stack(machine: &Machine, stack: &Stack) -> Result<LiveState> {
    let kube = machine.kube().await?;
    // Whether nodes need a Secret depends on no port.
    let store = machine.store(None, !stack.services.is_empty()).await?;
    let mut facts = Facts {
        cluster_scoped: cluster_scoped(kube, stack).await?,
        pull_secret: store.pull_secret().is_some(),
        ..Facts::default()
    };
    let declared = desired::desired_in(stack, &BTreeMap::new(), &facts);
    let wanted: Vec<Parent> = declared.iter().map(|set| inventory(set, stack)).collect();
    let parents_and_live = async {
        let parents = kube.read_parents().await?;
        let instances = desired::parent_name(SetKind::Component, &instance_name(&stack.name, ""));
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
        Box::pin(certificates::all(machine, stack))
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
    let pull_secrets = pull_secrets(kube, stack, store.as_ref(), &live, &others).await?;
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
    let known = Some(Arc::clone(&machine.known));
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

/// Namespaces where nodes can pull from the private registry. Nothing is asked where there is none.
async fn pull_secrets(
    kube: &Kube,
    stack: &Stack,
    store: &dyn Store,
    live: &Live,
    others: &Live,
) -> Result<BTreeSet<String>> {
    let Some(secret) = store.pull_secret() else { return Ok(BTreeSet::new()) };
    let (content, accounts) = (secret.base64(), pull::accounts(stack));
    let checks = try_join_all(accounts.iter().map(async |(namespace, accounts)| {
        let key = pull_secret::key(namespace);
        let there = live.objects.get(&key).or(others.objects.get(&key));
        let current = there.is_some_and(|there| pull_secret::holds(there, &content));
        Ok::<_, Error>(current && kube.pull_secret_is_attached(namespace, accounts).await?)
    }))
    .await?;
    let namespaces = accounts.keys().zip(checks);
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
