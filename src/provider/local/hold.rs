//! While a cluster is being made, nothing is on its network yet, and whoever removes another cluster would take the network
//! away with it. A volume of the engine says meanwhile that somebody wants it: that takes no image, and is seen by
//! everybody who uses the engine, whatever their home folder.

use std::collections::HashMap;

use bollard::{
    Docker,
    models::VolumeCreateRequest,
    query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder},
};

use super::engine;
use crate::{
    error::{Context, Error, Kind, Result},
    provider::{OWNER, OWNER_LABEL},
};

/// On the volume: the network that is to stay.
const HOLDS_LABEL: &str = "io.stackctl.holds";

/// Of one that was killed, it stays until the same cluster is made or removed.
fn name_for(cluster: &str) -> String {
    format!("{cluster}-holds-network")
}

/// To be taken before the network is looked for: who removes it looks for holds before and after.
pub async fn take(docker: &Docker, network: &str, cluster: &str) -> Result<()> {
    let mut labels = engine::our_labels(Some(cluster));
    labels.insert(HOLDS_LABEL.to_owned(), network.to_owned());
    let request = VolumeCreateRequest { name: Some(name_for(cluster)), labels: Some(labels), ..Default::default() };
    let name = name_for(cluster);
    let made =
        docker.create_volume(request).await.context(Kind::Platform, || format!("cannot make the volume {name}"))?;
    // An engine answers with the one that is there.
    if made.labels.contains_key(HOLDS_LABEL) {
        return Ok(());
    }
    Err(Error::new(Kind::Preflight, format!("the volume {name} was not made by stackctl"))
        .hint("choose another name with --cluster-name, or remove the volume if nobody needs it"))
}

/// Leaves alone a volume of that name that is somebody else's.
pub async fn release(docker: &Docker, cluster: &str) -> Result<()> {
    let name = name_for(cluster);
    match docker.inspect_volume(&name).await {
        Ok(volume) if volume.labels.contains_key(HOLDS_LABEL) => {}
        Ok(_) => return Ok(()),
        Err(error) if engine::status(&error) == Some(404) => return Ok(()),
        Err(error) => return Err(error).context(Kind::Platform, || format!("cannot look at the volume {name}")),
    }
    match docker.remove_volume(&name, Some(RemoveVolumeOptionsBuilder::default().build())).await {
        Err(error) if engine::status(&error) != Some(404) => {
            Err(error).context(Kind::Platform, || format!("cannot remove the volume {name}"))
        }
        _ => Ok(()),
    }
}

/// Whether a cluster that is to be on the network is being made.
pub async fn is_held(docker: &Docker, network: &str) -> Result<bool> {
    Ok(!holders(docker, network).await?.is_empty())
}

/// The volumes that hold the network.
pub async fn holders(docker: &Docker, network: &str) -> Result<Vec<String>> {
    let filters: HashMap<String, Vec<String>> = engine::label_filter(&[(OWNER_LABEL, OWNER), (HOLDS_LABEL, network)]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = docker.list_volumes(Some(options)).await;
    let found = found.context(Kind::Platform, || "cannot list the volumes of the engine".to_owned())?;
    Ok(found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::local::network;

    #[tokio::test]
    async fn engine_a_network_that_is_held_stays_until_it_is_released() {
        if !crate::testing::has_engine() {
            return;
        }
        let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
        let (name, cluster) = ("stackctl-held-by-a-test", "stackctl-test-that-holds");
        release(&docker, cluster).await.unwrap();
        take(&docker, name, cluster).await.unwrap();
        network::ensure(&docker, name).await.unwrap();
        let held = network::remove_if_unused(&docker, name).await;
        // As after a kill: the next run of the same cluster takes it again.
        take(&docker, name, cluster).await.unwrap();
        let there = network::is_ours(&docker, name).await;
        release(&docker, cluster).await.unwrap();
        release(&docker, cluster).await.unwrap();
        let released = network::remove_if_unused(&docker, name).await;
        assert_eq!((held.unwrap(), there.unwrap(), released.unwrap()), (false, true, true));
        assert!(!network::is_ours(&docker, name).await.unwrap());
    }

    #[tokio::test]
    async fn engine_a_volume_of_somebody_else_is_neither_used_nor_removed() {
        if !crate::testing::has_engine() {
            return;
        }
        let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
        let cluster = "stackctl-test-of-a-volume";
        let name = name_for(cluster);
        let request = VolumeCreateRequest { name: Some(name.clone()), ..Default::default() };
        docker.create_volume(request).await.unwrap();
        let taken = take(&docker, "stackctl-held-by-a-test", cluster).await;
        release(&docker, cluster).await.unwrap();
        let there = docker.inspect_volume(&name).await;
        docker.remove_volume(&name, None::<bollard::query_parameters::RemoveVolumeOptions>).await.unwrap();
        assert_eq!(taken.unwrap_err().kind, Kind::Preflight);
        assert!(there.is_ok());
    }
}
