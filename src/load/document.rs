//! The record of a load run: what `--output json` prints, what the page is drawn from and what runs are compared by.

use crate::event::load::{ClusterSample, Latency, Second};
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of this format.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadDocument {
    pub version: u32,
    /// None for a bare URL.
    pub stack: Option<String>,
    pub profile: Option<String>,
    /// The cluster's context; None for a bare URL.
    pub cluster: Option<String>,
    /// RFC 3339, UTC: the start of the measurement, after the warm-up.
    pub started: String,
    pub parameters: Parameters,
    /// What was tested: service to the reference with its digest.
    pub images: BTreeMap<String, String>,
    pub totals: Totals,
    pub paths: Vec<PathTotals>,
    /// One for each second of the measurement, none left out.
    pub seconds: Vec<Second>,
    /// Of the whole run: upper bound of each bucket in ms, and how many answers it holds. Ascending.
    pub distribution: Vec<Bucket>,
    /// The load's own latency histogram: base64 of HdrHistogram's V2 deflate format, in µs.
    pub histogram: String,
    /// What the cluster did meanwhile, ascending by time.
    pub cluster_samples: Vec<ClusterSample>,
    pub workers: Workers,
    /// None where nothing was to be judged.
    pub verdict: Option<VerdictDocument>,
}

/// Without header values: they may be secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    pub url: String,
    pub paths: Vec<String>,
    pub method: String,
    pub connections: u32,
    /// `closed`, `constant`, `poisson` or `stages`.
    pub arrivals: String,
    /// Requests per second that were intended; None in a closed loop.
    pub rate: Option<f64>,
    /// What was asked for, in seconds; None where the number of requests decided.
    pub duration_s: Option<f64>,
    pub requests: Option<u64>,
    pub warmup_s: f64,
    pub timeout_s: f64,
    /// `host` or `cluster`.
    pub from: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Measured length in seconds.
    pub seconds: f64,
    /// Requests that were due within the measurement.
    pub requests: u64,
    /// Those of them that met every expectation.
    pub succeeded: u64,
    pub failed: u64,
    /// `failed / requests`, 0 to 1.
    pub error_rate: f64,
    /// Failures by class, such as `timeout`, `connect`, `reset`, `status 503`, `body`.
    pub errors: BTreeMap<String, u64>,
    /// Succeeded per second.
    pub rate: f64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Requests that were sent a second time, since their connection, used before, was closed before it answered. Each
    /// counts once in the rest. Documents of earlier versions have none.
    #[serde(default)]
    pub resent: u64,
    /// Latencies of the requests that succeeded.
    pub latency: Latency,
    /// Setting up connections, apart from the requests on them.
    pub connects: Connects,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connects {
    pub count: u64,
    pub failed: u64,
    pub latency: Latency,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathTotals {
    pub path: String,
    pub requests: u64,
    pub failed: u64,
    pub latency: Latency,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    pub ms: f64,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    pub started: u32,
    /// Those that never reported or ended before their part was sent: that is missing from the totals.
    pub lost: Vec<LostWorker>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostWorker {
    pub index: u32,
    /// Of the load, 0 to 1.
    pub share: f64,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictDocument {
    pub passed: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `maxErrorRate`, `maxP99`, `minRate`, `scaleUp`, `scaleDown`, `noRestarts`.
    pub name: String,
    /// `at most 0.1 %`.
    pub expected: String,
    /// `0.02 %`, `2 → 5 replicas after 47 s`.
    pub measured: String,
    pub held: bool,
    /// Why it is broken, where that is known.
    pub why: Option<String>,
}
