//! Where the cluster's images are kept.

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::Machine;
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    image::store::{
        LocalStore, NodeStore, Nodes, Store,
        remote::{Remote, RemoteStore},
    },
    provider::{ClusterState, ImagesBy, Provider, REGISTRY_HOST, RegistryState},
};

impl Machine {
    /// What there is of a registry. `has_images`: the stack has images of its own. Reads only.
    pub async fn observe_registry(&self, has_images: bool) -> Result<RegistryState> {
        if self.registry.is_some() {
            return Ok(RegistryState::External);
        }
        match self.provider.traits().images_reach_nodes_by {
            ImagesBy::NodeStore => Ok(RegistryState::None),
            ImagesBy::LocalRegistry => self.provider.observe_registry().await,
            ImagesBy::Registry if !has_images => Ok(RegistryState::External),
            ImagesBy::Registry => {
                Err(Error::new(Kind::Usage, "an existing cluster needs a registry from which it can pull")
                    .hint("name it with --registry, such as --registry ghcr.io/ORG"))
            }
        }
    }

    /// The store of all images. `port`: of loopback, where a registry beside the cluster runs. `has_images`: the stack has
    /// images of its own; without them nobody else's registry is asked whether it takes us.
    pub async fn store(&self, port: Option<u16>, has_images: bool) -> Result<Box<dyn Store + '_>> {
        let engine = &self.engine;
        if let Some(prefix) = self.registry.as_deref() {
            let registry = if has_images { Some(self.remote(prefix).await?) } else { None };
            return Ok(Box::new(RemoteStore { engine, prefix, registry }));
        }
        Ok(match self.provider.traits().images_reach_nodes_by {
            ImagesBy::NodeStore => {
                let nodes = NodesOf { provider: self.provider.as_ref(), awake: OnceCell::new() };
                Box::new(NodeStore { engine, host: REGISTRY_HOST, nodes: Box::new(nodes) })
            }
            ImagesBy::LocalRegistry | ImagesBy::Registry => Box::new(LocalStore { engine, host: REGISTRY_HOST, port }),
        })
    }

    async fn remote(&self, prefix: &str) -> Result<&Remote> {
        self.remote.get_or_try_init(|| Remote::look(prefix, &self.events)).await
    }
}

/// Nodes that sleep, or are not there, have nothing that could be asked for.
struct NodesOf<'a> {
    provider: &'a dyn Provider,
    awake: OnceCell<bool>,
}

#[async_trait]
impl Nodes for NodesOf<'_> {
    async fn has(&self, reference: &str) -> Result<bool> {
        let look = async || Ok(self.provider.observe().await? == ClusterState::Ours { stopped: false });
        Ok(*self.awake.get_or_try_init(look).await? && self.provider.has_image(reference).await?)
    }

    async fn load(&self, reference: &str, progress: &Progress) -> Result<()> {
        self.provider.load_image(reference, progress).await
    }
}
