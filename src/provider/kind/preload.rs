//! Pulling on nodes whose control plane is still being made: containerd runs long before it.

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{KindCluster, config, mark};
use crate::provider::local::nodes;
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    image::reference::Reference,
    provider::local::{engine, engine::Container},
};

/// For the nodes to be there and the pull to end; after it, the kubelet's own will have.
const WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);
const WORKER: &str = "worker";

impl KindCluster {
    pub(super) async fn preload_image(&self, image: &str, progress: &Progress) -> Result<()> {
        let deadline = Instant::now() + WITHIN;
        let image = containerd_name(image);
        progress.say("waiting for the nodes");
        // kind restarts containerd once when it has written its configuration, so a first attempt may fail.
        loop {
            match self.pull(&image, deadline, progress).await {
                Err(_) if Instant::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
                ended => return ended,
            }
        }
    }

    async fn pull(&self, image: &str, deadline: Instant, progress: &Progress) -> Result<()> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let nodes = self.new_nodes().await?;
        // Control planes take pods only where there are no workers.
        let is_worker = |node: &&Container| node.label(mark::ROLE_LABEL) == Some(WORKER);
        let workers = nodes.iter().any(|node| is_worker(&node));
        let on_all = |argv: Vec<String>| {
            let nodes = nodes.iter().filter(|node| !workers || is_worker(node));
            try_join_all(nodes.map(move |node| {
                let argv = argv.clone();
                async move {
                    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
                    engine::run(&self.docker, &node.name, &argv, left()).await
                }
            }))
        };
        let ctr = |words: &[&str]| {
            ["ctr", "--namespace", "k8s.io"].iter().chain(words).map(|word| (*word).to_owned()).collect()
        };
        on_all(ctr(&["version"])).await?;
        self.configure_new_nodes().await?;
        progress.say(format!("pulling {image}"));
        on_all(ctr(&["images", "pull", "--hosts-dir", nodes::CERTS_FOLDER, image])).await.map(drop)
    }

    /// All of them, or an error while some are missing.
    async fn new_nodes(&self) -> Result<Vec<Container>> {
        let containers = self.containers().await?;
        let ours = |node: &Container| node.running && mark::is_node(node) && mark::is_marked(node);
        let nodes: Vec<Container> = containers.into_iter().filter(ours).collect();
        let wanted = config::node_count(&self.spec)?;
        if nodes.len() < wanted {
            return Err(Error::new(Kind::Platform, format!("the nodes of {} do not all run yet", self.spec.name))
                .cause(format!("{} of {wanted}", nodes.len())));
        }
        Ok(nodes)
    }
}

/// As the kubelet asks containerd for it: whole, and by its digest alone where it has one.
fn containerd_name(image: &str) -> String {
    let reference = Reference::parse(image);
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => format!("{}@{digest}", reference.repository()),
        (None, tag) => format!("{}:{}", reference.repository(), tag.as_deref().unwrap_or("latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_kubelet_asks_for() {
        let digest = "sha256:abc";
        for (image, name) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("prom/prometheus:v3", "docker.io/prom/prometheus:v3".to_owned()),
            ("registry.stackctl.internal/a/b:1@sha256:abc", format!("registry.stackctl.internal/a/b@{digest}")),
        ] {
            assert_eq!(containerd_name(image), name);
        }
    }
}
