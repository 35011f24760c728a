//! The end of a cluster.

use std::{collections::BTreeSet, time::Duration};

use bollard::Docker;
use futures::future::try_join_all;

use super::{KindCluster, mark};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::Removed,
    provider::{
        ClusterState, MayGo,
        local::{child, engine, engine::Container, forget, nodes},
    },
};

const REMOVE_WITHIN: Duration = Duration::from_secs(30);

impl KindCluster {
    /// Removes the cluster, if it carries our mark and `may_go` agrees once nobody else can make or remove it: its nodes
    /// and whatever else carries its labels, such as registry, proxy and volumes; the kubeconfig entries; the state; and
    /// the network, if no other cluster uses it.
    pub async fn delete(&self, may_go: MayGo<'_>, progress: &Progress) -> Result<Vec<Removed>> {
        let _lock = self.lock("removing", progress).await?;
        let containers = self.containers().await?;
        match self.judge(&containers).await? {
            ClusterState::Foreign { why } => return Err(self.refuse(why)),
            ClusterState::Ours { stopped: false } => may_go().await?,
            _ => {}
        }
        child::end_leftover(&self.folder)?;
        progress.say("removing the nodes");
        let mut removed = self.remove_nodes().await?;
        removed.extend(self.place().remove().await?);
        removed.extend(forget::cluster(&self.user, &self.folder, &self.context(), progress).await?);
        Ok(removed)
    }

    /// Removes the cluster's containers until none is left: an engine that was told to make one finishes that, even
    /// when the one who asked for it was killed, and forgets that it should have removed it meanwhile.
    pub(super) async fn remove_nodes(&self) -> Result<Vec<Removed>> {
        let deadline = tokio::time::Instant::now() + REMOVE_WITHIN;
        let mut names: BTreeSet<String> = BTreeSet::new();
        let container = |name| Removed { kind: "container".to_owned(), name };
        loop {
            let containers = self.containers().await?;
            if containers.is_empty() {
                return Ok(names.into_iter().map(container).collect());
            }
            if let ClusterState::Foreign { why } = self.judge(&containers).await? {
                return Err(self.refuse(why));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new(Kind::Platform, format!("cannot remove the cluster {}", self.spec.name))
                    .cause(format!("the container {} is still, or again, there", containers[0].name))
                    .hint("look whether something else makes a cluster of that name, then run it again"));
            }
            quiesce(&self.docker, &containers).await;
            try_join_all(containers.iter().map(|container| engine::remove_container(&self.docker, container))).await?;
            names.extend(containers.into_iter().map(|container| container.name));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(super) async fn quiesce(docker: &Docker, containers: &[Container]) {
    let nodes: Vec<Container> = containers.iter().filter(|container| mark::is_node(container)).cloned().collect();
    nodes::quiesce(docker, &nodes).await;
}
