//! What runs inside the pod: makes the requests and prints what came back.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use super::{
    http::{Requester, expectation},
    wire::{AgentCheck, AgentResult, millis},
};
use crate::error::{Context, Kind, Result};

/// Between two attempts of an eventual check.
const INTERVAL: Duration = Duration::from_millis(250);

/// Runs the checks one after the other, in their order, and hands on one JSON line for each as soon as it is decided.
///
/// `input`: the JSON list that `pod::build` puts into the environment. `ca_bundle`: PEM file that HTTPS trusts in place
/// of the system's roots. Fails only for input or a bundle that cannot be read; a failed check is a result.
pub async fn run_agent(input: &str, ca_bundle: Option<&Path>, mut emit: impl FnMut(String)) -> Result<()> {
    let checks: Vec<AgentCheck> =
        serde_json::from_str(input).context(Kind::Usage, || "the checks could not be read".to_owned())?;
    let requester = Requester::new(ca_bundle)?;
    for check in &checks {
        let result = decide(&requester, check).await;
        emit(serde_json::to_string(&result).context(Kind::Unexpected, || "a result could not be written".to_owned())?);
    }
    Ok(())
}

async fn decide(requester: &Requester, check: &AgentCheck) -> AgentResult {
    let start = Instant::now();
    let until = start + check.eventually();
    let mut attempts = 0;
    let seen = loop {
        attempts += 1;
        let Err(seen) = requester.attempt(check).await else { break None };
        if Instant::now() + INTERVAL > until {
            break Some(seen);
        }
        tokio::time::sleep(INTERVAL).await;
    };
    AgentResult {
        index: check.index,
        name: check.name.clone(),
        passed: seen.is_none(),
        took_ms: millis(start.elapsed()),
        attempts,
        expected: expectation(check),
        seen,
    }
}

#[cfg(test)]
mod tests;
