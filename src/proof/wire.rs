//! What travels to the agent and back: checks as a JSON list, results as one JSON object per line.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stack::model::{Check, Proof};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentCheck {
    /// Position in the list of proofs.
    pub index: usize,
    pub name: String,
    pub check: Check,
    /// 0: the first attempt decides.
    #[serde(default)]
    pub eventually_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentResult {
    pub index: usize,
    pub name: String,
    pub passed: bool,
    pub took_ms: u64,
    pub attempts: u32,
    pub expected: String,
    /// None when it passed.
    pub seen: Option<String>,
    /// What it measured when it passed.
    #[serde(default)]
    pub note: Option<String>,
}

impl AgentCheck {
    /// None for a proof of which the agent checks nothing; of logs it sends the request.
    pub fn new(index: usize, proof: &Proof) -> Option<AgentCheck> {
        let check = match &proof.check {
            Check::Autoscaler(_) | Check::During(_) => return None,
            Check::Logs(check) => Check::Http(check.request.clone()?),
            check => check.clone(),
        };
        let eventually_ms = proof.eventually.map_or(0, millis);
        Some(AgentCheck { index, name: proof.name.clone(), check, eventually_ms })
    }

    pub fn eventually(&self) -> Duration {
        Duration::from_millis(self.eventually_ms)
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
