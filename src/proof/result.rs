//! What came out of a proof.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A proof neither passed nor failed when `skipped` says why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProofResult {
    pub name: String,
    pub passed: bool,
    /// From the first attempt to the last; in JSON `tookMs`.
    #[serde(rename = "tookMs", serialize_with = "as_millis")]
    pub took: Duration,
    pub attempts: u32,
    pub expected: Option<String>,
    /// What was seen instead; None when it passed.
    pub seen: Option<String>,
    pub skipped: Option<String>,
}

impl ProofResult {
    pub fn skipped(name: &str, reason: impl Into<String>) -> ProofResult {
        ProofResult {
            name: name.to_owned(),
            passed: false,
            took: Duration::ZERO,
            attempts: 0,
            expected: None,
            seen: None,
            skipped: Some(reason.into()),
        }
    }
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
