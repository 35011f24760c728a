//! Numbers as people read them.

use std::collections::BTreeMap;

use crate::event::load::ClusterSample;
use crate::load::{document::LoadDocument, failure::Failure};

/// A number with three significant digits and separators: `12,345`, `99.9`, `0.42`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        return thousands(value.round() as i64);
    }
    let text = match size {
        9.995.. => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `1234567` as `1,234,567`.
pub fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

pub fn whole(value: u64) -> String {
    thousands(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A latency: `0.42 ms`, `8.4 ms`, `1.25 s`.
pub fn ms(value: f64) -> String {
    if value >= 1000.0 { format!("{} s", number(value / 1000.0)) } else { format!("{} ms", number(value)) }
}

/// A share as percent: `0.02 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// The name of a condition: `maxP99` as `p99`.
pub fn condition(name: &str) -> &str {
    match name {
        "maxErrorRate" => "error rate",
        "maxP99" => "p99",
        "minRate" => "rate",
        "scaleUp" => "scale-up",
        "scaleDown" => "scale-down",
        "noRestarts" => "restarts",
        other => other,
    }
}

/// The samples of each workload, in the order of its first one.
pub fn workloads(samples: &[ClusterSample]) -> Vec<(&str, Vec<&ClusterSample>)> {
    let mut found: Vec<(&str, Vec<&ClusterSample>)> = Vec::new();
    for sample in samples {
        match found.iter_mut().find(|(name, _)| *name == sample.workload) {
            Some((_, samples)) => samples.push(sample),
            None => found.push((&sample.workload, vec![sample])),
        }
    }
    found
}

/// `2 → 5 (47 s) → 2 (440 s)`: ready replicas over time, from their first number on.
pub fn scale_history(samples: &[&ClusterSample]) -> String {
    let mut text = String::new();
    let mut last = None;
    for sample in samples {
        if last == Some(sample.ready) {
            continue;
        }
        text += &match last {
            None => sample.ready.to_string(),
            Some(_) => format!(" → {} ({} s)", sample.ready, number(sample.at.round())),
        };
        last = Some(sample.ready);
    }
    text
}

/// What the load was, in one line: `open loop, 100/s, 100 connections, 300 s, from cluster`.
pub fn load(document: &LoadDocument) -> String {
    let parameters = &document.parameters;
    let mut parts = vec![match parameters.arrivals.as_str() {
        "closed" => "closed loop".to_owned(),
        "poisson" => "open loop with Poisson arrivals".to_owned(),
        "stages" => "open loop in stages".to_owned(),
        _ => "open loop".to_owned(),
    }];
    parts.extend(parameters.rate.map(|rate| format!("{} requests/s", number(rate))));
    parts.push(crate::error::words::count(parameters.connections as usize, "connection"));
    parts.extend(parameters.duration_s.map(|seconds| format!("{} s", number(seconds))));
    parts.extend(parameters.requests.map(|requests| format!("{} requests", whole(requests))));
    parts.push(format!("from {}", parameters.from));
    parts.join(", ")
}

/// What failed, in sentences, the most frequent first.
pub fn by_number(errors: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut errors: Vec<(&str, u64)> = errors.iter().map(|(class, number)| (class.as_str(), *number)).collect();
    errors.sort_by_key(|(class, number)| (std::cmp::Reverse(*number), *class));
    errors.into_iter().map(|(class, number)| (Failure::sentence_of(class), number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let values = [0.0, 0.0002, 0.42, 1.0, 9.996, 12.34, 99.94, 99.96, 1234.5, 1_234_567.0, -12_345.6];
        assert_eq!(
            values.map(number),
            ["0", "0.0002", "0.42", "1", "10", "12.3", "99.9", "100", "1,235", "1,234,567", "-12,346"]
        );
        assert_eq!([ms(0.42), ms(999.0), ms(1250.0), percent(0.0002)], ["0.42 ms", "999 ms", "1.25 s", "0.02 %"]);
    }

    #[test]
    fn scale_history_names_each_change() {
        let document = crate::testing::load_sample::hello();
        let workloads = workloads(&document.cluster_samples);
        assert_eq!(workloads.len(), 1);
        assert_eq!(scale_history(&workloads[0].1), "2 → 4 (40 s) → 5 (50 s) → 2 (440 s)");
    }
}
