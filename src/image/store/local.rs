//! A registry beside the cluster, in the same engine: pushed to through its port on loopback, pulled from by a name that only
//! the nodes know.

use std::collections::BTreeSet;

use async_trait::async_trait;
use url::Url;

use super::{Kept, Store, gc, name, push::push_as, registry::Registry, tag};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    image::engine::Connection,
    object::Removed,
};

pub struct LocalStore<'a> {
    /// Builds images, and pushes them.
    pub engine: &'a Connection,
    /// The registry's name among the nodes.
    pub host: &'a str,
    /// Of loopback; None: the registry does not run.
    pub port: Option<u16>,
}

impl LocalStore<'_> {
    fn push_name(&self, repository: &str, tag: &str) -> Result<String> {
        match self.port {
            Some(port) => Ok(name(&format!("127.0.0.1:{port}"), repository, tag)),
            None => Err(Error::new(Kind::Platform, "the local registry has no port")),
        }
    }

    fn registry(&self) -> Result<Option<Registry>> {
        let Some(port) = self.port else { return Ok(None) };
        let base = Url::parse(&format!("http://127.0.0.1:{port}/"))
            .map_err(|error| Error::new(Kind::Unexpected, "the registry has no URL").caused_by(&error))?;
        Ok(Some(Registry::new(base)))
    }
}

#[async_trait]
impl Store for LocalStore<'_> {
    fn pod_name(&self, repository: &str, tag: &str) -> String {
        name(self.host, repository, tag)
    }

    async fn look(&self, repository: &str, tag: &str) -> Result<Kept> {
        let Some(registry) = self.registry()? else { return Ok(Kept::default()) };
        Ok(Kept { digest: registry.manifest_digest(repository, tag).await?, loaded: false })
    }

    async fn put(&self, repository: &str, tag: &str, progress: &Progress) -> Result<Kept> {
        let (local, remote) = (self.pod_name(repository, tag), self.push_name(repository, tag)?);
        let engine = self.engine.get().await?;
        Ok(Kept { digest: Some(push_as(engine, &local, &remote, progress).await?), loaded: false })
    }

    async fn tag(
        &self,
        repository: &str,
        tag: &str,
        _digest: Option<&str>,
        further: &str,
        progress: &Progress,
    ) -> Result<()> {
        let local = self.pod_name(repository, tag);
        let engine = self.engine.get().await?;
        tag::ensure_local(engine, &local, &self.push_name(repository, tag)?).await?;
        push_as(engine, &local, &self.push_name(repository, further)?, progress).await.map(drop)
    }

    async fn collect(&self, repository: &str, in_use: &BTreeSet<String>, keep: usize) -> Result<Vec<Removed>> {
        match self.registry()? {
            Some(registry) => gc::registry(&registry, repository, in_use, keep).await,
            None => Ok(Vec::new()),
        }
    }
}
