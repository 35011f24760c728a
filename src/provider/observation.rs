//! What a provider has seen of itself, as plain data: its part of a plan follows from it.

use super::{ClusterState, eks, local::proxy::ProxyState};

/// Seen without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub cluster: ClusterState,
    /// Mirrors, registry or CA bundle of the nodes differ from what is asked for.
    pub nodes_outdated: bool,
    /// The user's kubeconfig lacks the cluster's context, or has it lead elsewhere.
    pub kubeconfig_outdated: bool,
    pub registry: RegistryState,
    /// The container that leads to the stack's edge.
    pub proxy: ProxyState,
    /// The resources of a cloud that the cluster consists of, where it does.
    pub cloud: Option<Box<eks::Seen>>,
}

/// Where the cluster's images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryState {
    /// Somebody else's, named by `--registry`.
    External,
    /// It comes with the cluster's cloud; repositories in it are made before they are pushed to.
    Own,
    /// There is none: images are put into the nodes' own stores.
    None,
    Absent,
    Stopped,
    /// Published on this port of loopback.
    Running {
        port: u16,
    },
}

impl Observation {
    /// What a cluster like this costs whom, where somebody pays for it.
    pub fn bill(&self) -> Option<eks::price::Bill> {
        self.cloud.as_ref().and_then(|cloud| eks::price::of(cloud).ok())
    }

    /// Nothing but the cluster was looked at.
    pub fn of(cluster: ClusterState) -> Observation {
        Observation {
            cluster,
            nodes_outdated: false,
            kubeconfig_outdated: false,
            registry: RegistryState::External,
            proxy: ProxyState::default(),
            cloud: None,
        }
    }
}
