//! Which containers of an engine a cluster consists of, as whatever made them marks them.

use bollard::Docker;

use super::{engine, engine::Container};
use crate::{error::Result, provider::CLUSTER_LABEL};

/// The containers of one cluster, without what stackctl puts beside them.
#[derive(Debug, Clone)]
pub struct Members {
    pub cluster: String,
    /// All of them carry this label.
    pub label: (&'static str, String),
    /// Of those that carry it, given the cluster's name.
    pub is_member: fn(&Container, &str) -> bool,
    /// Of its containers, those that are Kubernetes nodes.
    pub is_node: fn(&Container) -> bool,
}

impl Members {
    pub async fn containers(&self, docker: &Docker) -> Result<Vec<Container>> {
        let mut found = engine::containers(docker, &[(self.label.0, &self.label.1)]).await?;
        found.retain(|container| (self.is_member)(container, &self.cluster));
        Ok(found)
    }

    /// Ports of the host that they and what stackctl puts beside them publish.
    pub async fn published(&self, docker: &Docker) -> Result<Vec<u16>> {
        let labels = [(CLUSTER_LABEL, &*self.cluster)];
        let (own, others) = tokio::try_join!(self.containers(docker), engine::containers(docker, &labels))?;
        Ok(own.iter().chain(&others).flat_map(|container| &container.ports).map(|(_, outside)| *outside).collect())
    }

    pub async fn nodes(&self, docker: &Docker) -> Result<Vec<Container>> {
        Ok(self.containers(docker).await?.into_iter().filter(self.is_node).collect())
    }
}
