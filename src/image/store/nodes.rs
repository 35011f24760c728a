//! The nodes' own stores: there is no registry, images are put into the nodes.

use async_trait::async_trait;

use super::{Kept, Store, name, tag};
use crate::{error::Result, event::Progress, image::engine::Connection};

/// The nodes of a cluster, as far as they have images.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Nodes that are not there, or sleep, have none.
    async fn has(&self, reference: &str) -> Result<bool>;

    /// Takes the image out of the engine.
    async fn load(&self, reference: &str, progress: &Progress) -> Result<()>;
}

pub struct NodeStore<'a> {
    /// Builds images.
    pub engine: &'a Connection,
    /// In place of a registry's name: nobody is ever asked for it.
    pub host: &'a str,
    pub nodes: Box<dyn Nodes + 'a>,
}

#[async_trait]
impl Store for NodeStore<'_> {
    fn pod_name(&self, repository: &str, tag: &str) -> String {
        name(self.host, repository, tag)
    }

    async fn look(&self, repository: &str, tag: &str) -> Result<Kept> {
        Ok(Kept { digest: None, loaded: self.nodes.has(&self.pod_name(repository, tag)).await? })
    }

    async fn put(&self, repository: &str, tag: &str, progress: &Progress) -> Result<Kept> {
        self.nodes.load(&self.pod_name(repository, tag), progress).await?;
        Ok(Kept { digest: None, loaded: true })
    }

    async fn tag(
        &self,
        repository: &str,
        tag: &str,
        _digest: Option<&str>,
        further: &str,
        progress: &Progress,
    ) -> Result<()> {
        let further = self.pod_name(repository, further);
        let engine = self.engine.get().await?;
        tag::add(engine, &self.pod_name(repository, tag), &further).await?;
        self.nodes.load(&further, progress).await
    }
}
