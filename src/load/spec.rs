//! What a load run sends. Plain data: it travels to workers as JSON. Header values may be secret.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

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

impl LoadSpec {
    /// What no load can be; the rest of it is checked where it is used.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(Kind::Usage, what));
        let positive = |rate: f64| rate.is_finite() && rate > 0.0;
        if self.connections == 0 {
            return wrong("a load needs at least 1 connection".to_owned());
        }
        if self.timeout.is_zero() {
            return wrong("a timeout of 0 leaves no time for an answer".to_owned());
        }
        if self.paths.is_empty() {
            return wrong("a load needs at least one path".to_owned());
        }
        if let Some(path) = self.paths.iter().find(|path| !positive(path.weight)) {
            return wrong(format!("the weight of the path {} is not more than 0", path.path));
        }
        match self.limit {
            Limit::Duration { duration } if duration.is_zero() => {
                return wrong("a load of 0 s sends nothing".to_owned());
            }
            Limit::Requests { requests: 0 } => return wrong("a load of 0 requests sends nothing".to_owned()),
            Limit::Duration { .. } | Limit::Requests { .. } => {}
        }
        match &self.arrivals {
            Arrivals::Closed => Ok(()),
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } if positive(*rate) => Ok(()),
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } => {
                wrong(format!("a rate of {rate} requests/s is not more than 0"))
            }
            Arrivals::Stages { stages } => {
                let fine = |stage: &Stage| !stage.duration.is_zero() && (positive(stage.rate) || stage.rate == 0.0);
                match stages.iter().all(fine) && stages.iter().any(|stage| stage.rate > 0.0) {
                    true => Ok(()),
                    false => wrong("stages need a duration each, and one of them a rate above 0".to_owned()),
                }
            }
        }
    }

    /// Of the measurement; None where the number of requests decides.
    pub fn length(&self) -> Option<Duration> {
        match self.limit {
            Limit::Duration { duration } => Some(duration),
            Limit::Requests { .. } => None,
        }
    }
}

impl Arrivals {
    /// As `document::Parameters::arrivals` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Arrivals::Closed => "closed",
            Arrivals::Constant { .. } => "constant",
            Arrivals::Poisson { .. } => "poisson",
            Arrivals::Stages { .. } => "stages",
        }
    }

    /// Requests per second that are intended, of stages their mean; None in a closed loop.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Arrivals::Closed => None,
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } => Some(*rate),
            Arrivals::Stages { stages } => {
                let (mut requests, mut seconds, mut from) = (0.0, 0.0, 0.0);
                for stage in stages {
                    requests += (from + stage.rate) / 2.0 * stage.duration.as_secs_f64();
                    seconds += stage.duration.as_secs_f64();
                    from = stage.rate;
                }
                (seconds > 0.0).then_some(requests / seconds)
            }
        }
    }
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
