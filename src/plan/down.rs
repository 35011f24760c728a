//! The plan of `down`: a stack with the components that nobody else uses, or the whole cluster.

use super::{
    Action, Graph, Plan,
    observed::{LiveState, Observed},
};
use crate::{
    cluster::ClusterState,
    error::{Error, Kind, Result},
    stack::model::SetKind,
};

#[derive(Debug, Clone)]
pub struct Options {
    /// The stack's name.
    pub stack: String,
    /// `--cluster`: the cluster too, whatever else runs in it.
    pub cluster: bool,
    /// The provider can delete what it made.
    pub disposable: bool,
}

/// Fails with `Kind::Preflight` where the cluster is not ours to remove.
pub fn plan(options: &Options, observed: &Observed) -> Result<Plan> {
    let live = observed.live.as_ref();
    let last = live.is_none_or(|live| live.stacks().all(|stack| stack == options.stack));
    match &observed.cluster {
        ClusterState::Foreign { why } => Err(Error::new(Kind::Preflight, why.clone())
            .hint("it was not made by stackctl, so stackctl does not remove it")),
        // What cannot be looked into can still be removed when it is ours alone.
        ClusterState::Unreachable { why } if !options.disposable => Err(Error::new(Kind::Platform, why.clone())),
        ClusterState::Ours { stopped: true } if !options.cluster => {
            Err(Error::new(Kind::Preflight, "the cluster is stopped, so its stacks cannot be looked at")
                .hint("`stackctl start` wakes it; `stackctl down --cluster` removes it with all that it holds"))
        }
        _ if is_blind(observed) && !options.cluster => Err(Error::new(
            Kind::Platform,
            "the API server does not answer, so nobody knows what else the cluster holds",
        )
        .hint("try again; `stackctl down --cluster` removes it with all that it holds")),
        _ if options.disposable && (options.cluster || last) => Ok(whole_cluster()),
        _ => Ok(one_stack(options, observed, last)),
    }
}

fn whole_cluster() -> Plan {
    let mut graph = Graph::default();
    let cluster = graph.add("delete:cluster", &[], Action::DeleteCluster);
    graph.add("delete:images", &[cluster], Action::DeleteImages);
    graph.into()
}

/// The other stacks that a removal of the cluster takes with it.
pub fn others(options: &Options, observed: &Observed) -> Vec<String> {
    let stacks = observed.live.iter().flat_map(LiveState::stacks);
    let others = stacks.filter(|stack| options.cluster && options.disposable && *stack != options.stack);
    others.map(str::to_owned).collect()
}

/// Whether a running cluster could not be looked into.
pub fn is_blind(observed: &Observed) -> bool {
    observed.cluster == ClusterState::Ours { stopped: false } && observed.live.is_none()
}

fn one_stack(options: &Options, observed: &Observed, last: bool) -> Plan {
    let mut graph = Graph::default();
    let Some(live) = observed.live.as_ref() else { return graph.into() };
    let delete = |kind: SetKind, name: &str| Action::DeleteSet { kind, name: name.to_owned() };
    let mut deleted = Vec::new();
    if live.stacks().any(|stack| stack == options.stack) {
        let id = format!("delete:{}", options.stack);
        deleted.push(graph.add(id, &[], delete(SetKind::Stack, &options.stack)));
    }
    if observed.proxy.container.as_ref().is_some_and(|container| container.foreign.is_none()) {
        graph.add("delete:proxy", &[], Action::RemoveProxy);
    }
    // The stack goes first: its objects may still need what the components serve.
    let after = deleted.clone();
    for (component, parent) in live.components() {
        // One that nobody uses is what a removal left that was stopped.
        let abandoned = parent.users.is_empty();
        if abandoned || parent.users.contains(&options.stack) {
            let (verb, action) = match abandoned || parent.users.len() == 1 {
                true => ("delete", delete(SetKind::Component, component)),
                false => ("leave", Action::LeaveComponent { name: component.to_owned() }),
            };
            deleted.push(graph.add(format!("{verb}:{component}"), &after, action));
        }
    }
    if last && !deleted.is_empty() {
        graph.add("delete:inventory", &deleted, Action::DeleteInventory);
    }
    graph.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cluster::proxy::ProxyState, kube::inventory::Parent, plan::observed::RegistryState};

    fn observed(cluster: ClusterState, parents: &[(&str, &[&str])]) -> Observed {
        let parent =
            |users: &[&str]| Parent { users: users.iter().map(|user| (*user).into()).collect(), ..Parent::default() };
        let parents = parents.iter().map(|(name, users)| ((*name).to_owned(), parent(users))).collect();
        let live = LiveState { parents, ..LiveState::default() };
        Observed {
            cluster,
            nodes_outdated: false,
            kubeconfig_outdated: false,
            registry: RegistryState::Absent,
            images: BTreeMap::new(),
            live: Some(live),
            proxy: ProxyState::default(),
        }
    }

    fn ids(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| step.id.to_string()).collect()
    }

    fn options() -> Options {
        Options { stack: "hello".into(), cluster: false, disposable: true }
    }

    const RUNNING: ClusterState = ClusterState::Ours { stopped: false };

    #[test]
    fn the_last_stack_takes_the_cluster_with_it() {
        let plan = plan(&options(), &observed(RUNNING, &[("stack-hello", &[])])).unwrap();
        assert_eq!(ids(&plan)[0], "delete:cluster");
    }

    #[test]
    fn other_stacks_keep_the_cluster_and_the_components_they_use() {
        let parents: &[(&str, &[&str])] = &[
            ("stack-hello", &[]),
            ("stack-counter", &[]),
            ("component-shared", &["hello", "counter"]),
            ("component-own", &["hello"]),
        ];
        let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
        assert_eq!(ids(&plan), ["delete:hello", "delete:own", "leave:shared"]);
        assert_eq!(plan.steps[1].needs, [0]);
    }

    #[test]
    fn a_component_whose_removal_was_stopped_goes_with_the_next_stack() {
        let parents: &[(&str, &[&str])] = &[("stack-hello", &[]), ("stack-counter", &[]), ("component-half", &[])];
        let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
        assert_eq!(ids(&plan), ["delete:hello", "delete:half"]);
    }

    #[test]
    fn the_instances_of_a_stack_go_with_it_and_those_of_others_stay() {
        let parents: &[(&str, &[&str])] = &[
            ("stack-hello", &[]),
            ("stack-counter", &[]),
            ("component-hello.collector", &["hello"]),
            ("component-counter.collector", &["counter"]),
        ];
        let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
        assert_eq!(ids(&plan), ["delete:hello", "delete:hello.collector"]);
    }

    #[test]
    fn a_cluster_that_is_not_disposable_stays_and_keeps_no_inventory() {
        let options = Options { disposable: false, ..options() };
        let plan = plan(&options, &observed(RUNNING, &[("stack-hello", &[])])).unwrap();
        assert_eq!(ids(&plan), ["delete:hello", "delete:inventory"]);
    }

    #[test]
    fn a_foreign_cluster_is_refused() {
        let foreign = ClusterState::Foreign { why: "made by somebody else".into() };
        let error = plan(&Options { cluster: true, ..options() }, &observed(foreign, &[])).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_removed_only_as_a_whole() {
        let silent = || Observed { live: None, ..observed(RUNNING, &[]) };
        assert_eq!(plan(&options(), &silent()).unwrap_err().kind, Kind::Platform);
        assert!(is_blind(&silent()));
        assert_eq!(ids(&plan(&Options { cluster: true, ..options() }, &silent()).unwrap())[0], "delete:cluster");
    }

    #[test]
    fn a_stopped_cluster_is_removed_only_as_a_whole() {
        let stopped = || observed(ClusterState::Ours { stopped: true }, &[]);
        assert_eq!(plan(&options(), &stopped()).unwrap_err().kind, Kind::Preflight);
        assert!(plan(&Options { cluster: true, ..options() }, &stopped()).is_ok());
    }
}
