//! Where images are kept for a cluster: one interface for a registry beside it, somebody else's registry and the nodes'
//! own stores.

pub mod gc;
mod local;
mod nodes;
pub mod pull;
pub(super) mod push;
pub mod registry;
pub mod remote;
pub mod tag;

use std::collections::BTreeSet;

use async_trait::async_trait;

use self::pull::PullSecret;
use crate::{error::Result, event::Progress, object::Removed};

pub use self::{
    local::LocalStore,
    nodes::{NodeStore, Nodes},
};

/// A place for images, which the engine of this machine has under the names that pods use for them.
#[async_trait]
pub trait Store: Send + Sync {
    /// How pods name an image. `repository`: `STACK/SERVICE`.
    fn pod_name(&self, repository: &str, tag: &str) -> String;

    /// What is there under a tag. Reads only.
    async fn look(&self, repository: &str, tag: &str) -> Result<Kept>;

    /// Fails where it would refuse images of this repository, as far as that can be told before there is one.
    async fn prepare(&self, _repository: &str) -> Result<()> {
        Ok(())
    }

    /// Brings an image of the engine there.
    async fn put(&self, repository: &str, tag: &str, progress: &Progress) -> Result<Kept>;

    /// Gives an image that is there a further tag. `digest`: its own, where it is known.
    async fn tag(
        &self,
        repository: &str,
        tag: &str,
        digest: Option<&str>,
        further: &str,
        progress: &Progress,
    ) -> Result<()>;

    /// Whether others look into it, who know images by their commit, or by `latest`.
    fn is_shared(&self) -> bool {
        false
    }

    /// What nodes need to pull from it; None: nothing.
    fn pull_secret(&self) -> Option<&PullSecret> {
        None
    }

    /// Removes old tags of a repository, but for the `keep` newest and those in use.
    async fn collect(&self, _repository: &str, _in_use: &BTreeSet<String>, _keep: usize) -> Result<Vec<Removed>> {
        Ok(Vec::new())
    }
}

/// What a store has under a tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of the manifest, where a registry has it.
    pub digest: Option<String>,
    /// The nodes' own stores have it.
    pub loaded: bool,
}

impl Kept {
    pub fn is_there(&self) -> bool {
        self.digest.is_some() || self.loaded
    }

    /// How pods name what is there for certain: by its digest, if it has one.
    pub fn pinned(&self, reference: &str) -> String {
        match &self.digest {
            Some(digest) => format!("{reference}@{digest}"),
            None => reference.to_owned(),
        }
    }
}

/// An image of a registry, or of what stands for one.
pub fn name(registry: &str, repository: &str, tag: &str) -> String {
    format!("{registry}/{repository}:{tag}")
}
