//! The provider that the settings name, with what they say for it.

use crate::{
    provider::{Choice, ClusterSpec, minikube::MinikubeSpec},
    settings::{ProviderName, Settings},
};

pub fn choice(settings: &Settings) -> Choice {
    match settings.provider {
        ProviderName::Kind => Choice::Kind(cluster_spec(settings)),
        ProviderName::Minikube => Choice::Minikube(minikube_spec(settings).with_profile()),
        ProviderName::Existing => Choice::Existing { context: settings.context.clone() },
    }
}

fn minikube_spec(settings: &Settings) -> MinikubeSpec {
    MinikubeSpec {
        cluster: cluster_spec(settings),
        driver: settings.minikube.driver.clone(),
        container_runtime: settings.minikube.container_runtime.clone(),
        cpus: settings.minikube.cpus,
        memory: settings.minikube.memory.clone(),
        flags: settings.minikube.flags.clone(),
    }
}

fn cluster_spec(settings: &Settings) -> ClusterSpec {
    ClusterSpec {
        name: settings.cluster_name.clone(),
        control_planes: settings.control_planes,
        workers: settings.workers,
        kubernetes_version: settings.kubernetes_version.clone(),
        node_image: settings.node_image.clone(),
        mirrors: settings.mirrors.clone(),
        ca_bundle: settings.ca_bundle.clone(),
        kind_config: settings.kind_config.clone(),
        agent_image: settings.agent_image.clone(),
    }
}
