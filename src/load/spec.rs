//! What a load run sends. Plain data: it travels to workers as JSON. Header values may be secret.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadSpec {
    /// Scheme, host and port, such as `http://hello-service:8400`.
    pub base: String,
    /// At least one.
    pub paths: Vec<WeightedPath>,
    pub method: String,
    /// In the order given; may hold credentials.
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub connections: u32,
    pub arrivals: Arrivals,
    pub limit: Limit,
    /// Sent before the measurement begins, and not counted.
    pub warmup: Duration,
    /// From the intended start of a request to the end of its answer's body.
    pub timeout: Duration,
    /// None: any status below 400.
    pub expect_status: Option<u16>,
    /// A text that the body must contain.
    pub expect_body: Option<String>,
    /// The first failure ends the run.
    pub abort_on_fail: bool,
    /// PEM certificates that HTTPS trusts in place of the system's roots.
    pub ca_bundle: Option<String>,
    /// For Poisson arrivals and the choice among paths.
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightedPath {
    /// With its query, such as `/read/1?x=2`.
    pub path: String,
    pub weight: f64,
}

/// When requests are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Arrivals {
    /// Closed loop: each connection sends when it has its answer.
    Closed,
    /// Open loop; `rate` in requests per second over all connections.
    Constant { rate: f64 },
    /// Open loop with exponentially distributed gaps.
    Poisson { rate: f64 },
    /// Open loop; the rate moves linearly to each stage's own during that stage, from 0.
    Stages { stages: Vec<Stage> },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub duration: Duration,
    pub rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Limit {
    Duration { duration: Duration },
    Requests { requests: u64 },
}

/// A closed loop of a second over these paths of one connection, for tests.
#[cfg(test)]
pub fn fixture(paths: &[&str]) -> LoadSpec {
    LoadSpec {
        base: "http://127.0.0.1:1".to_owned(),
        paths: paths.iter().map(|path| WeightedPath { path: (*path).to_owned(), weight: 1.0 }).collect(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: None,
        connections: 1,
        arrivals: Arrivals::Closed,
        limit: Limit::Duration { duration: Duration::from_secs(1) },
        warmup: Duration::ZERO,
        timeout: Duration::from_secs(5),
        expect_status: None,
        expect_body: None,
        abort_on_fail: false,
        ca_bundle: None,
        seed: 1,
    }
}
