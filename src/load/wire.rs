//! How a worker is told what to do and what it prints: one line of JSON each second and one at its end.

use serde::{Deserialize, Serialize};

use super::{
    spec::LoadSpec,
    stats::{Tick, WorkerResult},
};
use crate::error::{Error, Kind, Result};

/// Arguments of this executable that make it a worker.
pub const ARGUMENTS: [&str; 2] = ["agent", "load"];
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
