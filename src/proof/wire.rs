//! What travels to the agent and back: checks as a JSON list, results as one JSON object per line.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::stack::model::{Check, HttpCheck, Proof};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentCheck {
    /// Position in the list of proofs.
    pub index: usize,
    pub name: String,
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    pub status: u16,
    /// `null` is an expectation, too; absence is none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    #[serde(default)]
    pub contains: Option<String>,
    /// Per attempt.
    pub timeout_ms: u64,
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
}

impl AgentCheck {
    /// None for a proof that is not checked by the agent.
    pub fn new(index: usize, proof: &Proof) -> Option<AgentCheck> {
        let Check::Http(check) = &proof.check else { return None };
        let HttpCheck { method, url, headers, body, status, json, contains, timeout } = check.clone();
        Some(AgentCheck {
            index,
            name: proof.name.clone(),
            method,
            url,
            headers,
            body,
            status,
            json,
            contains,
            timeout_ms: millis(timeout),
            eventually_ms: proof.eventually.map_or(0, millis),
        })
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub fn eventually(&self) -> Duration {
        Duration::from_millis(self.eventually_ms)
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_an_expectation() {
        let text = r#"{"index":0,"name":"n","method":"GET","url":"u","status":200,"timeout_ms":1"#;
        let without: AgentCheck = serde_json::from_str(&format!("{text}}}")).unwrap();
        let with: AgentCheck = serde_json::from_str(&format!("{text},\"json\":null}}")).unwrap();
        assert_eq!((&without.json, &with.json), (&None, &Some(Value::Null)));
        for check in [without, with] {
            let text = serde_json::to_string(&check).unwrap();
            assert_eq!(serde_json::from_str::<AgentCheck>(&text).unwrap(), check);
        }
    }
}
