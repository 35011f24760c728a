//! A provider's part of a plan. Pure: it follows from what the provider is like and what it has seen of itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    ClusterState, Observation, RegistryState, Traits, eks,
    local::edge::{self, Asked},
    step::{Gives, Planned, Step},
};
use crate::{
    error::{Error, Kind, Result},
    object::Key,
};

/// What a run wants of the cluster itself.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// It may make or start the cluster and bring its nodes up to date.
    pub make_cluster: bool,
    /// Where the cluster says that its registry is.
    pub published_port: Option<u16>,
    /// Of images that are going to be pushed, as the registry is to know them.
    pub repositories: &'a BTreeSet<String>,
}

/// What is missing of network, cluster and registry. Fails with `Kind::Preflight` where the cluster is not ours to use.
pub fn bring_up(seen: &Observation, wanted: Wanted<'_>) -> Result<Vec<Planned>> {
    if let Some(cloud) = &seen.cloud {
        return eks::plan::up(cloud, wanted.make_cluster, seen.kubeconfig_outdated, wanted.repositories);
    }
    let make = match &seen.cluster {
        ClusterState::Ours { stopped } => stopped.then_some(("cluster:start", Step::StartCluster)),
        ClusterState::Absent | ClusterState::HalfMade { .. } => Some(("cluster:create", Step::CreateCluster)),
        ClusterState::Foreign { why } => {
            return Err(Error::new(Kind::Preflight, "there is a cluster of this name that stackctl did not make")
                .cause(why)
                .hint("choose another name with --cluster-name, or use it as it is with --provider existing"));
        }
        ClusterState::Unreachable { why } => {
            return Err(Error::new(Kind::Platform, why.clone()).hint("`stackctl doctor` looks at what is in the way"));
        }
    };
    if make.is_some() && !wanted.make_cluster {
        return Err(Error::new(Kind::Preflight, "there is no running cluster to deploy to")
            .hint("`stackctl up` makes one, `stackctl start` wakes a stopped one"));
    }
    let mut steps = Vec::new();
    let add = |steps: &mut Vec<Planned>, id: &'static str, step: Planned| -> Vec<&'static str> {
        steps.push(step);
        vec![id]
    };
    let registry_missing = matches!(seen.registry, RegistryState::Absent | RegistryState::Stopped);
    let makes = make.as_ref().is_some_and(|(_, step)| step.makes_cluster());
    // Two containers that make the same network at once would make two of that name.
    let network = match makes || registry_missing {
        true => add(&mut steps, "network", Planned::new("network", &[], Step::CreateNetwork)),
        false => Vec::new(),
    };
    let made = match make {
        Some((id, step)) => add(&mut steps, id, Planned::new(id, &network, step).gives(Gives::Cluster)),
        None => Vec::new(),
    };
    if registry_missing {
        steps.push(Planned::new("registry", &network, Step::StartRegistry).gives(Gives::Registry));
    }
    if seen.nodes_outdated && wanted.make_cluster {
        steps.push(Planned::new("nodes", &made, Step::ConfigureNodes).gives(Gives::Nodes));
    }
    if seen.kubeconfig_outdated && wanted.make_cluster {
        steps.push(Planned::new("kubeconfig", &made, Step::MergeKubeconfig));
    }
    Ok(steps)
}

/// Tells tools where the registry is, unless that is known. `after`: what brings the cluster up.
pub fn publish_registry(seen: &Observation, wanted: Wanted<'_>, after: &[Planned]) -> Vec<Planned> {
    let port = match seen.registry {
        RegistryState::Running { port } => Some(port),
        RegistryState::External | RegistryState::Own | RegistryState::None => return Vec::new(),
        RegistryState::Absent | RegistryState::Stopped => None,
    };
    let is_published = port.is_some() && port == wanted.published_port;
    if !wanted.make_cluster || is_published {
        return Vec::new();
    }
    let needs = after.iter().filter(|step| step.gives.is_some()).map(|step| step.id.clone()).collect();
    vec![Planned { needs, ..Planned::new("registry:publish", &[], Step::PublishRegistry) }]
}

/// The cluster with all that belongs to it. `data`: volumes that would outlive it go, too.
pub fn take_down(seen: &Observation, data: bool) -> Vec<Planned> {
    if seen.cloud.is_some() {
        return eks::teardown::down(data);
    }
    let cluster = Planned::new("delete:cluster", &[], Step::DeleteCluster);
    let images = Planned::new("delete:images", &["delete:cluster"], Step::DeleteImages);
    vec![cluster, images]
}

/// The Service of a stack's edge, where it has one that listens on the nodes.
#[derive(Debug, Clone)]
pub struct Edge<'a> {
    pub service: Key,
    /// As it is in the cluster; None: this run changes it, or it is not there.
    pub live: Option<&'a Value>,
    pub asked: Asked,
}

/// What makes a stack's edge reachable from this machine, or takes away what no longer leads anywhere.
pub fn lead_to_edge(traits: &Traits, seen: &Observation, stack: &str, edge: Option<Edge<'_>>) -> Vec<Planned> {
    let Some(Edge { service, live, asked }) = edge else { return leave_edge("proxy:remove", seen, stack) };
    let fits = live.is_some_and(|service| seen.proxy.needs(&edge::ports(service, asked)).is_none());
    if !traits.has_proxy() || fits {
        return Vec::new();
    }
    let stack = stack.to_owned();
    let image = Planned::new("proxy:image", &[], Step::ProvideProxy { stack: stack.clone() });
    let proxy = Planned::new("proxy", &["proxy:image"], Step::StartProxy { stack, service, asked });
    vec![image, proxy]
}

/// The way to a stack's edge goes, if it is ours.
pub fn leave_edge(id: &'static str, seen: &Observation, stack: &str) -> Vec<Planned> {
    let ours = seen.proxy.container.as_ref().is_some_and(|container| container.foreign.is_none());
    ours.then(|| Planned::new(id, &[], Step::RemoveProxy { stack: stack.to_owned() })).into_iter().collect()
}
