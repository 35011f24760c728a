//! Waits until the load balancer of an edge has a name.

use tokio_util::sync::CancellationToken;

use super::{Done, run::Run};
use crate::{
    error::Result,
    event::{Progress, interrupt::interrupted},
    object::Key,
};

pub async fn known(run: &Run<'_>, key: &Key, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let (machine, kube) = (run.machine, run.kube().await?);
    let balancer = machine.provider.traits().balancer();
    tokio::select! {
        biased;
        host = kube.wait_address(key, balancer, machine.deadline(), progress) => host.map(Done::note),
        () = cancel.cancelled() => Err(interrupted()),
    }
}
