//! What one thread counts while it sends.

use std::collections::BTreeMap;

use super::clock::{SECOND, micros};
use crate::load::{
    failure::Failure,
    stats::{PackedTally, SecondTally, Tally, Tick, WorkerResult},
};

/// Requests are counted in the second in which they were due.
pub struct Recorder {
    /// Where the measurement begins, in ns: what was due before it is not counted.
    from: u64,
    /// The second of the measurement that most requests are counted in, and where in ns it begins.
    second: u32,
    begins: u64,
    current: Tally,
    /// Others since the last tick.
    others: BTreeMap<u32, Tally>,
    paths: Vec<Tally>,
    connects: Tally,
    last_end: u64,
    result: WorkerResult,
}

impl Recorder {
    pub fn new(from: u64, paths: usize) -> Recorder {
        Recorder {
            from,
            second: 0,
            begins: from,
            current: Tally::default(),
            others: BTreeMap::new(),
            paths: vec![Tally::default(); paths],
            connects: Tally::default(),
            last_end: from,
            result: WorkerResult::default(),
        }
    }

    pub fn is_measured(&self, due: u64) -> bool {
        due >= self.from
    }

    /// `due` and `ended` in ns; the difference is the latency. `bytes`: sent and received.
    pub fn success(&mut self, due: u64, ended: u64, path: usize, bytes: (u64, u64)) {
        if !self.is_measured(due) {
            return;
        }
        let micros = micros(ended.saturating_sub(due));
        self.count(due, ended, path, bytes, |tally| {
            tally.succeeded += 1;
            tally.latencies.record(micros);
        });
    }

    pub fn failure(&mut self, due: u64, ended: u64, path: usize, bytes: (u64, u64), failure: Failure) {
        if self.is_measured(due) {
            self.count(due, ended, path, bytes, |tally| *tally.errors.entry(failure).or_default() += 1);
        }
    }

    fn count(&mut self, due: u64, ended: u64, path: usize, (sent, received): (u64, u64), what: impl Fn(&mut Tally)) {
        self.last_end = self.last_end.max(ended);
        self.result.bytes_sent += sent;
        let tally = self.tally(due);
        tally.bytes += received;
        what(tally);
        // The only path has what all seconds have.
        if self.paths.len() > 1 {
            self.paths[path].bytes += received;
            what(&mut self.paths[path]);
        }
    }

    fn tally(&mut self, due: u64) -> &mut Tally {
        if due < self.begins || due - self.begins >= SECOND {
            let second = (due - self.from) / SECOND;
            let number = u32::try_from(second).unwrap_or(u32::MAX);
            if number < self.second {
                return self.others.entry(number).or_default();
            }
            let next = self.others.remove(&number).unwrap_or_default();
            let passed = std::mem::replace(&mut self.current, next);
            if passed.requests() > 0 {
                self.others.insert(self.second, passed);
            }
            self.second = number;
            self.begins = self.from + second * SECOND;
        }
        &mut self.current
    }

    /// The first failure of each class is told in words.
    pub fn example(&mut self, failure: Failure, words: impl FnOnce() -> String) {
        self.result.examples.entry(failure).or_insert_with(words);
    }

    /// A connection was made, or not, in so many ns.
    pub fn connected(&mut self, took: Option<u64>) {
        match took {
            Some(took) => {
                self.result.connects += 1;
                self.connects.latencies.record(micros(took));
            }
            None => self.result.connects_failed += 1,
        }
    }

    /// A request that was due then is sent once more.
    pub fn resent(&mut self, due: u64) {
        self.result.resent += u64::from(self.is_measured(due));
    }

    /// This failure ends the load.
    pub fn aborted(&mut self, failure: Failure) {
        self.result.aborted = self.result.aborted.or(Some(failure));
    }

    /// What has been counted since the last one; second `at` has just passed.
    pub fn tick(&mut self, at: u32) -> Tick {
        let single = self.paths.len() == 1;
        let mut seconds = Vec::new();
        for (at, tally) in self.others.iter().chain([(&self.second, &self.current)]) {
            if tally.requests() > 0 {
                seconds.push(SecondTally { at: *at, tally: PackedTally::from(tally) });
                if single {
                    self.paths[0].add(tally);
                }
            }
        }
        self.others.clear();
        self.current.succeeded = 0;
        self.current.bytes = 0;
        self.current.errors.clear();
        self.current.latencies.clear();
        Tick { at, seconds }
    }

    /// After the last tick. The end of the last request, in ns, and everything but the length of the measurement.
    pub fn finish(self) -> (u64, WorkerResult) {
        let result = WorkerResult {
            paths: self.paths.iter().map(PackedTally::from).collect(),
            connect_latencies: self.connects.latencies.pack(),
            ..self.result
        };
        (self.last_end, result)
    }
}
