//! From what a run measured to its document. Pure.

use std::collections::BTreeMap;

use super::{
    document::{LoadDocument, Parameters, Totals, VERSION, Workers},
    spec::{Limit, LoadSpec},
    stats::{Measured, Timeline, WorkerResult},
};

/// What was loaded, from where.
#[derive(Debug, Clone, Default)]
pub struct About {
    pub stack: Option<String>,
    pub profile: Option<String>,
    pub cluster: Option<String>,
    /// Service to the reference that its pods run.
    pub images: BTreeMap<String, String>,
    /// `host` or `cluster`.
    pub from: &'static str,
}

/// The document without what the cluster did and without a verdict. `spec`: as it was asked for.
pub fn document(
    about: &About,
    spec: &LoadSpec,
    started: jiff::Timestamp,
    result: &WorkerResult,
    timeline: &Timeline,
    workers: Workers,
) -> LoadDocument {
    let mut document = LoadDocument {
        version: VERSION,
        stack: about.stack.clone(),
        profile: about.profile.clone(),
        cluster: about.cluster.clone(),
        started: format!("{started:.3}"),
        parameters: parameters(spec, about.from),
        images: about.images.clone(),
        totals: Totals::default(),
        paths: Vec::new(),
        seconds: Vec::new(),
        distribution: Vec::new(),
        histogram: String::new(),
        cluster_samples: Vec::new(),
        workers,
        verdict: None,
    };
    Measured::new(spec, result, timeline).put_into(&mut document);
    document
}

/// `from`: `host` or `cluster`.
fn parameters(spec: &LoadSpec, from: &str) -> Parameters {
    Parameters {
        url: spec.base.clone(),
        paths: spec.paths.iter().map(|path| path.path.clone()).collect(),
        method: spec.method.clone(),
        connections: spec.connections,
        arrivals: spec.arrivals.name().to_owned(),
        rate: spec.arrivals.rate(),
        duration_s: spec.length().map(|length| length.as_secs_f64()),
        requests: match spec.limit {
            Limit::Requests { requests } => Some(requests),
            Limit::Duration { .. } => None,
        },
        warmup_s: spec.warmup.as_secs_f64(),
        timeout_s: spec.timeout.as_secs_f64(),
        from: from.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{
        spec::{self, Arrivals, Stage},
        stats::{PackedTally, SecondTally, Tally, Tick},
    };

    #[test]
    fn a_document_holds_what_was_asked_and_measured_and_no_secret() {
        let mut spec = spec::fixture(&["/a", "/b"]);
        spec.headers = vec![("authorization".into(), "hunter2".into())];
        let stage = |rate| Stage { duration: Duration::from_secs(5), rate };
        spec.arrivals = Arrivals::Stages { stages: vec![stage(10.0), stage(70.0), stage(0.0)] };
        let mut tally = Tally { succeeded: 3, bytes: 30, ..Tally::default() };
        tally.latencies.record(2000);
        let mut timeline = Timeline::default();
        timeline.add(&Tick { at: 0, seconds: vec![SecondTally { at: 0, tally: PackedTally::from(&tally) }] });
        let result = WorkerResult { measured: Duration::from_secs(2), ..WorkerResult::default() };
        let about = About { stack: Some("hello".into()), from: "cluster", ..About::default() };
        let workers = Workers { started: 2, lost: Vec::new() };
        let document = document(&about, &spec, jiff::Timestamp::UNIX_EPOCH, &result, &timeline, workers);
        assert_eq!(
            (document.started.as_str(), document.totals.requests, document.seconds.len()),
            ("1970-01-01T00:00:00.000Z", 3, 2)
        );
        assert_eq!(document.parameters.arrivals, "stages");
        assert_eq!((document.parameters.duration_s, document.parameters.requests), (Some(1.0), None));
        assert!(!serde_json::to_string(&document).unwrap().contains("hunter2"));
    }
}
