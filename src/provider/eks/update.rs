//! Changes of a cluster that is there, which EKS makes one at a time.

use std::time::Duration;

use aws_sdk_eks::types::{UpdateStatus, VpcConfigRequest};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
};

const CHANGED_WITHIN: Duration = Duration::from_secs(1200);

impl EksCluster {
    /// From where, beside the network itself, the API server may be reached.
    pub async fn open_to(&self, cidrs: &[String], progress: &Progress) -> Result<()> {
        let eks = &self.aws.eks;
        let wait = self.wait("who may reach the API server", "2 to 5 minutes", CHANGED_WITHIN, progress);
        let update = wait.until(|| async {
            let open = VpcConfigRequest::builder().set_public_access_cidrs(Some(cidrs.to_vec())).build();
            let call = eks.update_cluster_config().name(&self.name).resources_vpc_config(open);
            match call.send().await.map_err(Failure::of) {
                Ok(answer) => Ok(Look::Done(answer.update.and_then(|update| update.id))),
                // Another change goes on.
                Err(failure) if failure.is(&["ResourceInUseException"]) => Ok(Look::NotYet(failure.message)),
                Err(failure) => Err(failure.error("saying who may reach the API server")),
            }
        });
        let Some(id) = update.await? else { return Ok(()) };
        wait.until(|| async {
            let answer = eks.describe_update().name(&self.name).update_id(&id).send().await;
            let update = answer.doing("looking at the update of the cluster")?.update;
            match update.as_ref().and_then(|update| update.status()) {
                Some(UpdateStatus::Successful) | None => Ok(Look::Done(())),
                Some(UpdateStatus::Failed | UpdateStatus::Cancelled) => {
                    let errors = update.iter().flat_map(|update| update.errors());
                    let why = errors.filter_map(|error| error.error_message()).map(str::to_owned).collect::<Vec<_>>();
                    Err(Error::new(Kind::Platform, "EKS did not change who may reach the API server").details(why))
                }
                Some(status) => Ok(Look::NotYet(status.as_str().to_lowercase())),
            }
        })
        .await
    }
}
