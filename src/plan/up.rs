//! The plan of `up` and `deploy`: from the stack and what is there to what is missing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Action, Graph, Node, Plan, object_step,
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
        model::{GeneratedSecret, Key, SetKind, Stack},
    },
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
}

/// Fails with `Kind::Preflight` where the cluster is not ours to use.
pub fn plan(stack: &Stack, options: &Options, observed: &Observed) -> Result<Plan> {
    let mut graph = Graph::default();
    let platform = platform(&mut graph, options, observed)?;
    let pushed = images(&mut graph, options, observed, platform.registry);
    if options.make_cluster {
        publish_registry(&mut graph, observed, &platform);
    }

    let references = observed.images.iter().map(|(service, image)| (service.clone(), image.pinned())).collect();
    let sets = desired::desired(stack, &references);
    // A pod that starts too early is restarted, later each time: nobody waits for these, so they can wait.
    let made = platform.made.filter(|_| sets.iter().any(|set| set.background));
    let network = made.map(|cluster| graph.add("cluster:network", &[cluster], Action::AwaitNetwork));
    let mut unchanged = 0;
    let mut ready: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    let mut everything: Vec<Node> = pushed.values().copied().collect();
    let mut awaited: Vec<Node> = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        let blocking = blocking_components(set, &sets);
        let mut gate: Vec<Node> = platform.cluster.into_iter().collect();
        gate.extend(blocking.iter().filter_map(|name| ready.get(*name)).flatten());
        gate.extend(network.filter(|_| set.background));
        let planned =
            SetPlanner { graph: &mut graph, stack, observed, options, pushed: &pushed, set, index }.plan(gate);
        unchanged += planned.unchanged;
        everything.extend(&planned.applied);
        awaited.extend(&planned.awaited);
        ready.insert(set.name.clone(), planned.awaited.into_iter().chain(planned.applied).collect());
    }
    everything.extend(awaited);
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

struct SetPlanner<'a> {
    graph: &'a mut Graph,
    stack: &'a Stack,
    observed: &'a Observed,
    options: &'a Options,
    pushed: &'a BTreeMap<String, Node>,
    set: &'a DesiredSet,
    index: usize,
}

struct PlannedSet {
    applied: Vec<Node>,
    awaited: Vec<Node>,
    unchanged: usize,
}

impl SetPlanner<'_> {
    fn plan(mut self, mut gate: Vec<Node>) -> PlannedSet {
        let mut planned = PlannedSet { applied: Vec::new(), awaited: Vec::new(), unchanged: 0 };
        let parent = self.set.parent();
        let changed: Vec<usize> = (0..self.set.objects.len()).filter(|&object| !self.is_unchanged(object)).collect();
        planned.unchanged = self.set.objects.len() - changed.len();
        let stale = self.has_stale_objects();
        if self.inventory_differs() || stale {
            let id = format!("inventory:{}", self.set.name);
            gate = vec![self.graph.add(id, &gate, Action::WriteInventory { set: self.index })];
        }

        let waves: BTreeSet<u8> = self.set.objects.iter().map(|object| object.wave).collect();
        let pods = desired::wave("Pod", "");
        let mut pull_secrets = Some(self.outdated_pull_secrets());
        for wave in waves {
            let mut ends = Vec::new();
            // Accounts come before it, and pods get what their account lists as they are made.
            if wave >= pods
                && let Some(namespaces) = pull_secrets.take().filter(|namespaces| !namespaces.is_empty())
            {
                gate = self.pull_secrets(namespaces, &gate);
                planned.applied.extend(&gate);
            }
            for &object in changed.iter().filter(|&&object| self.set.objects[object].wave == wave) {
                let apply = self.apply(object, &gate);
                ends.push(apply);
                planned.applied.push(apply);
                if self.must_be_ready_at_once(object) {
                    let ready = self.await_ready(object, &[apply]);
                    ends.push(ready);
                    planned.awaited.push(ready);
                }
            }
            // Secrets come with the configuration that they stand beside.
            if wave == self.secret_wave() {
                let secrets = self.secrets(&gate);
                ends.extend(&secrets);
                planned.applied.extend(secrets);
            }
            if let Some(joint) = self.graph.join(format!("wave:{parent}:{wave}"), &ends) {
                gate = vec![joint];
            }
        }
        if let Some(namespaces) = pull_secrets {
            let attached = self.pull_secrets(namespaces, &gate);
            planned.applied.extend(attached);
        }
        if stale {
            let needs = if planned.applied.is_empty() { gate } else { planned.applied.clone() };
            let id = format!("prune:{}", self.set.name);
            planned.applied.push(self.graph.add(id, &needs, Action::Prune { set: self.index }));
        }
        if !self.set.background || self.options.await_background {
            planned.awaited.extend(self.awaits(&changed, &planned.applied));
        }
        planned
    }

    fn live(&self) -> Option<&LiveState> {
        self.observed.live.as_ref()
    }

    fn is_unchanged(&self, object: usize) -> bool {
        let desired = &self.set.objects[object];
        let key = desired.object.key();
        let Some(live) = self.live() else { return false };
        if self.is_foreign_namespace(&key) {
            return true;
        }
        if desired.services.iter().any(|service| self.pushed.contains_key(service)) {
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

    fn apply(&mut self, object: usize, gate: &[Node]) -> Node {
        let desired: &DesiredObject = &self.set.objects[object];
        let mut needs = gate.to_vec();
        needs.extend(desired.services.iter().filter_map(|service| self.pushed.get(service)));
        let id = object_step("apply", &desired.object.key(), &self.set.namespace);
        self.graph.add(id, &needs, Action::Apply { set: self.index, object })
    }

    fn await_ready(&mut self, object: usize, needs: &[Node]) -> Node {
        let id = object_step("await", &self.set.objects[object].object.key(), &self.set.namespace);
        self.graph.add(id, needs, Action::Await { set: self.index, object })
    }

    /// What later waves build on.
    fn must_be_ready_at_once(&self, object: usize) -> bool {
        self.set.objects[object].object.key().kind == "CustomResourceDefinition"
    }

    fn awaits(&mut self, changed: &[usize], applied: &[Node]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for object in 0..self.set.objects.len() {
            let key = self.set.objects[object].object.key();
            if !readiness::is_awaited(&key) || self.must_be_ready_at_once(object) || self.is_foreign_namespace(&key) {
                continue;
            }
            let was_ready = self.live().is_some_and(|live| live.ready.contains(&key));
            if was_ready && !changed.contains(&object) {
                continue;
            }
            // Whatever is not ready may be waiting for any object of the set, so the whole set comes first.
            nodes.push((object, key));
        }
        let Some(gate) = (!nodes.is_empty()).then(|| self.graph.join(format!("applied:{}", self.set.name), applied))
        else {
            return Vec::new();
        };
        let gate: Vec<Node> = gate.into_iter().collect();
        nodes.into_iter().map(|(object, _)| self.await_ready(object, &gate)).collect()
    }

    fn secret_wave(&self) -> u8 {
        desired::wave("Secret", "")
    }

    fn secrets(&mut self, gate: &[Node]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (secret, generated) in self.set.secrets.iter().enumerate() {
            let key = generated.key();
            if self.live().is_some_and(|live| live.live.objects.contains_key(&key)) {
                continue;
            }
            let id = object_step("generate", &key, &self.set.namespace);
            nodes.push(self.graph.add(id, gate, Action::CreateSecret { set: self.index, secret }));
        }
        nodes
    }

    fn outdated_pull_secrets(&self) -> Vec<String> {
        let current = |namespace: &String| self.live().is_some_and(|live| live.pull_secrets.contains(namespace));
        self.set.pull_accounts.keys().filter(|namespace| !current(namespace)).cloned().collect()
    }

    fn pull_secrets(&mut self, namespaces: Vec<String>, gate: &[Node]) -> Vec<Node> {
        let step = |namespace: String| {
            let key = pull_secret::key(&namespace);
            let id = object_step("registry", &key, &self.set.namespace);
            self.graph.add(id, gate, Action::ProvidePullSecret { set: self.index, namespace })
        };
        namespaces.into_iter().map(step).collect()
    }

    fn has_stale_objects(&self) -> bool {
        self.live().is_some_and(|live| !stale_objects(self.set, live, self.options.prune_data).remove.is_empty())
    }

    fn inventory_differs(&self) -> bool {
        let Some(parent) = self.live().and_then(|live| live.parents.get(&self.set.parent())) else { return true };
        let wanted = inventory(self.set, &self.stack.name);
        wanted.kinds != parent.kinds || wanted.namespaces != parent.namespaces || !wanted.users.is_subset(&parent.users)
    }
}

/// What the set's parent must say.
pub fn inventory(set: &DesiredSet, user: &str) -> Parent {
    let secret = (!set.secrets.is_empty() || !set.pull_accounts.is_empty()).then(|| KindRef::any_version("", "Secret"));
    let keys = set.objects.iter().map(|object| object.object.key());
    Parent {
        name: set.parent(),
        id: set.applyset_id(),
        kinds: keys.clone().map(|key| KindRef::any_version(&key.group, &key.kind)).chain(secret).collect(),
        namespaces: keys.filter_map(|key| key.namespace).filter(|namespace| namespace != SYSTEM_NAMESPACE).collect(),
        users: (set.kind == SetKind::Component).then(|| user.to_owned()).into_iter().collect(),
        ..Parent::default()
    }
}

/// Objects that carry the set's label but are no longer declared.
pub fn stale_objects(set: &DesiredSet, live: &LiveState, prune_data: bool) -> Candidates {
    let secrets = set.secrets.iter().map(GeneratedSecret::key);
    let pull = set.pull_accounts.keys().map(|namespace| pull_secret::key(namespace));
    let declared = set.objects.iter().map(|object| object.object.key());
    let wanted: HashSet<Key> = declared.chain(secrets).chain(pull).collect();
    prune::candidates(&live.live, &set.applyset_id(), &wanted, prune_data)
}

#[cfg(test)]
mod tests;
