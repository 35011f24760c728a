//! Runs proofs against a cluster: what a client in it would see is checked in a pod, what only the API server knows from here.

mod agent;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use ::kube::Api;
use k8s_openapi::api::core::v1::Pod;
use rand::Rng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::agent::Agent;
use super::{
    agent::expectation, autoscaler, logs::Logged, pod, replicas, result::ProofResult, trace::random_hex,
    wire::AgentCheck,
};
use crate::{
    error::{Error, Kind, Result},
    event::{Progress, interrupt::until_cancelled},
    kube::Kube,
    stack::{
        claims::LogsCheck,
        model::{Check, Proof},
    },
};

/// What stands for a text that no other run of a proof has.
const ID: &str = "$(id)";

/// Where and from what checks run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub namespace: &'a str,
    /// An image whose entry point is this executable, as the nodes name it.
    pub agent_image: &'a str,
    /// Certificate of the stack's CA as PEM, for checks with `ca: true`.
    pub ca: Option<&'a str>,
}

/// Each with its place among the proofs.
type Results = Vec<(usize, ProofResult)>;

/// Checks all proofs and returns their results in the order of `proofs`.
///
/// The pods, one for each ServiceAccount that a check needs, are created in the namespace and deleted in any case; what is past `deadline` fails. A proof that fails is a result; errors are
/// `Refused` (the pod was not admitted), `NotReady` (it did not run, with the cause) and `Interrupted`.
pub async fn run(
    kube: &Kube,
    place: Place<'_>,
    proofs: &[Proof],
    deadline: Duration,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<Vec<ProofResult>> {
    // After an error the others are told to stop, not dropped: each removes its pod first.
    let stop = cancel.child_token();
    let began = Instant::now();
    let run = Run { kube, place, began, limit: began + deadline, stop: &stop, progress };
    let proofs: Vec<Proof> = proofs.iter().map(with_id).collect();
    let (proofs, mut results) = run.with_replicas(proofs).await?;
    let (in_cluster, from_here) = futures::join!(run.in_cluster(&proofs), run.outside(&proofs));
    results.extend(gathered(in_cluster.into_iter().chain(from_here))?);
    run.after_requests(&proofs, &mut results).await?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// With an id of its own wherever it asks for one.
pub fn with_id(proof: &Proof) -> Proof {
    let id = random_hex(12);
    // One that could not hold the id stays as it is.
    let check = proof.check.with_texts(|text| text.replace(ID, &id)).unwrap_or_else(|_| proof.check.clone());
    Proof { check, ..proof.clone() }
}

/// Those that were stopped because of another's error have nothing to add.
fn gathered(all: impl IntoIterator<Item = Result<Results>>) -> Result<Results> {
    let (mut results, mut errors): (Results, Vec<Error>) = (Vec::new(), Vec::new());
    for each in all {
        match each {
            Ok(some) => results.extend(some),
            Err(error) => errors.push(error),
        }
    }
    errors.sort_by_key(|error| error.kind == Kind::Interrupted);
    errors.into_iter().next().map_or(Ok(results), Err)
}

struct Run<'a> {
    kube: &'a Kube,
    place: Place<'a>,
    began: Instant,
    limit: Instant,
    stop: &'a CancellationToken,
    progress: &'a Progress,
}

impl Run<'_> {
    /// The proofs that are still to be decided, with the pods that they ask; the others have failed for want of pods.
    async fn with_replicas(&self, proofs: Vec<Proof>) -> Result<(Vec<(usize, Proof)>, Results)> {
        let (mut open, mut failed) = (Vec::new(), Vec::new());
        for (index, mut proof) in proofs.into_iter().enumerate() {
            if let Check::Replicas(check) = &mut proof.check {
                let until = (self.began + proof.eventually.unwrap_or_default()).min(self.limit);
                let find = replicas::find(self.kube, self.place.namespace, check, until, self.progress);
                match until_cancelled(self.stop, find).await? {
                    Ok(found) => check.replicas = found,
                    Err(seen) => {
                        let expected = expectation(&proof.check);
                        failed.push((index, ProofResult::failed(&proof.name, self.began.elapsed(), expected, seen)));
                        continue;
                    }
                }
            }
            open.push((index, proof));
        }
        Ok((open, failed))
    }

    async fn in_cluster(&self, proofs: &[(usize, Proof)]) -> Vec<Result<Results>> {
        let mut by_account: BTreeMap<Option<&str>, Vec<AgentCheck>> = BTreeMap::new();
        for (index, proof) in proofs {
            if let Some(check) = AgentCheck::new(*index, proof) {
                by_account.entry(proof.check.service_account()).or_default().push(check);
            }
        }
        let Place { namespace, agent_image, ca } = self.place;
        let api: Api<Pod> = Api::namespaced(self.kube.client().clone(), namespace);
        let agents = by_account.iter().map(|(service_account, checks)| {
            let options = pod::PodOptions { image: agent_image, ca, service_account: *service_account };
            let agent = Agent { api: api.clone(), namespace, options, stop: self.stop, progress: self.progress };
            async move {
                let results = agent.results(checks, self.limit).await;
                self.stop_on_error(results)
            }
        });
        futures::future::join_all(agents).await
    }

    async fn outside(&self, proofs: &[(usize, Proof)]) -> Vec<Result<Results>> {
        let checks = proofs.iter().map(|(index, proof)| async move {
            let result = match &proof.check {
                Check::Autoscaler(check) => {
                    let client = self.kube.client();
                    let prove = autoscaler::prove(client, proof, check, self.limit, self.progress);
                    until_cancelled(self.stop, async { Ok(prove.await) }).await
                }
                Check::Logs(check) if check.request.is_none() => self.logged(proof, check).await,
                _ => return Ok(Vec::new()),
            };
            self.stop_on_error(result.map(|result| vec![(*index, result)]))
        });
        futures::future::join_all(checks).await
    }

    /// Lines are looked for once the request that leads to them was answered.
    async fn after_requests(&self, proofs: &[(usize, Proof)], results: &mut Results) -> Result<()> {
        let by_index: BTreeMap<usize, &Proof> = proofs.iter().map(|(index, proof)| (*index, proof)).collect();
        let by_index = &by_index;
        let looked = results.iter_mut().map(|(index, result)| async move {
            if let Some(proof) = by_index.get(index)
                && let Check::Logs(check) = &proof.check
                && check.request.is_some()
            {
                match &result.seen {
                    Some(seen) => result.seen = Some(format!("the request: {seen}")),
                    None => *result = self.logged(proof, check).await?,
                }
            }
            Ok::<(), Error>(())
        });
        futures::future::try_join_all(looked).await.map(|_| ())
    }

    async fn logged(&self, proof: &Proof, check: &LogsCheck) -> Result<ProofResult> {
        let logged = Logged {
            kube: self.kube,
            namespace: self.place.namespace,
            name: &proof.name,
            check,
            began: self.began,
            timeout: proof.eventually.unwrap_or_default(),
            limit: self.limit,
            progress: self.progress,
        };
        until_cancelled(self.stop, logged.prove()).await
    }

    fn stop_on_error(&self, results: Result<Results>) -> Result<Results> {
        if results.is_err() {
            self.stop.cancel();
        }
        results
    }
}

/// Lower-case letters and digits.
fn random(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[random.random_range(0..36)])).collect()
}
