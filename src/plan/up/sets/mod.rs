//! The part of the plan that brings sets of objects to the cluster: their inventories, waves, Secrets, and waiting.

mod freed;
mod webhooks;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeTo,
};

use serde_json::Value;

use super::{
    Options, edge,
    held::{Held, held},
    inventory_with, stale_objects,
};
use crate::{
    kube::{
        PART_OF,
        noop::{self, Verdict},
        pull_secret,
        readiness::{
            self, Surroundings,
            references::{self, Reference},
        },
    },
    object::json,
    plan::{
        Action, Graph, Node,
        applied::as_applied,
        observed::{LiveState, Observed},
    },
    stack::{
        desired::{self, DesiredObject, DesiredSet},
        model::{Scope, SetKind, Stack},
    },
    tls,
};
use crate::{
    object::{Key, balancer},
    tls::wanted::Certificate,
};

/// The first wave with pods.
const WORKLOADS: u8 = 4;

/// What the plan of all sets starts from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub stack: &'a Stack,
    pub observed: &'a Observed,
    pub options: &'a Options,
    /// By service: after it its image can be pulled.
    pub pushed: &'a BTreeMap<String, Node>,
    pub sets: &'a [DesiredSet],
    /// After it there is an API server.
    pub cluster: Option<Node>,
    /// And after this one its Services can be reached.
    pub network: Option<Node>,
}

struct SetPlanner<'a> {
    graph: &'a mut Graph,
    given: Inputs<'a>,
    /// By set: all after which it is ready.
    ready: BTreeMap<String, Vec<Node>>,
    /// ConfigMaps and Secrets that are written.
    configs: BTreeMap<Key, Node>,
    /// Objects that are waited for.
    awaited: BTreeMap<Key, Node>,
    /// What only one object can have, by the step after which it is free.
    freed: BTreeMap<Held, Node>,
}

/// A set of which the first waves are planned.
struct Begun {
    index: usize,
    changed: Vec<usize>,
    /// What left it, and is not gone before anything is applied.
    stale: Vec<Key>,
    /// What the next wave needs.
    gate: Vec<Node>,
    /// The first wave that is not planned yet.
    next: u8,
    /// After it the set's namespace is there.
    namespace: Option<Node>,
    planned: PlannedSet,
}

/// The steps of a set.
#[derive(Default)]
pub struct PlannedSet {
    pub applied: Vec<Node>,
    pub awaited: Vec<Node>,
    /// Objects that are as they should be.
    pub unchanged: usize,
}

/// Plans them in the order in which they build on each other.
pub fn plan(graph: &mut Graph, given: Inputs<'_>) -> Vec<PlannedSet> {
    let (mut shared, mut scoped, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for (index, set) in given.sets.iter().enumerate() {
        match (set.kind, set.scope) {
            (SetKind::Stack, _) => own.push(index),
            (SetKind::Component, Scope::Cluster) => shared.push(index),
            (SetKind::Component, Scope::Stack) => scoped.push(index),
        }
    }
    let mut planner = SetPlanner {
        graph,
        given,
        ready: BTreeMap::new(),
        configs: BTreeMap::new(),
        awaited: BTreeMap::new(),
        freed: BTreeMap::new(),
    };
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
    planned
}

impl<'a> SetPlanner<'a> {
    fn whole(&mut self, index: usize) -> PlannedSet {
        let begun = self.begin(index, ..0);
        self.finish(begun)
    }

    /// The waves before `waves.end`.
    fn begin(&mut self, index: usize, waves: RangeTo<u8>) -> Begun {
        let set = &self.given.sets[index];
        let mut gate: Vec<Node> = self.given.cluster.into_iter().collect();
        let blocking = blocking_components(set, self.given.sets);
        gate.extend(blocking.iter().filter_map(|name| self.ready.get(*name)).flatten());
        gate.extend(self.given.network.filter(|_| set.background));
        let changed: Vec<usize> =
            (0..set.objects.len()).filter(|&object| !self.is_unchanged(set, &set.objects[object])).collect();
        let planned = PlannedSet { unchanged: set.objects.len() - changed.len(), ..PlannedSet::default() };
        let mut begun = Begun { index, changed, stale: Vec::new(), gate, next: 0, namespace: None, planned };
        self.prune_first(&mut begun);
        if waves.end > 0 {
            self.inventory(&mut begun);
            self.relax(&mut begun);
            self.waves(&mut begun, waves.end);
        }
        begun
    }

    /// All that is left of it.
    fn finish(&mut self, mut begun: Begun) -> PlannedSet {
        let set = &self.given.sets[begun.index];
        if begun.next == 0 {
            self.inventory(&mut begun);
            self.relax(&mut begun);
        }
        self.waves(&mut begun, u8::MAX);
        let Begun { index, changed, stale, gate, mut planned, .. } = begun;
        if self.has_stale_objects(set) {
            let needs = if planned.applied.is_empty() { gate } else { planned.applied.clone() };
            let prune = Action::Prune { set: index };
            let id = self.graph.set_step("prune", set);
            planned.applied.push(self.graph.add_deletion(id, &needs, prune, stale));
        }
        if !set.background || self.given.options.await_background {
            let awaits = self.awaits(index, &changed, &planned.applied);
            planned.awaited.extend(awaits);
        }
        self.ready.insert(set.name.clone(), planned.awaited.iter().chain(&planned.applied).copied().collect());
        planned
    }

    fn inventory(&mut self, begun: &mut Begun) {
        let set = &self.given.sets[begun.index];
        if self.inventory_differs(set) || self.has_stale_objects(set) {
            let id = self.graph.set_step("inventory", set);
            begun.gate = vec![self.graph.add(id, &begun.gate, Action::WriteInventory { set: begun.index })];
        }
    }

    /// The waves from the next one to the one before `end`.
    fn waves(&mut self, begun: &mut Begun, end: u8) {
        let (index, set) = (begun.index, &self.given.sets[begun.index]);
        let mut waves: BTreeSet<u8> = set.objects.iter().map(|object| object.wave).collect();
        let secrets = !set.secrets.is_empty() || set.certificate.is_some() || !set.pull_accounts.is_empty();
        waves.extend(secrets.then(secret_wave));
        let now = begun.next..end;
        for wave in waves.into_iter().filter(|wave| now.contains(wave)) {
            let mut ends = Vec::new();
            for object in self.freeing_first(set, &begun.changed, wave) {
                let key = set.objects[object].object.key();
                let mut needs = self.behind_webhooks(begun, object);
                needs.extend(&begun.gate);
                let apply = self.apply(index, object, &needs);
                ends.push(apply);
                begun.planned.applied.push(apply);
                let freed = self.freed_by(&set.objects[object]);
                self.freed.extend(freed.into_iter().map(|held| (held, apply)));
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
                let address = self.address(index, &begun.gate, &begun.planned.applied);
                ends.extend(address);
                let gate: Vec<Node> = begun.gate.iter().copied().chain(address).collect();
                let certificate = self.certificate(index, &gate);
                ends.extend(certificate);
                begun.planned.applied.extend(certificate);
            }
            if let Some(barrier) = self.graph.join(format!("wave:{}:{wave}", set.parent()), &ends) {
                begun.gate = vec![barrier];
            }
        }
        begun.next = end;
    }

    fn live(&self) -> Option<&'a LiveState> {
        self.given.observed.live.as_ref()
    }

    fn is_unchanged(&self, set: &DesiredSet, desired: &DesiredObject) -> bool {
        let key = desired.object.key();
        let Some(live) = self.live() else { return false };
        if live.leaves_alone(&set.applyset_id(), &key) {
            return true;
        }
        if desired.services.iter().any(|service| self.given.pushed.contains_key(service)) {
            return false;
        }
        if self.awaits_certificate(desired) || self.may_be_going(set) {
            return false;
        }
        let Some(there) = live.live.objects.get(&key) else { return false };
        let wanted = as_applied(desired, Some(there));
        noop::unchanged(&wanted, there) == Verdict::Same
            || live.known.as_ref().is_some_and(|known| known.is_known(&wanted, there))
    }

    /// Whether another run may be removing the set: whoever removes it takes off its last user first, so what is there
    /// of it may be gone by the time the stack has joined.
    fn may_be_going(&self, set: &DesiredSet) -> bool {
        let recorded = self.live().and_then(|live| live.parents.get(&set.parent()));
        set.kind == SetKind::Component && recorded.is_some_and(|parent| parent.users.is_empty())
    }

    fn apply(&mut self, set: usize, object: usize, gate: &[Node]) -> Node {
        let desired: &DesiredObject = &self.given.sets[set].objects[object];
        let mut needs = gate.to_vec();
        needs.extend(desired.services.iter().filter_map(|service| self.given.pushed.get(service)));
        // Of another set: what of its own set is in an earlier wave is in the gate.
        if self.given.sets[set].scope == Scope::Stack {
            needs.extend(desired.configs.iter().filter_map(|key| self.configs.get(key)));
        }
        needs.extend(held(&desired.object.value).iter().filter_map(|wanted| self.freed.get(wanted)));
        let id = self.graph.object_step("apply", &desired.object.key(), &self.given.sets[set].namespace);
        self.graph.add(id, &needs, Action::Apply { set, object })
    }

    fn await_ready(&mut self, set: usize, object: usize, needs: &[Node]) -> Node {
        let id = self.graph.object_step(
            "await",
            &self.given.sets[set].objects[object].object.key(),
            &self.given.sets[set].namespace,
        );
        let node = self.graph.add(id, needs, Action::Await { set, object });
        self.awaited.insert(self.given.sets[set].objects[object].object.key(), node);
        node
    }

    fn awaits(&mut self, index: usize, changed: &[usize], applied: &[Node]) -> Vec<Node> {
        let set = &self.given.sets[index];
        let mut nodes = Vec::new();
        for object in 0..set.objects.len() {
            let key = set.objects[object].object.key();
            let awaited = readiness::is_awaited(&key) || self.may_be_idle(&set.objects[object].object.value);
            if !awaited || must_be_ready_at_once(&key) || self.awaited.contains_key(&key) {
                continue;
            }
            let was_ready = self.live().is_some_and(|live| live.ready.contains(&key));
            if was_ready && !changed.contains(&object) {
                continue;
            }
            // Whatever is not ready may be waiting for any object of the set, so the whole set comes first.
            nodes.push((object, key));
        }
        let Some(gate) = (!nodes.is_empty()).then(|| self.graph.join(format!("applied:{}", set.parent()), applied))
        else {
            return Vec::new();
        };
        let gate: Vec<Node> = gate.into_iter().collect();
        nodes.into_iter().map(|(object, _)| self.await_ready(index, object, &gate)).collect()
    }

    /// Whether it is of use only with something that the run does not bring along.
    fn may_be_idle(&self, object: &Value) -> bool {
        let named = references::of_object(object, &Surroundings::default());
        let is_made = |wanted: &Reference| {
            let mut objects = self.given.sets.iter().flat_map(|set| &set.objects).map(|object| object.object.key());
            objects.any(|key| key.kind == wanted.kind && key.name == wanted.name)
        };
        readiness::may_be_idle(object) && (named.is_empty() || !named.iter().all(is_made))
    }

    fn secrets(&mut self, index: usize, gate: &[Node]) -> Vec<Node> {
        let set = &self.given.sets[index];
        let mut nodes = Vec::new();
        for (secret, generated) in set.secrets.iter().enumerate() {
            let key = generated.key();
            let there = self.live().and_then(|live| live.live.objects.get(&key));
            // Where another set of the stack had it, it is handed over.
            if !self.may_be_going(set)
                && there.is_some_and(|there| json::label(there, PART_OF) == Some(&set.applyset_id()))
            {
                continue;
            }
            let id = self.graph.object_step("generate", &key, &set.namespace);
            let made = self.graph.add(id, gate, Action::CreateSecret { set: index, secret });
            self.configs.insert(key, made);
            nodes.push(made);
        }
        nodes
    }

    /// The name of the load balancer is part of the certificate, so it is known before that is issued, and before the pods
    /// that have it. None: there is none, or its name is known. `applied`: what is applied before or beside it.
    fn address(&mut self, index: usize, gate: &[Node], applied: &[Node]) -> Option<Node> {
        let set = &self.given.sets[index];
        set.certificate.as_ref()?.service.as_ref()?;
        let object = edge::public(set)?;
        let key = set.objects[object].object.key();
        let there = self.live().and_then(|live| live.live.objects.get(&key));
        if there.is_some_and(|there| !json::is_being_deleted(there) && balancer::host(there).is_some()) {
            return None;
        }
        let apply = Action::Apply { set: index, object };
        let applies = applied.iter().copied().filter(|node| self.graph.steps[node.0].action == apply);
        let needs: Vec<Node> = gate.iter().copied().chain(applies).collect();
        let id = self.graph.object_step("address", &key, &set.namespace);
        Some(self.graph.add(id, &needs, Action::AwaitAddress { set: index, object }))
    }

    fn certificate(&mut self, index: usize, gate: &[Node]) -> Option<Node> {
        let set = &self.given.sets[index];
        let wanted = set.certificate.as_ref()?;
        if !tls::decision::is_due(wanted, self.given.observed.certificate(wanted)) {
            return None;
        }
        let id = self.graph.object_step("certificate", &wanted.secret_key(), &set.namespace);
        let node = self.graph.add(id, gate, Action::IssueCertificate { set: index });
        self.configs.extend([wanted.secret_key(), wanted.bundle_key()].map(|key| (key, node)));
        Some(node)
    }

    /// Whether its pods see a certificate that will be another one.
    fn awaits_certificate(&self, desired: &DesiredObject) -> bool {
        let issued = |wanted: &&Certificate| {
            matches!(tls::decide(wanted, self.given.observed.certificate(wanted)), tls::Decision::Issue(_))
        };
        let mut wanted = self.given.sets.iter().filter_map(|set| set.certificate.as_ref()).filter(issued);
        wanted.any(|wanted| desired.configs.contains(&wanted.secret_key()))
    }

    fn pull_secrets(&mut self, index: usize, gate: &[Node]) -> Vec<Node> {
        let set = &self.given.sets[index];
        let current = |namespace: &String| {
            !self.may_be_going(set) && self.live().is_some_and(|live| live.pull_secrets.contains(namespace))
        };
        let outdated: Vec<&String> = set.pull_accounts.keys().filter(|namespace| !current(namespace)).collect();
        let step = |namespace: &String| {
            let id = self.graph.object_step("registry", &pull_secret::key(namespace), &set.namespace);
            self.graph.add(id, gate, Action::ProvidePullSecret { set: index, namespace: namespace.clone() })
        };
        outdated.into_iter().map(step).collect()
    }

    fn has_stale_objects(&self, set: &DesiredSet) -> bool {
        self.live().is_some_and(|live| !stale_objects(set, live, self.given.options.prune_data).is_done())
    }

    fn inventory_differs(&self, set: &DesiredSet) -> bool {
        let Some((live, parent)) = self.live().and_then(|live| Some((live, live.parents.get(&set.parent())?))) else {
            return true;
        };
        let kept = stale_objects(set, live, self.given.options.prune_data).keep;
        let wanted = inventory_with(set, self.given.stack, &kept);
        wanted.kinds != parent.kinds
            || wanted.namespaces != parent.namespaces
            || wanted.origin() != parent.origin()
            || !wanted.users.is_subset(&parent.users)
    }
}

/// What later waves build on.
fn must_be_ready_at_once(key: &Key) -> bool {
    key.kind == "CustomResourceDefinition"
}

fn secret_wave() -> u8 {
    desired::wave("Secret", "")
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
