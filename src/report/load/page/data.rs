//! The points of the charts, and the values that the page's script shows.

use serde::Serialize;

use crate::event::load::{ClusterSample, Second};
use crate::{
    load::document::LoadDocument,
    report::load::{watch::failures, words::workloads},
};

/// More seconds than this are merged, so that the page of a long run stays small.
pub const POINTS: usize = 1500;

/// One point of the time charts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The first second that it stands for, and how many.
    pub at: u32,
    #[serde(skip)]
    pub seconds: u32,
    /// Per second.
    pub answers: f64,
    pub errors: f64,
    /// In ms; None where nothing was answered.
    pub latency: Option<[f64; 4]>,
}

pub fn rows(document: &LoadDocument) -> Vec<Row> {
    let merged = document.seconds.len().div_ceil(POINTS).max(1);
    document.seconds.chunks(merged).map(|seconds| row(seconds, merged)).collect()
}

fn row(seconds: &[Second], merged: usize) -> Row {
    let length = seconds.len() as f64;
    let answers: u64 = seconds.iter().map(|second| second.succeeded).sum();
    let highest = |value: fn(&Second) -> f64| seconds.iter().map(value).fold(0.0, f64::max);
    let p50 = match seconds {
        [one] => one.latency.p50,
        many => {
            many.iter().map(|second| second.latency.p50 * second.succeeded as f64).sum::<f64>() / answers.max(1) as f64
        }
    };
    let latency = [
        p50,
        highest(|second| second.latency.p90),
        highest(|second| second.latency.p99),
        highest(|second| second.latency.max),
    ];
    Row {
        at: seconds.first().map_or(0, |second| second.at),
        seconds: merged as u32,
        answers: answers as f64 / length,
        errors: seconds.iter().map(failures).sum::<u64>() as f64 / length,
        latency: (answers > 0).then_some(latency),
    }
}

#[derive(Serialize)]
struct Embedded<'a> {
    step: u32,
    at: Vec<u32>,
    answers: Vec<f64>,
    errors: Vec<f64>,
    p50: Vec<Option<f64>>,
    p90: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
    workloads: Vec<Workload<'a>>,
}

#[derive(Serialize)]
struct Workload<'a> {
    name: &'a str,
    at: Vec<f64>,
    replicas: Vec<u32>,
    ready: Vec<u32>,
    desired: Vec<Option<u32>>,
    metric: Option<&'a str>,
    value: Vec<Option<f64>>,
    target: Vec<Option<f64>>,
}

/// JSON for a script element: nothing in it can end the element.
pub fn embedded(document: &LoadDocument, rows: &[Row]) -> String {
    let latency = |n: usize| rows.iter().map(|row| row.latency.map(|latency| latency[n])).collect();
    let data = Embedded {
        step: rows.first().map_or(1, |row| row.seconds),
        at: rows.iter().map(|row| row.at).collect(),
        answers: rows.iter().map(|row| row.answers).collect(),
        errors: rows.iter().map(|row| row.errors).collect(),
        p50: latency(0),
        p90: latency(1),
        p99: latency(2),
        max: latency(3),
        workloads: workloads(&document.cluster_samples)
            .into_iter()
            .map(|(name, samples)| workload(name, &thinned(&samples)))
            .collect(),
    };
    let json = serde_json::to_string(&data).unwrap_or_default();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// At most as many samples as there are points.
pub fn thinned<'a>(samples: &[&'a ClusterSample]) -> Vec<&'a ClusterSample> {
    samples.iter().step_by(samples.len().div_ceil(POINTS).max(1)).copied().collect()
}

fn workload<'a>(name: &'a str, samples: &[&'a ClusterSample]) -> Workload<'a> {
    Workload {
        name,
        at: samples.iter().map(|sample| sample.at).collect(),
        replicas: samples.iter().map(|sample| sample.replicas).collect(),
        ready: samples.iter().map(|sample| sample.ready).collect(),
        desired: samples.iter().map(|sample| sample.desired).collect(),
        metric: samples.iter().find_map(|sample| sample.metric.as_deref()),
        value: samples.iter().map(|sample| sample.value).collect(),
        target: samples.iter().map(|sample| sample.target).collect(),
    }
}
