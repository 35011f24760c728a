//! The plan of `up` and `deploy`: from the stack and what is there to what is missing.

pub mod edge;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::RangeTo,
};


use super::{
    Action, Graph, Images, Node, Plan, desired_sets, object_step,
    observed::{LiveState, Observed, RegistryState},
};
use crate::{
    cluster::ClusterState,
    error::{Error, Kind, Result},
    kube::{
        SYSTEM_NAMESPACE,
        discovery::KindRef,
        inventory::Parent,
        noop::{self, Verdict},
        prune::{self, Candidates},
        pull_secret, readiness,
    },
    stack::{
        desired::{self, DesiredObject, DesiredSet},
        model::{Certificate, GeneratedSecret, Key, Scope, SetKind, Stack},
        podspec,
    },
    tls,
};

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
    /// Claims that left the stack go too.
    pub prune_data: bool,
    /// The cluster's nodes are containers of an engine here.
    pub local: bool,
    /// For the edge, if the stack has one.
    pub asked: edge::Asked,
}

/// Fails with `Kind::Preflight` where the cluster is not ours to use.
pub fn plan(stack: &Stack, options: &Options, observed: &Observed) -> Result<Plan> {
    let mut graph = Graph::default();
    let platform = platform(&mut graph, options, observed)?;
    let pushed = images(&mut graph, options, observed, platform.registry);
    if options.make_cluster {
        publish_registry(&mut graph, observed, &platform);
    }

    let mut sets = desired_sets(stack, observed);
    // A pod that starts too early is restarted, later each time: nobody waits for these, so they can wait.
    let made = platform.made.filter(|_| sets.iter().any(|set| set.background));
    let network = made.map(|cluster| graph.add("cluster:network", &[cluster], Action::AwaitNetwork));
    // Nodes of a half-made cluster are about to go.
    if observed.cluster == ClusterState::Absent {
        preload(&mut graph, &sets, observed, &pushed, platform.registry);
    }
    let mut planner = SetPlanner {
        graph: &mut graph,
        stack,
        observed,
        options,
        pushed: &pushed,
        sets: &sets,
        cluster: platform.cluster,
        network,
        ready: BTreeMap::new(),
        configs: BTreeMap::new(),
    };
    let (mut shared, mut scoped, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for (index, set) in sets.iter().enumerate() {
        match (set.kind, set.scope) {
            (SetKind::Stack, _) => own.push(index),
            (SetKind::Component, Scope::Cluster) => shared.push(index),
            (SetKind::Component, Scope::Stack) => scoped.push(index),
        }
    }
    let mut planned: Vec<PlannedSet> = shared.into_iter().map(|index| planner.whole(index)).collect();
    // The stack's own components need its namespace, and their pods its configuration.
    let begun: Vec<Begun> = own.into_iter().map(|index| planner.begin(index, ..WORKLOADS)).collect();
    let namespace: Vec<Node> = begun.iter().flat_map(|begun| begun.namespace).collect();
    planned.extend(scoped.into_iter().map(|index| {
        let mut begun = planner.begin(index, ..0);
        begun.gate.extend(&namespace);
        planner.finish(begun)
    }));
    planned.extend(begun.into_iter().map(|begun| planner.finish(begun)));

    let unchanged = planned.iter().map(|planned| planned.unchanged).sum();
    let mut everything: Vec<Node> = pushed.values().copied().collect();
    everything.extend(planned.iter().flat_map(|planned| &planned.applied));
    let awaited: Vec<Node> = planned.iter().flat_map(|planned| &planned.awaited).copied().collect();
    let before = everything.clone();
    let gone = observed.live.iter().flat_map(|live| gone_instances(stack, &sets, live, options.prune_data));
    for set in gone.collect::<Vec<_>>() {
        // After all else: what is left may still be using it.
        let prune = Action::Prune { set: sets.len() };
        everything.push(graph.add(format!("prune:{}", set.name), &before, prune));
        sets.push(set);
    }
    everything.extend(awaited);
    edge::plan(&mut graph, options, observed, &sets, platform.cluster);
    if !pushed.is_empty() && observed.registry != RegistryState::External {
        graph.add("gc", &everything, Action::CollectGarbage);
    }
    if options.prove {
        let mut needs = everything;
        if !options.agent_given {
            needs.push(graph.add("agent", &platform.registry.into_iter().collect::<Vec<_>>(), Action::ProvideAgent));
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
    Ok(Plan { sets, unchanged, starting, ..Plan::from(graph) })
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
}

/// Network, cluster and registry, as far as they are missing.
fn platform(graph: &mut Graph, options: &Options, observed: &Observed) -> Result<Platform> {
    let make = match &observed.cluster {
        ClusterState::Ours { stopped } => stopped.then_some(Action::StartCluster),
        ClusterState::Absent | ClusterState::HalfMade { .. } => Some(Action::CreateCluster),
        ClusterState::Foreign { why } => {
            return Err(Error::new(Kind::Preflight, why.clone())
                .hint("choose another name with --cluster-name, or use it as it is with --provider existing"));
        }
        ClusterState::Unreachable { why } => {
            return Err(Error::new(Kind::Platform, why.clone()).hint("`stackctl doctor` looks at what is in the way"));
        }
    };
    if make.is_some() && !options.make_cluster {
        return Err(Error::new(Kind::Preflight, "there is no running cluster to deploy to")
            .hint("`stackctl up` makes one, `stackctl start` wakes a stopped one"));
    }
    let registry_missing = matches!(observed.registry, RegistryState::Absent | RegistryState::Stopped);
    // Two containers that make the same network at once would make two of that name.
    let network = (make == Some(Action::CreateCluster) || registry_missing)
        .then(|| graph.add("network", &[], Action::CreateNetwork));
    let network = network.as_slice();
    let made = make.map(|action| {
        let id = if action == Action::StartCluster { "cluster:start" } else { "cluster:create" };
        graph.add(id, network, action)
    });
    let registry = registry_missing.then(|| graph.add("registry", network, Action::StartRegistry));
    let outdated = observed.nodes_outdated && options.make_cluster;
    let cluster = if outdated { Some(graph.add("nodes", made.as_slice(), Action::ConfigureNodes)) } else { made };
    Ok(Platform { made, cluster, registry })
}

/// Builds and pushes what the registry lacks; the node after which each service's image can be pulled.
fn images(graph: &mut Graph, options: &Options, observed: &Observed, registry: Option<Node>) -> BTreeMap<String, Node> {
    let mut pushed = BTreeMap::new();
    for (service, image) in &observed.images {
        let mut last = None;
        if image.digest.is_none() || options.rebuild {
            let build = graph.add(format!("build:{service}"), &[], Action::Build { service: service.clone() });
            let needs: Vec<_> = registry.into_iter().chain([build]).collect();
            last = Some(graph.add(format!("push:{service}"), &needs, Action::Push { service: service.clone() }));
        }
        let tags: BTreeSet<&String> = options.tag.iter().chain(&image.tags).collect();
        for tag in tags {
            let needs: Vec<_> = last.or(registry).into_iter().collect();
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
            graph.add(format!("preload:{}", set.name), &[], Action::Preload { images });
        }
    }
}

fn publish_registry(graph: &mut Graph, observed: &Observed, platform: &Platform) {
    let published = observed.live.as_ref().and_then(|live| live.published_port);
    let wanted = match observed.registry {
        RegistryState::External => return,
        RegistryState::Running { port } => Some(port),
        RegistryState::Absent | RegistryState::Stopped => None,
    };
    if wanted.is_none() || published != wanted {
        let needs: Vec<_> = platform.cluster.into_iter().chain(platform.registry).collect();
        graph.add("registry:publish", &needs, Action::PublishRegistry);
    }
}

/// Components that must be ready before `set` starts: those it names, and for the stack itself those that bring
/// definitions or webhooks, which objects of the stack may depend on.
fn blocking_components<'a>(set: &'a DesiredSet, sets: &'a [DesiredSet]) -> BTreeSet<&'a str> {
    let extends_api = |set: &&DesiredSet| {
        set.objects.iter().any(|object| {
            let kind = object.object.key().kind;
            kind == "CustomResourceDefinition" || kind.ends_with("WebhookConfiguration")
        })
    };
    let mut names: BTreeSet<&str> = set.needs.iter().map(String::as_str).collect();
    if set.kind == SetKind::Stack {
        names.extend(
            sets.iter()
                .filter(|other| other.kind == SetKind::Component)
                .filter(extends_api)
                .map(|other| other.name.as_str()),
        );
    }
    names
}

/// The first wave with pods.
const WORKLOADS: u8 = 4;

struct SetPlanner<'a> {
    graph: &'a mut Graph,
    stack: &'a Stack,
    observed: &'a Observed,
    options: &'a Options,
    pushed: &'a BTreeMap<String, Node>,
    sets: &'a [DesiredSet],
    /// After it there is an API server.
    cluster: Option<Node>,
    /// And after this one its Services can be reached.
    network: Option<Node>,
    /// By set: all after which it is ready.
    ready: BTreeMap<String, Vec<Node>>,
    /// ConfigMaps and Secrets that are written.
    configs: BTreeMap<Key, Node>,
}

/// A set of which the first waves are planned.
struct Begun {
    index: usize,
    changed: Vec<usize>,
    stale: bool,
    /// What the next wave needs.
    gate: Vec<Node>,
    /// The first wave that is not planned yet.
    next: u8,
    /// After it the set's namespace is there.
    namespace: Option<Node>,
    planned: PlannedSet,
}

#[derive(Default)]
struct PlannedSet {
    applied: Vec<Node>,
    awaited: Vec<Node>,
    unchanged: usize,
}

impl<'a> SetPlanner<'a> {
    fn whole(&mut self, index: usize) -> PlannedSet {
        let begun = self.begin(index, ..0);
        self.finish(begun)
    }

    /// The waves before `waves.end`.
    fn begin(&mut self, index: usize, waves: RangeTo<u8>) -> Begun {
        let set = &self.sets[index];
        let mut gate: Vec<Node> = self.cluster.into_iter().collect();
        let blocking = blocking_components(set, self.sets);
        gate.extend(blocking.iter().filter_map(|name| self.ready.get(*name)).flatten());
        gate.extend(self.network.filter(|_| set.background));
        let changed: Vec<usize> =
            (0..set.objects.len()).filter(|&object| !self.is_unchanged(&set.objects[object])).collect();
        let planned = PlannedSet { unchanged: set.objects.len() - changed.len(), ..PlannedSet::default() };
        let stale = self.has_stale_objects(set);
        let mut begun = Begun { index, changed, stale, gate, next: 0, namespace: None, planned };
        if waves.end > 0 {
            self.inventory(&mut begun);
            self.waves(&mut begun, waves.end);
        }
        begun
    }

    /// All that is left of it.
    fn finish(&mut self, mut begun: Begun) -> PlannedSet {
        let set = &self.sets[begun.index];
        if begun.next == 0 {
            self.inventory(&mut begun);
        }
        self.waves(&mut begun, u8::MAX);
        let Begun { index, changed, stale, gate, mut planned, .. } = begun;
        if stale {
            let needs = if planned.applied.is_empty() { gate } else { planned.applied.clone() };
            planned.applied.push(self.graph.add(format!("prune:{}", set.name), &needs, Action::Prune { set: index }));
        }
        if !set.background || self.options.await_background {
            let awaits = self.awaits(index, &changed, &planned.applied);
            planned.awaited.extend(awaits);
        }
        self.ready.insert(set.name.clone(), planned.awaited.iter().chain(&planned.applied).copied().collect());
        planned
    }

    fn inventory(&mut self, begun: &mut Begun) {
        let set = &self.sets[begun.index];
        if self.inventory_differs(set) || begun.stale {
            let id = format!("inventory:{}", set.name);
            begun.gate = vec![self.graph.add(id, &begun.gate, Action::WriteInventory { set: begun.index })];
        }
    }

    /// The waves from the next one to the one before `end`.
    fn waves(&mut self, begun: &mut Begun, end: u8) {
        let (index, set) = (begun.index, &self.sets[begun.index]);
        let mut waves: BTreeSet<u8> = set.objects.iter().map(|object| object.wave).collect();
        let secrets = !set.secrets.is_empty() || set.certificate.is_some() || !set.pull_accounts.is_empty();
        waves.extend(secrets.then(secret_wave));
        for wave in waves.into_iter().filter(|wave| (begun.next..end).contains(wave)) {
            let mut ends = Vec::new();
            for &object in begun.changed.iter().filter(|&&object| set.objects[object].wave == wave) {
                let key = set.objects[object].object.key();
                let apply = self.apply(index, object, &begun.gate);
                ends.push(apply);
                begun.planned.applied.push(apply);
                if key.kind == "Namespace" && key.name == set.namespace {
                    begun.namespace = Some(apply);
                }
                if must_be_ready_at_once(&key) {
                    let ready = self.await_ready(index, object, &[apply]);
                    ends.push(ready);
                    begun.planned.awaited.push(ready);
                }
                self.configs.insert(key, apply);
            }
            // Secrets come with the configuration that they stand beside.
            if wave == secret_wave() {
                let mut secrets = self.secrets(index, &begun.gate);
                // After the accounts that list it, before the pods, which get what their account lists as they are made.
                secrets.extend(self.pull_secrets(index, &begun.gate));
                ends.extend(&secrets);
                begun.planned.applied.extend(secrets);
                let certificate = self.certificate(index, &begun.gate);
                ends.extend(certificate);
                begun.planned.applied.extend(certificate);
            }
            if let Some(joint) = self.graph.join(format!("wave:{}:{wave}", set.parent()), &ends) {
                begun.gate = vec![joint];
            }
        }
        begun.next = end;
    }

    fn live(&self) -> Option<&'a LiveState> {
        self.observed.live.as_ref()
    }

    fn is_unchanged(&self, desired: &DesiredObject) -> bool {
        let key = desired.object.key();
        let Some(live) = self.live() else { return false };
        if self.is_foreign_namespace(&key) {
            return true;
        }
        if desired.services.iter().any(|service| self.pushed.contains_key(service)) {
            return false;
        }
        if self.awaits_certificate(desired) {
            return false;
        }
        let Some(there) = live.live.objects.get(&key) else { return false };
        noop::unchanged(&desired.object.value, there) == Verdict::Same
            || live.known.as_ref().is_some_and(|known| known.is_known(&desired.object.value, there))
    }

    /// A namespace that was there before us is used and left alone.
    fn is_foreign_namespace(&self, key: &Key) -> bool {
        key.kind == "Namespace" && self.live().is_some_and(|live| live.foreign_namespaces.contains(&key.name))
    }

    fn apply(&mut self, set: usize, object: usize, gate: &[Node]) -> Node {
        let desired: &DesiredObject = &self.sets[set].objects[object];
        let mut needs = gate.to_vec();
        needs.extend(desired.services.iter().filter_map(|service| self.pushed.get(service)));
        // Of another set: what of its own set is in an earlier wave is in the gate.
        if self.sets[set].scope == Scope::Stack {
            needs.extend(desired.configs.iter().filter_map(|key| self.configs.get(key)));
        }
        let id = object_step("apply", &desired.object.key(), &self.sets[set].namespace);
        self.graph.add(id, &needs, Action::Apply { set, object })
    }

    fn await_ready(&mut self, set: usize, object: usize, needs: &[Node]) -> Node {
        let id = object_step("await", &self.sets[set].objects[object].object.key(), &self.sets[set].namespace);
        self.graph.add(id, needs, Action::Await { set, object })
    }

    fn awaits(&mut self, index: usize, changed: &[usize], applied: &[Node]) -> Vec<Node> {
        let set = &self.sets[index];
        let mut nodes = Vec::new();
        for object in 0..set.objects.len() {
            let key = set.objects[object].object.key();
            if !readiness::is_awaited(&key) || must_be_ready_at_once(&key) || self.is_foreign_namespace(&key) {
                continue;
            }
            let was_ready = self.live().is_some_and(|live| live.ready.contains(&key));
            if was_ready && !changed.contains(&object) {
                continue;
            }
            // Whatever is not ready may be waiting for any object of the set, so the whole set comes first.
            nodes.push((object, key));
        }
        let Some(gate) = (!nodes.is_empty()).then(|| self.graph.join(format!("applied:{}", set.name), applied)) else {
            return Vec::new();
        };
        let gate: Vec<Node> = gate.into_iter().collect();
        nodes.into_iter().map(|(object, _)| self.await_ready(index, object, &gate)).collect()
    }

    fn secrets(&mut self, index: usize, gate: &[Node]) -> Vec<Node> {
        let set = &self.sets[index];
        let mut nodes = Vec::new();
        for (secret, generated) in set.secrets.iter().enumerate() {
            let key = generated.key();
            if self.live().is_some_and(|live| live.live.objects.contains_key(&key)) {
                continue;
            }
            let id = object_step("generate", &key, &set.namespace);
            let made = self.graph.add(id, gate, Action::CreateSecret { set: index, secret });
            self.configs.insert(key, made);
            nodes.push(made);
        }
        nodes
    }

    fn certificate(&mut self, index: usize, gate: &[Node]) -> Option<Node> {
        let set = &self.sets[index];
        let wanted = set.certificate.as_ref()?;
        if !tls::decision::is_due(wanted, self.observed.certificate(wanted)) {
            return None;
        }
        let id = object_step("certificate", &wanted.secret_key(), &set.namespace);
        let node = self.graph.add(id, gate, Action::IssueCertificate { set: index });
        self.configs.extend([wanted.secret_key(), wanted.bundle_key()].map(|key| (key, node)));
        Some(node)
    }

    /// Whether its pods see a certificate that will be another one.
    fn awaits_certificate(&self, desired: &DesiredObject) -> bool {
        let issued = |wanted: &&Certificate| {
            matches!(tls::decide(wanted, self.observed.certificate(wanted)), tls::Decision::Issue(_))
        };
        let mut wanted = self.sets.iter().filter_map(|set| set.certificate.as_ref()).filter(issued);
        wanted.any(|wanted| desired.configs.contains(&wanted.secret_key()))
    }

    fn pull_secrets(&mut self, index: usize, gate: &[Node]) -> Vec<Node> {
        let set = &self.sets[index];
        let current = |namespace: &String| self.live().is_some_and(|live| live.pull_secrets.contains(namespace));
        let outdated: Vec<&String> = set.pull_accounts.keys().filter(|namespace| !current(namespace)).collect();
        let step = |namespace: &String| {
            let id = object_step("registry", &pull_secret::key(namespace), &set.namespace);
            self.graph.add(id, gate, Action::ProvidePullSecret { set: index, namespace: namespace.clone() })
        };
        outdated.into_iter().map(step).collect()
    }

    fn has_stale_objects(&self, set: &DesiredSet) -> bool {
        self.live().is_some_and(|live| !stale_objects(set, live, self.options.prune_data).remove.is_empty())
    }

    fn inventory_differs(&self, set: &DesiredSet) -> bool {
        let Some(parent) = self.live().and_then(|live| live.parents.get(&set.parent())) else { return true };
        let wanted = inventory(set, &self.stack.name);
        wanted.kinds != parent.kinds || wanted.namespaces != parent.namespaces || !wanted.users.is_subset(&parent.users)
    }
}

/// What later waves build on.
fn must_be_ready_at_once(key: &Key) -> bool {
    key.kind == "CustomResourceDefinition"
}

fn secret_wave() -> u8 {
    desired::wave("Secret", "")
}

/// What the set's parent must say.
pub fn inventory(set: &DesiredSet, user: &str) -> Parent {
    let pull = set.pull_accounts.keys().map(|namespace| pull_secret::key(namespace));
    let made = || set.secrets.iter().map(GeneratedSecret::key).chain(certificate_keys(set)).chain(pull.clone());
    let keys = set.objects.iter().map(|object| object.object.key()).chain(made());
    Parent {
        name: set.parent(),
        id: set.applyset_id(),
        kinds: keys.clone().map(|key| KindRef::any_version(&key.group, &key.kind)).collect(),
        namespaces: keys.filter_map(|key| key.namespace).filter(|namespace| namespace != SYSTEM_NAMESPACE).collect(),
        users: (set.kind == SetKind::Component).then(|| user.to_owned()).into_iter().collect(),
        ..Parent::default()
    }
}

/// What `Action::IssueCertificate` writes.
fn certificate_keys(set: &DesiredSet) -> impl Iterator<Item = Key> + Clone {
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
        !candidates.remove.is_empty() || candidates.keep.is_empty()
    })
    .collect()
}

/// Objects that carry the set's label but are no longer declared.
pub fn stale_objects(set: &DesiredSet, live: &LiveState, prune_data: bool) -> Candidates {
    let made = set.secrets.iter().map(GeneratedSecret::key).chain(certificate_keys(set));
    let pull = set.pull_accounts.keys().map(|namespace| pull_secret::key(namespace));
    let declared = set.objects.iter().map(|object| object.object.key());
    let wanted: HashSet<Key> = declared.chain(made).chain(pull).collect();
    prune::candidates(&live.live, &set.applyset_id(), &wanted, prune_data)
}

#[cfg(test)]
mod tests;
