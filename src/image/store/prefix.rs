//! Somebody else's registry in this run: what it says to us, and what nodes need to pull from it.

use crate::{
    error::Result,
    event::Events,
    image::store::{
        pull::PullSecret,
        remote as access,
        remote::{Greeting, Refusal, RemoteRegistry},
    },
};

pub struct Remote {
    /// `ghcr.io/ORG`
    prefix: String,
    registry: RemoteRegistry,
    /// What nodes pull with; None where nobody is asked, or we have nothing to show.
    pub secret: Option<PullSecret>,
}

impl Remote {
    /// Asks the registry of `--registry` whether it takes the credentials that docker has for it.
    pub async fn look(prefix: Option<&str>, events: &Events) -> Result<Option<Remote>> {
        let Some(prefix) = prefix else { return Ok(None) };
        let registry = RemoteRegistry::of(&access::host_of(prefix)).await?;
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
        Ok(Some(Remote { prefix: prefix.to_owned(), registry, secret }))
    }

    /// Fails where the registry would refuse a push to `hello/web` below the prefix.
    pub async fn may_push(&self, repository: &str) -> Result<()> {
        match self.registry.may_push(&access::path_below(&self.prefix, repository)).await {
            // What the engine will find, it will say.
            Ok(()) | Err(Refusal::Unreachable { .. }) => Ok(()),
            Err(refusal) => Err(self.error(&refusal, repository)),
        }
    }

    /// Gives the manifest of a digest a further tag. False: it cannot be reached from here.
    pub async fn tag(&self, repository: &str, digest: &str, tag: &str) -> Result<bool> {
        match self.registry.tag(&access::path_below(&self.prefix, repository), digest, tag).await {
            Ok(()) => Ok(true),
            Err(Refusal::Unreachable { .. }) => Ok(false),
            Err(refusal) => Err(self.error(&refusal, repository)),
        }
    }

    fn error(&self, refusal: &Refusal, repository: &str) -> crate::error::Error {
        refusal.error(&format!("pushing to {}/{repository}", self.prefix), &self.registry.host)
    }
}
