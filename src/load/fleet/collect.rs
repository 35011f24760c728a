//! Puts the lines of several workers together. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    stats::{Timeline, WorkerResult},
    wire::Line,
};
use crate::event::load::Second;

/// How many of its other lines are kept of a worker: they say why it failed.
const KEPT: usize = 20;
/// Lines that the kubelet puts in place of a log that it cannot read, or cannot follow.
const NOT_THEIRS: [&str; 2] = ["unable to retrieve container logs", "failed to create fsnotify watcher"];

#[derive(Debug, Default)]
pub struct Collected {
    pub timeline: Timeline,
    /// By worker.
    pub results: BTreeMap<u32, WorkerResult>,
    /// Of each worker the newest second that it has told of.
    newest: BTreeMap<u32, u32>,
    /// The next second to be shown.
    shown: u32,
    others: BTreeMap<u32, Vec<String>>,
}

impl Collected {
    /// Takes a line of a worker's log. Lines that come twice count once.
    pub fn take(&mut self, worker: u32, text: &str) {
        match Line::parse(text) {
            Some(Line::Tick { tick, .. }) => {
                let newest = self.newest.get(&worker);
                if newest.is_none_or(|newest| tick.at > *newest) {
                    self.newest.insert(worker, tick.at);
                    self.timeline.add(&tick);
                }
            }
            Some(Line::Result { result, .. }) => {
                self.results.entry(worker).or_insert(*result);
            }
            None if text.trim().is_empty() || NOT_THEIRS.iter().any(|start| text.starts_with(start)) => {}
            None => {
                let lines = self.others.entry(worker).or_default();
                if lines.len() == KEPT {
                    lines.remove(0);
                }
                lines.push(text.trim_end().to_owned());
            }
        }
    }

    /// Seconds that have become complete since this was last asked: all of `workers` have told of the one after, by which
    /// most answers have come, or they passed before `overdue`, so that one slow log holds nothing up. None from `end` on.
    pub fn complete(&mut self, workers: &BTreeSet<u32>, overdue: u32, end: u32) -> Vec<Second> {
        let told = |worker: &u32| {
            let newest = self.newest.get(worker).copied().unwrap_or(0);
            if self.results.contains_key(worker) { newest + 1 } else { newest }
        };
        let until = workers.iter().map(told).min().unwrap_or(0).max(overdue).min(end);
        let seconds = (self.shown..until).map(|at| self.timeline.second(at)).collect();
        self.shown = self.shown.max(until);
        seconds
    }

    /// The sum of all results.
    pub fn sum(&self) -> WorkerResult {
        let mut sum = WorkerResult::default();
        self.results.values().for_each(|result| sum.add(result));
        sum
    }

    /// What a worker said beside its measurement.
    pub fn others(&self, worker: u32) -> &[String] {
        self.others.get(&worker).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::stats::{PackedTally, SecondTally, Tally, Tick};

    fn tick(worker: u32, at: u32, of: u32, micros: u64) -> String {
        let mut tally = Tally { succeeded: 1, bytes: 5, ..Tally::default() };
        tally.latencies.record(micros);
        let seconds = vec![SecondTally { at: of, tally: PackedTally::from(&tally) }];
        Line::Tick { worker, tick: Tick { at, seconds } }.text().unwrap()
    }

    fn result(worker: u32, seconds: u64) -> String {
        let result = WorkerResult { measured: Duration::from_secs(seconds), connects: 4, ..WorkerResult::default() };
        Line::Result { worker, result: Box::new(result) }.text().unwrap()
    }

    #[test]
    fn a_second_is_complete_once_all_have_told_of_the_next() {
        let both = BTreeSet::from([0, 1]);
        let mut collected = Collected::default();
        collected.take(0, &tick(0, 0, 0, 1000));
        collected.take(0, &tick(0, 1, 1, 1000));
        collected.take(1, &tick(1, 0, 0, 3000));
        assert!(collected.complete(&both, 0, 9).is_empty());
        // One answer came a second late.
        collected.take(1, &tick(1, 1, 0, 3000));
        let seconds = collected.complete(&both, 0, 9);
        assert_eq!((seconds.len(), seconds[0].at, seconds[0].succeeded), (1, 0, 3));
        assert!((seconds[0].latency.max - 3.0).abs() < 0.1);
        assert!(collected.complete(&both, 0, 9).is_empty(), "each is shown once");
        collected.take(0, &tick(0, 2, 2, 1000));
        let alone = collected.complete(&BTreeSet::from([0]), 0, 9);
        assert_eq!((alone.len(), alone[0].succeeded), (1, 1), "a lost worker holds nothing up");
        assert_eq!(collected.complete(&both, 4, 9).len(), 2, "nor does a slow one");
        // An answer that takes long is of a second that was shown without it.
        let mut slow = Collected::default();
        assert_eq!(slow.complete(&both, 3, 9).iter().map(|second| second.requests).sum::<u64>(), 0);
        assert!(!slow.timeline.has_requests());
        slow.take(0, &tick(0, 4, 1, 3_000_000));
        assert!(slow.timeline.has_requests());
        collected.take(1, &tick(1, 6, 5, 1000));
        for worker in [0, 1] {
            collected.take(worker, &tick(worker, 7, 5, 1000));
            collected.take(worker, &result(worker, 6));
        }
        assert_eq!(collected.complete(&both, 0, 6).len(), 2, "what ends has nothing after its end");
    }

    #[test]
    fn lines_that_come_twice_count_once() {
        let mut collected = Collected::default();
        for _ in 0..2 {
            // The second tick tells of an earlier second, too.
            for line in [tick(0, 0, 0, 1000), tick(0, 1, 0, 1000), result(0, 2)] {
                collected.take(0, &line);
            }
        }
        assert_eq!(collected.timeline.second(0).succeeded, 2);
        assert_eq!(collected.sum().connects, 4);
    }

    #[test]
    fn results_add_up_and_other_lines_are_kept() {
        let mut collected = Collected::default();
        collected.take(0, &result(0, 2));
        collected.take(1, &result(1, 3));
        assert_eq!((collected.sum().connects, collected.sum().measured), (8, Duration::from_secs(3)));
        for number in 0..30 {
            collected.take(2, &format!("line {number}\n"));
        }
        assert_eq!((collected.others(2).len(), collected.others(2)[19].as_str()), (20, "line 29"));
        collected.take(0, "unable to retrieve container logs for containerd://d0bc");
        assert!(collected.others(0).is_empty());
    }
}
