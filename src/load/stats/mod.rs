//! What was measured: counted by workers, merged without loss, summed up for the document.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    document::{Bucket, Connects, LoadDocument, PathTotals, Totals},
    failure::Failure,
    latencies::{Latencies, Packed},
    spec::LoadSpec,
};
use crate::event::load::Second;

/// What became of some requests. A request that is not decided yet is in none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    pub succeeded: u64,
    pub errors: BTreeMap<Failure, u64>,
    /// Received.
    pub bytes: u64,
    /// Of those that succeeded.
    pub latencies: Latencies,
}

impl Tally {
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    pub fn requests(&self) -> u64 {
        self.succeeded + self.failed()
    }

    pub fn add(&mut self, other: &Tally) {
        self.succeeded += other.succeeded;
        add_errors(&mut self.errors, &other.errors);
        self.bytes += other.bytes;
        self.latencies.add(&other.latencies);
    }
}

/// The same, small: for storing and sending.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PackedTally {
    #[serde(rename = "ok", default)]
    pub succeeded: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<Failure, u64>,
    #[serde(default)]
    pub bytes: u64,
    #[serde(rename = "hdr", default, skip_serializing_if = "Packed::is_empty")]
    pub latencies: Packed,
}

impl PackedTally {
    pub fn requests(&self) -> u64 {
        self.succeeded + self.errors.values().sum::<u64>()
    }

    pub fn is_empty(&self) -> bool {
        self.succeeded == 0 && self.errors.is_empty() && self.bytes == 0
    }

    /// Latencies that cannot be read count as none: they are checked where they come in.
    pub fn unpack(&self) -> Tally {
        Tally {
            succeeded: self.succeeded,
            errors: self.errors.clone(),
            bytes: self.bytes,
            latencies: self.latencies.unpack().unwrap_or_default(),
        }
    }

    pub fn add(&mut self, other: &PackedTally) {
        if self.is_empty() {
            *self = other.clone();
        } else if !other.is_empty() {
            let mut sum = self.unpack();
            sum.add(&other.unpack());
            *self = PackedTally::from(&sum);
        }
    }
}

impl From<&Tally> for PackedTally {
    fn from(tally: &Tally) -> PackedTally {
        PackedTally {
            succeeded: tally.succeeded,
            errors: tally.errors.clone(),
            bytes: tally.bytes,
            latencies: tally.latencies.pack(),
        }
    }
}

fn add_errors(errors: &mut BTreeMap<Failure, u64>, more: &BTreeMap<Failure, u64>) {
    for (failure, count) in more {
        *errors.entry(*failure).or_default() += count;
    }
}

/// What has become known of the requests that were due in one second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondTally {
    /// Counted from the start of the measurement, from 0.
    pub at: u32,
    #[serde(flatten)]
    pub tally: PackedTally,
}

/// What a worker has learned since its last tick, by the second in which the requests were due: mostly of one second,
/// and of earlier ones where answers were slow. All ticks of a worker together are its whole measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// The second of the measurement that has just passed. The last tick of all may be larger than the last second.
    pub at: u32,
    pub seconds: Vec<SecondTally>,
}

/// The seconds of a measurement, put together from ticks in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline(BTreeMap<u32, PackedTally>);

impl Timeline {
    pub fn add(&mut self, tick: &Tick) {
        for second in &tick.seconds {
            self.0.entry(second.at).or_default().add(&second.tally);
        }
    }

    /// Whether any request has ended, also one of a second that was shown long ago.
    pub fn has_requests(&self) -> bool {
        self.0.values().any(|tally| tally.requests() > 0)
    }

    /// As far as it is known.
    pub fn second(&self, at: u32) -> Second {
        self.0.get(&at).map_or_else(|| Second { at, ..Second::default() }, |tally| second(at, &tally.unpack()))
    }

    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.0.values().for_each(|tally| total.add(&tally.unpack()));
        total
    }

    /// One for each second of the measurement, and for later ones that hold something.
    pub fn seconds(&self, measured: Duration) -> Vec<Second> {
        let whole = measured.as_secs_f64().ceil() as u32;
        let held = self.0.last_key_value().map_or(0, |(at, _)| at + 1);
        (0..whole.max(held)).map(|at| self.second(at)).collect()
    }
}

fn second(at: u32, tally: &Tally) -> Second {
    Second {
        at,
        requests: tally.requests(),
        succeeded: tally.succeeded,
        errors: named(&tally.errors),
        bytes: tally.bytes,
        latency: tally.latencies.summary(),
    }
}

fn named(errors: &BTreeMap<Failure, u64>) -> BTreeMap<String, u64> {
    errors.iter().map(|(failure, count)| (failure.to_string(), *count)).collect()
}

/// What a worker has measured, apart from its seconds. Of several workers: their sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerResult {
    /// From the start of the measurement to its end; of several workers the longest.
    pub measured: Duration,
    /// In the order of the specification's paths.
    pub paths: Vec<PackedTally>,
    pub connects: u64,
    pub connects_failed: u64,
    pub connect_latencies: Packed,
    /// Within the measurement.
    pub bytes_sent: u64,
    /// Requests of the measurement that were sent a second time, since the connection, used before, was closed before it
    /// answered.
    pub resent: u64,
    /// Requests that were under way when the load was ended early: counted nowhere else.
    pub unfinished: u64,
    /// Requests that were due before the worker started, so that they were never sent: counted nowhere else.
    #[serde(default)]
    pub left_out: u64,
    /// By how much the worker started after the time it was given.
    pub late: Duration,
    /// The failure that ended the load, where the first one was to.
    pub aborted: Option<Failure>,
    /// Of each class of failures the first one, in words.
    #[serde(default)]
    pub examples: BTreeMap<Failure, String>,
}

impl WorkerResult {
    pub fn add(&mut self, other: &WorkerResult) {
        self.measured = self.measured.max(other.measured);
        self.paths.resize(self.paths.len().max(other.paths.len()), PackedTally::default());
        for (path, more) in self.paths.iter_mut().zip(&other.paths) {
            path.add(more);
        }
        self.connects += other.connects;
        self.connects_failed += other.connects_failed;
        let mut latencies = self.connect_latencies.unpack().unwrap_or_default();
        latencies.add(&other.connect_latencies.unpack().unwrap_or_default());
        self.connect_latencies = latencies.pack();
        self.bytes_sent += other.bytes_sent;
        self.resent += other.resent;
        self.unfinished += other.unfinished;
        self.left_out += other.left_out;
        self.late = self.late.max(other.late);
        self.aborted = self.aborted.or(other.aborted);
        for (failure, example) in &other.examples {
            self.examples.entry(*failure).or_insert_with(|| example.clone());
        }
    }

    /// Those that are decided, over all paths.
    pub fn requests(&self) -> u64 {
        self.paths.iter().map(PackedTally::requests).sum()
    }

    /// Over all paths.
    #[cfg(test)]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.paths.iter().for_each(|path| total.add(&path.unpack()));
        total
    }

    /// Not one connection could be made.
    pub fn never_connected(&self) -> bool {
        self.connects == 0 && self.connects_failed > 0
    }
}

/// The measured part of a `LoadDocument`.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub totals: Totals,
    pub paths: Vec<PathTotals>,
    pub seconds: Vec<Second>,
    pub distribution: Vec<Bucket>,
    pub histogram: String,
}

impl Measured {
    pub fn new(spec: &LoadSpec, result: &WorkerResult, timeline: &Timeline) -> Measured {
        let total = timeline.total();
        let seconds = result.measured.as_secs_f64();
        let per = |count: u64, of: f64| if of > 0.0 { count as f64 / of } else { 0.0 };
        let totals = Totals {
            seconds,
            requests: total.requests(),
            succeeded: total.succeeded,
            failed: total.failed(),
            error_rate: per(total.failed(), total.requests() as f64),
            errors: named(&total.errors),
            rate: per(total.succeeded, seconds),
            bytes_received: total.bytes,
            bytes_sent: result.bytes_sent,
            resent: result.resent,
            latency: total.latencies.summary(),
            connects: Connects {
                count: result.connects,
                failed: result.connects_failed,
                latency: result.connect_latencies.unpack().unwrap_or_default().summary(),
            },
        };
        let path = |(path, tally): (&super::spec::WeightedPath, &PackedTally)| {
            let tally = tally.unpack();
            PathTotals {
                path: path.path.clone(),
                requests: tally.requests(),
                failed: tally.failed(),
                latency: tally.latencies.summary(),
            }
        };
        Measured {
            totals,
            paths: spec.paths.iter().zip(&result.paths).map(path).collect(),
            seconds: timeline.seconds(result.measured),
            distribution: total.latencies.distribution(),
            histogram: total.latencies.pack().base64(),
        }
    }

    pub fn put_into(self, document: &mut LoadDocument) {
        document.totals = self.totals;
        document.paths = self.paths;
        document.seconds = self.seconds;
        document.distribution = self.distribution;
        document.histogram = self.histogram;
    }
}
