//! The plan of `up` and `deploy`: from the stack and what is there to what is missing.

pub mod aside;
pub mod edge;
mod held;
pub mod owners;
mod sets;
#[cfg(test)]
mod tests;
pub mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Action, Graph, Images, Node, Plan, desired_sets,
    observed::{LiveState, Observed, other_user},
    origin,
};
use crate::object::{GeneratedSecret, Key};
use crate::{
    error::Result,
    image,
    kube::{
        SYSTEM_NAMESPACE,
        discovery::KindRef,
        ownership::{
            holds::{Kept, Why},
            inventory::Parent,
            prune,
            prune::Candidates,
        },
        pull_secret, readiness, runs,
    },
    object::{json, podspec},
    provider::{
        self, Asked, ClusterState, RegistryState,
        plan::Wanted,
        step::{Gives, Planned},
    },
    stack::{
        desired::DesiredSet,
        model::{SetKind, Stack},
    },
};
use sets::Inputs;

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `up` makes or starts a cluster, `deploy` does not.
    pub make_cluster: bool,
    pub prove: bool,
    /// Wait for components that `up` leaves starting in the background.
    pub await_background: bool,
    /// A further tag for every image.
    pub tag: Option<String>,
    /// The proofs run from an image of the user's own.
    pub agent_given: bool,
    /// Build although the registry has the image.
    pub rebuild: bool,
    /// PersistentVolumeClaims that left the stack go too.
    pub prune_data: bool,
    /// All that left the stack goes before anything is applied.
    pub prune_first: bool,
    /// Objects that somebody else made become the stack's.
    pub adopt: bool,
    /// And so does a stack of that name that came from elsewhere.
    pub take_over: bool,
    /// For the edge, if the stack has one.
    pub asked: Asked,
}

/// Fails with `Kind::Preflight` where the cluster is not ours to use.
pub fn plan(stack: &Stack, options: &Options, observed: &Observed) -> Result<Plan> {
    let mut graph = Graph::default();
    let published_port = observed.live.as_ref().and_then(|live| live.published_port);
    let repositories = match observed.provider.registry {
        RegistryState::Own => {
            let services = observed.images.keys().map(String::as_str).chain([image::agent::SERVICE]);
            services.map(|service| format!("{}/{service}", stack.name)).collect()
        }
        _ => BTreeSet::new(),
    };
    let wanted = Wanted { make_cluster: options.make_cluster, published_port, repositories: &repositories };
    let mut platform = platform(&mut graph, wanted, observed)?;
    // Where images go: into a registry, or into the nodes themselves.
    let store = if observed.provider.registry == RegistryState::None { platform.cluster } else { platform.registry };
    let pushed = images(&mut graph, options, observed, store);
    graph.add_provided(provider::plan::publish_registry(&observed.provider, wanted, &platform.steps), None);

    if observed.live.as_ref().is_some_and(|live| live.is_disrupted(&stack.name)) {
        // Before anything is applied: both write the same fields.
        platform.cluster = Some(graph.add("restore", platform.cluster.as_slice(), Action::EndDisruption));
    }
    let mut sets = desired_sets(stack, observed);
    // Who adopts wants what is there to become the stack's.
    let live = observed.live.as_ref().filter(|_| !options.adopt);
    let aside = live.map(|live| aside::take(&mut sets, live)).unwrap_or_default();
    if let Some(live) = &observed.live {
        origin::check(stack, &sets, live, options.take_over)?;
        owners::check(&sets, live, options.adopt)?;
    }
    // A pod that starts too early is restarted, later each time: nobody waits for these, so they can wait.
    let made = platform.made.filter(|_| sets.iter().any(|set| set.background));
    let network = made.map(|cluster| graph.add("cluster:network", &[cluster], Action::AwaitNetwork));
    // Nodes of a half-made cluster are about to go.
    if observed.provider.cluster == ClusterState::Absent && observed.traits.pulls_while_made {
        preload(&mut graph, &sets, observed, &pushed, platform.registry);
    }
    let given = Inputs { stack, observed, options, pushed: &pushed, sets: &sets, cluster: platform.cluster, network };
    let planned = sets::plan(&mut graph, given);

    let unchanged = planned.iter().map(|planned| planned.unchanged).sum();
    let mut everything: Vec<Node> = pushed.values().copied().collect();
    everything.extend(planned.iter().flat_map(|planned| &planned.applied));
    let awaited: Vec<Node> = planned.iter().flat_map(|planned| &planned.awaited).copied().collect();
    let before = everything.clone();
    let gone = observed.live.iter().flat_map(|live| gone_instances(stack, &sets, live, options.prune_data));
    for set in gone.collect::<Vec<_>>() {
        // After all else: what is left may still be using it.
        let prune = Action::Prune { set: sets.len() };
        let deletes = observed.live.iter().flat_map(|live| stale_objects(&set, live, options.prune_data).remove);
        let live = observed.live.as_ref();
        let deletes = deletes.map(|object| json::key(&object));
        let deletes = deletes.flat_map(|key| live.map_or_else(Vec::new, |live| live.with_all_that_goes(key))).collect();
        let id = graph.set_step("prune", &set);
        everything.push(graph.add_deletion(id, &before, prune, deletes));
        sets.push(set);
    }
    everything.extend(awaited);
    edge::plan(&mut graph, options, &stack.name, observed, &sets, platform.cluster);
    if !pushed.is_empty()
        && !matches!(observed.provider.registry, RegistryState::External | RegistryState::Own | RegistryState::None)
    {
        graph.add("gc", &everything, Action::CollectGarbage);
    }
    if options.prove {
        let mut needs = everything;
        if !options.agent_given {
            needs.push(graph.add("agent", store.as_slice(), Action::ProvideAgent));
        }
        needs.extend(platform.cluster);
        graph.add("prove", &needs, Action::Prove);
    }
    let starting = match options.await_background {
        true => Vec::new(),
        false => {
            sets.iter().filter(|set| set.background && !is_ready(set, observed)).map(|set| set.name.clone()).collect()
        }
    };
    let kept = observed
        .live
        .iter()
        .flat_map(|live| sets.iter().flat_map(|set| stale_objects(set, live, options.prune_data).keep));
    let kept = kept.filter(|kept| matches!(kept.why, Why::Data | Why::Holds(_))).collect();
    Ok(Plan { sets, unchanged, starting, kept, aside, ..Plan::from(graph) })
}

fn is_ready(set: &DesiredSet, observed: &Observed) -> bool {
    let keys = set.objects.iter().map(|object| object.object.key());
    keys.filter(readiness::is_awaited).all(|key| observed.live.as_ref().is_some_and(|live| live.ready.contains(&key)))
}

struct Platform {
    /// Made or started by this run.
    made: Option<Node>,
    /// And its nodes are as they should be.
    cluster: Option<Node>,
    registry: Option<Node>,
    steps: Vec<Planned>,
}

/// The provider's steps, as far as something is missing.
fn platform(graph: &mut Graph, wanted: Wanted<'_>, observed: &Observed) -> Result<Platform> {
    let steps = provider::plan::bring_up(&observed.provider, wanted)?;
    let added = graph.add_provided(steps.clone(), None);
    let that = |gives: Gives| added.iter().find(|(given, _)| *given == Some(gives)).map(|(_, node)| *node);
    let made = that(Gives::Cluster);
    Ok(Platform { made, cluster: that(Gives::Nodes).or(made), registry: that(Gives::Registry), steps })
}

/// Builds and pushes what the registry lacks; the node after which each service's image can be pulled.
fn images(graph: &mut Graph, options: &Options, observed: &Observed, store: Option<Node>) -> BTreeMap<String, Node> {
    let mut pushed = BTreeMap::new();
    for (service, image) in &observed.images {
        let mut last = None;
        if !image.is_current() || options.rebuild {
            let build = graph.add(format!("build:{service}"), &[], Action::Build { service: service.clone() });
            let needs: Vec<_> = store.into_iter().chain([build]).collect();
            last = Some(graph.add(format!("push:{service}"), &needs, Action::Push { service: service.clone() }));
        }
        let tags: BTreeSet<&String> = options.tag.iter().chain(&image.tags).collect();
        for tag in tags {
            let needs: Vec<_> = last.or(store).into_iter().collect();
            let action = Action::Tag { service: service.clone(), tag: tag.clone() };
            graph.add(format!("tag:{service}:{tag}"), &needs, action);
        }
        if let Some(last) = last {
            pushed.insert(service.clone(), last);
        }
    }
    pushed
}

/// While a new cluster's control plane starts, its nodes can pull already.
fn preload(
    graph: &mut Graph,
    sets: &[DesiredSet],
    observed: &Observed,
    pushed: &BTreeMap<String, Node>,
    registry: Option<Node>,
) {
    let services: BTreeSet<&String> =
        sets.iter().flat_map(|set| &set.objects).flat_map(|object| &object.services).collect();
    for service in services {
        let needs: Vec<Node> = pushed.get(service).copied().or(registry).into_iter().collect();
        let images = Images::Service(service.clone());
        graph.add(format!("preload:{service}"), &needs, Action::Preload { images });
    }
    let own: BTreeSet<String> = observed.images.values().map(|image| image.pinned()).collect();
    for set in sets {
        let named = set.objects.iter().flat_map(|object| podspec::images(&object.object.value));
        let images: BTreeSet<String> = named.map(str::to_owned).filter(|image| !own.contains(image)).collect();
        if !images.is_empty() {
            let images = Images::Named(images);
            // A service may be called like the stack.
            let id = graph.set_step("preload", set);
            graph.add(id, &[], Action::Preload { images });
        }
    }
}

/// What the set's parent must say.
pub fn inventory(set: &DesiredSet, stack: &Stack) -> Parent {
    let keys = || keys(set);
    let is_component = set.kind == SetKind::Component;
    let parent = Parent {
        name: set.parent(),
        id: set.applyset_id(),
        kinds: keys().map(|key| KindRef::any_version(&key.group, &key.kind)).collect(),
        namespaces: keys().filter_map(|key| key.namespace).filter(|namespace| namespace != SYSTEM_NAMESPACE).collect(),
        users: is_component.then(|| stack.name.clone()).into_iter().collect(),
        ..Parent::default()
    };
    // A component is the same whichever stack brings it.
    if is_component { parent } else { parent.with_origin(&stack.origin) }
}

/// The same, with what stays although it left the set: off the record nobody would find it again.
pub fn inventory_with(set: &DesiredSet, stack: &Stack, kept: &[Kept]) -> Parent {
    let mut parent = inventory(set, stack);
    parent.kinds.extend(kept.iter().map(|kept| KindRef::any_version(&kept.key.group, &kept.key.kind)));
    parent.namespaces.extend(kept.iter().filter_map(|kept| kept.key.namespace.clone()));
    parent
}

/// All that the set consists of.
pub fn keys(set: &DesiredSet) -> impl Iterator<Item = Key> {
    let pull = set.pull_accounts.keys().map(|namespace| pull_secret::key(namespace));
    let declared = set.objects.iter().map(|object| object.object.key());
    declared.chain(set.secrets.iter().map(GeneratedSecret::key)).chain(certificate_keys(set)).chain(pull)
}

/// Whether a component that the plan took to be there had lost its last user by the time this stack joined: its objects
/// are going or gone.
pub fn was_removed(planned: Option<&Parent>, before: Option<&Parent>) -> bool {
    let is_used = |parent: Option<&Parent>| parent.is_some_and(|parent| !parent.users.is_empty());
    is_used(planned) && !is_used(before)
}

/// What `Action::IssueCertificate` writes.
fn certificate_keys(set: &DesiredSet) -> impl Iterator<Item = Key> {
    let certificate = set.certificate.iter();
    certificate.flat_map(|certificate| [certificate.secret_key(), certificate.bundle_key()])
}

/// Instances of components that the stack had and has no more, as sets without objects.
pub fn gone_instances(stack: &Stack, sets: &[DesiredSet], live: &LiveState, prune_data: bool) -> Vec<DesiredSet> {
    let gone = live.instances(&stack.name).filter(|name| !sets.iter().any(|set| set.name == *name));
    let gone = gone.map(|name| DesiredSet::empty_instance(name, &stack.namespace));
    // One of which only data is left stays on record.
    gone.filter(|set| {
        let candidates = stale_objects(set, live, prune_data);
        !candidates.is_done() || candidates.keep.is_empty()
    })
    .collect()
}

/// Objects that carry the set's label but are no longer declared.
pub fn stale_objects(set: &DesiredSet, live: &LiveState, prune_data: bool) -> Candidates {
    // What moved to another set of the stack is that one's from now on.
    let wanted: HashSet<Key> = keys(set).chain(live.declared.iter().cloned()).collect();
    let parent = set.parent();
    let shared = |namespace: &str| other_user(&live.parents, &parent, namespace).map(|other| other.name.as_str());
    let mut found = prune::candidates(&live.live, &set.applyset_id(), &wanted, prune_data, shared, &live.holdings);
    // Its run removes it, or the next one.
    found.remove.retain(|object| !runs::is_run(object));
    found
}
