//! What a load run measures while it goes on.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// In milliseconds; all 0 where there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What was due in one second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// Counted from the start of the measurement, from 0.
    pub at: u32,
    pub requests: u64,
    pub succeeded: u64,
    pub errors: BTreeMap<String, u64>,
    pub bytes: u64,
    pub latency: Latency,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSample {
    /// Seconds since the start of the measurement; negative before it.
    pub at: f64,
    /// `Deployment/hello-service`.
    pub workload: String,
    pub replicas: u32,
    pub ready: u32,
    /// What the autoscaler wants; None without one.
    pub desired: Option<u32>,
    /// Such as `cpu`.
    pub metric: Option<String>,
    /// In the target's unit: percent of the request for utilization.
    pub value: Option<f64>,
    pub target: Option<f64>,
    /// Restarts of the workload's containers since the start of the run.
    pub restarts: u32,
}

fn as_millis_if_known<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => super::as_millis(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// What a load run did in its last second, over all workers that have reported it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadTick {
    /// `warming up`, `sending`, `waiting for the scale-down` …
    pub phase: &'static str,
    /// None in phases that send nothing.
    pub second: Option<Second>,
    /// Since the start of the measurement.
    #[serde(rename = "elapsedMs", serialize_with = "super::as_millis")]
    #[schemars(with = "u64")]
    pub elapsed: Duration,
    /// As far as it is known.
    #[serde(rename = "expectedMs", serialize_with = "as_millis_if_known")]
    #[schemars(with = "Option<u64>")]
    pub expected: Option<Duration>,
    /// The newest look at the cluster; empty without one.
    pub samples: Vec<ClusterSample>,
}
