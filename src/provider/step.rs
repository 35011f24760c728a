//! A provider's own steps: contributed to a plan as plain data, seen in it like any other, and run by the provider.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{MayGo, eks::task::Task, local::edge::Asked};
use crate::{
    error::{Error, Kind},
    event::{Group, Progress},
    image::engine::Connection,
    object::{Key, Removed},
};

/// What only a provider knows how to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    CreateNetwork,
    CreateCluster,
    StartCluster,
    /// Mirrors, registry and CA bundle of nodes that are there.
    ConfigureNodes,
    /// The cluster's context in the user's kubeconfig.
    MergeKubeconfig,
    StartRegistry,
    /// Tells tools where the registry is (KEP-1755).
    PublishRegistry,
    /// The image that the proxy to a stack's edge runs from.
    ProvideProxy {
        stack: String,
    },
    /// Makes the ports of this Service reachable from this machine.
    StartProxy {
        stack: String,
        service: Key,
        asked: Asked,
    },
    RemoveProxy {
        stack: String,
    },
    /// The cluster with all that belongs to it: registry, network, kubeconfig entries, state.
    DeleteCluster,
    DeleteImages,
    /// Of the resources of a cloud that the cluster consists of.
    Cloud(Task),
}

impl Step {
    /// For a provider that contributes no such step.
    pub fn is_not_mine(&self, provider: &str) -> Error {
        Error::new(Kind::Unexpected, format!("the provider {provider} has no step {self:?}"))
    }

    /// Among which steps it is shown.
    pub fn group(&self) -> Group {
        match self {
            Step::ProvideProxy { .. } | Step::StartProxy { .. } | Step::RemoveProxy { .. } => Group::Edge,
            Step::DeleteImages => Group::Images,
            _ => Group::Cluster,
        }
    }

    /// What it changes that a person wants to know before.
    pub fn change(&self) -> Option<Change> {
        match self {
            Step::CreateCluster => Some(Change::Cluster(ClusterChange::Create)),
            Step::StartCluster => Some(Change::Cluster(ClusterChange::Start)),
            Step::ConfigureNodes => Some(Change::Cluster(ClusterChange::Configure)),
            Step::DeleteCluster => Some(Change::Cluster(ClusterChange::Delete)),
            Step::StartProxy { .. } => Some(Change::Edge(EdgeChange::Open)),
            Step::RemoveProxy { .. } => Some(Change::Edge(EdgeChange::Close)),
            Step::Cloud(task) => task.change().map(Change::Cluster),
            _ => None,
        }
    }

    pub fn makes_cluster(&self) -> bool {
        self.changes_cluster(ClusterChange::Create)
    }

    pub fn removes_cluster(&self) -> bool {
        self.changes_cluster(ClusterChange::Delete)
    }

    fn changes_cluster(&self, change: ClusterChange) -> bool {
        self.change() == Some(Change::Cluster(change))
    }

    /// Whether it takes the ports of this machine that were asked for.
    pub fn takes_ports(&self) -> bool {
        matches!(self, Step::StartProxy { .. })
    }

    /// An object that it has to see as it is in the cluster: it comes after whatever applies it.
    pub fn reads(&self) -> Option<&Key> {
        match self {
            Step::StartProxy { service, .. } => Some(service),
            _ => None,
        }
    }
}

/// What a step changes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Cluster(ClusterChange),
    Edge(EdgeChange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClusterChange {
    Create,
    Start,
    /// Mirrors, registry or certificates of nodes that are there.
    Configure,
    /// With everything that runs in it.
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EdgeChange {
    Open,
    Close,
}

/// A step on its way into a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Unique in the plan.
    pub id: Cow<'static, str>,
    /// Ids of earlier steps of the provider.
    pub needs: Vec<Cow<'static, str>>,
    pub step: Step,
    pub gives: Option<Gives>,
}

/// What others can do once a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// An API server that answers: the step made or started the cluster.
    Cluster,
    /// Nodes that are as they should be; nothing is applied before.
    Nodes,
    /// A registry that images can be pushed to.
    Registry,
}

impl Planned {
    pub fn new(id: &'static str, needs: &[&'static str], step: Step) -> Planned {
        Planned { id: id.into(), needs: needs.iter().copied().map(Cow::from).collect(), step, gives: None }
    }

    pub fn gives(self, gives: Gives) -> Planned {
        Planned { gives: Some(gives), ..self }
    }
}

/// What the run that a step is part of hands to it.
pub struct StepContext<'a> {
    /// What `Step::reads` asked for, if it is there.
    pub object: Option<&'a Value>,
    /// Builds images.
    pub engine: &'a Connection,
    pub may_go: MayGo<'a>,
    pub progress: &'a Progress,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Acted {
    /// It looked and found nothing to do.
    pub unchanged: bool,
    /// A few words for the report.
    pub note: Option<String>,
    /// An object that the cluster is to have.
    pub object: Option<Value>,
    /// What later steps, or whoever asked for the run, need to know of it.
    pub output: Output,
}

/// What is known only once a step is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    #[default]
    Nothing,
    /// The port of 127.0.0.1 that images are pushed to from now on.
    Registry {
        port: u16,
    },
    /// Ports of the edge, in the proxy to on 127.0.0.1.
    ProxyPorts(BTreeMap<u16, u16>),
    Removed(Vec<Removed>),
}

impl Acted {
    pub fn note(note: impl Into<String>) -> Acted {
        Acted { note: Some(note.into()), ..Acted::default() }
    }

    pub fn unchanged(unchanged: bool) -> Acted {
        Acted { unchanged, ..Acted::default() }
    }

    pub fn removed(removed: Vec<Removed>) -> Acted {
        Acted { unchanged: removed.is_empty(), output: Output::Removed(removed), ..Acted::default() }
    }
}
