//! Volumes of a cluster, on AWS's side: those bear its name, which nobody else's do.

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError, time::Duration};

use aws_sdk_ec2::types::{Volume, VolumeState};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look::filter,
    names,
    network::unless,
    wait::Look,
};
use crate::{error::Result, event::Progress, object::Removed};

const GONE_WITHIN: Duration = Duration::from_secs(600);
const GONE: [&str; 1] = ["InvalidVolume.NotFound"];
/// It is attached once more, or still.
const IN_USE: [&str; 2] = ["VolumeInUse", "IncorrectState"];

impl EksCluster {
    pub(super) async fn volumes(&self) -> Result<Vec<Volume>> {
        let tagged = filter(&format!("tag:{}", names::EKS_TAG), [self.name.as_str()]);
        let answer = self.aws.ec2.describe_volumes().filters(tagged).send().await;
        Ok(answer.doing("looking for volumes")?.volumes.unwrap_or_default())
    }

    /// What the cluster's driver has left of them, once no node has them any more.
    pub(super) async fn remove_volumes(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let asked = Mutex::new(BTreeSet::new());
        let wait = self.wait("volumes", "1 minute", GONE_WITHIN, progress);
        wait.until(|| async {
            let found = self.volumes().await?;
            for volume in found.iter().filter(|volume| volume.state() == Some(&VolumeState::Available)) {
                let Some(id) = volume.volume_id() else { continue };
                match self.aws.ec2.delete_volume().volume_id(id).send().await.map_err(Failure::of) {
                    Err(failure) if failure.is(&IN_USE) => continue,
                    answer => unless(answer, &GONE, &format!("removing the volume {id}"))?,
                };
                asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
            }
            Ok(match found.len() {
                0 => Look::Done(()),
                number => Look::NotYet(format!("{number} left")),
            })
        })
        .await?;
        let gone = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(gone.into_iter().map(|name| Removed { kind: "volume".to_owned(), name }).collect())
    }
}
