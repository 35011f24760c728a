//! Made-up load runs for tests: seeded, with the noise that real ones have.

use crate::event::load::{ClusterSample, Latency, Second};
use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::load::document::*;

/// A server and the noise around it.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    pub seconds: u32,
    /// Requests per second; for a closed loop the connections, each waiting for its answer.
    pub rate: f64,
    pub closed: bool,
    /// Median service time in ms.
    pub median: f64,
    /// Of the service time's logarithm.
    pub sigma: f64,
    /// Standard deviation of a slow wander of the service time (AR(1)), relative.
    pub wander: f64,
    /// Its memory in seconds.
    pub memory: f64,
    /// Standard deviation from run to run, relative.
    pub between: f64,
    /// Pauses per second, and how long one lasts in ms.
    pub pauses: (f64, f64),
    /// Share of requests that fail.
    pub failing: f64,
}

pub const SERVER: Server = Server {
    seconds: 60,
    rate: 100.0,
    closed: false,
    median: 8.0,
    sigma: 0.45,
    wander: 0.015,
    memory: 4.0,
    between: 0.0,
    pauses: (0.0, 0.0),
    failing: 0.0,
};

impl Server {
    /// A run against it; equal seeds give equal runs.
    pub fn run(&self, seed: u64) -> LoadDocument {
        let mut random = StdRng::seed_from_u64(seed);
        let run = 1.0 + self.between * normal(&mut random);
        let keep = (-1.0 / self.memory).exp();
        let mut wander = self.wander * normal(&mut random);
        let mut seconds = Vec::new();
        let mut all = Vec::new();
        for at in 0..self.seconds {
            wander = keep * wander + (1.0 - keep * keep).sqrt() * self.wander * normal(&mut random);
            let level = self.median * run * (1.0 + wander);
            let mut pause = None;
            if random.random::<f64>() < self.pauses.0 {
                pause = Some(random.random::<f64>() * 1000.0);
            }
            let requests = if self.closed {
                let mean = level * (self.sigma * self.sigma / 2.0).exp();
                let stalled = pause.map_or(0.0, |_| self.pauses.1 / 1000.0).min(0.9);
                (self.rate * 1000.0 / mean * (1.0 - stalled)) as u64
            } else {
                self.rate as u64
            };
            let mut latencies = Vec::new();
            let mut failed = 0;
            for n in 0..requests {
                let mut latency = level * (self.sigma * normal(&mut random)).exp();
                let due = n as f64 * 1000.0 / requests as f64;
                if let Some(start) = pause.filter(|start| (*start..*start + self.pauses.1).contains(&due)) {
                    latency += start + self.pauses.1 - due;
                }
                if random.random::<f64>() < self.failing {
                    failed += 1;
                } else {
                    latencies.push(latency);
                }
            }
            seconds.push(second(at, &mut latencies, failed));
            all.extend(latencies);
        }
        document(self, seconds, all)
    }
}

fn normal(random: &mut StdRng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

fn second(at: u32, latencies: &mut [f64], failed: u64) -> Second {
    let succeeded = latencies.len() as u64;
    let errors = if failed > 0 { BTreeMap::from([("status 503".to_owned(), failed)]) } else { BTreeMap::new() };
    Second { at, requests: succeeded + failed, succeeded, errors, bytes: succeeded * 212, latency: latency(latencies) }
}

fn latency(values: &mut [f64]) -> Latency {
    if values.is_empty() {
        return Latency::default();
    }
    values.sort_by(f64::total_cmp);
    let micros = |value: f64| (value * 1000.0).round() / 1000.0;
    let at = |share: f64| micros(values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1]);
    Latency {
        mean: micros(values.iter().sum::<f64>() / values.len() as f64),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
    }
}

fn document(server: &Server, seconds: Vec<Second>, mut all: Vec<f64>) -> LoadDocument {
    let succeeded: u64 = seconds.iter().map(|second| second.succeeded).sum();
    let requests: u64 = seconds.iter().map(|second| second.requests).sum();
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for (class, number) in seconds.iter().flat_map(|second| &second.errors) {
        *errors.entry(class.clone()).or_default() += number;
    }
    let length = f64::from(server.seconds);
    let latency = latency(&mut all);
    // 40 buckets per decade, the empty ones left out.
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for value in &all {
        *counts.entry((value.log10() * 40.0).ceil() as i64).or_default() += 1;
    }
    let bucket = |(exponent, count): (&i64, &u64)| Bucket { ms: 10f64.powf(*exponent as f64 / 40.0), count: *count };
    let distribution = counts.iter().map(bucket).collect();
    let failed = requests - succeeded;
    LoadDocument {
        version: VERSION,
        stack: None,
        profile: None,
        cluster: None,
        started: "2026-03-14T09:26:53Z".into(),
        parameters: Parameters {
            url: "http://127.0.0.1:8400".into(),
            paths: vec!["/".into()],
            method: "GET".into(),
            connections: if server.closed { server.rate as u32 } else { 100 },
            arrivals: if server.closed { "closed" } else { "constant" }.into(),
            rate: (!server.closed).then_some(server.rate),
            duration_s: Some(length),
            requests: None,
            warmup_s: 5.0,
            timeout_s: 10.0,
            from: "host".into(),
        },
        images: BTreeMap::new(),
        totals: Totals {
            seconds: length,
            requests,
            succeeded,
            failed,
            error_rate: failed as f64 / requests.max(1) as f64,
            errors,
            rate: succeeded as f64 / length,
            bytes_received: succeeded * 212,
            bytes_sent: requests * 78,
            resent: 0,
            latency,
            connects: Connects {
                count: 100,
                failed: 0,
                latency: Latency { mean: 0.4, p50: 0.3, p90: 0.8, p99: 1.9, p999: 2.2, max: 2.2 },
            },
        },
        paths: vec![PathTotals { path: "/".into(), requests, failed, latency }],
        seconds,
        distribution,
        histogram: String::new(),
        cluster_samples: Vec::new(),
        workers: Workers { started: 1, lost: Vec::new() },
        verdict: None,
    }
}

/// hello's declared load: it scales up under it, then, without it, down. Five answers are 503 meanwhile.
pub fn hello() -> LoadDocument {
    let mut random = StdRng::seed_from_u64(4);
    let mut seconds = Vec::new();
    let mut all = Vec::new();
    for at in 0..300 {
        // Two replicas are too few; the other ones start at 47 s and settle the queue.
        let level = match at {
            0..46 => 38.0 + f64::from(at) * 0.35,
            46..58 => 55.0 - f64::from(at - 46) * 3.3,
            _ => 14.0 + 1.2 * (f64::from(at) / 23.0).sin(),
        };
        let failed = match at {
            48 => 3,
            49 => 2,
            _ => 0,
        };
        let mut latencies: Vec<f64> =
            (0..100 - failed).map(|_| level * (0.38 * normal(&mut random)).exp() + 1.0).collect();
        seconds.push(second(at, &mut latencies, failed));
        all.extend(latencies);
    }
    let base = document(&Server { seconds: 300, ..SERVER }, seconds, all);
    LoadDocument {
        stack: Some("hello".into()),
        profile: Some("default".into()),
        cluster: Some("kind-stackctl".into()),
        parameters: Parameters {
            url: "http://hello-service:8400".into(),
            warmup_s: 10.0,
            from: "cluster".into(),
            ..base.parameters
        },
        images: BTreeMap::from([(
            "hello".to_owned(),
            "registry.stackctl.internal/hello/hello@sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
                .to_owned(),
        )]),
        cluster_samples: (-1..99).map(|n| sample(f64::from(n) * 5.0)).collect(),
        workers: Workers { started: 4, lost: Vec::new() },
        verdict: Some(verdict()),
        ..base
    }
}

fn sample(at: f64) -> ClusterSample {
    let (replicas, ready, desired) = match at as i64 {
        i64::MIN..30 => (2, 2, 2),
        30..40 => (4, 2, 4),
        40..47 => (5, 4, 5),
        47..440 => (5, 5, 5),
        _ => (2, 2, 2),
    };
    let value = match at as i64 {
        i64::MIN..5 => 2.0,
        5..20 => 40.0,
        20..47 => 182.0 - at,
        47..310 => 61.0 + (at / 17.0).sin() * 5.0,
        310..330 => 30.0,
        _ => 2.0,
    };
    ClusterSample {
        at,
        workload: "Deployment/hello-service".into(),
        replicas,
        ready,
        desired: Some(desired),
        metric: Some("cpu".into()),
        value: Some(value),
        target: Some(80.0),
        restarts: 0,
    }
}

fn verdict() -> VerdictDocument {
    let condition = |name: &str, expected: &str, measured: &str| Condition {
        name: name.into(),
        expected: expected.into(),
        measured: measured.into(),
        held: true,
        why: None,
    };
    VerdictDocument {
        passed: false,
        conditions: vec![
            Condition {
                held: false,
                why: Some("5 × the answer had status 503 while replicas started".into()),
                ..condition("maxErrorRate", "at most 0.01 %", "0.02 %")
            },
            condition("scaleUp", "more than 2 replicas", "2 → 5 replicas after 47 s"),
            condition("scaleDown", "2 replicas again", "after 140 s without load"),
            condition("noRestarts", "no restarts", "0 restarts"),
        ],
    }
}
