//! What says that a kind cluster is ours, and that it is whole.
//!
//! kind gives its containers no labels of ours. The mark is a read-only mount that every node has from its first
//! moment: the engine lists it, whatever became of the cluster. It is a folder, not a file, since an engine replaces a
//! lost source of a mount by an empty folder, which then still fits. That the cluster is whole says a file that is
//! written into its first control-plane node last of all; it goes where the cluster goes.

use crate::provider::{
    OWNER,
    local::{engine, members::Members},
};

/// kind's own label; its nodes cannot be given one of ours.
pub const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";
/// Where nodes have the owner's folder.
pub const OWNER_FOLDER: &str = "/etc/stackctl";
/// The file in it, and in the cluster's state folder below `owner/`.
pub const OWNER_FILE: &str = "owner.yaml";
pub const ROLE_LABEL: &str = "io.x-k8s.kind.role";
const LOAD_BALANCER: &str = "external-load-balancer";

/// Whether the container is a Kubernetes node: kind's load balancer takes no mounts.
pub fn is_node(container: &engine::Container) -> bool {
    container.label(ROLE_LABEL) != Some(LOAD_BALANCER)
}

pub fn is_marked(container: &engine::Container) -> bool {
    container.mounts.iter().any(|mount| mount.destination == OWNER_FOLDER && !mount.writable)
}

/// kind's containers of a cluster.
pub fn members(cluster: &str) -> Members {
    Members { cluster: cluster.to_owned(), label: (CLUSTER_LABEL, cluster.to_owned()), is_member: |_, _| true, is_node }
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
