//! Which step took how long, and which one it waited for last.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::record::Record;
use crate::event::Outcome;

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    pub elapsed_ms: u64,
    pub steps: Vec<Timing>,
}

/// Milliseconds since the start of the run. A step that never started has no times.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    pub id: String,
    pub start_ms: Option<u64>,
    pub end_ms: Option<u64>,
    /// None: it still ran when the run ended, or never ran.
    pub outcome: Option<Outcome>,
    pub note: Option<String>,
    pub needs: Vec<String>,
    /// The need that ended last.
    pub waited_for: Option<String>,
    /// On the chain of waits that led to the last end.
    pub critical: bool,
}

impl Timings {
    pub fn new(record: &Record, elapsed: Duration) -> Timings {
        let last: Vec<Option<usize>> =
            (0..record.steps.len()).map(|at| last_need(record, &record.visible_needs(at))).collect();
        let shown = || (0..record.steps.len()).filter(|&at| !record.steps[at].hidden);
        let mut critical = vec![false; record.steps.len()];
        let mut next = shown()
            .filter(|&at| record.steps[at].start.is_some())
            .max_by_key(|&at| record.steps[at].end.unwrap_or(elapsed));
        while let Some(at) = next {
            if std::mem::replace(&mut critical[at], true) {
                break;
            }
            next = last[at];
        }
        let id = |at: usize| record.steps[at].id.to_string();
        let steps = shown()
            .map(|at| {
                let step = &record.steps[at];
                Timing {
                    id: id(at),
                    start_ms: step.start.map(millis),
                    end_ms: step.start.map(|_| millis(step.end.unwrap_or(elapsed))),
                    outcome: step.outcome,
                    note: step.note.clone(),
                    needs: record.visible_needs(at).into_iter().map(id).collect(),
                    waited_for: last[at].map(id),
                    critical: critical[at],
                }
            })
            .collect();
        Timings { elapsed_ms: millis(elapsed), steps }
    }

    pub fn json(&self) -> String {
        super::document::pretty(self, None)
    }
}

fn last_need(record: &Record, needs: &[usize]) -> Option<usize> {
    needs
        .iter()
        .copied()
        .filter(|&need| record.steps[need].start.is_some() && record.steps[need].end.is_some())
        .max_by_key(|&need| record.steps[need].end)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::record::fixture::*, *};

    #[test]
    fn json_names_the_last_wait_and_the_critical_path() {
        let timings = Timings::new(&record(&hello()), Duration::from_millis(27_010));
        let critical: Vec<&str> =
            timings.steps.iter().filter(|step| step.critical).map(|step| step.id.as_str()).collect();
        assert_eq!(
            critical,
            ["cluster:kind", "registry", "push:hello", "apply:Deployment/hello-service", "await:hello"]
        );
        let push = timings.steps.iter().find(|step| step.id == "push:hello").unwrap();
        insta::assert_json_snapshot!(push, @r###"
        {
          "id": "push:hello",
          "startMs": 21600,
          "endMs": 23000,
          "outcome": "done",
          "note": null,
          "needs": [
            "build:hello",
            "registry"
          ],
          "waitedFor": "registry",
          "critical": true
        }
        "###);
    }

    #[test]
    fn steps_that_never_ran_have_no_times() {
        let timings = Timings::new(&record(&[planned(&[("a", &[])])]), Duration::from_secs(1));
        assert_eq!(timings.steps[0].start_ms, None);
        assert_eq!(timings.steps[0].end_ms, None);
        assert!(!timings.steps[0].critical);
    }
}
