//! Against a real minikube: only where STACKCTL_TEST_ENGINE=1 and STACKCTL_WORLD_MINIKUBE_CONFIG say that there is one.

use std::process::Stdio;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use tokio::process::Command;

use super::*;
use crate::event::Events;

const NAME: &str = "stackctl-itself-mini";
/// What every node image of the world brings along, so that the engine has it as well.
const SMALL_IMAGE: &str = "registry.k8s.io/pause:3.10.2";
const REPOSITORY: &str = "registry.stackctl.internal/test/small";

async fn minikube(home: &std::path::Path, arguments: &[&str]) {
    let mut command = Command::new(run::PROGRAM);
    command.args(arguments).args(["--profile", NAME]).env("KUBECONFIG", home.join("kubeconfig")).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// The way of images to nodes that pull from no registry of ours, on a node without Kubernetes.
#[tokio::test(flavor = "multi_thread")]
async fn engine_an_image_is_loaded_into_a_node_and_a_full_disk_is_named() {
    let config =
        std::env::var("STACKCTL_WORLD_MINIKUBE_CONFIG").ok().and_then(|file| std::fs::read_to_string(file).ok());
    let (Some(config), Ok("1")) = (config, std::env::var("STACKCTL_TEST_ENGINE").as_deref()) else {
        eprintln!("skipped: the world has no minikube; `tests/world/up --with minikube` builds it");
        return;
    };
    let config: serde_yaml::Value = serde_yaml::from_str(&config).unwrap();
    let home = tempfile::tempdir().unwrap();
    let endpoint = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
    let user = UserKubeconfig::at([home.path().join("config")]);
    let spec = spec::tests::spec();
    let spec = MinikubeSpec { cluster: super::super::ClusterSpec { name: NAME.to_owned(), ..spec.cluster }, ..spec };
    let cluster = MinikubeCluster::new(spec, &docker, &endpoint, user, &State::at(home.path().join("state")));
    let (events, _said) = Events::channel();
    let progress = events.progress("push:small");
    let base = config.get("nodeImage").and_then(|image| image.as_str()).map(|image| format!("--base-image={image}"));
    let start = "start --no-kubernetes --driver=docker --container-runtime=containerd --force --preload=false \
                 --cache-images=false --interactive=false --memory=2200";

    minikube(home.path(), &["delete"]).await;
    minikube(home.path(), &start.split_whitespace().chain(base.as_deref()).collect::<Vec<_>>()).await;
    let references = ["first", "second"].map(|tag| format!("{REPOSITORY}:{tag}"));
    for tag in ["first", "second"] {
        let options = TagImageOptionsBuilder::default().repo(REPOSITORY).tag(tag).build();
        docker.tag_image(SMALL_IMAGE, Some(options)).await.unwrap();
    }
    let had = cluster.has_image(&references[0]).await;
    let loaded = cluster.load_image(&references[0], &progress).await;
    let has = cluster.has_image(&references[0]).await;
    let full =
        ["sh", "-c", "mkdir -p /var/lib/minikube/images && mount -t tmpfs -o size=64k tmpfs /var/lib/minikube/images"];
    let mounted = engine::run(&docker, NAME, &full, Duration::from_secs(30)).await;
    let failed = cluster.load_image(&references[1], &progress).await;
    for reference in &references {
        docker.remove_image(reference, None::<RemoveImageOptions>, None).await.unwrap();
    }
    minikube(home.path(), &["delete"]).await;

    assert_eq!((had.unwrap(), loaded.unwrap(), has.unwrap()), (false, (), true));
    mounted.unwrap();
    let error = failed.unwrap_err();
    assert_eq!(error.causes, ["the disk of a node is full"], "{error:?}");
    assert!(error.details.iter().any(|line| line.contains("No space left on device")), "{error:?}");
    assert!(error.hints[0].contains(&format!("minikube ssh -p {NAME} -- df -h")), "{error:?}");
}
