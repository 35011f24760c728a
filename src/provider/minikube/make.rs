//! From nothing to a whole cluster, and from a stopped one to one that runs.

use futures::future::try_join_all;

use super::{API_WITHIN, KUBECONFIG_FILE, MAKE_WITHIN, MinikubeCluster, checks, mark, status};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    provider::{
        ClusterState, Provider, api,
        local::{child, done, engine, kubeconfig::UserKubeconfig, network},
    },
};

/// In the cluster's state folder: the further flags that it was made with, one a line. `stackctl start` takes none.
const FLAGS_FILE: &str = "minikube.flags";
/// In the cluster's state folder, while it is being made: it is ours, though it may not have its mark yet.
pub const MAKING_FILE: &str = "making";

impl MinikubeCluster {
    /// Makes the cluster, replacing a half-made one, and returns once its API server answers and its nodes can pull
    /// through the mirrors.
    pub async fn create(&self, progress: &Progress) -> Result<()> {
        let _lock = self.lock("making", progress).await?;
        match self.judge().await? {
            ClusterState::Absent => self.make(progress).await,
            ClusterState::HalfMade { why } => {
                progress.say(format!("replacing a half-made cluster: {why}"));
                child::end_leftover(&self.folder)?;
                self.remove_nodes(progress).await?;
                self.make(progress).await
            }
            ClusterState::Ours { stopped } => {
                if stopped {
                    self.wake(progress).await?;
                }
                self.configure().await?;
                self.merge_into_users(false, progress).await
            }
            ClusterState::Foreign { why } => Err(self.refuse(why)),
            ClusterState::Unreachable { why } => Err(Error::new(Kind::Platform, "cannot reach the engine").cause(why)),
        }
    }

    async fn make(&self, progress: &Progress) -> Result<()> {
        let arguments = self.spec.to_make(&self.network)?;
        let configuration = self.configuration()?;
        let version = checks::version().await?;
        child::end_leftover(&self.folder)?;
        self.folder.make()?;
        // One of an earlier cluster would be added to.
        self.folder.remove_file(KUBECONFIG_FILE)?;
        UserKubeconfig::forget_merge(&self.folder)?;
        self.folder.write(MAKING_FILE, &[])?;
        if self.spec.in_engine() {
            network::ensure_with_subnet(&self.docker, &self.network, self.name()).await?;
        }
        let what = format!("minikube cannot make the cluster {}", self.name());
        self.folder.write(FLAGS_FILE, self.spec.flags.join("\n").as_bytes())?;
        self.minikube_start(&arguments, &what, progress).await?;
        let owner = mark::owner_file(self.name(), &version);
        if self.spec.in_engine() {
            progress.say("configuring the nodes");
            let nodes = self.containers().await?;
            let path = format!("{}/{}", mark::OWNER_FOLDER, mark::OWNER_FILE);
            let file = [engine::File { path, content: owner.into_bytes() }];
            try_join_all(nodes.iter().map(|node| engine::put_files(&self.docker, &node.name, &file))).await?;
            if let Some(configuration) = configuration {
                // They have pulled nothing from a registry whose certificate they would have to trust.
                let fresh = self.spec.cluster.ca_bundle.is_none();
                configuration.apply(&self.docker, &nodes, fresh).await?;
                done::set_configured(&self.docker, &nodes, &configuration.hash()).await?;
            }
        }
        api::await_ready(&self.access().await?, API_WITHIN).await?;
        // Last of all: from here on the cluster is whole.
        if self.spec.in_engine() {
            done::set_complete(&self.docker, self.name()).await?;
        } else {
            let file = mark::in_profile(self.name());
            let owner = mark::owner_file(self.name(), &version);
            std::fs::write(&file, owner).context(Kind::Platform, || format!("cannot write {}", file.display()))?;
        }
        self.folder.remove_file(MAKING_FILE)?;
        self.merge_into_users(true, progress).await
    }

    /// Of a whole cluster that is stopped or paused.
    pub(super) async fn wake(&self, progress: &Progress) -> Result<()> {
        let containers = self.containers().await?;
        progress.say("starting the containers");
        // The proxies have ports that somebody else may have taken meanwhile: no reason to leave the cluster stopped.
        for companion in self.place().companions().await?.iter().filter(|container| !container.running) {
            if let Err(error) = engine::start_container(&self.docker, &companion.name).await {
                progress.warn(format!("{error}; `stackctl up` puts it right"));
            }
        }
        for node in containers.iter().filter(|node| node.paused) {
            engine::unpause_container(&self.docker, node).await?;
        }
        let what = format!("minikube cannot start the cluster {}", self.name());
        if status::is_paused(&self.status().await?) {
            let kubeconfig = self.folder.file(KUBECONFIG_FILE);
            self.minikube(&kubeconfig, &[]).work("unpause", &[], MAKE_WITHIN, &what, progress).await?;
        } else {
            let started = self.minikube_start(&self.flags()?, &what, progress).await;
            if let Err(error) = started {
                return Err(self.by_another_version(error).await);
            }
        }
        progress.say("waiting for the API server");
        api::await_ready(&self.access().await?, API_WITHIN).await
    }

    /// Of a later start, which leaves the cluster as it was made: those that are given now, else those of then.
    fn flags(&self) -> Result<Vec<String>> {
        if !self.spec.flags.is_empty() {
            return Ok(self.spec.flags.clone());
        }
        let known = self.folder.read(FLAGS_FILE)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&known).lines().map(str::to_owned).collect())
    }

    async fn minikube_start(&self, arguments: &[String], what: &str, progress: &Progress) -> Result<()> {
        let (kubeconfig, unproxied) = (self.folder.file(KUBECONFIG_FILE), self.unproxied().await?);
        let arguments = [vec!["--interactive=false".to_owned()], arguments.to_vec()].concat();
        self.minikube(&kubeconfig, &unproxied).work("start", &arguments, MAKE_WITHIN, what, progress).await
    }

    /// Says so where the cluster was made by another version of minikube than the one that fails.
    async fn by_another_version(&self, error: Error) -> Error {
        let path = format!("{}/{}", mark::OWNER_FOLDER, mark::OWNER_FILE);
        let owner = engine::read_file(&self.docker, self.name(), &path).await.ok().flatten().unwrap_or_default();
        let owner = String::from_utf8_lossy(&owner).into_owned();
        let made_by = owner.lines().find_map(|line| line.strip_prefix("minikube: "));
        match (made_by, checks::version().await) {
            (Some(made_by), Ok(now)) if made_by != now => error
                .cause(format!("the cluster was made by minikube {made_by}, and this is {now}"))
                .hint("use that version, or make the cluster anew: stackctl down --cluster, then stackctl up"),
            _ => error,
        }
    }
}
