//! Images of nodes that pull from no registry of ours: they are put into the nodes' own stores.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::{KUBECONFIG_FILE, MinikubeCluster, status};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

const LOAD_WITHIN: Duration = Duration::from_secs(600);

impl MinikubeCluster {
    pub(super) async fn node_has_image(&self, reference: &str) -> Result<bool> {
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let list = self.minikube(&kubeconfig, &[]).ask(&["image", "ls", "--format=json"]).await?;
        Ok(status::has_image(&list, reference))
    }

    /// From the engine, as a stream: minikube's own way from an engine takes many times as long. It ends well even where
    /// it has loaded nothing, so what it has done is looked at.
    pub(super) async fn load_into_nodes(&self, reference: &str, progress: &Progress) -> Result<()> {
        progress.say(format!("loading {reference}"));
        let what = || format!("cannot take the image {reference} out of the engine");
        let image = self.docker.export_image(reference).map(|chunk| chunk.context(Kind::Platform, what));
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let minikube = self.minikube(&kubeconfig, &[]);
        let complaints = minikube.feed(&["image", "load", "-"], image.into_stream(), LOAD_WITHIN).await?;
        match self.node_has_image(reference).await? {
            true => Ok(()),
            false => Err(self.not_loaded(reference, complaints)),
        }
    }

    fn not_loaded(&self, reference: &str, complaints: Vec<String>) -> Error {
        let full = complaints.iter().any(|line| line.to_lowercase().contains("no space left on device"));
        let error = Error::new(Kind::Platform, format!("the nodes do not have the image {reference}"));
        let error = match full {
            true => error.cause("the disk of a node is full").hint(format!(
                "`minikube ssh -p {} -- df -h` shows which one; the disk of a container is that of the engine: \
                 `docker system df` shows by what it is filled, `docker system prune` frees it",
                self.name()
            )),
            false => error
                .cause("`minikube image load` ended well, and `minikube image ls` does not list it")
                .hint("run the same command again; --registry names a registry that the nodes can pull from"),
        };
        error.details(complaints)
    }
}
