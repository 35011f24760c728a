//! What of a cluster is left, asked of the engine, the kubeconfig and the system: no state is believed.

mod usage;

use std::collections::{BTreeSet, HashMap};

use bollard::{
    Docker,
    models::ImageSummary,
    query_parameters::{
        ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveImageOptionsBuilder,
    },
};
use futures::future::try_join_all;

use super::{engine, hold, kubeconfig::UserKubeconfig, place::Place, registry};
use crate::object::Removed;
use crate::provider::{
    CLUSTER_LABEL, OWNER, OWNER_LABEL,
    sweep::{Kept, Swept},
};
use crate::{
    error::{Context, Kind, Result},
    provider::local::ports,
    state::Folder,
};

/// Everything that should be gone once the cluster is, and is not. The network counts only while no other cluster of
/// ours uses it, or is being made. `ports`: of 127.0.0.1, that the cluster had, as far as they are known: nobody should listen there any
/// more.
pub async fn leftovers(place: &Place, traces: &Traces<'_>, ports: &[u16]) -> Result<Vec<Removed>> {
    let (containers, networks, volumes, images) = tokio::try_join!(
        containers(place),
        networks(place),
        volumes(place),
        our_images(&place.docker, &place.members.cluster)
    )?;
    let mut left = [containers, networks, volumes].concat();
    left.extend(images.into_iter().map(|image| item("image", name_of(&image))));
    let (context, folder) = (traces.context, traces.folder.path());
    let files = traces.user.files_with(context);
    left.extend(files.iter().map(|file| item("kubeconfig context", format!("{context} in {}", file.display()))));
    if folder.exists() {
        left.push(item("file", folder.display().to_string()));
    }
    let listening = ports::listening()?;
    let taken = ports.iter().filter(|port| listening.iter().any(|socket| socket.port == **port));
    left.extend(taken.map(|port| item("port", format!("127.0.0.1:{port}"))));
    Ok(left)
}

/// Where else a cluster leaves traces than in its engine.
pub struct Traces<'a> {
    pub user: &'a UserKubeconfig,
    /// The cluster's, in the user's kubeconfig.
    pub context: &'a str,
    /// What is kept about the cluster on this machine.
    pub folder: &'a Folder,
}

/// Images that stay on purpose.
pub struct Names<'a, I: Iterator<Item = &'a String>> {
    /// What images of nodes are called.
    pub node: &'a str,
    pub given: I,
}

/// What is left of a local cluster, and what of it stays on purpose.
pub async fn sweep<'a>(
    place: &Place,
    traces: &Traces<'_>,
    names: Names<'a, impl Iterator<Item = &'a String>>,
) -> Result<Swept> {
    let mut kept: BTreeSet<String> = names.given.cloned().collect();
    kept.insert(registry::DEFAULT_IMAGE.to_owned());
    kept.extend(node_images(&place.docker, names.node).await?);
    let left = leftovers(place, traces, &[]).await?;
    let mut kept = self::kept(&place.docker, &place.endpoint, &kept.into_iter().collect::<Vec<_>>()).await?;
    kept.extend(held_network(place).await?);
    Ok(Swept { left, kept })
}

/// Removes the images that were built for this cluster, and those for all clusters of ours once there is no other one.
pub async fn remove_images(docker: &Docker, cluster: &str) -> Result<Vec<Removed>> {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    let mut removed = Vec::new();
    for image in our_images(docker, cluster).await? {
        match docker.remove_image(&image.id, Some(options.clone()), None).await {
            Ok(_) => removed.push(item("image", name_of(&image))),
            Err(error) if engine::status(&error) == Some(404) => {}
            Err(error) => {
                return Err(error).context(Kind::Platform, || format!("cannot remove the image {}", name_of(&image)));
            }
        }
    }
    Ok(removed)
}

/// Images of nodes that the engine has, by name, whatever made them come. `repository`: what they are called.
pub async fn node_images(docker: &Docker, repository: &str) -> Result<Vec<String>> {
    let filters = HashMap::from([("reference".to_owned(), vec![repository.to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = docker
        .list_images(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the images of the engine".to_owned())?;
    Ok(images.into_iter().flat_map(|image| image.repo_tags).collect())
}

/// Base images among `names` that the engine has, and its build cache: all stay. `endpoint`: as in DOCKER_HOST.
pub async fn kept(docker: &Docker, endpoint: &str, names: &[String]) -> Result<Vec<Kept>> {
    let image = |name: String| async move {
        match docker.inspect_image(&name).await {
            Ok(image) => Ok(Some(Kept {
                name,
                size: image.size.and_then(|size| size.try_into().ok()).unwrap_or(0),
                per_month: None,
            })),
            Err(error) if engine::status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).context(Kind::Platform, || format!("cannot look at the image {name}")),
        }
    };
    let (images, cache) =
        tokio::try_join!(try_join_all(names.iter().cloned().map(image)), usage::build_cache(endpoint))?;
    let cache =
        cache.filter(|size| *size > 0).map(|size| Kept { name: "build cache".to_owned(), size, per_month: None });
    Ok(images.into_iter().flatten().chain(cache).collect())
}

async fn containers(place: &Place) -> Result<Vec<Removed>> {
    let (nodes, ours) = tokio::try_join!(place.members.containers(&place.docker), place.companions())?;
    Ok(nodes.into_iter().chain(ours).map(|container| item("container", container.name)).collect())
}

/// The network, where nothing is on it but somebody holds it, perhaps a run that was stopped before its time.
async fn held_network(place: &Place) -> Result<Option<Kept>> {
    let holders = hold::holders(&place.docker, &place.network).await?;
    let all = engine::containers(&place.docker, &[]).await?;
    let is_used = all.iter().any(|container| container.networks.contains(&place.network));
    let name = format!("network {}, held by the volume {}", place.network, holders.join(", "));
    Ok((!holders.is_empty() && !is_used).then_some(Kept { name, size: 0, per_month: None }))
}

async fn networks(place: &Place) -> Result<Vec<Removed>> {
    let filters = engine::label_filter(&[(OWNER_LABEL, OWNER)]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = place
        .docker
        .list_networks(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the networks of the engine".to_owned())?;
    let named = networks.into_iter().filter_map(|network| network.name).filter(|name| *name == place.network);
    let all = engine::containers(&place.docker, &[]).await?;
    let held = hold::is_held(&place.docker, &place.network).await?;
    let unused = |name: &String| !held && !all.iter().any(|container| container.networks.contains(name));
    Ok(named.filter(unused).map(|name| item("network", name)).collect())
}

async fn volumes(place: &Place) -> Result<Vec<Removed>> {
    let filters: HashMap<String, Vec<String>> =
        engine::label_filter(&[(OWNER_LABEL, OWNER), (CLUSTER_LABEL, &place.members.cluster)]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = place
        .docker
        .list_volumes(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the volumes of the engine".to_owned())?;
    Ok(found.volumes.unwrap_or_default().into_iter().map(|volume| item("volume", volume.name)).collect())
}

/// Images that we built: those of this cluster, and those of no certain cluster unless another one may use them.
async fn our_images(docker: &Docker, cluster: &str) -> Result<Vec<ImageSummary>> {
    let options = ListImagesOptionsBuilder::default().filters(&engine::label_filter(&[(OWNER_LABEL, OWNER)])).build();
    let images = docker
        .list_images(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the images of the engine".to_owned())?;
    let ours = engine::containers(docker, &[(OWNER_LABEL, OWNER)]).await?;
    let other = ours.iter().any(|container| {
        container.label(CLUSTER_LABEL).is_some_and(|name| name != cluster && container.name == registry::name_for(name))
    });
    Ok(images.into_iter().filter(|image| belongs(image, cluster, other)).collect())
}

fn belongs(image: &ImageSummary, cluster: &str, other_clusters: bool) -> bool {
    match image.labels.get(CLUSTER_LABEL) {
        Some(name) => name == cluster,
        None => !other_clusters,
    }
}

fn name_of(image: &ImageSummary) -> String {
    image.repo_tags.iter().find(|tag| *tag != "<none>:<none>").unwrap_or(&image.id).clone()
}

fn item(kind: &str, name: impl Into<String>) -> Removed {
    Removed { kind: kind.to_owned(), name: name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(cluster: Option<&str>) -> ImageSummary {
        let labels = cluster.map(|name| (CLUSTER_LABEL.to_owned(), name.to_owned())).into_iter().collect();
        ImageSummary {
            labels,
            repo_tags: vec!["<none>:<none>".to_owned()],
            id: "sha256:1".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn images_that_another_cluster_may_use_stay() {
        assert!(belongs(&image(Some("one")), "one", true));
        assert!(!belongs(&image(Some("two")), "one", false));
        assert!(belongs(&image(None), "one", false));
        assert!(!belongs(&image(None), "one", true));
    }

    #[test]
    fn an_image_without_a_tag_is_named_by_its_id() {
        assert_eq!(name_of(&image(None)), "sha256:1");
    }
}
