//! How a kind cluster is reached: a kubeconfig of its own, and an entry in the user's.

use std::{path::PathBuf, process::Stdio, time::Duration};

use super::{KindCluster, create, mark};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    provider::{
        Access,
        local::{engine, engine::Container, kubeconfig},
    },
    state::read_if_there,
};

pub const KUBECONFIG_FILE: &str = "kubeconfig";
/// In the cluster's state folder: the id of the container that the private kubeconfig was last seen to fit.
const NODE_FILE: &str = "kubeconfig.node";
/// In a control-plane node: whose signature the API server bears.
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";
const API_PORT: u16 = 6443;

impl KindCluster {
    pub fn private_kubeconfig(&self) -> PathBuf {
        self.folder.file(KUBECONFIG_FILE)
    }

    /// The private kubeconfig: made again when it is missing or of another cluster of that name, and its port the one
    /// that the engine publishes now.
    pub(super) async fn private_access(&self) -> Result<Access> {
        let containers = self.containers().await?;
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let content = match read_if_there(&kubeconfig)?.filter(|content| kubeconfig::is_whole(content)) {
            Some(content) if self.is_of_this_cluster(&content, &containers).await? => content,
            _ => {
                let content = self.kubeconfig_by_kind().await?;
                self.folder.write(KUBECONFIG_FILE, &content)?;
                content
            }
        };
        if let Some(node) = self.first_of(&containers)
            && self.folder.read(NODE_FILE)?.as_deref() != Some(node.id.as_bytes())
        {
            self.folder.write(NODE_FILE, node.id.as_bytes())?;
        }
        if let Some(port) = self.api_port(&containers)
            && let Some(changed) = kubeconfig::with_port(&content, port)?
        {
            self.folder.write(KUBECONFIG_FILE, &changed)?;
        }
        Ok(Access { kubeconfig, context: self.context() })
    }

    /// Somebody else may have made the cluster anew under its name, with another authority: the node that the file was
    /// last seen to fit is another one then. The authority is asked for only where that is so, for it takes a while.
    async fn is_of_this_cluster(&self, content: &[u8], containers: &[Container]) -> Result<bool> {
        let Some(node) = self.first_of(containers) else { return Ok(true) };
        if self.folder.read(NODE_FILE)?.as_deref() == Some(node.id.as_bytes()) {
            return Ok(true);
        }
        let (known, there) =
            (kubeconfig::authority(content), engine::read_file(&self.docker, &node.name, AUTHORITY).await?);
        let same = |there: &[u8]| known.is_some_and(|known| known.trim_ascii() == there.trim_ascii());
        Ok(there.is_none_or(|there| same(&there)))
    }

    fn first_of<'a>(&self, containers: &'a [Container]) -> Option<&'a Container> {
        let first = mark::first_node(&self.spec.name);
        containers.iter().find(|container| container.name == first)
    }

    pub(super) async fn merge_into_users(&self, make_current: bool, progress: &Progress) -> Result<()> {
        let access = self.private_access().await?;
        self.user.merge_and_tell(&access, &self.folder, make_current, progress).await
    }

    /// Where the engine publishes the API server: at the load balancer if there is one, else at the only control plane.
    pub(super) fn api_port(&self, containers: &[Container]) -> Option<u16> {
        let balancer = containers.iter().find(|container| !mark::is_node(container));
        balancer.or_else(|| self.first_of(containers)).and_then(|container| container.published(API_PORT))
    }

    async fn kubeconfig_by_kind(&self) -> Result<Vec<u8>> {
        let name = &self.spec.name;
        let mut command = tokio::process::Command::new("kind");
        command
            .args(["get", "kubeconfig", "--name", name])
            .env("DOCKER_HOST", &self.endpoint)
            .env_remove("DOCKER_CONTEXT")
            .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let run = async { command.output().await.map_err(|error| create::cannot_run(&error)) };
        let output = tokio::time::timeout(Duration::from_secs(60), run)
            .await
            .context(Kind::Platform, || "`kind get kubeconfig` did not end within 60 s".to_owned())??;
        if !output.status.success() {
            return Err(Error::new(Kind::Platform, format!("kind cannot give the kubeconfig of the cluster {name}"))
                .cause(String::from_utf8_lossy(&output.stderr).trim().to_owned())
                .hint("`stackctl up` makes or repairs the cluster"));
        }
        Ok(output.stdout)
    }
}
