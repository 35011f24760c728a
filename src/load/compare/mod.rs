//! What changed from one load run to another, and whether it is more than noise.

mod noise;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

use self::noise::{Noise, Run, Spread};
use super::document::{LoadDocument, Parameters, VERSION};
use crate::error::{Error, Kind, Result};

/// Fewer seconds say nothing about noise.
const SHORTEST: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Starts of the two runs, RFC 3339.
    pub previous: String,
    pub current: String,
    /// `slower` if any metric is worse, else `faster` if any is better.
    pub verdict: Change,
    pub metrics: Vec<Metric>,
    /// What else is different, so that a change may come from there.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// `throughput` (per second), `p50`, `p90`, `p99` (ms) or `errorRate` (0 to 1).
    pub name: &'static str,
    pub previous: f64,
    pub current: f64,
    /// `current / previous - 1`; of the error rate `current - previous`.
    pub difference: f64,
    /// Where the difference lies but for noise, in the same unit.
    pub low: f64,
    pub high: f64,
    /// Differences smaller than this count as none, however certain.
    pub least: f64,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    Same,
    /// Also: more failures.
    Slower,
    /// Also: fewer failures.
    Faster,
}

/// Fails with `Kind::Usage` for runs that sent something else, or that were too short.
pub fn compare(previous: &LoadDocument, current: &LoadDocument) -> Result<Comparison> {
    for document in [previous, current] {
        if document.version != VERSION {
            let message = format!(
                "cannot compare with the run of {}: its document has version {}, not {VERSION}",
                document.started, document.version
            );
            return Err(Error::new(Kind::Usage, message).hint("run it again with this version of stackctl"));
        }
    }
    let different = differences(previous, current);
    if !different.is_empty() {
        let message = format!("cannot compare two different loads: {}", different.join("; "));
        return Err(Error::new(Kind::Usage, message).hint("compare with a run that has the same parameters"));
    }
    let shortest = previous.seconds.len().min(current.seconds.len());
    if shortest < SHORTEST {
        let message = format!("cannot compare runs of {shortest} s: their noise cannot be told from a difference");
        return Err(Error::new(Kind::Usage, message).hint(format!("let both last at least {SHORTEST} s, better 60 s")));
    }
    let noise = Noise::new(Run::new(&previous.seconds), Run::new(&current.seconds));
    let metrics = metrics(previous, current, &noise);
    let any = |change| metrics.iter().any(|metric| metric.change == change);
    let verdict = match (any(Change::Slower), any(Change::Faster)) {
        (true, _) => Change::Slower,
        (false, true) => Change::Faster,
        (false, false) => Change::Same,
    };
    Ok(Comparison {
        previous: previous.started.clone(),
        current: current.started.clone(),
        verdict,
        metrics,
        warnings: warnings(previous, current),
    })
}

fn metrics(previous: &LoadDocument, current: &LoadDocument, noise: &Noise) -> Vec<Metric> {
    let (old, new) = (&previous.totals, &current.totals);
    let mut metrics = vec![relative("throughput", (old.rate, new.rate), noise.throughput(), Least::THROUGHPUT, true)];
    for (name, share, values, least) in [
        ("p50", 0.5, (old.latency.p50, new.latency.p50), Least::MIDDLE),
        ("p90", 0.9, (old.latency.p90, new.latency.p90), Least::UPPER),
        ("p99", 0.99, (old.latency.p99, new.latency.p99), Least::TAIL),
    ] {
        if values.0 > 0.0 && values.1 > 0.0 {
            metrics.push(relative(name, values, noise.quantile(share), least, false));
        }
    }
    let rates = (old.error_rate, new.error_rate);
    let (low, high) = noise.errors(rates.1 - rates.0);
    let difference = rates.1 - rates.0;
    metrics.push(Metric {
        name: "errorRate",
        previous: rates.0,
        current: rates.1,
        difference,
        low,
        high,
        least: Least::ERRORS,
        change: judge(difference, (low, high), Least::ERRORS, false),
    });
    metrics
}

/// Runs started anew differ by more than their seconds let expect: other nodes, other places in memory, other
/// neighbours. Differences below these are no news.
struct Least {
    share: f64,
    /// In the metric's own unit: clocks and schedulers tell nothing finer.
    absolute: f64,
}

impl Least {
    const THROUGHPUT: Least = Least { share: 0.04, absolute: 0.0 };
    const MIDDLE: Least = Least { share: 0.05, absolute: 0.01 };
    const UPPER: Least = Least { share: 0.06, absolute: 0.02 };
    const TAIL: Least = Least { share: 0.1, absolute: 0.05 };
    /// One request in a thousand.
    const ERRORS: f64 = 0.001;
}

fn relative(
    name: &'static str,
    (previous, current): (f64, f64),
    spread: Spread,
    least: Least,
    more_is_better: bool,
) -> Metric {
    let difference = if previous > 0.0 { current / previous - 1.0 } else { 0.0 };
    let (low, high) = if previous > 0.0 && current > 0.0 { spread.around(difference) } else { (-1.0, f64::MAX) };
    let least = least.share.max(if previous > 0.0 { least.absolute / previous } else { 0.0 });
    let change = judge(difference, (low, high), least, more_is_better);
    Metric { name, previous, current, difference, low, high, least, change }
}

fn judge(difference: f64, (low, high): (f64, f64), least: f64, more_is_better: bool) -> Change {
    let certain = low > 0.0 || high < 0.0;
    if !certain || difference.abs() < least {
        Change::Same
    } else if (difference > 0.0) == more_is_better {
        Change::Faster
    } else {
        Change::Slower
    }
}

/// Parameters that make two runs different loads: `connections: 64, then 128`.
fn differences(previous: &LoadDocument, current: &LoadDocument) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |name: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{name}: {old}, then {new}"));
        }
    };
    let (old, new) = (&previous.parameters, &current.parameters);
    let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
    let stack = |document: &LoadDocument| document.stack.clone().unwrap_or_else(|| "none".into());
    check("stack", stack(previous), stack(current));
    check("scheme", place(&old.url).0.into(), place(&new.url).0.into());
    check("paths", old.paths.join(" "), new.paths.join(" "));
    check("method", old.method.clone(), new.method.clone());
    check("connections", old.connections.to_string(), new.connections.to_string());
    check("arrivals", old.arrivals.clone(), new.arrivals.clone());
    check("rate", number(old.rate), number(new.rate));
    check("duration in s", number(old.duration_s), number(new.duration_s));
    let requests = |parameters: &Parameters| number(parameters.requests.map(|requests| requests as f64));
    check("requests", requests(old), requests(new));
    check("warm-up in s", old.warmup_s.to_string(), new.warmup_s.to_string());
    check("timeout in s", old.timeout_s.to_string(), new.timeout_s.to_string());
    check("from", old.from.clone(), new.from.clone());
    found
}

/// Scheme, and what follows it.
fn place(url: &str) -> (&str, &str) {
    url.split_once("://").unwrap_or(("", url))
}

fn warnings(previous: &LoadDocument, current: &LoadDocument) -> Vec<String> {
    let mut warnings = Vec::new();
    let (old, new) = (&previous.parameters.url, &current.parameters.url);
    // Forwarded ports of a stack are different each time.
    if old != new && (previous.stack.is_none() || previous.parameters.from == "cluster") {
        warnings.push(format!("another address: {old}, then {new}"));
    }
    if previous.cluster != current.cluster {
        let name = |document: &LoadDocument| document.cluster.clone().unwrap_or_else(|| "none".into());
        warnings.push(format!("another cluster: {}, then {}", name(previous), name(current)));
    }
    for document in [previous, current] {
        let share: f64 = document.workers.lost.iter().map(|worker| worker.share).sum();
        if share > 0.0 {
            warnings.push(format!(
                "the run of {} lost workers with {:.0} % of its load",
                document.started,
                share * 100.0
            ));
        }
    }
    if previous.workers.started != current.workers.started {
        warnings.push(format!("{} workers, then {}", previous.workers.started, current.workers.started));
    }
    let (old, new) = (previous.totals.seconds, current.totals.seconds);
    if (old - new).abs() > 0.1 * old.max(new) && previous.parameters.duration_s.is_some() {
        warnings.push(format!("measured for {old:.0} s, then {new:.0} s"));
    }
    let most = |document: &LoadDocument| document.cluster_samples.iter().map(|sample| sample.ready).max();
    if let (Some(old), Some(new)) = (most(previous), most(current))
        && old != new
    {
        warnings.push(format!("at most {old} ready replicas, then {new}"));
    }
    warnings
}
