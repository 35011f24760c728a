//! From what is wanted and what is there to a graph of steps. Pure: no I/O, no clock, no randomness.

pub mod applied;
pub mod document;
pub mod down;
pub mod expected;
mod groups;
pub mod images;
pub mod job;
pub mod load;
pub mod observed;
pub mod origin;
pub mod summary;
pub mod test;
pub mod up;

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use observed::Observed;
use serde::Serialize;
use serde_json::Value;
use up::aside::Aside;

use crate::object::{Key, podspec};
use crate::{
    event::{PlannedStep, StepId},
    kube::ownership::holds::Kept,
    provider::{
        self, RegistryState,
        step::{Gives, Planned},
    },
    stack::{
        desired::{self, DesiredSet},
        facts::Facts,
        model::{SetKind, Stack},
    },
    tls,
};

/// Steps in an order in which each comes after all that it needs.
#[derive(Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// What `Apply`, `Prune` and `WriteInventory` refer to by index.
    pub sets: Vec<DesiredSet>,
    /// Objects that are as they should be.
    pub unchanged: usize,
    /// Components that are not ready and that nobody waits for.
    pub starting: Vec<String>,
    /// Left the stack and stays.
    pub kept: Vec<Kept>,
    /// Components in place of which somebody else's objects are used.
    pub aside: Vec<Aside>,
}

#[derive(Debug)]
pub struct Step {
    pub id: StepId,
    /// Indices of earlier steps.
    pub needs: Vec<usize>,
    pub action: Action,
    /// Objects that it deletes, as far as it is known.
    pub deletes: Vec<Key>,
}

/// What a step does, as plain data; `execute::actions` knows how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// A barrier of the graph that does nothing itself: the end of a wave.
    Barrier,
    /// What only the cluster's provider knows how to do.
    Provider(provider::step::Step),
    /// Until then connections to Services are refused, which some programs take for the end.
    AwaitNetwork,
    Build {
        service: String,
    },
    Push {
        service: String,
    },
    /// Brings images to the nodes of a cluster that is being made.
    Preload {
        images: Images,
    },
    /// Gives an image in the registry a further tag.
    Tag {
        service: String,
        tag: String,
    },
    /// Builds and pushes the image that proofs run from.
    ProvideAgent,
    WriteInventory {
        set: usize,
    },
    CreateSecret {
        set: usize,
        secret: usize,
    },
    /// Issues the set's certificate, or renews it, and tells clients in the cluster whose signature it bears.
    IssueCertificate {
        set: usize,
    },
    /// The Secret with which nodes pull from a private registry, and its place in ServiceAccounts.
    ProvidePullSecret {
        set: usize,
        namespace: String,
    },
    Apply {
        set: usize,
        object: usize,
    },
    /// Lets pass what a webhook does not answer, while the pods that answer it are replaced: they may be among what it has
    /// to admit.
    RelaxWebhook {
        set: usize,
        object: usize,
    },
    /// What left the set and holds what another object needs goes before that one is applied.
    PruneFirst {
        set: usize,
    },
    Prune {
        set: usize,
    },
    /// Waits until a Service has the name of its load balancer.
    AwaitAddress {
        set: usize,
        object: usize,
    },
    /// Waits for an object to be ready. The set tells where it was declared.
    Await {
        set: usize,
        object: usize,
    },
    CollectGarbage,
    /// Brings back what a proof has changed for a while whose run was killed.
    EndDisruption,
    Prove,
    /// Puts the load on from pods in the cluster.
    Load {
        url: String,
        workers: u32,
    },
    /// Waits until what the load scaled up is back at its minimum.
    AwaitScaleDown,
    /// Runs a job of the stack to its end and removes its Job, which is made for it.
    RunJob {
        object: Value,
        timeout_seconds: u64,
    },
    DeleteSet {
        kind: SetKind,
        name: String,
    },
    /// Takes the stack off the users of a component that others still use; if by then none does, it goes.
    LeaveComponent {
        name: String,
    },
    /// The namespace of the sets' records, once no stack is left.
    DeleteInventory,
}

/// Which images: one of the stack's own, or what a component's manifests name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Images {
    Service(String),
    Named(BTreeSet<String>),
}

impl Action {
    /// Whether it writes a part of its set: of such steps there are many.
    fn writes(&self) -> bool {
        matches!(
            self,
            Action::WriteInventory { .. }
                | Action::CreateSecret { .. }
                | Action::ProvidePullSecret { .. }
                | Action::Apply { .. }
        )
    }

    /// The Job that it runs.
    pub fn job(&self) -> Option<&Value> {
        match self {
            Action::RunJob { object, .. } => Some(object),
            _ => None,
        }
    }

    /// Steps that leave nothing half done when they are stopped at once.
    pub fn only_waits(&self) -> bool {
        matches!(
            self,
            Action::Await { .. }
                | Action::AwaitAddress { .. }
                | Action::AwaitNetwork
                | Action::Preload { .. }
                | Action::Prove
                | Action::Load { .. }
                | Action::AwaitScaleDown
        )
    }

    /// Only makes others faster: when all else is done it is dropped where it stands, so nothing but another optional
    /// step may need one.
    pub fn is_optional(&self) -> bool {
        matches!(self, Action::Preload { .. })
    }
}

impl Plan {
    /// The graph as the report and `--output json` show it.
    pub fn outline(&self) -> Vec<PlannedStep> {
        let named = |step: &Step| PlannedStep {
            id: Arc::clone(&step.id),
            needs: step.needs.iter().map(|&need| Arc::clone(&self.steps[need].id)).collect(),
            hidden: matches!(step.action, Action::Barrier),
            group: step.group(&self.sets),
            writes: step.action.writes(),
            deletes: step.deletes.iter().map(Key::place).collect(),
        };
        self.steps.iter().map(named).collect()
    }

    /// The same, its steps named as those of this stack: for a run of several.
    pub fn of_stack(mut self, stack: &str) -> Plan {
        for step in &mut self.steps {
            step.id = format!("{stack}/{}", step.id).into();
        }
        self
    }

    pub fn has(&self, action: &Action) -> bool {
        self.steps.iter().any(|step| step.action == *action)
    }

    fn provided(&self) -> impl Iterator<Item = &provider::step::Step> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Provider(step) => Some(step),
            _ => None,
        })
    }

    pub fn makes_cluster(&self) -> bool {
        self.provided().any(provider::step::Step::makes_cluster)
    }

    pub fn removes_cluster(&self) -> bool {
        self.provided().any(provider::step::Step::removes_cluster)
    }

    /// Whether ports of this machine that were asked for are taken by it.
    pub fn takes_ports(&self) -> bool {
        self.provided().any(provider::step::Step::takes_ports)
    }
}

/// Names a step within a graph under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(usize);

/// Builds a plan; a step can only need steps added before it, so the graph has no cycle. All that follows a step (the
/// report, the timings) knows it by its id, so no two have the same.
#[derive(Debug, Default)]
pub struct Graph {
    steps: Vec<Step>,
    ids: HashSet<StepId>,
}

impl Graph {
    /// An id that another step has already is numbered.
    pub fn add(&mut self, id: impl fmt::Display, needs: &[Node], action: Action) -> Node {
        let id = id.to_string();
        let numbered = (2..).map(|nth: usize| format!("{id}#{nth}"));
        let free = std::iter::once(id.clone()).chain(numbered).find(|id| !self.ids.contains(id.as_str()));
        let id: StepId = free.unwrap_or(id).into();
        self.ids.insert(Arc::clone(&id));
        let mut needs: Vec<usize> = needs.iter().map(|node| node.0).collect();
        needs.sort_unstable();
        needs.dedup();
        debug_assert!(action.is_optional() || !needs.iter().any(|&need| self.steps[need].action.is_optional()));
        self.steps.push(Step { id, needs, action, deletes: Vec::new() });
        Node(self.steps.len() - 1)
    }

    /// As `add`, of a step that deletes these objects.
    pub fn add_deletion(&mut self, id: impl fmt::Display, needs: &[Node], action: Action, deletes: Vec<Key>) -> Node {
        let node = self.add(id, needs, action);
        self.steps[node.0].deletes = deletes;
        node
    }

    /// Adds steps of the provider, which need each other by their ids. `after`: what puts the object that one of them reads
    /// into the state that it is to be seen in.
    fn add_provided(&mut self, steps: Vec<Planned>, after: Option<Node>) -> Vec<(Option<Gives>, Node)> {
        let add = |planned: Planned| {
            let earlier = planned.needs.iter().filter_map(|need| self.find(need));
            let after = after.filter(|_| planned.step.reads().is_some());
            let needs: Vec<Node> = earlier.chain(after).collect();
            (planned.gives, self.add(planned.id, &needs, Action::Provider(planned.step)))
        };
        steps.into_iter().map(add).collect()
    }

    fn find(&self, id: &str) -> Option<Node> {
        self.steps.iter().position(|step| *step.id == *id).map(Node)
    }

    /// The first of several names for a step, from short to full, that no other step has; the last one where all are taken.
    fn unused(&self, names: impl IntoIterator<Item = String>) -> String {
        let mut last = String::new();
        for name in names {
            if !self.ids.contains(name.as_str()) {
                return name;
            }
            last = name;
        }
        last
    }

    /// `apply:Deployment/hello-service`. A namespace other than the set's own is named too, and so is what tells the
    /// object from another one of that kind and name.
    fn object_step(&self, verb: &str, key: &Key, set_namespace: &str) -> String {
        let namespaced = |namespace: &str| format!("{verb}:{namespace}/{key}");
        let group = if key.group.is_empty() { "core" } else { &key.group };
        let full = match &key.namespace {
            Some(namespace) => format!("{verb}:{namespace}/{}.{group}/{}", key.kind, key.name),
            None => format!("{verb}:{}.{group}/{}", key.kind, key.name),
        };
        let short =
            Some(format!("{verb}:{key}")).filter(|_| key.namespace.as_deref().is_none_or(|it| it == set_namespace));
        self.unused(short.into_iter().chain(key.namespace.as_deref().map(namespaced)).chain([full]))
    }

    /// `inventory:hello`; a set that is called like another one gets its kind in front.
    fn set_step(&self, verb: &str, set: &DesiredSet) -> String {
        self.unused([format!("{verb}:{}", set.name), format!("{verb}:{}", set.parent().replacen('-', "/", 1))])
    }

    /// One node that stands for all of `needs`; none and one need no barrier.
    pub fn join(&mut self, id: impl fmt::Display, needs: &[Node]) -> Option<Node> {
        match needs {
            [] => None,
            [only] => Some(*only),
            _ => Some(self.add(id, needs, Action::Barrier)),
        }
    }
}

impl From<Graph> for Plan {
    fn from(graph: Graph) -> Plan {
        Plan { steps: graph.steps, ..Plan::default() }
    }
}

/// The objects as they should be, with images and certificates as far as they are known.
pub fn desired_sets(stack: &Stack, observed: &Observed) -> Vec<DesiredSet> {
    let images = observed.images.iter().map(|(service, image)| (service.clone(), image.pinned())).collect();
    let known = observed.live.as_ref().map(|live| live.facts.clone()).unwrap_or_default();
    let facts = Facts { pull_secret: observed.pull_secret, ..known };
    let mut sets = desired::desired_in(stack, &images, &facts);
    let serials = sets.iter().filter_map(|set| {
        let wanted = set.certificate.as_ref()?;
        let decision = tls::decide(wanted, observed.certificate(wanted));
        Some((wanted.secret.clone(), decision.serial()?.to_owned()))
    });
    let serials = serials.collect();
    let stored = observed.provider.registry == RegistryState::None;
    let is_stored = |image: &str| observed.images.values().any(|own| own.pinned() == image);
    for object in sets.iter_mut().flat_map(|set| &mut set.objects) {
        desired::mark_certificates(&mut object.object.value, &serials);
        if stored {
            podspec::use_stored_images(&mut object.object.value, is_stored);
        }
    }
    sets
}
