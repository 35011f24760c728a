//! The plan of `test`: what is declared must be ready, components in the background included; then the proofs.

use super::{
    Action, Graph, Node, Plan, desired_sets,
    observed::{LiveState, Observed},
};
use crate::{
    error::{Error, Kind, Result},
    kube::readiness,
    provider::ClusterState,
    stack::{
        desired::{self, DesiredSet},
        model::{SetKind, Stack},
    },
};

/// Fails with `Kind::Preflight` where the stack is not there.
pub fn plan(stack: &Stack, agent_given: bool, observed: &Observed) -> Result<Plan> {
    let (mut graph, sets, needs) = readied(stack, agent_given, observed)?;
    graph.add("prove", &needs, Action::Prove);
    Ok(Plan { sets, ..Plan::from(graph) })
}

/// The steps after which all that is declared is ready and the agent's image can be pulled: what they need to be ended.
pub(super) fn readied(
    stack: &Stack,
    agent_given: bool,
    observed: &Observed,
) -> Result<(Graph, Vec<DesiredSet>, Vec<Node>)> {
    let live = require_up(stack, observed)?;
    let sets = desired_sets(stack, observed);
    let mut graph = Graph::default();
    let restored = live.is_disrupted(&stack.name).then(|| graph.add("restore", &[], Action::EndDisruption));
    let mut needs: Vec<Node> = restored.into_iter().collect();
    for (set, object) in positions(&sets) {
        let key = sets[set].objects[object].object.key();
        if readiness::is_awaited(&key) && live.live.objects.contains_key(&key) && !live.ready.contains(&key) {
            let id = graph.object_step("await", &key, &sets[set].namespace);
            needs.push(graph.add(id, restored.as_slice(), Action::Await { set, object }));
        }
    }
    if !agent_given {
        needs.push(graph.add("agent", &[], Action::ProvideAgent));
    }
    Ok((graph, sets, needs))
}

/// What the cluster has of the stack. Fails with `Kind::Preflight` where the stack is not there.
pub(super) fn require_up<'a>(stack: &Stack, observed: &'a Observed) -> Result<&'a LiveState> {
    let parent = desired::parent_name(SetKind::Stack, &stack.name);
    let runs = observed.provider.cluster == (ClusterState::Ours { stopped: false });
    let live = observed.live.as_ref().filter(|live| runs && live.parents.contains_key(&parent));
    live.ok_or_else(|| {
        Error::new(Kind::Preflight, format!("stack {} is not up", stack.name))
            .hint(format!("`stackctl up {}` brings it up, `up --test` proves it at once", stack.name))
    })
}

fn positions(sets: &[DesiredSet]) -> impl Iterator<Item = (usize, usize)> {
    sets.iter().enumerate().flat_map(|(set, desired)| (0..desired.objects.len()).map(move |object| (set, object)))
}
