//! Clusters made by kind. What is there is read from the container engine alone: kind itself is run to make things.

pub mod access;
pub mod checks;
pub mod config;
pub mod create;
mod failure;
mod make;
pub mod mark;
mod preload;
mod remove;
pub mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bollard::Docker;
use futures::future::try_join_all;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Access, Answer, ClusterSpec, ClusterState, EdgeBy, ImagesBy, Lifecycle, Provider, RegistryState, Traits, api,
    local::{
        audit, child, done, engine,
        engine::Container,
        kubeconfig::UserKubeconfig,
        lock::{Lock, Waiting},
        network, nodes,
        place::Place,
        proxy::{self, ProxyState},
    },
    step::{Acted, Step, StepContext},
    sweep::Swept,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::ProviderObjects,
    state::{Folder, State},
};

/// The nodes are containers of an engine here: as many as were asked for, free of charge.
pub const TRAITS: Traits = Traits {
    lifecycle: Lifecycle::Ours,
    images_reach_nodes_by: ImagesBy::LocalRegistry,
    edge_reached_by: EdgeBy::ProxyContainer,
    pulls_while_made: true,
    nodes_may_grow: Answer::No,
    costs: Answer::No,
    own_objects: ProviderObjects::NONE,
    volumes_outlive_it: false,
    answers_within: Duration::from_secs(60),
};

/// What kind's node images are called.
const NODE_REPOSITORY: &str = "kindest/node";
const OWNER_FOLDER: &str = "owner";
const API_WITHIN: Duration = Duration::from_secs(120);
/// For another process to make the cluster, or to remove it.
const LOCKED_WITHIN: Duration = Duration::from_secs(create::WITHIN.as_secs() + 300);

/// A cluster made by kind in one container engine.
#[derive(Debug, Clone)]
pub struct KindCluster {
    spec: ClusterSpec,
    docker: Docker,
    endpoint: String,
    network: String,
    user: UserKubeconfig,
    folder: Folder,
    locks: Folder,
    /// Ends the wait for another process.
    cancel: CancellationToken,
    /// The new nodes, by id, that know what they must before they pull.
    configured: Arc<Mutex<BTreeSet<String>>>,
}

impl KindCluster {
    /// `endpoint`: as in DOCKER_HOST, of the engine that `docker` talks to. `network`: the engine network to use.
    pub fn new(
        spec: ClusterSpec,
        docker: &Docker,
        endpoint: &str,
        network: &str,
        user: UserKubeconfig,
        state: &State,
    ) -> Self {
        KindCluster {
            folder: state.cluster(&spec.name),
            locks: state.locks(),
            spec,
            docker: docker.clone(),
            endpoint: endpoint.to_owned(),
            network: network.to_owned(),
            user,
            cancel: CancellationToken::new(),
            configured: Arc::default(),
        }
    }

    pub fn cancelled_by(self, cancel: &CancellationToken) -> Self {
        KindCluster { cancel: cancel.clone(), ..self }
    }

    pub fn context(&self) -> String {
        format!("kind-{}", self.spec.name)
    }

    pub fn place(&self) -> Place {
        Place {
            docker: self.docker.clone(),
            endpoint: self.endpoint.clone(),
            network: self.network.clone(),
            members: mark::members(&self.spec.name),
            agent_image: self.spec.agent_image.clone(),
        }
    }

    async fn nodes(&self) -> Result<Vec<Container>> {
        mark::members(&self.spec.name).nodes(&self.docker).await
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        mark::members(&self.spec.name).containers(&self.docker).await
    }

    async fn judge(&self, containers: &[Container]) -> Result<ClusterState> {
        let nodes: Vec<&Container> = containers.iter().filter(|container| mark::is_node(container)).collect();
        if containers.is_empty() {
            self.place().require_own().await?;
            return Ok(ClusterState::Absent);
        }
        if let Some(node) = nodes.iter().find(|node| !mark::is_marked(node)) {
            let why = format!(
                "its node {} does not carry stackctl's mark, a read-only mount at {}",
                node.name,
                mark::OWNER_FOLDER
            );
            return Ok(ClusterState::Foreign { why });
        }
        if nodes.is_empty() {
            // The load balancer takes no mark; on our network it can only be what we began.
            let on_ours = containers.iter().any(|container| container.networks.contains(&self.network));
            return Ok(if on_ours && network::is_ours(&self.docker, &self.network).await? {
                ClusterState::HalfMade { why: "it has a load balancer, but no nodes".to_owned() }
            } else {
                ClusterState::Foreign { why: "it is a load balancer that stackctl did not make".to_owned() }
            });
        }
        let first = mark::first_node(&self.spec.name);
        if !nodes.iter().any(|node| node.name == first) {
            return Ok(ClusterState::HalfMade { why: format!("its node {first} is missing") });
        }
        if !done::is_complete(&self.docker, &first).await? {
            return Ok(ClusterState::HalfMade { why: "its creation did not finish".to_owned() });
        }
        Ok(ClusterState::Ours { stopped: containers.iter().any(|container| !container.running) })
    }

    /// Until it is dropped no other process makes or removes the cluster. What was seen before it was had is out of
    /// date: the one that had it has made the cluster, or removed it.
    async fn lock(&self, doing: &str, progress: &Progress) -> Result<Lock> {
        let waiting = Waiting { doing, within: LOCKED_WITHIN, cancel: &self.cancel, progress };
        Lock::take(&self.locks, &self.spec.name, &waiting).await
    }

    async fn start_all(&self, containers: &[Container]) -> Result<()> {
        // An engine would make a lost source of a mount itself, but as root.
        self.folder
            .write(&format!("{OWNER_FOLDER}/{}", mark::OWNER_FILE), mark::owner_file(&self.spec.name).as_bytes())?;
        let stopped = containers.iter().filter(|container| !container.running);
        try_join_all(stopped.map(|container| engine::start_container(&self.docker, &container.name))).await.map(drop)
    }

    fn refuse(&self, why: String) -> Error {
        let name = &self.spec.name;
        Error::new(Kind::Preflight, format!("there is a kind cluster {name} that stackctl did not make"))
            .cause(why)
            .hint("choose another name with --cluster-name")
            .hint(format!("or remove that cluster, if nobody needs it: kind delete cluster --name {name}"))
    }
}

#[async_trait]
impl Provider for KindCluster {
    fn traits(&self) -> Traits {
        TRAITS
    }

    fn folder(&self) -> &Folder {
        &self.folder
    }

    async fn observe(&self) -> Result<ClusterState> {
        let containers = match self.containers().await {
            Ok(containers) => containers,
            Err(error) => return Ok(ClusterState::Unreachable { why: error.to_string() }),
        };
        self.judge(&containers).await
    }

    async fn outdated(&self) -> Result<bool> {
        let wanted = nodes::Configuration::new(&self.spec)?.hash();
        Ok(!done::is_configured(&self.docker, &self.nodes().await?, &wanted).await?)
    }

    async fn kubeconfig_outdated(&self) -> Result<bool> {
        self.user.lacks(access::KUBECONFIG_FILE, &self.folder).await
    }

    async fn observe_registry(&self) -> Result<RegistryState> {
        self.place().observe_registry().await
    }

    async fn observe_proxy(&self, stack: &str) -> Result<ProxyState> {
        self.place().proxy(stack).observe().await
    }

    async fn edges(&self) -> Result<Vec<(String, BTreeMap<u16, u16>)>> {
        self.place().edges().await
    }

    async fn act(&self, step: &Step, context: StepContext<'_>) -> Result<Acted> {
        let place = self.place();
        if let Some(acted) = place.act(step, &context).await {
            return acted;
        }
        let progress = context.progress;
        match step {
            Step::CreateCluster => self.create(progress).await.map(|()| Acted::note("created")),
            Step::StartCluster => self.start(progress).await.map(|()| Acted::note("started")),
            Step::ConfigureNodes => Ok(Acted::unchanged(!self.configure(progress).await?)),
            Step::MergeKubeconfig => self.merge_kubeconfig(progress).await.map(|()| Acted::default()),
            Step::DeleteCluster => self.delete(context.may_go, progress).await.map(Acted::removed),
            other => Err(other.is_not_mine("kind")),
        }
    }

    async fn sweep(&self, bases: &BTreeSet<String>) -> Result<Swept> {
        let (place, context) = (self.place(), self.context());
        let names = audit::Names { node: NODE_REPOSITORY, given: self.spec.node_image.iter().chain(bases) };
        audit::sweep(&place, &audit::Traces { user: &self.user, context: &context, folder: &self.folder }, names).await
    }

    async fn preload(&self, image: &str, progress: &Progress) -> Result<()> {
        self.preload_image(image, progress).await
    }

    async fn start(&self, progress: &Progress) -> Result<()> {
        let nodes = self.containers().await?;
        match self.judge(&nodes).await? {
            ClusterState::Ours { .. } => {}
            ClusterState::Foreign { why } => return Err(self.refuse(why)),
            _ => return Err(self.nothing_to("start")),
        }
        progress.say("starting the containers");
        let (proxies, companions): (Vec<_>, Vec<_>) = self
            .place()
            .companions()
            .await?
            .into_iter()
            .partition(|it| it.label(proxy::ROLE_LABEL) == Some(proxy::ROLE));
        self.start_all(&companions).await?;
        self.start_all(&nodes).await?;
        // A port that somebody else took meanwhile is no reason to leave the cluster stopped.
        if let Err(error) = self.start_all(&proxies).await {
            progress.warn(format!("{error}; `stackctl up` makes the edge reachable again"));
        }
        progress.say("waiting for the API server");
        api::await_ready(&self.access().await?, API_WITHIN).await
    }

    async fn stop(&self, progress: &Progress) -> Result<()> {
        let mut containers = self.containers().await?;
        match self.judge(&containers).await? {
            ClusterState::Ours { .. } => {}
            ClusterState::Foreign { why } => return Err(self.refuse(why)),
            _ => return Err(self.nothing_to("stop")),
        }
        progress.say("stopping the containers");
        remove::quiesce(&self.docker, &containers).await;
        containers.extend(self.place().companions().await?);
        let running = containers.iter().filter(|container| container.running);
        try_join_all(running.map(|container| engine::stop_container(&self.docker, container))).await.map(drop)
    }

    async fn access(&self) -> Result<Access> {
        self.private_access().await
    }

    async fn platform(&self) -> Result<String> {
        self.place().platform().await
    }
}

impl KindCluster {
    /// Makes the cluster, replacing a half-made one, and returns once its API server answers and its nodes can pull
    /// through the mirrors.
    pub async fn create(&self, progress: &Progress) -> Result<()> {
        let _lock = self.lock("making", progress).await?;
        let containers = self.containers().await?;
        match self.judge(&containers).await? {
            ClusterState::Absent => self.make(progress).await,
            ClusterState::HalfMade { why } => {
                progress.say(format!("replacing a half-made cluster: {why}"));
                child::end_leftover(&self.folder)?;
                self.remove_nodes().await?;
                self.make(progress).await
            }
            ClusterState::Ours { stopped } => {
                if stopped {
                    self.start(progress).await?;
                }
                self.configure(progress).await?;
                self.merge_into_users(false, progress).await
            }
            ClusterState::Foreign { why } => Err(self.refuse(why)),
            ClusterState::Unreachable { why } => Err(Error::new(Kind::Platform, "cannot reach the engine").cause(why)),
        }
    }

    /// Brings a cluster that is there up to date with what may change after its creation: mirrors, the registry and
    /// the CA bundle of its nodes. True: something had to be changed.
    pub async fn configure(&self, progress: &Progress) -> Result<bool> {
        if !self.outdated().await? {
            return Ok(false);
        }
        let configuration = nodes::Configuration::new(&self.spec)?;
        progress.say("configuring the nodes");
        let nodes = self.nodes().await?;
        configuration.renew(&self.docker, &nodes).await?;
        Ok(true)
    }

    /// Puts the context of a cluster that is there into the user's kubeconfig, or puts it right there.
    pub async fn merge_kubeconfig(&self, progress: &Progress) -> Result<()> {
        self.merge_into_users(false, progress).await
    }

    fn nothing_to(&self, verb: &str) -> Error {
        Error::new(Kind::Preflight, format!("there is no whole cluster {} to {verb}", self.spec.name))
            .hint("`stackctl up` makes it")
    }
}
