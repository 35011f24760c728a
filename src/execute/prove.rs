//! The proofs of a stack, which run from inside the cluster.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::{Done, disruption, outputs::Output, run::Run};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    observe::certificates,
    plan::Step,
    proof::{self, ProofResult, result::LastProof},
    stack::model::Proof,
};

/// What the cluster has of the values that the chosen proofs refer to, by their names.
async fn values(run: &Run<'_>) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let named = run.stack.referred();
    for (name, reference) in run.stack.references.iter().filter(|(name, _)| named.contains(*name)) {
        let object = run.kube().await?.get(&reference.key).await?;
        let value = object.and_then(|object| reference.find(&run.stack.name, &object)).ok_or_else(|| {
            let place = reference.key.in_words();
            Error::new(Kind::Preflight, format!("proofs refer to value {name}, which {place} does not show"))
                .hint(format!("`stackctl up {}` brings the cluster to what the files say", run.stack.name))
        })?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

pub async fn prove(run: &Run<'_>, step: &Step, progress: &Progress, cancel: &CancellationToken) -> Result<Done> {
    let agent = run.agent(step)?;
    let kube = run.kube().await?;
    let ca = certificates::ca_bundle(kube, run.stack).await?;
    let place = proof::Place { namespace: &run.stack.namespace, agent_image: &agent, ca: ca.as_deref() };
    let proofs = run.stack.proofs_with(&values(run).await?)?;
    let (disruptive, calm): (Vec<Proof>, Vec<Proof>) =
        proofs.into_iter().partition(|proof| proof.check.is_disruptive());
    let mut results = proof::run(kube, place, &calm, run.machine.timeout, cancel, progress).await?;
    for proof in &disruptive {
        let result = match results.iter().any(ProofResult::has_failed) {
            true => ProofResult::skipped(&proof.name, "nothing is disturbed while another proof fails"),
            false => Box::pin(disruption::prove(run, place, proof, cancel, progress)).await?,
        };
        results.push(result);
    }
    let failed = results.iter().filter(|result| result.has_failed()).count();
    let total = results.iter().filter(|result| result.skipped.is_none()).count();
    results.extend(run.stack.skipped_proofs.iter().map(|skipped| ProofResult::skipped(&skipped.name, &skipped.reason)));
    // For `status`. That it cannot be kept is no reason to fail.
    if let Err(error) = LastProof::new(&run.stack.name, &results).keep(run.machine.folder()) {
        run.machine.events.warn(format!("`status` will not know of these proofs: {error}"));
    }
    let failure = (failed > 0).then(|| Error::new(Kind::ProofFailed, format!("{failed} of {total} proofs failed")));
    Ok(Done { failure, output: Output::Proofs(results), ..Done::note(format!("{total} of {total} passed")) })
}
