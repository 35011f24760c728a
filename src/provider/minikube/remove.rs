//! The end of a cluster, and what is left of it.

use std::collections::BTreeSet;

use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::{KUBECONFIG_FILE, MinikubeCluster, STOP_WITHIN, mark, profile};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    object::Removed,
    provider::{
        ClusterState, MayGo,
        local::{
            audit, child, engine, forget, nodes,
            place::{Place, removed_container},
        },
        sweep::Swept,
    },
};

/// On the volume of a node, its name.
const NODE_LABEL: &str = "name.minikube.sigs.k8s.io";
/// What minikube's own base images are called.
const NODE_REPOSITORY: &str = "*/k8s-minikube/kicbase";

impl MinikubeCluster {
    /// Removes the cluster, if it carries our mark and `may_go` agrees once nobody else can make or remove it: its nodes,
    /// its profile, and whatever else carries its labels; the kubeconfig entries, the state and the network.
    pub async fn delete(&self, may_go: MayGo<'_>, progress: &Progress) -> Result<Vec<Removed>> {
        let _lock = self.lock("removing", progress).await?;
        let state = self.judge().await?;
        match &state {
            ClusterState::Foreign { why } => return Err(self.refuse(why.clone())),
            ClusterState::Ours { stopped: false } => may_go().await?,
            _ => {}
        }
        child::end_leftover(&self.folder)?;
        let mut removed = match state {
            ClusterState::Absent => Vec::new(),
            _ => self.remove_nodes(progress).await?,
        };
        removed.extend(self.place().remove().await?);
        removed.extend(forget::cluster(&self.user, &self.folder, self.name(), progress).await?);
        Ok(removed)
    }

    /// `minikube delete` says that all is well where something stays, so that is looked at.
    pub(super) async fn remove_nodes(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let containers = self.containers().await?;
        progress.say("removing the nodes");
        nodes::quiesce(&self.docker, &containers).await;
        let what = format!("minikube cannot delete the cluster {}", self.name());
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        self.folder.make()?;
        self.minikube(&kubeconfig, &[]).work("delete", &[], STOP_WITHIN, &what, progress).await?;
        for left in self.containers().await? {
            engine::remove_container(&self.docker, &left).await?;
        }
        for volume in self.volumes().await? {
            let options = RemoveVolumeOptionsBuilder::default().build();
            let gone = self.docker.remove_volume(&volume, Some(options)).await;
            gone.context(Kind::Platform, || format!("cannot remove the volume {volume}"))?;
        }
        if profile::folder(self.name()).join("config.json").exists() {
            return Err(Error::new(Kind::Platform, what)
                .cause(format!("the profile {} is still there", profile::folder(self.name()).display())));
        }
        Ok(containers.into_iter().map(removed_container).collect())
    }

    /// minikube's, of the nodes of this profile.
    async fn volumes(&self) -> Result<Vec<String>> {
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![NODE_LABEL.to_owned()])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_volumes(Some(options)).await;
        let found = found.context(Kind::Platform, || "cannot list the volumes of the engine".to_owned())?;
        let names = found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name);
        Ok(names.filter(|name| mark::is_of(name, self.name())).collect())
    }

    pub(super) async fn look_for_leftovers(&self, bases: &BTreeSet<String>) -> Result<Swept> {
        let place: Place = self.place();
        let names = audit::Names { node: NODE_REPOSITORY, given: self.spec.cluster.node_image.iter().chain(bases) };
        let traces = audit::Traces { user: &self.user, context: self.name(), folder: &self.folder };
        let mut swept = audit::sweep(&place, &traces, names).await?;
        let volumes = self.volumes().await?.into_iter();
        swept.left.extend(volumes.map(|name| Removed { kind: "volume".to_owned(), name }));
        let folder = profile::folder(self.name());
        if folder.exists() {
            swept.left.push(Removed { kind: "file".to_owned(), name: folder.display().to_string() });
        }
        Ok(swept)
    }
}
