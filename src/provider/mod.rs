//! Clusters, behind the one real trait of the program. Knows nothing of stacks.

mod api;
pub mod check;
mod choice;
pub mod eks;
pub mod existing;
pub mod fleet;
pub mod hosting;
pub mod kind;
pub mod local;
pub mod minikube;
mod observation;
pub mod plan;
pub mod settings;
pub mod step;
pub mod sweep;
mod traits;

pub use crate::provider::local::{
    edge::{self, Asked},
    proxy::ProxyState,
};
pub use choice::{Choice, imply, open};
pub use eks::price::{Bill, dollars};
pub use observation::{Observation, RegistryState};
pub use traits::{Answer, EdgeBy, ImagesBy, Lifecycle, Traits};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::Mirror,
    state::Folder,
};
use step::{Acted, Step, StepContext};
use sweep::Swept;

/// On all that we make in an engine: `io.stackctl.owner=stackctl`.
pub const OWNER_LABEL: &str = "io.stackctl.owner";
pub const OWNER: &str = "stackctl";
/// On what belongs to one cluster: `io.stackctl.cluster=NAME`.
pub const CLUSTER_LABEL: &str = "io.stackctl.cluster";

/// The host that pod specs on clusters with a registry of their own name; which registry that is, only nodes know.
pub const REGISTRY_HOST: &str = "registry.stackctl.internal";

/// The engine network that local clusters share, unless told otherwise.
pub const DEFAULT_NETWORK: &str = "stackctl";

/// What the user asked for. Everything here is decided before the cluster exists.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    pub name: String,
    pub control_planes: u8,
    pub workers: u8,
    /// `v1.36.3`; None: the provider's default.
    pub kubernetes_version: Option<String>,
    /// What nodes are made from; None: the provider's own default.
    pub node_image: Option<String>,
    pub mirrors: Vec<Mirror>,
    /// PEM file that nodes must trust.
    pub ca_bundle: Option<PathBuf>,
    /// A kind configuration merged into the generated one.
    pub kind_config: Option<PathBuf>,
    /// What runs beside the cluster runs from this image, in place of one of this program.
    pub agent_image: Option<String>,
}

#[cfg(test)]
impl ClusterSpec {
    /// One node, and the provider's own defaults.
    pub fn named(name: &str) -> ClusterSpec {
        ClusterSpec {
            name: name.to_owned(),
            control_planes: 1,
            workers: 0,
            kubernetes_version: None,
            node_image: None,
            mirrors: Vec::new(),
            ca_bundle: None,
            kind_config: None,
            agent_image: None,
        }
    }
}

/// What is there, as seen without changing anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum ClusterState {
    Absent,
    /// Carries our mark, but its creation did not finish.
    HalfMade {
        why: String,
    },
    Ours {
        stopped: bool,
    },
    /// A cluster of that name that does not carry our mark.
    Foreign {
        why: String,
    },
    Unreachable {
        why: String,
    },
}

/// A registry that comes with the cluster's cloud: nodes pull from it as they are, and who pushes shows these.
#[derive(Debug, Clone)]
pub struct OwnRegistry {
    /// `123456789012.dkr.ecr.us-east-1.amazonaws.com/stackctl/hello-1a2b3c`
    pub prefix: String,
    pub username: String,
    pub password: String,
}

/// How the API server is reached.
#[derive(Debug, Clone)]
pub struct Access {
    pub kubeconfig: PathBuf,
    pub context: String,
}

/// Asked just before a cluster that is there is removed: an error keeps it.
pub type MayGo<'a> = &'a (dyn Fn() -> BoxFuture<'a, Result<()>> + Send + Sync);

/// A way to have a cluster. Each method may be repeated and survives a kill at any point.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What its clusters are like, for all who have to decide by it.
    fn traits(&self) -> Traits;

    /// What is kept about the cluster on this machine.
    fn folder(&self) -> &Folder;

    /// Reads only.
    async fn observe(&self) -> Result<ClusterState>;

    /// Whether the nodes of a cluster that is there lack something that may change after its creation: mirrors, the
    /// registry, the CA bundle. Reads only.
    async fn outdated(&self) -> Result<bool> {
        Ok(false)
    }

    /// Whether the context of a cluster that is there is missing in the user's kubeconfig, or leads elsewhere. Reads only.
    async fn kubeconfig_outdated(&self) -> Result<bool> {
        Ok(false)
    }

    /// The registry that belongs to the cluster. Reads only.
    async fn observe_registry(&self) -> Result<RegistryState> {
        Ok(RegistryState::External)
    }

    /// What leads from this machine to the edge of a stack. Reads only.
    async fn observe_proxy(&self, _stack: &str) -> Result<ProxyState> {
        Ok(ProxyState::default())
    }

    /// The registry that comes with the cluster's cloud, where `Traits` say that there is one. Reads only.
    async fn own_registry(&self) -> Result<OwnRegistry> {
        Err(Error::new(Kind::Unexpected, "this provider has no registry of its own"))
    }

    /// The resources of a cloud that the cluster consists of, where it does. Reads only.
    async fn observe_cloud(&self) -> Result<Option<Box<eks::Seen>>> {
        Ok(None)
    }

    /// The ways to the edges of all stacks: stack to ports, inside to 127.0.0.1. Reads only.
    async fn edges(&self) -> Result<Vec<(String, BTreeMap<u16, u16>)>> {
        Ok(Vec::new())
    }

    /// Whether the nodes' own stores have an image, where images are put there. Reads only.
    async fn has_image(&self, _reference: &str) -> Result<bool> {
        Ok(false)
    }

    /// Puts an image of the engine into the nodes' own stores.
    async fn load_image(&self, reference: &str, _progress: &Progress) -> Result<()> {
        Err(Error::new(Kind::Unexpected, format!("the image {reference} cannot be put into nodes of this provider")))
    }

    /// Runs one of the steps that `provider::plan` contributes to plans for clusters like its own.
    async fn act(&self, step: &Step, context: StepContext<'_>) -> Result<Acted>;

    /// What is left of the cluster and of all that belongs to it. Believes no state. `bases`: images that services are
    /// built from, which stay.
    async fn sweep(&self, _bases: &BTreeSet<String>) -> Result<Swept> {
        Ok(Swept::default())
    }

    /// Brings an image to the nodes that are to run it while the cluster is still being made. Nothing depends on it:
    /// what fails here, the nodes pull themselves later.
    async fn preload(&self, _image: &str, _progress: &Progress) -> Result<()> {
        Ok(())
    }

    async fn start(&self, progress: &Progress) -> Result<()>;

    async fn stop(&self, progress: &Progress) -> Result<()>;

    /// Where to find the API server of a cluster that is there.
    async fn access(&self) -> Result<Access>;

    /// By which context the cluster is known, where it is on another machine: a mistake there might hurt others.
    async fn remote_context(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// `linux/amd64`: what images must be built for.
    async fn platform(&self) -> Result<String>;
}
