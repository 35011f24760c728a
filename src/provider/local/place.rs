//! What a cluster whose nodes are containers of an engine has beside its nodes, whatever makes them: a network, a
//! registry, the proxies to its edges, images. Its share of the steps, of what is seen, and of the audit.

use std::collections::BTreeMap;

use bollard::Docker;

use super::{
    audit, engine,
    engine::Container,
    hold,
    members::Members,
    network,
    proxy::{self, Proxy},
    registry::{self, Registry},
};
use crate::{
    error::{Context, Error, Kind, Result, blocking},
    event::Progress,
    image::{self, LABEL_CREATED, LABEL_SERVICE, LABEL_STACK},
    object::Removed,
    provider::{
        CLUSTER_LABEL, OWNER, OWNER_LABEL, RegistryState, edge, hosting,
        step::{Acted, Output, Step, StepContext},
    },
};

/// Where a local cluster is.
#[derive(Debug, Clone)]
pub struct Place {
    pub docker: Docker,
    /// As in DOCKER_HOST.
    pub endpoint: String,
    pub network: String,
    pub members: Members,
    /// What proxies run from, in place of an image of this program.
    pub agent_image: Option<String>,
}

impl Place {
    pub fn registry(&self) -> Registry {
        Registry::new(&self.docker, &self.endpoint, &self.members.cluster, &self.network)
    }

    pub fn proxy(&self, stack: &str) -> Proxy {
        Proxy::new(&self.docker, &self.endpoint, &self.members, stack, &self.network)
    }

    /// Containers of ours beside the cluster's own, such as its registry.
    pub async fn companions(&self) -> Result<Vec<Container>> {
        engine::containers(&self.docker, &[(OWNER_LABEL, OWNER), (CLUSTER_LABEL, &self.members.cluster)]).await
    }

    /// Where there are no nodes: fails with `Kind::Preflight` where what is beside them is on another network. Two
    /// providers may have clusters of one name, and each has a network of its own.
    pub async fn require_own(&self) -> Result<()> {
        let companions = self.companions().await?;
        let Some(other) = companions.iter().find(|container| is_elsewhere(container, &self.network)) else {
            return Ok(());
        };
        let name = &self.members.cluster;
        Err(Error::new(Kind::Preflight, format!("another provider has made the cluster {name}"))
            .cause(format!("{} is on the network {}, not on {}", other.name, other.networks.join(", "), self.network))
            .hint("name that provider with --provider, or choose another name with --cluster-name"))
    }

    pub async fn observe_registry(&self) -> Result<RegistryState> {
        Ok(match self.registry().observe().await? {
            registry::State::Absent | registry::State::Outdated { .. } => RegistryState::Absent,
            registry::State::Stopped => RegistryState::Stopped,
            registry::State::Running { port } => RegistryState::Running { port },
            registry::State::Foreign { why } => {
                return Err(Error::new(Kind::Preflight, why).hint("choose another name with --cluster-name"));
            }
        })
    }

    /// The proxies that run: stack to ports, inside to 127.0.0.1.
    pub async fn edges(&self) -> Result<Vec<(String, BTreeMap<u16, u16>)>> {
        proxy::of_cluster(&self.docker, &self.members.cluster).await
    }

    /// Nodes run on the engine's own platform.
    pub async fn platform(&self) -> Result<String> {
        let version = self.docker.version().await;
        let version = version.context(Kind::Platform, || "cannot ask the engine for its platform".to_owned())?;
        let (os, arch) = (version.os.unwrap_or_default(), version.arch.unwrap_or_default());
        Ok(format!("{os}/{arch}"))
    }

    /// Steps that do not depend on what makes the nodes. None: it is none of these.
    pub async fn act(&self, step: &Step, context: &StepContext<'_>) -> Option<Result<Acted>> {
        Some(match step {
            Step::CreateNetwork => network::ensure(&self.docker, &self.network).await.map(|()| Acted::default()),
            Step::StartRegistry => self.start_registry(context.progress).await,
            Step::PublishRegistry => self.publish_registry().await,
            Step::ProvideProxy { stack } => self.provide_proxy(stack, context).await,
            Step::StartProxy { stack, service, asked } => {
                let ports = context.object.map(|service| edge::ports(service, *asked)).unwrap_or_default();
                if ports.is_empty() {
                    return Some(Err(Error::new(Kind::Platform, format!("{service} has no ports on the nodes"))));
                }
                self.start_proxy(stack, &ports, context.progress).await
            }
            Step::RemoveProxy { stack } => self.proxy(stack).delete().await.map(Acted::removed),
            Step::DeleteImages => audit::remove_images(&self.docker, &self.members.cluster).await.map(Acted::removed),
            Step::CreateCluster
            | Step::StartCluster
            | Step::ConfigureNodes
            | Step::MergeKubeconfig
            | Step::DeleteCluster
            | Step::Cloud(_) => return None,
        })
    }

    async fn start_registry(&self, progress: &Progress) -> Result<Acted> {
        let port = self.registry().ensure(progress).await?;
        Ok(Acted { output: Output::Registry { port }, ..Acted::note(format!("127.0.0.1:{port}")) })
    }

    async fn publish_registry(&self) -> Result<Acted> {
        let registry::State::Running { port } = self.registry().observe().await? else {
            return Err(Error::new(Kind::Platform, "the local registry has no port"));
        };
        let own = format!("{}:{}", registry::name_for(&self.members.cluster), registry::PORT);
        Ok(Acted { object: Some(hosting::object(&own, port)), ..Acted::default() })
    }

    /// What the proxy runs from: an image of the user's own, or this executable.
    fn proxy_image(&self) -> String {
        self.agent_image.clone().unwrap_or_else(|| proxy::image(&self.members.cluster))
    }

    /// That image in the engine; pods have no use for it, so no registry gets it.
    async fn provide_proxy(&self, stack: &str, context: &StepContext<'_>) -> Result<Acted> {
        let reference = self.proxy_image();
        if self.agent_image.is_some() {
            engine::ensure_image(&self.docker, &reference, context.progress).await?;
            return Ok(Acted::default());
        }
        if engine::has_image(&self.docker, &reference).await? {
            return Ok(Acted::unchanged(true));
        }
        let platform = self.platform().await?;
        let agent = blocking(move || image::agent::agent_image(&platform)).await?;
        let engine = context.engine.get().await?;
        let labels = [
            (OWNER_LABEL, OWNER.to_owned()),
            (CLUSTER_LABEL, self.members.cluster.clone()),
            (LABEL_STACK, stack.to_owned()),
            (LABEL_SERVICE, proxy::ROLE.to_owned()),
            (LABEL_CREATED, jiff::Timestamp::now().as_second().to_string()),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value)).into();
        let spec = agent.spec();
        image::build::build_context(engine, &spec, agent.context, &[reference], &labels, context.progress).await?;
        Ok(Acted::default())
    }

    async fn start_proxy(&self, stack: &str, ports: &[proxy::Port], progress: &Progress) -> Result<Acted> {
        let proxy = self.proxy(stack);
        let unchanged = proxy.observe().await?.needs(ports).is_none();
        let published = proxy.ensure(&self.proxy_image(), ports, progress).await?;
        let places: Vec<_> = published.values().map(|port| format!("127.0.0.1:{port}")).collect();
        Ok(Acted {
            unchanged,
            note: Some(places.join(", ")),
            output: Output::ProxyPorts(published),
            ..Acted::default()
        })
    }

    /// Removes registry, proxies and whatever else carries the cluster's labels; the network, if no other cluster uses it.
    pub async fn remove(&self) -> Result<Vec<Removed>> {
        let mut removed = self.registry().delete().await?;
        let companions = self.companions().await?;
        let gone = companions.iter().map(|container| engine::remove_container(&self.docker, container));
        futures::future::try_join_all(gone).await?;
        removed.extend(companions.into_iter().map(removed_container));
        hold::release(&self.docker, &self.members.cluster).await?;
        if network::remove_if_unused(&self.docker, &self.network).await? {
            removed.push(Removed { kind: "network".to_owned(), name: self.network.clone() });
        }
        Ok(removed)
    }
}

/// A container may also be on the engine's own network.
fn is_elsewhere(container: &Container, network: &str) -> bool {
    let mut others = container.networks.iter().filter(|on| *on != "bridge").peekable();
    others.peek().is_some() && others.all(|on| on != network)
}

pub fn removed_container(container: Container) -> Removed {
    Removed { kind: "container".to_owned(), name: container.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_another_network_alone_belongs_to_another_provider() {
        let on = |networks: &[&str]| {
            let networks = networks.iter().map(|name| (*name).to_owned()).collect();
            is_elsewhere(&Container { networks, ..Container::default() }, "stackctl")
        };
        assert!(on(&["shop-minikube"]) && on(&["bridge", "shop-minikube"]));
        assert!(!on(&[]) && !on(&["bridge"]) && !on(&["stackctl"]) && !on(&["shop-minikube", "stackctl"]));
    }
}
