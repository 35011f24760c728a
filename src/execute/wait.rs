//! Waits for objects to be ready.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Done, run::Run};
use crate::{
    error::Result,
    event::{Progress, interrupt::interrupted},
    kube::{Kube, readiness::references::Reference, wait::WaitOptions},
    machine::Machine,
    object::Key,
    plan::expected,
    provider::Answer,
    stack::desired::DesiredSet,
};

/// Waits for an object that the plan's stack declares.
pub async fn ready(run: &Run<'_>, key: &Key, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let seen = run.observed.live.as_ref().and_then(|live| live.live.objects.get(key));
    // What an apply of this run returned is newer than what was observed.
    let applied = run.outputs.applied(key);
    let wait = Wait { machine: run.machine, sets: &run.plan.sets, replace: run.options.change.replace };
    wait.until_ready(key, applied.as_deref().or(seen), progress, cancel).await
}

/// Until connections to Services are no longer refused, after the cluster was started.
pub async fn network(machine: &Machine, progress: &Progress) -> Result<()> {
    let wait = Wait { machine, sets: &[], replace: false };
    wait.until_network(machine.kube().await?, progress, &machine.cancel).await.map(drop)
}

pub async fn await_network(run: &Run<'_>, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let wait = Wait { machine: run.machine, sets: &run.plan.sets, replace: run.options.change.replace };
    wait.until_network(run.kube().await?, progress, cancel).await
}

struct Wait<'a> {
    machine: &'a Machine,
    /// What may still come.
    sets: &'a [DesiredSet],
    replace: bool,
}

impl Wait<'_> {
    /// kube-proxy is what makes Services reachable; a cluster without one has its own way.
    async fn until_network(&self, kube: &Kube, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
        let (group, kind, name) = ("apps".to_owned(), "DaemonSet".to_owned(), "kube-proxy".to_owned());
        let key = Key { group, kind, namespace: Some("kube-system".to_owned()), name };
        match kube.get(&key).await? {
            Some(proxy) => self.until_ready(&key, Some(&proxy), progress, cancel).await,
            None => Ok(Done::unchanged()),
        }
    }

    async fn until_ready(
        &self,
        key: &Key,
        known: Option<&Value>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Done> {
        let machine = self.machine;
        let may_come = |wanted: &Reference| expected::may_come(self.sets, wanted);
        let options = WaitOptions {
            deadline: machine.deadline(),
            nodes_may_grow: machine.provider.traits().nodes_may_grow == Answer::Yes,
            may_come: &may_come,
            replace: self.replace,
        };
        let kube = machine.kube().await?;
        let begun = kube.begin_wait();
        let note = tokio::select! {
            biased;
            ready = Box::pin(kube.wait_ready(key, known, options, begun, progress)) => ready?,
            () = cancel.cancelled() => match machine.cancel.is_cancelled() {
                true => return Err(interrupted()),
                false => kube.last_look(key, options, begun).await?,
            },
        };
        if let Some(note) = note {
            progress.info(format!("{key}: {note}"));
        }
        Ok(Done::default())
    }
}
