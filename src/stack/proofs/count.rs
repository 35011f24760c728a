//! Reads what is claimed about a number that requests raise, and about the replicas that answer them.

use super::http;
use crate::stack::{
    claims::{CountCheck, NumberClaim, ReplicasCheck},
    format::Section,
    problems::Problems,
};

pub fn count(at: &Section, problems: &mut Problems) -> Option<CountCheck> {
    let claim = number(at, problems);
    Some(CountCheck { claim: claim?, requests: at.get("requests")?, concurrency: at.get("concurrency")? })
}

/// `request` and `number`.
pub fn number(at: &Section, problems: &mut Problems) -> Option<NumberClaim> {
    let request = at.section("request").and_then(|at| http(at, problems));
    Some(NumberClaim { request: request?, number: at.get("number")? })
}

pub fn replicas(at: &Section, problems: &mut Problems) -> Option<ReplicasCheck> {
    let request = at.section("request").and_then(|at| http(at, problems))?;
    if !request.url.starts_with("http:") {
        at.problem(problems, "each pod is asked by its address, for which it has no certificate: http:// only");
    }
    Some(ReplicasCheck { request, minimum: at.get("minimum")?, distinct: at.get("distinct")?, replicas: Vec::new() })
}
