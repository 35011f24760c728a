//! The plan of `down`: a stack with the components that nobody else uses, or the whole cluster.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::{
    Action, Graph, Node, Plan,
    observed::{LiveState, Observed, new_owner},
};
use crate::object::Key;
use crate::{
    error::{Error, Kind, Result},
    kube::ownership::{holds::is_namespace, prune},
    object::json,
    provider::{self, ClusterState},
    stack::{
        self, closest, desired,
        model::{SetKind, instance_name},
    },
};

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The stack's name.
    pub stack: String,
    /// Every other stack on record goes too.
    pub all: bool,
    /// Its components that no other stack has, as far as it can still be read.
    pub instances: Vec<String>,
    /// It can be read, or comes with stackctl.
    pub known: bool,
    /// `--cluster`: the cluster too, whatever else runs in it.
    pub cluster: bool,
    /// Volumes go too, and what holds objects of others.
    pub prune_data: bool,
    /// What was taken over from others goes too.
    pub delete_adopted: bool,
    /// Only the plan is wanted, with all that it would delete.
    pub dry_run: bool,
}

impl Options {
    /// Whether no other stack stays in the cluster.
    pub fn is_last(&self, live: &LiveState) -> bool {
        self.all || live.stacks().all(|stack| stack == self.stack)
    }

    /// The command that takes the cluster along. With its stack: there are providers with which each has a cluster.
    pub fn whole_command(&self) -> String {
        match self.stack.as_str() {
            "" => "stackctl down --cluster".to_owned(),
            stack => format!("stackctl down {stack} --cluster"),
        }
    }

    fn is_there(&self, live: &LiveState) -> bool {
        live.stacks().any(|stack| stack == self.stack)
            || live.has_members(SetKind::Stack, &self.stack)
            || live.instances(&self.stack).next().is_some()
    }
}

/// Fails with `Kind::Preflight` where the cluster is not ours to remove, and with `Kind::Usage` where nobody knows the
/// stack.
pub fn plan(options: &Options, observed: &Observed) -> Result<Plan> {
    let live = observed.live.as_ref();
    let last = live.is_none_or(|live| options.is_last(live));
    match &observed.provider.cluster {
        ClusterState::Foreign { why } => {
            Err(Error::new(Kind::Preflight, "the cluster was not made by stackctl, so stackctl does not remove it")
                .cause(why))
        }
        _ if options.cluster && !observed.traits.is_ours() => {
            Err(Error::new(Kind::Preflight, "the cluster was not made by stackctl, so stackctl does not remove it")
                .hint(format!("without --cluster the stack alone is removed: stackctl down {}", options.stack)))
        }
        // What cannot be looked into can still be removed when it is ours alone.
        ClusterState::Unreachable { why } if !observed.traits.is_ours() => Err(Error::new(Kind::Platform, why.clone())),
        ClusterState::Ours { stopped: true } if !options.cluster => Err(Error::new(
            Kind::Preflight,
            "the cluster is stopped, so its stacks cannot be looked at",
        )
        .hint(format!("`stackctl start` wakes it; `{}` removes it with all that it holds", options.whole_command()))),
        _ if is_blind(observed) && !options.cluster => {
            Err(Error::new(Kind::Platform, "cannot list the cluster's contents: the API server does not answer")
                .hint(format!("try again; `{}` removes it with all that it holds", options.whole_command())))
        }
        // What is half made holds no stack yet, and may belong to one that can no longer be read.
        ClusterState::HalfMade { .. } if options.cluster => Ok(whole_cluster(options, observed)),
        _ if !options.known && !live.is_some_and(|live| options.is_there(live)) => Err(unknown(options, live)),
        _ if observed.traits.is_ours() && (options.cluster || last && stays(options, observed).is_empty()) => {
            Ok(whole_cluster(options, observed))
        }
        _ => Ok(one_stack(options, observed)),
    }
}

fn unknown(options: &Options, live: Option<&LiveState>) -> Error {
    let stack = options.stack.as_str();
    let mut known: Vec<String> = stack::list().into_iter().map(|stack| stack.name).collect();
    known.extend(live.iter().flat_map(|live| live.stacks()).map(str::to_owned));
    known.sort();
    known.dedup();
    let error = Error::new(Kind::Usage, format!("no stack named {stack}"))
        .cause("it is no stack of stackctl's own, there is no folder of it, and the cluster has none of that name");
    let error = match closest(stack, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error,
    };
    let there: Vec<&str> = live.iter().flat_map(|live| live.stacks()).collect();
    match there.as_slice() {
        [] => error.hint(format!("`{}` removes the cluster with all that it holds", options.whole_command())),
        there => error.hint(format!("the cluster has {}", there.join(", "))),
    }
}

fn whole_cluster(options: &Options, observed: &Observed) -> Plan {
    let mut graph = Graph::default();
    graph.add_provided(provider::plan::take_down(&observed.provider, options.prune_data), None);
    graph.into()
}

/// Why the cluster does not go with its last stack: what else lives in it. Empty where other stacks keep it anyway.
pub fn stays(options: &Options, observed: &Observed) -> Vec<String> {
    let asked = |live: &&LiveState| observed.traits.is_ours() && !options.cluster && options.is_last(live);
    let Some(live) = observed.live.as_ref().filter(asked) else { return Vec::new() };
    let safe = options.prune_data || observed.traits.volumes_outlive_it;
    if live.foreign.is_empty(safe) { Vec::new() } else { live.foreign.lines() }
}

/// All else that a removal of the cluster takes with it.
pub fn others(options: &Options, observed: &Observed) -> Vec<String> {
    let Some(live) = observed.live.as_ref().filter(|_| options.cluster && observed.traits.is_ours()) else {
        return Vec::new();
    };
    let stacks = live.stacks().filter(|stack| *stack != options.stack).map(|stack| format!("stack {stack}"));
    stacks.chain(live.foreign.lines()).collect()
}

/// Whether a running cluster could not be looked into.
pub fn is_blind(observed: &Observed) -> bool {
    matches!(observed.provider.cluster, ClusterState::Ours { .. }) && observed.live.is_none()
}

fn one_stack(options: &Options, observed: &Observed) -> Plan {
    let mut graph = Graph::default();
    let Some(live) = observed.live.as_ref() else { return graph.into() };
    let delete = |graph: &mut Graph, kind: SetKind, name: &str, after: &[Node]| {
        let action = Action::DeleteSet { kind, name: name.to_owned() };
        graph.add_deletion(format!("delete:{name}"), after, action, deletions(options, live, kind, name))
    };
    // A node that was to take no pods for a while is nobody's to bring back once the record is gone.
    let restored = live.is_disrupted(&options.stack).then(|| graph.add("restore", &[], Action::EndDisruption));
    let mut deleted = Vec::new();
    let recorded = live.stacks().any(|stack| stack == options.stack);
    if recorded || live.has_members(SetKind::Stack, &options.stack) {
        deleted.push(delete(&mut graph, SetKind::Stack, &options.stack, restored.as_slice()));
    }
    graph.add_provided(provider::plan::leave_edge("delete:proxy", &observed.provider, &options.stack), None);
    // The stack goes first: its objects may still need what the components serve.
    let after = deleted.clone();
    for (component, parent) in live.components() {
        // One that nobody uses is what a removal left that was stopped, or the data that it kept: whose data that is can
        // no longer be told, so that it is not among what may go with this stack.
        let is_own = options.instances.iter().any(|instance| instance == component)
            || component.starts_with(&instance_name(&options.stack, ""));
        let abandoned = parent.users.is_empty() && (is_own || !options.prune_data);
        if abandoned || parent.users.len() == 1 && parent.users.contains(&options.stack) {
            deleted.push(delete(&mut graph, SetKind::Component, component, &after));
        } else if parent.users.contains(&options.stack) {
            let action = Action::LeaveComponent { name: component.to_owned() };
            deleted.push(graph.add(format!("leave:{component}"), &after, action));
        }
    }
    // Whose record is lost, but whose objects are there.
    for instance in &options.instances {
        let recorded = live.parents.contains_key(&desired::parent_name(SetKind::Component, instance));
        if !recorded && live.has_members(SetKind::Component, instance) {
            deleted.push(delete(&mut graph, SetKind::Component, instance, &after));
        }
    }
    if !deleted.is_empty() {
        // Others may go at the same time: whether a record is left is looked at then.
        graph.add("delete:inventory", &deleted, Action::DeleteInventory);
    }
    graph.into()
}

/// What goes with the set, as far as it can be told before.
fn deletions(options: &Options, live: &LiveState, kind: SetKind, name: &str) -> Vec<Key> {
    let parent = desired::parent_name(kind, name);
    let id = desired::applyset_id(kind, name);
    let inherited =
        |key: &Key| is_namespace(key) && new_owner(&live.parents, &parent, &key.name, &options.stack).is_some();
    let candidates = prune::candidates(&live.live, &id, &HashSet::new(), options.prune_data, |_| None, &live.holdings);
    let adopted = candidates.release.iter().filter(|_| options.delete_adopted);
    let keys = candidates.remove.iter().chain(adopted).map(json::key);
    keys.filter(|key| !inherited(key)).collect()
}
