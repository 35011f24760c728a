//! What a load run measures while it goes on.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// In milliseconds; all 0 where there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What was due in one second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Counted from the start of the measurement, from 0.
    pub at: u32,
    pub requests: u64,
    pub succeeded: u64,
    pub errors: BTreeMap<String, u64>,
    pub bytes: u64,
    pub latency: Latency,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// What a load run did in its last second, over all workers that have reported it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadTick {
    /// `warming up`, `sending`, `waiting for the scale-down` …
    pub phase: &'static str,
    /// None in phases that send nothing.
    pub second: Option<Second>,
    /// Since the start of the measurement.
    pub elapsed: Duration,
    /// As far as it is known.
    pub expected: Option<Duration>,
    /// The newest look at the cluster; empty without one.
    pub samples: Vec<ClusterSample>,
}
