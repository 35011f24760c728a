//! Images in somebody else's registry: what it says to us, and what nodes need to pull from it.

use async_trait::async_trait;

use super::{Greeting, Refusal, RemoteRegistry, host_of, path_below};
use crate::{
    error::{Error, Result},
    event::{Events, Progress},
    image::{
        engine::Connection,
        store::{Kept, Store, name, pull::PullSecret, push::push_as, tag},
    },
};

pub struct Remote {
    /// `ghcr.io/ORG`
    prefix: String,
    registry: RemoteRegistry,
    /// What nodes pull with; None where nobody is asked, or we have nothing to show.
    secret: Option<PullSecret>,
}

impl Remote {
    /// Asks the registry of `--registry` whether it takes the credentials that docker has for it.
    pub async fn look(prefix: &str, events: &Events) -> Result<Remote> {
        let registry = RemoteRegistry::of(&host_of(prefix)).await?;
        let asks = match registry.greet().await {
            Ok(Greeting::Open) => false,
            Ok(Greeting::Asks | Greeting::Welcome) => true,
            // The engine may know a way there that we don't: a proxy, a certificate, a registry without TLS.
            Err(Refusal::Unreachable { why }) => {
                tracing::debug!(%why, "the registry is not reached from here");
                true
            }
            Err(refusal) => return Err(refusal.error(&format!("logging in to {prefix}"), &registry.host)),
        };
        let credentials = registry.credentials().filter(|_| asks);
        let secret = credentials.and_then(|credentials| PullSecret::of(&registry.host, credentials));
        if credentials.is_some() && secret.is_none() {
            events.warn(format!(
                "docker's login for {0} is an identity token, which nodes cannot pull with: log in with a user name and a \
                 token (stackctl login {0}), or give the nodes a way of their own",
                registry.host
            ));
        }
        Ok(Remote { prefix: prefix.to_owned(), registry, secret })
    }

    /// Fails where the registry would refuse a push to `hello/web` below the prefix.
    async fn may_push(&self, repository: &str) -> Result<()> {
        match self.registry.may_push(&path_below(&self.prefix, repository)).await {
            // What the engine will find, it will say.
            Ok(()) | Err(Refusal::Unreachable { .. }) => Ok(()),
            Err(refusal) => Err(self.error(&refusal, repository)),
        }
    }

    /// Gives the manifest of a digest a further tag. False: it cannot be reached from here.
    async fn tag(&self, repository: &str, digest: &str, tag: &str) -> Result<bool> {
        match self.registry.tag(&path_below(&self.prefix, repository), digest, tag).await {
            Ok(()) => Ok(true),
            Err(Refusal::Unreachable { .. }) => Ok(false),
            Err(refusal) => Err(self.error(&refusal, repository)),
        }
    }

    fn error(&self, refusal: &Refusal, repository: &str) -> Error {
        refusal.error(&format!("pushing to {}/{repository}", self.prefix), &self.registry.host)
    }
}

pub struct RemoteStore<'a> {
    /// Builds images, pushes them, and knows ways to the registry that we do not.
    pub engine: &'a Connection,
    /// `ghcr.io/ORG`
    pub prefix: &'a str,
    /// None: no image of a service is kept there, so nobody has asked it anything.
    pub registry: Option<&'a Remote>,
}

#[async_trait]
impl Store for RemoteStore<'_> {
    fn pod_name(&self, repository: &str, tag: &str) -> String {
        name(self.prefix, repository, tag)
    }

    async fn look(&self, repository: &str, tag: &str) -> Result<Kept> {
        let engine = self.engine.get().await?;
        let digest = tag::remote_digest(engine, &self.pod_name(repository, tag)).await?;
        Ok(Kept { digest, loaded: false })
    }

    async fn prepare(&self, repository: &str) -> Result<()> {
        match self.registry {
            Some(registry) => registry.may_push(repository).await,
            None => Ok(()),
        }
    }

    async fn put(&self, repository: &str, tag: &str, progress: &Progress) -> Result<Kept> {
        let (engine, name) = (self.engine.get().await?, self.pod_name(repository, tag));
        Ok(Kept { digest: Some(push_as(engine, &name, &name, progress).await?), loaded: false })
    }

    async fn tag(
        &self,
        repository: &str,
        tag: &str,
        digest: Option<&str>,
        further: &str,
        progress: &Progress,
    ) -> Result<()> {
        if let (Some(registry), Some(digest)) = (self.registry, digest)
            && registry.tag(repository, digest, further).await?
        {
            return Ok(());
        }
        let (engine, local) = (self.engine.get().await?, self.pod_name(repository, tag));
        tag::ensure_local(engine, &local, &local).await?;
        push_as(engine, &local, &self.pod_name(repository, further), progress).await.map(drop)
    }

    fn is_shared(&self) -> bool {
        self.registry.is_some()
    }

    fn pull_secret(&self) -> Option<&PullSecret> {
        self.registry?.secret.as_ref()
    }
}
