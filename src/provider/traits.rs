//! What differs between providers, as plain data: the rest of the program decides by these, never by a provider's name.

use std::time::Duration;

use serde::Serialize;

use crate::object::{ProviderObjects, balancer::Balancer};

/// What a provider's clusters are like. It is known before the cluster is, and does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Traits {
    /// Whether a cluster is made and removed by stackctl: decides what `up` may make and `down` may remove.
    pub lifecycle: Lifecycle,
    /// Decides where images are pushed to, and whether a registry is part of the plan.
    pub images_reach_nodes_by: ImagesBy,
    /// Decides whether a proxy is part of the plan, and which addresses are told and tried.
    pub edge_reached_by: EdgeBy,
    /// Whether nodes that are being made can pull already: decides whether the plan has them do so.
    pub pulls_while_made: bool,
    /// Whether nodes may come while a pod waits for one: decides whether a pod that fits no node has failed.
    pub nodes_may_grow: Answer,
    /// Whether somebody pays for the cluster as long as it is there.
    pub costs: Answer,
    /// What it puts into its clusters by itself, also long after they were made: nobody loses it with the cluster.
    pub own_objects: ProviderObjects,
    /// Whether volumes are there without the cluster, too: then their data does not keep it.
    pub volumes_outlive_it: bool,
    /// How long the API server of a cluster that is there may take to answer: it may still be starting, after the engine
    /// or the machine did.
    pub answers_within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// stackctl makes the cluster and may remove it as a whole.
    Ours,
    /// Somebody else looks after the cluster: only what stackctl put into it is ever removed.
    Theirs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagesBy {
    /// A registry beside the cluster, in the same engine. One that `--registry` names is used instead of it.
    LocalRegistry,
    /// Each node has its own store, into which images are put; there is no registry, unless `--registry` names one.
    NodeStore,
    /// A registry that comes with the cluster's cloud. One that `--registry` names is used instead of it.
    OwnRegistry,
    /// A registry that the cluster can pull from; which one, only the user knows.
    Registry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeBy {
    /// A container beside the nodes, which leads from ports of 127.0.0.1 to ports of the nodes.
    ProxyContainer,
    /// What the cluster itself has for that; stackctl does not know the address.
    LoadBalancer,
    /// A load balancer of the cloud, which the cluster makes for a Service that asks for it in this way.
    Service(Balancer),
    /// Nothing but a forward to its Service.
    Forward,
}

/// Where nobody can be sure, `Unknown` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Yes,
    No,
    Unknown,
}

impl Traits {
    /// Whether stackctl makes the cluster and may remove it.
    pub fn is_ours(&self) -> bool {
        self.lifecycle == Lifecycle::Ours
    }

    /// How a Service asks for a load balancer, where the edge is reached by one.
    pub fn balancer(&self) -> Option<Balancer> {
        match self.edge_reached_by {
            EdgeBy::Service(balancer) => Some(balancer),
            _ => None,
        }
    }

    /// Whether a container of this machine's engine leads to the edge.
    pub fn has_proxy(&self) -> bool {
        self.edge_reached_by == EdgeBy::ProxyContainer
    }
}
