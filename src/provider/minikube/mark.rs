//! What says that a minikube cluster is ours, and that it is whole.
//!
//! Where nodes are containers, the mark is the engine network that they are on: stackctl makes it, with its labels, before
//! minikube makes anything, and tells minikube to use it; so it is seen even when the cluster is half made. Elsewhere it is
//! a file in minikube's profile. That the cluster is whole says a file that is written last of all.

use std::path::PathBuf;

use super::profile::{self, Profile};
use crate::provider::{
    ClusterState, OWNER,
    local::{engine::Container, members::Members},
};

/// minikube's own label, on all its containers of all profiles.
const CREATED_LABEL: &str = "created_by.minikube.sigs.k8s.io";
/// In nodes that are containers, for people who wonder; in minikube's profile, where that is the mark.
pub const OWNER_FILE: &str = "stackctl.yaml";
pub const OWNER_FOLDER: &str = "/etc/stackctl";

/// The engine network of a profile's nodes.
pub fn network(cluster: &str) -> String {
    format!("{cluster}-minikube")
}

/// minikube's containers of a profile.
pub fn members(cluster: &str) -> Members {
    Members {
        cluster: cluster.to_owned(),
        label: (CREATED_LABEL, "true".to_owned()),
        is_member: |container, cluster| is_of(&container.name, cluster),
        is_node: |_| true,
    }
}

/// `one`, `one-m02`, …
pub fn is_of(container: &str, cluster: &str) -> bool {
    let Some(rest) = container.strip_prefix(cluster) else { return false };
    let number = rest.strip_prefix("-m").unwrap_or_default();
    rest.is_empty() || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// For people who find it, and for a run by another version of minikube.
pub fn owner_file(cluster: &str, minikube: &str) -> String {
    format!(
        "# This cluster is managed by stackctl: `stackctl down --cluster --provider minikube --cluster-name {cluster}` removes it.\n\
         owner: {OWNER}\ncluster: {cluster}\nminikube: {minikube}\n"
    )
}

/// Where the mark of a profile without containers is.
pub fn in_profile(cluster: &str) -> PathBuf {
    profile::folder(cluster).join(OWNER_FILE)
}

/// As far as containers and profile tell; the network and its labels are the caller's to look at. Ours: it may still be
/// incomplete, or paused.
pub fn judge(cluster: &str, containers: &[Container], profile: Option<&Profile>) -> ClusterState {
    let network = network(cluster);
    if let Some(other) = containers.iter().find(|container| !container.networks.contains(&network)) {
        let why = format!("its container {} is not on the network {network}, which stackctl makes first", other.name);
        return ClusterState::Foreign { why };
    }
    if let Some(other) = profile.filter(|profile| profile.network != network) {
        let on = match other.network.as_str() {
            "" => "a network of its own".to_owned(),
            network => format!("the network {network}"),
        };
        let why = format!("its profile has the driver {} and {on}, not the network {network}", other.driver);
        return ClusterState::Foreign { why };
    }
    match (containers.iter().any(|container| container.name == cluster), profile) {
        (false, None) if containers.is_empty() => ClusterState::Absent,
        (false, _) => ClusterState::HalfMade { why: format!("its node {cluster} is missing") },
        (true, None) => ClusterState::HalfMade { why: "minikube has no profile of it".to_owned() },
        (true, Some(profile)) if profile.nodes.len() > containers.len() => {
            let why = format!("it has {} of {} nodes", containers.len(), profile.nodes.len());
            ClusterState::HalfMade { why }
        }
        (true, Some(_)) => ClusterState::Ours { stopped: containers.iter().any(|container| !container.running) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, network: &str) -> Container {
        Container { name: name.to_owned(), running: true, networks: vec![network.to_owned()], ..Default::default() }
    }

    fn profile(network: &str) -> Profile {
        let nodes = vec![profile::Node::default()];
        Profile { driver: "docker".to_owned(), network: network.to_owned(), nodes, ..Profile::default() }
    }

    #[test]
    fn containers_of_other_profiles_are_not_taken_for_nodes() {
        assert!(is_of("one", "one") && is_of("one-m02", "one"));
        for other in ["one-two", "on", "one-m", "one-m0x", "other"] {
            assert!(!is_of(other, "one"), "{other}");
        }
    }

    #[test]
    fn what_is_not_on_our_network_is_somebody_elses() {
        let ours = network("one");
        let is_foreign = |containers: &[Container], profile: Option<&Profile>| {
            matches!(judge("one", containers, profile), ClusterState::Foreign { .. })
        };
        assert!(is_foreign(&[container("one", "one")], Some(&profile(""))));
        assert!(is_foreign(&[container("one", &ours), container("one-m02", "bridge")], Some(&profile(&ours))));
        assert!(is_foreign(&[], Some(&profile(""))), "a profile whose node is gone, or of another driver");
        assert!(!is_foreign(&[container("one", &ours)], Some(&profile(&ours))));
    }

    #[test]
    fn halves_are_known_from_wholes() {
        let ours = network("one");
        let (node, whole) = (container("one", &ours), profile(&ours));
        assert_eq!(judge("one", &[], None), ClusterState::Absent);
        let state = |containers: &[Container], profile: Option<&Profile>| judge("one", containers, profile);
        assert!(matches!(state(&[], Some(&whole)), ClusterState::HalfMade { .. }));
        assert!(matches!(state(std::slice::from_ref(&node), None), ClusterState::HalfMade { .. }));
        let two = Profile { nodes: vec![profile::Node::default(); 2], ..whole.clone() };
        assert!(matches!(state(std::slice::from_ref(&node), Some(&two)), ClusterState::HalfMade { .. }));
        assert_eq!(state(std::slice::from_ref(&node), Some(&whole)), ClusterState::Ours { stopped: false });
        let asleep = Container { running: false, ..node };
        assert_eq!(state(&[asleep], Some(&whole)), ClusterState::Ours { stopped: true });
    }
}
