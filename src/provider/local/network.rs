//! The engine network that local clusters share. It is ours by its label; another of that name is never touched.

use std::collections::HashMap;

use bollard::{
    Docker,
    models::{Ipam, IpamConfig, Network, NetworkCreateRequest},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use tokio::sync::Mutex;

use super::{engine, hold};
use crate::error::{Context, Error, Kind, Result};
use crate::provider::{CLUSTER_LABEL, OWNER, OWNER_LABEL};

/// The cluster and its registry are made side by side and both want the network: one makes it, the other finds it.
static MAKING: Mutex<()> = Mutex::const_new(());
/// Of subnets that are tried one after the other: the third number of 192.168.X.0/24. minikube's own begin at 49.
const THIRD: std::ops::RangeInclusive<u8> = 60..=250;

/// Makes the network unless it is there. A network of that name without our label is refused.
pub async fn ensure(docker: &Docker, name: &str) -> Result<()> {
    let _making = MAKING.lock().await;
    if let Some(network) = find(docker, name).await?.first() {
        return require_ours(network, name);
    }
    make(docker, name, request(name, None)).await
}

/// The same, of one cluster alone, with a subnet that is known from the start. The engine gives addresses of its upper half
/// to whoever comes; those of the lower half are for nodes, whose addresses are counted from the network's.
pub async fn ensure_with_subnet(docker: &Docker, name: &str, cluster: &str) -> Result<()> {
    let _making = MAKING.lock().await;
    if let Some(network) = find(docker, name).await?.first() {
        return require_ours(network, name);
    }
    let mut refused = Error::new(Kind::Platform, format!("cannot make the network {name}"));
    for third in THIRD {
        let prefix = format!("192.168.{third}");
        let config = IpamConfig {
            subnet: Some(format!("{prefix}.0/24")),
            ip_range: Some(format!("{prefix}.128/25")),
            gateway: Some(format!("{prefix}.1")),
            ..Default::default()
        };
        let ipam = Ipam { config: Some(vec![config]), ..Default::default() };
        let request = NetworkCreateRequest { ipam: Some(ipam), ..request(name, Some(cluster)) };
        match make(docker, name, request).await {
            Err(error) if error.causes.iter().any(|cause| cause.contains("overlap")) => refused = error,
            made => return made,
        }
    }
    Err(refused
        .hint("every subnet from 192.168.60.0/24 to 192.168.250.0/24 is taken: `docker network prune` frees some"))
}

fn request(name: &str, cluster: Option<&str>) -> NetworkCreateRequest {
    let options = HashMap::from([("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "true".to_owned())]);
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options: Some(options),
        labels: Some(engine::our_labels(cluster)),
        ..Default::default()
    }
}

async fn make(docker: &Docker, name: &str, request: NetworkCreateRequest) -> Result<()> {
    let made = docker.create_network(request).await;
    let networks = find(docker, name).await?;
    match (made, networks.first()) {
        (Ok(made), Some(first)) => {
            // Engines let two processes make two networks of one name: all keep the same one of them.
            if first.id.as_deref() != Some(made.id.as_str()) {
                docker.remove_network(&made.id).await.context(Kind::Platform, || {
                    format!("cannot remove the network {} that another process made too", made.id)
                })?;
            }
            require_ours(first, name)
        }
        (Err(_), Some(first)) => require_ours(first, name),
        (Err(error), None) => Err(error).context(Kind::Platform, || format!("cannot make the network {name}")),
        (Ok(_), None) => Err(Error::new(Kind::Platform, format!("the network {name} was made, but is not there"))),
    }
}

/// Whether a network of that name with our label is there.
pub async fn is_ours(docker: &Docker, name: &str) -> Result<bool> {
    Ok(find(docker, name).await?.first().is_some_and(carries_our_label))
}

/// Whether it is ours and of that cluster alone.
pub async fn is_of(docker: &Docker, name: &str, cluster: &str) -> Result<bool> {
    let found = find(docker, name).await?;
    let ours = found.first().filter(|network| carries_our_label(network));
    let labels = ours.and_then(|network| network.labels.as_ref());
    Ok(labels.and_then(|labels| labels.get(CLUSTER_LABEL)).is_some_and(|of| of == cluster))
}

/// Why a network of that name cannot be used; None: there is none, or it is ours.
pub async fn foreign(docker: &Docker, name: &str) -> Result<Option<String>> {
    let found = find(docker, name).await?;
    Ok(found.first().and_then(|network| require_ours(network, name).err()).map(|error| error.message))
}

/// `192.168.60.0/24`; None: there is no such network.
pub async fn subnet(docker: &Docker, name: &str) -> Result<Option<String>> {
    let found = find(docker, name).await?.into_iter().next();
    Ok(found.and_then(|network| network.ipam?.config?.into_iter().find_map(|config| config.subnet)))
}

/// Whether it is one that minikube made for a cluster that is gone.
pub async fn is_left_over(docker: &Docker, name: &str) -> Result<bool> {
    let by_minikube = |network: &Network| {
        network.labels.as_ref().is_some_and(|labels| labels.contains_key("created_by.minikube.sigs.k8s.io"))
    };
    if !find(docker, name).await?.iter().any(by_minikube) {
        return Ok(false);
    }
    let all = engine::containers(docker, &[]).await?;
    Ok(!all.iter().any(|container| container.networks.iter().any(|on| on == name)))
}

/// Removes the network if it is ours, nothing is connected to it, and nothing that is being made will be. True: removed.
pub async fn remove_if_unused(docker: &Docker, name: &str) -> Result<bool> {
    if hold::is_held(docker, name).await? || !remove_if_empty(docker, name).await? {
        return Ok(false);
    }
    // Whoever took hold of it after we looked may have found it before it went, and counts on it.
    if hold::is_held(docker, name).await? {
        ensure(docker, name).await?;
        return Ok(false);
    }
    Ok(true)
}

async fn remove_if_empty(docker: &Docker, name: &str) -> Result<bool> {
    let Some(network) = find(docker, name).await?.into_iter().find(carries_our_label) else { return Ok(false) };
    let id = network.id.unwrap_or_default();
    let detail = match docker.inspect_network(&id, None::<InspectNetworkOptions>).await {
        Ok(detail) => detail,
        Err(error) if engine::status(&error) == Some(404) => return Ok(false),
        Err(error) => return Err(error).context(Kind::Platform, || format!("cannot look at the network {name}")),
    };
    if detail.containers.is_some_and(|containers| !containers.is_empty()) {
        return Ok(false);
    }
    // Stopped containers are not listed with the network, yet need it to start again.
    if engine::containers(docker, &[]).await?.iter().any(|container| container.networks.iter().any(|on| on == name)) {
        return Ok(false);
    }
    match docker.remove_network(&id).await {
        Ok(()) => Ok(true),
        Err(error) if engine::status(&error) == Some(404) => Ok(false),
        // Somebody connected to it since we looked.
        Err(error) if engine::status(&error) == Some(403) => Ok(false),
        Err(error) => Err(error).context(Kind::Platform, || format!("cannot remove the network {name}")),
    }
}

/// The networks of exactly that name, in an order that all processes agree on.
async fn find(docker: &Docker, name: &str) -> Result<Vec<Network>> {
    let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker
        .list_networks(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the networks of the engine".to_owned())?;
    // The engine's filter takes every name that contains this one.
    let mut networks: Vec<Network> =
        networks.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect();
    networks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(networks)
}

fn carries_our_label(network: &Network) -> bool {
    network.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL)).is_some_and(|owner| owner == OWNER)
}

fn require_ours(network: &Network, name: &str) -> Result<()> {
    if carries_our_label(network) {
        return Ok(());
    }
    Err(Error::new(Kind::Preflight, format!("the engine has a network {name} that stackctl did not make"))
        .cause(format!("it lacks the label {OWNER_LABEL}={OWNER}"))
        .hint(format!("remove it if nobody needs it: docker network rm {name}")))
}
