//! What is asked of minikube, and what a cluster like that is like.

use std::time::Duration;

use super::profile::Profile;
use crate::{
    error::{Error, Kind, Result},
    object::ProviderObjects,
    provider::{Answer, ClusterSpec, EdgeBy, ImagesBy, Lifecycle, Traits},
};

/// What the user asked for. Everything here is decided before the cluster exists.
#[derive(Debug, Clone)]
pub struct MinikubeSpec {
    /// The name is the profile's; the node image is minikube's base image.
    pub cluster: ClusterSpec,
    pub driver: String,
    pub container_runtime: String,
    pub cpus: Option<u32>,
    pub memory: Option<String>,
    /// Further arguments of `minikube start`.
    pub flags: Vec<String>,
}

impl MinikubeSpec {
    /// A profile that is there keeps the driver and the runtime that it was made with.
    pub fn settled(mut self, profile: Option<&Profile>) -> MinikubeSpec {
        if let Some(profile) = profile {
            let is = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            self.driver = is(&profile.driver).unwrap_or(self.driver);
            let runtime = is(&profile.kubernetes_config.container_runtime);
            self.container_runtime = runtime.unwrap_or(self.container_runtime);
        }
        self
    }

    /// Whether the nodes are containers of the engine.
    pub fn in_engine(&self) -> bool {
        self.driver == "docker"
    }

    pub fn traits(&self) -> Traits {
        // What stackctl writes for nodes to pull by is containerd's; others get images put into their own stores.
        let by_registry = self.in_engine() && self.container_runtime == "containerd";
        Traits {
            lifecycle: Lifecycle::Ours,
            images_reach_nodes_by: if by_registry { ImagesBy::LocalRegistry } else { ImagesBy::NodeStore },
            edge_reached_by: if self.in_engine() { EdgeBy::ProxyContainer } else { EdgeBy::Forward },
            pulls_while_made: false,
            nodes_may_grow: Answer::No,
            costs: Answer::No,
            own_objects: ProviderObjects::NONE,
            volumes_outlive_it: false,
            answers_within: Duration::from_secs(60),
        }
    }

    /// `--nodes` and `--ha`. minikube has one control plane, or three and more.
    fn nodes(&self) -> Result<Vec<String>> {
        let (control_planes, workers) = (self.cluster.control_planes, self.cluster.workers);
        let count = |all: u8| if all == 1 { Vec::new() } else { vec![format!("--nodes={all}")] };
        match control_planes {
            1 => Ok(count(1 + workers)),
            3 => Ok([vec!["--ha".to_owned()], count(3 + workers)].concat()),
            other => Err(Error::new(Kind::Usage, format!("minikube makes no cluster of {other} control planes"))
                .hint("ask for one or three: --nodes 1+2, --nodes 3+1")),
        }
    }

    /// The arguments of the first `minikube start`. `network`: the engine's, where nodes are containers.
    pub fn to_make(&self, network: &str) -> Result<Vec<String>> {
        let given = |flag: &str, value: Option<String>| value.map(|value| format!("--{flag}={value}"));
        let mut arguments = vec![
            format!("--driver={}", self.driver),
            format!("--container-runtime={}", self.container_runtime),
            "--embed-certs".to_owned(),
        ];
        arguments.extend(self.in_engine().then(|| format!("--network={network}")));
        arguments.extend(given("cpus", self.cpus.map(|cpus| cpus.to_string())));
        arguments.extend(given("memory", self.memory.clone()));
        arguments.extend(given("kubernetes-version", self.cluster.kubernetes_version.clone()));
        arguments.extend(given("base-image", self.cluster.node_image.clone()));
        arguments.extend(self.nodes()?);
        arguments.extend(self.flags.iter().cloned());
        Ok(arguments)
    }

    /// Megabytes, if any were asked for.
    pub fn megabytes(&self) -> Option<u64> {
        let text = self.memory.as_ref()?;
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = if text[number.len()..].starts_with('g') { 1024 } else { 1 };
        number.parse::<u64>().ok()?.checked_mul(factor)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn spec() -> MinikubeSpec {
        MinikubeSpec {
            cluster: ClusterSpec {
                kubernetes_version: Some("v1.36.3".to_owned()),
                node_image: Some("base:1".to_owned()),
                ..ClusterSpec::named("one")
            },
            driver: "docker".to_owned(),
            container_runtime: "containerd".to_owned(),
            cpus: Some(2),
            memory: Some("2g".to_owned()),
            flags: vec!["--cni=bridge".to_owned()],
        }
    }

    #[test]
    fn what_is_asked_for_becomes_flags_of_the_first_start() {
        let spec = spec();
        assert_eq!(
            spec.to_make("net").unwrap().join(" "),
            "--driver=docker --container-runtime=containerd --embed-certs --network=net --cpus=2 --memory=2g \
             --kubernetes-version=v1.36.3 --base-image=base:1 --cni=bridge"
        );
        assert_eq!(spec.megabytes(), Some(2048));
    }

    #[test]
    fn nodes_are_counted_as_minikube_does() {
        let of = |control_planes, workers| {
            let cluster = ClusterSpec { control_planes, workers, ..spec().cluster };
            MinikubeSpec { cluster, ..spec() }.nodes()
        };
        assert_eq!(of(1, 0).unwrap(), Vec::<String>::new());
        assert_eq!(of(1, 2).unwrap(), ["--nodes=3"]);
        assert_eq!(of(3, 1).unwrap(), ["--ha", "--nodes=4"]);
        assert_eq!(of(2, 0).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn traits_follow_from_driver_and_runtime_and_a_profile_keeps_both() {
        let traits = spec().traits();
        assert_eq!(traits.images_reach_nodes_by, ImagesBy::LocalRegistry);
        assert!(traits.has_proxy());
        let profile = Profile { driver: "kvm2".to_owned(), ..Profile::default() };
        let settled = spec().settled(Some(&profile));
        assert_eq!((settled.driver.as_str(), settled.container_runtime.as_str()), ("kvm2", "containerd"));
        let traits = settled.traits();
        assert_eq!(traits.images_reach_nodes_by, ImagesBy::NodeStore);
        assert!(!traits.has_proxy());
        let docker = MinikubeSpec { container_runtime: "docker".to_owned(), ..spec() };
        assert_eq!(docker.traits().images_reach_nodes_by, ImagesBy::NodeStore);
    }
}
