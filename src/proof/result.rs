//! What came out of a proof.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{error::Result, event::as_millis, state::Folder};

/// A proof neither passed nor failed when `skipped` says why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProofResult {
    pub name: String,
    pub passed: bool,
    /// From the first attempt to the last; in JSON `tookMs`.
    #[serde(rename = "tookMs", serialize_with = "as_millis")]
    #[schemars(with = "u64")]
    pub took: Duration,
    pub attempts: u32,
    pub expected: Option<String>,
    /// What was seen instead; None when it passed.
    pub seen: Option<String>,
    pub skipped: Option<String>,
    /// What it measured when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl ProofResult {
    pub fn has_failed(&self) -> bool {
        !self.passed && self.skipped.is_none()
    }

    /// Of one that failed at its only attempt.
    pub fn failed(name: &str, took: Duration, expected: String, seen: String) -> ProofResult {
        ProofResult {
            took,
            attempts: 1,
            expected: Some(expected),
            seen: Some(seen),
            skipped: None,
            ..ProofResult::skipped(name, "")
        }
    }

    pub fn passed(name: &str, took: Duration, expected: String, note: Option<String>) -> ProofResult {
        let expected = Some(expected);
        ProofResult { passed: true, took, attempts: 1, expected, skipped: None, note, ..ProofResult::skipped(name, "") }
    }

    pub fn skipped(name: &str, reason: impl Into<String>) -> ProofResult {
        ProofResult {
            name: name.to_owned(),
            passed: false,
            took: Duration::ZERO,
            attempts: 0,
            expected: None,
            seen: None,
            skipped: Some(reason.into()),
            note: None,
        }
    }
}

/// What the last proofs of a stack came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastProof {
    pub stack: String,
    pub at: Timestamp,
    pub passed: usize,
    pub failed: Vec<String>,
    pub skipped: usize,
}

impl LastProof {
    pub fn new(stack: &str, results: &[ProofResult]) -> LastProof {
        let ran = || results.iter().filter(|result| result.skipped.is_none());
        LastProof {
            stack: stack.to_owned(),
            at: Timestamp::now(),
            passed: ran().filter(|result| result.passed).count(),
            failed: ran().filter(|result| !result.passed).map(|result| result.name.clone()).collect(),
            skipped: results.len() - ran().count(),
        }
    }

    /// Keeps it among what is kept about the cluster, in place of the one before.
    pub fn keep(&self, folder: &Folder) -> Result<()> {
        folder.write(&file(&self.stack), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// None: nothing is kept of the stack, or nothing that can be read.
    pub fn kept(folder: &Folder, stack: &str) -> Option<LastProof> {
        serde_json::from_slice(&folder.read(&file(stack)).ok()??).ok()
    }
}

fn file(stack: &str) -> String {
    format!("proofs-{stack}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_was_skipped_neither_passed_nor_failed() {
        let passed = ProofResult { passed: true, skipped: None, ..ProofResult::skipped("a", "") };
        let failed = ProofResult { skipped: None, ..ProofResult::skipped("b", "") };
        let last = LastProof::new("hello", &[passed, failed, ProofResult::skipped("c", "left out")]);
        assert_eq!((last.passed, last.failed, last.skipped), (1, vec!["b".to_owned()], 1));
    }
}
