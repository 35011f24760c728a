//! What says that a kind cluster is ours, and that it is whole.
//!
//! kind gives its containers no labels of ours. The mark is a read-only mount that every node has from its first
//! moment: the engine lists it, whatever became of the cluster. It is a folder, not a file, since an engine replaces a
//! lost source of a mount by an empty folder, which then still fits. That the cluster is whole says a file that is
//! written into its first control-plane node last of all; it goes where the cluster goes.

use std::time::Duration;

use bollard::Docker;
use futures::future::try_join_all;

use crate::{
    error::Result,
    provider::{OWNER, local::engine},
};

/// Where nodes have the owner's folder.
pub const OWNER_FOLDER: &str = "/etc/stackctl";
/// The file in it, and in the cluster's state folder below `owner/`.
pub const OWNER_FILE: &str = "owner.yaml";
/// In nodes: what was done to them, and in the first control-plane node to the cluster, as names of files.
pub const DONE_FOLDER: &str = "/kind/stackctl";
pub const ROLE_LABEL: &str = "io.x-k8s.kind.role";
const LOAD_BALANCER: &str = "external-load-balancer";

/// Whether the container is a Kubernetes node: kind's load balancer takes no mounts.
pub fn is_node(container: &engine::Container) -> bool {
    container.label(ROLE_LABEL) != Some(LOAD_BALANCER)
}

pub fn is_marked(container: &engine::Container) -> bool {
    container.mounts.iter().any(|mount| mount.destination == OWNER_FOLDER && !mount.writable)
}

/// The first control-plane node: `NAME-control-plane`, as kind names it.
pub fn first_node(cluster: &str) -> String {
    format!("{cluster}-control-plane")
}

/// For people who find the mount and wonder.
pub fn owner_file(cluster: &str) -> String {
    format!(
        "# This cluster is managed by stackctl: `stackctl down --cluster --cluster-name {cluster}` removes it.\nowner: {OWNER}\ncluster: {cluster}\n"
    )
}

/// Whether the cluster was once whole.
pub async fn is_complete(docker: &Docker, cluster: &str) -> Result<bool> {
    engine::has_path(docker, &first_node(cluster), &format!("{DONE_FOLDER}/complete")).await
}

/// Whether all of these nodes were last given the configuration of that hash.
pub async fn is_configured(docker: &Docker, nodes: &[engine::Container], hash: &str) -> Result<bool> {
    let file = configured_file(hash);
    let checks = try_join_all(nodes.iter().map(|node| engine::has_path(docker, &node.name, &file))).await?;
    Ok(checks.into_iter().all(|configured| configured))
}

/// To be written when the cluster is whole, last of all.
pub async fn set_complete(docker: &Docker, cluster: &str) -> Result<()> {
    let file = engine::File { path: format!("{DONE_FOLDER}/complete"), content: Vec::new() };
    engine::put_files(docker, &first_node(cluster), &[file]).await
}

/// To be written when all nodes have it.
pub async fn set_configured(docker: &Docker, nodes: &[engine::Container], hash: &str) -> Result<()> {
    let file = [engine::File { path: configured_file(hash), content: Vec::new() }];
    try_join_all(nodes.iter().map(|node| engine::put_files(docker, &node.name, &file))).await.map(drop)
}

/// To be done before the configuration of its nodes is changed.
pub async fn forget_configured(docker: &Docker, nodes: &[engine::Container]) -> Result<()> {
    let script = format!("rm -f {DONE_FOLDER}/configured-*");
    let argv = ["sh", "-c", &script];
    let forget = |node: &'_ engine::Container| {
        let name = node.name.clone();
        async move { engine::run(docker, &name, &argv, Duration::from_secs(30)).await }
    };
    try_join_all(nodes.iter().map(forget)).await.map(drop)
}

fn configured_file(hash: &str) -> String {
    format!("{DONE_FOLDER}/configured-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::local::engine::{Container, Mount};

    fn node(destination: &str, writable: bool) -> Container {
        let mount = Mount { destination: destination.to_owned(), writable };
        Container { mounts: vec![mount], ..Default::default() }
    }

    #[test]
    fn only_a_read_only_mount_at_our_place_is_a_mark() {
        assert!(is_marked(&node("/etc/stackctl", false)));
        assert!(!is_marked(&node("/etc/stackctl", true)));
        assert!(!is_marked(&node("/var", false)));
    }

    #[test]
    fn the_owner_file_is_yaml() {
        let value: serde_yaml::Value = serde_yaml::from_str(&owner_file("one")).unwrap();
        assert_eq!(value["cluster"], serde_yaml::Value::from("one"));
    }
}
