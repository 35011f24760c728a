//! Clusters, behind the one real trait of the program. Knows nothing of stacks.

mod api;
pub mod check;
mod choice;
pub mod existing;
pub mod kind;
pub mod local;
mod traits;

pub use crate::provider::local::engine::{ensure_image, has_image, published};
pub use choice::{Choice, open};
pub use traits::{Answer, EdgeBy, ImagesBy, Lifecycle, Traits};

use std::path::PathBuf;

use async_trait::async_trait;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::Result,
    event::Progress,
    object::{Mirror, Removed},
    state::Folder,
};

/// On all that we make in an engine: `io.stackctl.owner=stackctl`.
pub const OWNER_LABEL: &str = "io.stackctl.owner";
pub const OWNER: &str = "stackctl";
/// On what belongs to one cluster: `io.stackctl.cluster=NAME`.
pub const CLUSTER_LABEL: &str = "io.stackctl.cluster";
/// kind's own label; the provider's nodes cannot be given one of ours.
pub const KIND_CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";

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
    /// kind's node image; None: kind's own default.
    pub node_image: Option<String>,
    pub mirrors: Vec<Mirror>,
    /// PEM file that nodes must trust.
    pub ca_bundle: Option<PathBuf>,
    /// A kind configuration merged into the generated one.
    pub kind_config: Option<PathBuf>,
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

    /// Makes the cluster, replacing a half-made one, and returns once its API server answers and its nodes can pull
    /// through the mirrors.
    async fn create(&self, progress: &Progress) -> Result<()>;

    /// Removes the cluster, if it carries our mark and `may_go` agrees once nobody else can make or remove it.
    async fn delete(&self, may_go: MayGo<'_>, progress: &Progress) -> Result<Vec<Removed>>;

    /// Whether `configure` would have something to do. Reads only.
    async fn outdated(&self) -> Result<bool> {
        Ok(false)
    }

    /// Brings a cluster that is there up to date with what may change after its creation: mirrors, the registry and
    /// the CA bundle of its nodes. True: something had to be changed.
    async fn configure(&self, _progress: &Progress) -> Result<bool> {
        Ok(false)
    }

    /// Whether `merge_kubeconfig` would have something to do. Reads only.
    async fn kubeconfig_outdated(&self) -> Result<bool> {
        Ok(false)
    }

    /// Puts the context of a cluster that is there into the user's kubeconfig, or puts it right there.
    async fn merge_kubeconfig(&self, _progress: &Progress) -> Result<()> {
        Ok(())
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
