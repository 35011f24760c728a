//! What says that a kind cluster is ours, and that it is whole.
//!
//! kind gives its containers no labels of ours. The mark is a read-only mount that every node has from its first
//! moment: the engine lists it, whatever became of the cluster. It is a folder, not a file, since an engine replaces a
//! lost source of a mount by an empty folder, which then still fits. That the cluster is whole says a file that is
//! written into its first control-plane node last of all; it goes where the cluster goes.

use bollard::Docker;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{OWNER, engine},
    error::{Context, Kind, Result},
};

/// Where nodes have the owner's folder.
pub const OWNER_FOLDER: &str = "/etc/stackctl";
/// The file in it, and in the cluster's state folder below `owner/`.
pub const OWNER_FILE: &str = "owner.yaml";
const COMPLETE_FILE: &str = "/kind/stackctl.json";
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

/// What a whole cluster was completed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Hash of what its nodes know of mirrors, registry and CA.
    pub configuration: String,
}

/// None: the cluster was never completed.
pub async fn read_completion(docker: &Docker, cluster: &str) -> Result<Option<Completion>> {
    let content = engine::read_file(docker, &first_node(cluster), COMPLETE_FILE).await?;
    Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
}

pub async fn write_completion(docker: &Docker, cluster: &str, completion: &Completion) -> Result<()> {
    let content = serde_json::to_vec(completion)
        .context(Kind::Unexpected, || "cannot serialise the mark of a complete cluster".to_owned())?;
    let file = engine::File { path: COMPLETE_FILE.to_owned(), content };
    engine::put_files(docker, &first_node(cluster), &[file]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::engine::{Container, Mount};

    fn node(destination: &str, writable: bool) -> Container {
        let mount = Mount { source: "/s".to_owned(), destination: destination.to_owned(), writable };
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
