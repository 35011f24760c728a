//! How a worker is told what to do and what it prints: one line of JSON each second and one at its end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{
    spec::LoadSpec,
    stats::{Tick, WorkerResult},
};
use crate::error::{Context, Error, Kind, Result};

/// Arguments of this executable that make it a worker. `--order FILE` follows where the order is not in `ORDER`.
pub const ARGUMENTS: [&str; 2] = ["agent", "load"];
/// Environment variable that holds an `Order` as JSON.
pub const ORDER: &str = "STACKCTL_LOAD";
/// Environment variable that holds the index of the worker, from 0, as an Indexed Job sets it; absent: 0.
pub const INDEX: &str = "JOB_COMPLETION_INDEX";

/// The same for all workers. May hold credentials: see `LoadSpec::headers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The whole load; each worker takes its share.
    pub spec: LoadSpec,
    pub workers: u32,
    /// Of each worker; None: one for each core that it may use.
    pub threads: Option<u32>,
    /// When the warm-up begins, in µs since 1970; None: at once.
    pub start_unix_us: Option<u64>,
}

impl Order {
    pub fn parse(text: &str) -> Result<Order> {
        serde_json::from_str(text).context(Kind::Usage, || "the order for a load could not be read".to_owned())
    }
}

/// What a worker prints on stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "load", rename_all = "kebab-case")]
pub enum Line {
    /// Each second of the measurement, and once more when the last answers have come.
    Tick {
        worker: u32,
        #[serde(flatten)]
        tick: Tick,
    },
    /// The last line.
    Result {
        worker: u32,
        #[serde(flatten)]
        result: Box<WorkerResult>,
    },
}

impl Line {
    /// None for a line that is no worker's.
    pub fn parse(text: &str) -> Option<Line> {
        serde_json::from_str(text.trim()).ok()
    }

    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new(Kind::Unexpected, "what was measured could not be written").caused_by(&error))
    }
}

/// The moment of this process's clock that a time since 1970 is; a time that has passed is one that has passed.
pub fn instant(unix_us: u64) -> Instant {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let at = UNIX_EPOCH + Duration::from_micros(unix_us);
    match at.duration_since(wall) {
        Ok(ahead) => now + ahead,
        Err(past) => now.checked_sub(past.duration()).unwrap_or(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{
        failure::Failure,
        stats::{PackedTally, SecondTally, Tally},
    };

    #[test]
    fn lines_survive_the_way() {
        let mut tally = Tally { succeeded: 2, bytes: 10, ..Tally::default() };
        tally.latencies.record(1500);
        tally.latencies.record(70_000);
        tally.errors.insert(Failure::Status(503), 3);
        let packed = PackedTally::from(&tally);
        let tick = Tick { at: 4, seconds: vec![SecondTally { at: 3, tally: packed.clone() }] };
        let result = WorkerResult {
            paths: vec![packed],
            measured: Duration::from_millis(4500),
            aborted: Some(Failure::Timeout),
            examples: [(Failure::Connect, "refused".to_owned())].into(),
            ..WorkerResult::default()
        };
        for line in [Line::Tick { worker: 1, tick }, Line::Result { worker: 1, result: Box::new(result) }] {
            let text = line.text().unwrap();
            assert!(!text.contains('\n') && text.len() < 1000, "{text}");
            assert_eq!(Line::parse(&format!("  {text}\n")), Some(line));
        }
        assert_eq!(Line::parse("thread 'main' panicked"), None);
    }

    #[test]
    fn times_are_moments() {
        let in_a_minute = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
        let ahead = instant(in_a_minute.as_micros() as u64).duration_since(Instant::now());
        assert!((59..=60).contains(&ahead.as_secs()));
        assert!(instant(0) <= Instant::now());
    }
}
