//! Clusters made by minikube, one profile each. What is there is read from the container engine and from minikube's files,
//! as far as they tell: minikube itself takes a second for each answer.

pub mod checks;
mod event;
mod images;
mod look;
mod make;
mod mark;
mod profile;
mod remove;
mod run;
pub mod settings;
mod spec;
mod status;
#[cfg(test)]
mod tests;

pub use spec::MinikubeSpec;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use bollard::Docker;
use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;

use super::{
    Access, ClusterState, Provider, RegistryState, Traits,
    local::{
        done, engine,
        engine::Container,
        kubeconfig::UserKubeconfig,
        lock::{Lock, Waiting},
        members::Members,
        network, nodes,
        place::Place,
        proxy::ProxyState,
        registry,
    },
    step::{Acted, Step, StepContext},
    sweep::Swept,
};
use crate::{
    error::{Error, Kind, Result, blocking},
    event::Progress,
    provider::REGISTRY_HOST,
    state::{Folder, State},
};
use profile::Profile;
use run::Minikube;

const KUBECONFIG_FILE: &str = "kubeconfig";
const MAKE_WITHIN: Duration = Duration::from_secs(900);
const STOP_WITHIN: Duration = Duration::from_secs(180);
const API_WITHIN: Duration = Duration::from_secs(120);
/// One that is there answers at once; one that does not may be paused.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// For another process to make the cluster, or to remove it.
const LOCKED_WITHIN: Duration = Duration::from_secs(MAKE_WITHIN.as_secs() + 300);

/// A cluster made by minikube.
#[derive(Debug, Clone)]
pub struct MinikubeCluster {
    spec: MinikubeSpec,
    docker: Docker,
    endpoint: String,
    network: String,
    user: UserKubeconfig,
    folder: Folder,
    locks: Folder,
    /// Ends the wait for another process.
    cancel: CancellationToken,
}

impl MinikubeSpec {
    /// As the profile of that name says, if there is one that can be read.
    pub fn with_profile(self) -> MinikubeSpec {
        let profile = profile::read(&self.cluster.name).ok().flatten();
        self.settled(profile.as_ref())
    }

    pub fn members(&self) -> Members {
        mark::members(&self.cluster.name)
    }
}

impl MinikubeCluster {
    /// `endpoint`: as in DOCKER_HOST, of the engine that `docker` talks to.
    pub fn new(spec: MinikubeSpec, docker: &Docker, endpoint: &str, user: UserKubeconfig, state: &State) -> Self {
        MinikubeCluster {
            network: mark::network(&spec.cluster.name),
            folder: state.cluster(&spec.cluster.name),
            locks: state.locks(),
            spec,
            docker: docker.clone(),
            endpoint: endpoint.to_owned(),
            user,
            cancel: CancellationToken::new(),
        }
    }

    pub fn cancelled_by(self, cancel: &CancellationToken) -> Self {
        MinikubeCluster { cancel: cancel.clone(), ..self }
    }

    fn name(&self) -> &str {
        &self.spec.cluster.name
    }

    fn place(&self) -> Place {
        Place {
            docker: self.docker.clone(),
            endpoint: self.endpoint.clone(),
            network: self.network.clone(),
            members: self.spec.members(),
            agent_image: self.spec.cluster.agent_image.clone(),
        }
    }

    /// Hosts near the nodes, to be reached without a proxy.
    async fn unproxied(&self) -> Result<Vec<String>> {
        let mut hosts = vec![registry::name_for(self.name()), REGISTRY_HOST.to_owned()];
        hosts.extend(network::subnet(&self.docker, &self.network).await?);
        Ok(hosts)
    }

    async fn profile(&self) -> Result<Option<Profile>> {
        let name = self.name().to_owned();
        blocking(move || profile::read(&name)).await
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        self.spec.members().containers(&self.docker).await
    }

    fn minikube<'a>(&'a self, kubeconfig: &'a std::path::Path, unproxied: &'a [String]) -> Minikube<'a> {
        Minikube {
            program: run::PROGRAM,
            profile: self.name(),
            kubeconfig,
            endpoint: &self.endpoint,
            folder: &self.folder,
            unproxied,
        }
    }

    /// Until it is dropped no other process makes or removes the cluster.
    async fn lock(&self, doing: &str, progress: &Progress) -> Result<Lock> {
        let waiting = Waiting { doing, within: LOCKED_WITHIN, cancel: &self.cancel, progress };
        Lock::take(&self.locks, self.name(), &waiting).await
    }

    fn refuse(&self, why: String) -> Error {
        let name = self.name();
        Error::new(Kind::Preflight, format!("there is a minikube profile {name} that stackctl did not make"))
            .cause(why)
            .hint("choose another name with --cluster-name")
            .hint(format!("or remove that profile, if nobody needs it: minikube delete -p {name}"))
    }

    fn nothing_to(&self, verb: &str) -> Error {
        Error::new(Kind::Preflight, format!("there is no whole cluster {} to {verb}", self.name()))
            .hint("`stackctl up` makes it")
    }

    async fn require_whole(&self, verb: &str) -> Result<()> {
        match self.judge().await? {
            ClusterState::Ours { .. } => Ok(()),
            ClusterState::Foreign { why } => Err(self.refuse(why)),
            _ => Err(self.nothing_to(verb)),
        }
    }

    async fn merge_into_users(&self, make_current: bool, progress: &Progress) -> Result<()> {
        let access = self.access().await?;
        self.user.merge_and_tell(&access, &self.folder, make_current, progress).await
    }

    /// Mirrors, the registry and the CA bundle of nodes that are containers and pull by containerd's files.
    fn configuration(&self) -> Result<Option<nodes::Configuration>> {
        let by_files = self.spec.in_engine() && self.spec.container_runtime == "containerd";
        by_files.then(|| nodes::Configuration::new(&self.spec.cluster)).transpose()
    }

    async fn configure(&self) -> Result<bool> {
        let Some(configuration) = self.configuration()? else { return Ok(false) };
        let nodes = self.containers().await?;
        if done::is_configured(&self.docker, &nodes, &configuration.hash()).await? {
            return Ok(false);
        }
        configuration.renew(&self.docker, &nodes).await?;
        Ok(true)
    }
}

#[async_trait]
impl Provider for MinikubeCluster {
    fn traits(&self) -> Traits {
        self.spec.traits()
    }

    fn folder(&self) -> &Folder {
        &self.folder
    }

    async fn observe(&self) -> Result<ClusterState> {
        match self.judge().await {
            Err(error) if error.kind == Kind::Platform => Ok(ClusterState::Unreachable { why: error.to_string() }),
            judged => judged,
        }
    }

    async fn outdated(&self) -> Result<bool> {
        let Some(configuration) = self.configuration()? else { return Ok(false) };
        Ok(!done::is_configured(&self.docker, &self.containers().await?, &configuration.hash()).await?)
    }

    async fn kubeconfig_outdated(&self) -> Result<bool> {
        self.user.lacks(KUBECONFIG_FILE, &self.folder).await
    }

    async fn observe_registry(&self) -> Result<RegistryState> {
        self.place().observe_registry().await
    }

    async fn observe_proxy(&self, stack: &str) -> Result<ProxyState> {
        match self.traits().has_proxy() {
            true => self.place().proxy(stack).observe().await,
            false => Ok(ProxyState::default()),
        }
    }

    async fn edges(&self) -> Result<Vec<(String, BTreeMap<u16, u16>)>> {
        self.place().edges().await
    }

    async fn has_image(&self, reference: &str) -> Result<bool> {
        self.node_has_image(reference).await
    }

    async fn load_image(&self, reference: &str, progress: &Progress) -> Result<()> {
        self.load_into_nodes(reference, progress).await
    }

    async fn act(&self, step: &Step, context: StepContext<'_>) -> Result<Acted> {
        let progress = context.progress;
        // minikube counts addresses from the network's own, and so wants to know its subnet.
        if let Step::CreateNetwork = step {
            network::ensure_with_subnet(&self.docker, &self.network, self.name()).await?;
            return Ok(Acted::default());
        }
        let place = self.place();
        if let Some(acted) = place.act(step, &context).await {
            return acted;
        }
        match step {
            Step::CreateCluster => self.create(progress).await.map(|()| Acted::note("created")),
            Step::StartCluster => self.start(progress).await.map(|()| Acted::note("started")),
            Step::ConfigureNodes => Ok(Acted::unchanged(!self.configure().await?)),
            Step::MergeKubeconfig => self.merge_into_users(false, progress).await.map(|()| Acted::default()),
            Step::DeleteCluster => self.delete(context.may_go, progress).await.map(Acted::removed),
            other => Err(other.is_not_mine("minikube")),
        }
    }

    async fn sweep(&self, bases: &BTreeSet<String>) -> Result<Swept> {
        self.look_for_leftovers(bases).await
    }

    /// It waits until the API server answers; Services may take until kube-proxy is back.
    async fn start(&self, progress: &Progress) -> Result<()> {
        self.require_whole("start").await?;
        self.wake(progress).await
    }

    async fn stop(&self, progress: &Progress) -> Result<()> {
        self.require_whole("stop").await?;
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let what = format!("minikube cannot stop the cluster {}", self.name());
        self.minikube(&kubeconfig, &[]).work("stop", &[], STOP_WITHIN, &what, progress).await?;
        let companions = self.place().companions().await?;
        let running = companions.iter().filter(|container| container.running);
        try_join_all(running.map(|container| engine::stop_container(&self.docker, container))).await.map(drop)
    }

    async fn access(&self) -> Result<Access> {
        let profile = self.profile().await?;
        if let Some(access) = self.known_access(profile.as_ref()) {
            return Ok(access);
        }
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        self.folder.remove_file(KUBECONFIG_FILE)?;
        self.folder.make()?;
        self.minikube(&kubeconfig, &[]).ask(&["update-context"]).await?;
        self.known_access(profile.as_ref()).ok_or_else(|| {
            Error::new(Kind::Platform, format!("minikube does not tell how the cluster {} is reached", self.name()))
                .cause("`minikube update-context` gave no context for it")
                .hint("`stackctl up` makes or repairs the cluster")
        })
    }

    async fn platform(&self) -> Result<String> {
        self.place().platform().await
    }
}
