//! What of a cluster is left, asked of the engine, the kubeconfig and the system: no state is believed.

mod usage;

use std::collections::HashMap;

use bollard::{
    Docker,
    models::ImageSummary,
    query_parameters::{
        ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveImageOptionsBuilder,
    },
};
use futures::future::try_join_all;

use super::{engine, kubeconfig::UserKubeconfig, registry};
use crate::object::Removed;
use crate::provider::{CLUSTER_LABEL, KIND_CLUSTER_LABEL, OWNER, OWNER_LABEL};
use crate::{
    error::{Context, Kind, Result},
    provider::local::ports,
    state::State,
};

/// Where to look.
#[derive(Debug)]
pub struct Scope<'a> {
    pub docker: &'a Docker,
    pub cluster: &'a str,
    pub network: &'a str,
    pub user: &'a UserKubeconfig,
    pub state: &'a State,
    /// Ports of 127.0.0.1 that the cluster had, as far as they are known: nobody should listen there any more.
    pub ports: &'a [u16],
}

/// What stays on purpose, and how much it takes: bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub name: String,
    pub size: u64,
}

/// Everything that should be gone once the cluster is, and is not. The network counts only while no other cluster of
/// ours uses it.
pub async fn leftovers(scope: &Scope<'_>) -> Result<Vec<Removed>> {
    let (containers, networks, volumes, images) =
        tokio::try_join!(containers(scope), networks(scope), volumes(scope), our_images(scope.docker, scope.cluster))?;
    let mut left = [containers, networks, volumes].concat();
    left.extend(images.into_iter().map(|image| item("image", name_of(&image))));
    let context = format!("kind-{}", scope.cluster);
    let files = scope.user.files_with(&context);
    left.extend(files.iter().map(|file| item("kubeconfig context", format!("{context} in {}", file.display()))));
    let folder = scope.state.cluster(scope.cluster);
    if folder.path().exists() {
        left.push(item("file", folder.path().display().to_string()));
    }
    let listening = ports::listening()?;
    left.extend(
        scope
            .ports
            .iter()
            .filter(|port| listening.iter().any(|socket| socket.port == **port))
            .map(|port| item("port", format!("127.0.0.1:{port}"))),
    );
    Ok(left)
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

/// Images of nodes that the engine has, by name: kind's, whatever made them come.
pub async fn node_images(docker: &Docker) -> Result<Vec<String>> {
    let filters = HashMap::from([("reference".to_owned(), vec!["kindest/node".to_owned()])]);
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
            Ok(image) => Ok(Some(Kept { name, size: image.size.and_then(|size| size.try_into().ok()).unwrap_or(0) })),
            Err(error) if engine::status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).context(Kind::Platform, || format!("cannot look at the image {name}")),
        }
    };
    let (images, cache) =
        tokio::try_join!(try_join_all(names.iter().cloned().map(image)), usage::build_cache(endpoint))?;
    let cache = cache.filter(|size| *size > 0).map(|size| Kept { name: "build cache".to_owned(), size });
    Ok(images.into_iter().flatten().chain(cache).collect())
}

async fn containers(scope: &Scope<'_>) -> Result<Vec<Removed>> {
    let of_kind = engine::containers(scope.docker, &[(KIND_CLUSTER_LABEL, scope.cluster)]).await?;
    let ours = engine::containers(scope.docker, &[(OWNER_LABEL, OWNER), (CLUSTER_LABEL, scope.cluster)]).await?;
    Ok(of_kind.into_iter().chain(ours).map(|container| item("container", container.name)).collect())
}

async fn networks(scope: &Scope<'_>) -> Result<Vec<Removed>> {
    let filters = engine::label_filter(&[(OWNER_LABEL, OWNER)]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = scope
        .docker
        .list_networks(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the networks of the engine".to_owned())?;
    let named = networks.into_iter().filter_map(|network| network.name).filter(|name| name == scope.network);
    let all = engine::containers(scope.docker, &[]).await?;
    let unused = |name: &String| !all.iter().any(|container| container.networks.contains(name));
    Ok(named.filter(unused).map(|name| item("network", name)).collect())
}

async fn volumes(scope: &Scope<'_>) -> Result<Vec<Removed>> {
    let filters: HashMap<String, Vec<String>> =
        engine::label_filter(&[(OWNER_LABEL, OWNER), (CLUSTER_LABEL, scope.cluster)]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = scope
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
