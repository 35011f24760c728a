//! Whether the cluster is there, for those who need it to be.

use super::Machine;
use crate::{
    error::{Error, Kind, Result},
    object::Removed,
    provider::ClusterState,
    settings::DEFAULT_CLUSTER,
};

impl Machine {
    /// Fails unless there is a cluster that `up` made.
    pub async fn require_cluster(&self) -> Result<()> {
        match self.provider.observe().await? {
            ClusterState::Ours { .. } => Ok(()),
            ClusterState::Foreign { why } => Err(Error::new(Kind::Preflight, why)),
            ClusterState::Unreachable { why } => Err(Error::new(Kind::Platform, why)),
            ClusterState::Absent | ClusterState::HalfMade { .. } => {
                let name = &self.name;
                Err(Error::new(Kind::Preflight, format!("there is no cluster {name}")).hint("`stackctl up` makes it"))
            }
        }
    }

    /// Fails unless the cluster is there and not stopped.
    pub async fn require_running(&self) -> Result<()> {
        match self.provider.observe().await? {
            ClusterState::Ours { stopped: false } => Ok(()),
            ClusterState::Ours { stopped: true } => {
                let name = &self.name;
                let option = if *name == DEFAULT_CLUSTER { String::new() } else { format!(" --cluster-name {name}") };
                Err(Error::new(Kind::Preflight, format!("the cluster {name} is stopped"))
                    .hint(format!("start it again: stackctl start{option}")))
            }
            _ => self.require_cluster().await,
        }
    }

    /// Removes what is kept about a cluster that others look after, once nothing of ours is in it. Last of all, for it
    /// may hold the way there.
    pub async fn forget_cluster(&self) -> Result<Option<Removed>> {
        let is_theirs = !self.provider.traits().is_ours();
        let gone = is_theirs && self.holds_nothing().await && self.folder().remove()?;
        Ok(gone.then(|| Removed { kind: "file".to_owned(), name: self.folder().path().display().to_string() }))
    }

    /// Whether no set is on record any more. A cluster that does not say is not forgotten.
    async fn holds_nothing(&self) -> bool {
        match self.kube().await {
            Ok(kube) => kube.read_parents().await.is_ok_and(|parents| parents.is_empty()),
            Err(_) => false,
        }
    }
}
