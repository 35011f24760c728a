//! A load run as its ticks tell it: what the live charts and the plain lines are made from. Pure.

use std::time::Duration;

use super::{
    super::style::{clean, duration},
    words::{ms, number, whole},
};
use crate::event::LoadTick;
use crate::event::load::{ClusterSample, Second};

/// Seconds over which a line speaks.
const SPAN: usize = 5;

#[derive(Debug, Default)]
pub struct Watch {
    pub phase: &'static str,
    pub elapsed: Duration,
    pub expected: Option<Duration>,
    pub seconds: Vec<Second>,
    /// Ascending by time.
    pub samples: Vec<ClusterSample>,
}

impl Watch {
    pub fn add(&mut self, tick: &LoadTick) {
        self.phase = tick.phase;
        self.elapsed = tick.elapsed;
        self.expected = tick.expected;
        if let Some(second) = &tick.second {
            // The measurement counts from 0 again after the warm-up, which isn't shown any more then.
            if self.seconds.last().is_some_and(|last| last.at >= second.at) {
                self.seconds.clear();
            }
            self.seconds.push(second.clone());
        }
        for sample in &tick.samples {
            let known = self.samples.iter().rev().any(|old| old.workload == sample.workload && old.at >= sample.at);
            if !known {
                self.samples.push(sample.clone());
            }
        }
    }

    /// The newest sample of each workload.
    pub fn newest(&self) -> Vec<&ClusterSample> {
        let mut newest: Vec<&ClusterSample> = Vec::new();
        for sample in self.samples.iter().rev() {
            if !newest.iter().any(|known| known.workload == sample.workload) {
                newest.insert(0, sample);
            }
        }
        newest
    }

    pub fn failed(&self) -> u64 {
        self.seconds.iter().map(failures).sum()
    }

    /// `sending, 25 of 300 s`.
    pub fn progress(&self) -> String {
        let elapsed = self.elapsed.as_secs();
        match self.expected {
            Some(expected) if expected.as_secs() >= elapsed => {
                format!("{}, {elapsed} of {} s", self.phase, expected.as_secs())
            }
            _ if elapsed < 60 => format!("{}, {elapsed} s", self.phase),
            _ => format!("{}, {}", self.phase, duration(Duration::from_secs(elapsed))),
        }
    }
}

pub fn failures(second: &Second) -> u64 {
    second.errors.values().sum()
}

/// What the last five seconds were like, in one line.
pub fn line(watch: &Watch) -> String {
    let mut parts = vec![watch.progress()];
    let recent = &watch.seconds[watch.seconds.len().saturating_sub(SPAN)..];
    let answers: u64 = recent.iter().map(|second| second.succeeded).sum();
    if watch.phase_sends() && !recent.is_empty() {
        parts.push(format!("{}/s", number(answers as f64 / recent.len() as f64)));
    }
    if watch.phase_sends() && answers > 0 {
        let p50 = recent.iter().map(|second| second.latency.p50 * second.succeeded as f64).sum::<f64>();
        let p99 = recent.iter().map(|second| second.latency.p99).fold(0.0, f64::max);
        parts.push(format!("p50 {}, p99 up to {}", ms(p50 / answers as f64), ms(p99)));
    }
    parts.push(format!("{} failed", whole(watch.failed())));
    parts.extend(watch.newest().into_iter().map(cluster));
    parts.join("  ")
}

impl Watch {
    /// Whether the newest second belongs to what goes on now.
    fn phase_sends(&self) -> bool {
        self.seconds.last().is_some_and(|last| f64::from(last.at) + 3.0 >= self.elapsed.as_secs_f64())
    }
}

/// `hello-service 4/5 ready, cpu 92 of 80`.
pub fn cluster(sample: &ClusterSample) -> String {
    let name = sample.workload.rsplit('/').next().unwrap_or_default();
    let mut text = format!("{} {}/{} ready", clean(name), sample.ready, sample.replicas);
    if let Some(metric) = &sample.metric {
        let value = sample.value.map_or("not measured".to_owned(), number);
        let target = sample.target.map(|target| format!(" of {}", number(target))).unwrap_or_default();
        text += &format!(", {} {value}{target}", clean(metric));
    }
    if sample.restarts > 0 {
        text += &format!(", {}", crate::error::words::count(sample.restarts as usize, "restart"));
    }
    text
}

#[cfg(test)]
pub mod fixture {
    use super::*;
    use crate::testing::load_sample as sample;

    /// The ticks of hello's run.
    pub fn ticks() -> Vec<LoadTick> {
        let document = sample::hello();
        let end = document.seconds.len() as u64;
        let tick = |at: u64| LoadTick {
            phase: if at <= end { "sending" } else { "waiting for the scale-down" },
            second: document.seconds.get((at - 1) as usize).cloned(),
            elapsed: Duration::from_secs(at),
            expected: Some(Duration::from_secs(end)),
            samples: document
                .cluster_samples
                .iter()
                .rfind(|sample| sample.at <= at as f64)
                .cloned()
                .into_iter()
                .collect(),
        };
        (1..=480).map(tick).collect()
    }

    pub fn watch(until: usize) -> Watch {
        let mut watch = Watch::default();
        ticks().iter().take(until).for_each(|tick| watch.add(tick));
        watch
    }
}

#[cfg(test)]
mod tests {
    use super::{fixture::watch, *};

    #[test]
    fn a_line_says_what_goes_on() {
        let lines: Vec<String> = [5, 50, 300, 400].map(|until| line(&watch(until))).into();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn samples_that_come_again_are_kept_once_and_the_warm_up_goes() {
        let mut watch = watch(60);
        assert_eq!((watch.seconds.len(), watch.samples.len()), (60, 13));
        let mut tick = fixture::ticks().remove(0);
        tick.samples.clear();
        watch.add(&tick);
        assert_eq!(watch.seconds.len(), 1);
    }
}
