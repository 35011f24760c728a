//! The way from this machine to a stack's edge: which Service it is, and what the provider does to lead there.

use serde_json::Value;

use super::Options;
use crate::{
    object::json,
    plan::{Action, Graph, Node, observed::Observed},
    provider::plan::{Edge, lead_to_edge},
    stack::{
        desired::DesiredSet,
        edge::{MARK, is_public},
        model::SetKind,
    },
};

/// Where the stack declares an edge that listens on the nodes: its set and its object.
pub fn declared(sets: &[DesiredSet]) -> Option<(usize, usize)> {
    sets.iter().enumerate().filter(|(_, set)| set.kind == SetKind::Stack).find_map(|(index, set)| {
        let is_edge = |value: &Value| {
            json::annotation(value, MARK).is_some() && json::text(value, "/spec/type") == Some("NodePort")
        };
        let object = set.objects.iter().position(|object| is_edge(&object.object.value))?;
        Some((index, object))
    })
}

/// The Service of a set that has the cluster make a load balancer for the edge.
pub fn public(set: &DesiredSet) -> Option<usize> {
    set.objects.iter().position(|object| is_public(&object.object.value))
}

/// The same, wherever the stack declares it.
pub fn balanced(sets: &[DesiredSet]) -> Option<&Value> {
    let own = sets.iter().filter(|set| set.kind == SetKind::Stack);
    own.flat_map(|set| &set.objects).map(|object| &object.object.value).find(|value| is_public(value))
}

/// Adds what makes the edge reachable, or takes away what is no longer wanted.
pub fn plan(
    graph: &mut Graph,
    options: &Options,
    stack: &str,
    observed: &Observed,
    sets: &[DesiredSet],
    cluster: Option<Node>,
) {
    let declared = declared(sets);
    let applied = declared.and_then(|(set, object)| {
        let action = Action::Apply { set, object };
        graph.steps.iter().position(|step| step.action == action).map(Node)
    });
    let after = applied.or(cluster);
    let edge = declared.map(|(set, object)| {
        let service = sets[set].objects[object].object.key();
        let live = observed.live.as_ref().filter(|_| after.is_none());
        Edge { live: live.and_then(|live| live.live.objects.get(&service)), service, asked: options.asked }
    });
    graph.add_provided(lead_to_edge(&observed.traits, &observed.provider, stack, edge), after);
}
