//! How a kind cluster is reached: a kubeconfig of its own, and an entry in the user's.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};

use super::{KindCluster, blocking, create, mark, nodes};
use crate::{
    cluster::{Access, kubeconfig, registry},
    error::{Context, Error, Kind, Result},
    event::Progress,
    state::read_if_there,
};

pub const KUBECONFIG_FILE: &str = "kubeconfig";
const API_PORT: u16 = 6443;

impl KindCluster {
    pub fn private_kubeconfig(&self) -> PathBuf {
        self.folder.file(KUBECONFIG_FILE)
    }

    /// The private kubeconfig: made again when it is missing, and its port the one that the engine publishes now.
    pub(super) async fn private_access(&self) -> Result<Access> {
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let content = match read_if_there(&kubeconfig)? {
            Some(content) if !content.is_empty() => content,
            _ => {
                let content = self.kubeconfig_by_kind().await?;
                self.folder.write(KUBECONFIG_FILE, &content)?;
                content
            }
        };
        if let Some(port) = self.api_port().await?
            && let Some(changed) = kubeconfig::with_port(&content, port)?
        {
            self.folder.write(KUBECONFIG_FILE, &changed)?;
        }
        Ok(Access { kubeconfig, context: self.context() })
    }

    /// Puts the context into the user's kubeconfig, saying so where that changes the current one.
    pub(super) async fn merge_kubeconfig(&self, progress: &Progress) -> Result<()> {
        let access = self.private_access().await?;
        let private = read_if_there(&access.kubeconfig)?.unwrap_or_default();
        let (user, folder) = (self.user.clone(), self.folder.clone());
        let merged = blocking(move || user.merge(&private, &folder)).await?;
        if merged.switched {
            let was = merged.switched_from.map(|name| format!(" (was: {name})")).unwrap_or_default();
            progress.info(format!("the current context of {} is now {}{was}", merged.file.display(), access.context));
        }
        Ok(())
    }

    /// Where the engine publishes the API server: at the load balancer if there is one, else at the only control plane.
    pub(super) async fn api_port(&self) -> Result<Option<u16>> {
        let containers = self.containers().await?;
        let balancer = containers.iter().find(|container| !mark::is_node(container));
        let first = mark::first_node(&self.spec.name);
        let published = balancer.or_else(|| containers.iter().find(|container| container.name == first));
        Ok(published.and_then(|container| container.published(API_PORT)))
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

/// KEP-1755: tells other tools which registry the cluster has. Everybody on the host reaches it at this port of
/// 127.0.0.1, nodes by `registry.stackctl.internal`.
pub fn local_registry_hosting(cluster: &str, port: u16) -> Value {
    let own = format!("{}:{}", registry::name_for(cluster), registry::PORT);
    let hosting = format!(
        "host: \"127.0.0.1:{port}\"\nhostFromContainerRuntime: \"{}\"\nhostFromClusterNetwork: \"{own}\"\n\
         help: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n",
        nodes::REGISTRY_HOST
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "local-registry-hosting", "namespace": "kube-public" },
        "data": { "localRegistryHosting.v1": hosting },
    })
}
