//! Lines that stay: what is printed once, when a step or the run ends.

use std::time::Duration;

use super::{
    groups,
    live::Layout,
    record::{Record, Step},
    style::{Paint, clean, duration},
};
use crate::error::words::count;
use crate::event::{Event, Level, Outcome};

/// Turns events into lines that stay. `record` must have seen the event already.
#[derive(Debug)]
pub struct Lines {
    pub paint: Paint,
    /// Show each line of output as it comes.
    pub verbose: bool,
    /// In groups only failures get a line of their own while the run goes on.
    pub layout: Layout,
}

impl Lines {
    pub fn of(&self, record: &Record, event: &Event) -> Vec<String> {
        match event {
            Event::Finished { step, .. } => {
                record.index_of(step).map(|at| self.finished(record, at)).unwrap_or_default()
            }
            Event::Output { step, line } if self.verbose => {
                vec![format!("{} {}", self.paint.dim(format!("{step} │")), clean(line))]
            }
            Event::Notice { level: Level::Warning, message } => {
                vec![format!("{} {}", self.paint.warn("warning:"), clean(message))]
            }
            Event::Notice { level: Level::Info, message } => vec![clean(message)],
            _ => Vec::new(),
        }
    }

    fn finished(&self, record: &Record, at: usize) -> Vec<String> {
        let step = &record.steps[at];
        if step.hidden {
            return Vec::new();
        }
        match step.outcome {
            Some(Outcome::Failed) => self.failed(step),
            _ if self.layout == Layout::Groups => Vec::new(),
            Some(Outcome::Done) if self.verbose || record.fold_of(at).is_none() => vec![self.done(step)],
            _ if self.verbose => Vec::new(),
            // Unchanged and skipped steps are counted at the end; a folded wave speaks when it is complete.
            _ => record.fold_of(at).and_then(|wave| self.wave(record, wave)).into_iter().collect(),
        }
    }

    fn done(&self, step: &Step) -> String {
        let time = step.took().map(duration).unwrap_or_default();
        let note = step.note.as_ref().map(|note| format!("  {}", self.paint.dim(note))).unwrap_or_default();
        format!("{} {}  {}{note}", self.paint.good("✓"), step.id, self.paint.dim(time))
    }

    fn failed(&self, step: &Step) -> Vec<String> {
        let time = step.took().map(duration).unwrap_or_default();
        let note = step.note.as_ref().map(|note| format!("  {note}")).unwrap_or_default();
        let mut lines = vec![format!("{} {}  {}{note}", self.paint.bad("✗"), step.id, self.paint.dim(time))];
        // With -v they were shown as they came.
        if !self.verbose {
            lines.extend(step.output.iter().map(|line| format!("  {} {line}", self.paint.dim("│"))));
        }
        lines
    }

    /// One line for a wave whose last step ended just now; None while it runs and when nothing in it was done.
    fn wave(&self, record: &Record, wave: &[usize]) -> Option<String> {
        let steps = || wave.iter().map(|&at| &record.steps[at]);
        if steps().any(|step| step.outcome.is_none()) {
            return None;
        }
        let with = |outcome| steps().filter(|step| step.outcome == Some(outcome)).count();
        if with(Outcome::Done) == 0 {
            return None;
        }
        let glyph = if with(Outcome::Failed) == 0 { self.paint.good("✓") } else { self.paint.bad("✗") };
        let parts: Vec<String> = [
            (Outcome::Done, "applied"),
            (Outcome::Unchanged, "unchanged"),
            (Outcome::Failed, "failed"),
            (Outcome::Skipped, "skipped"),
        ]
        .into_iter()
        .filter(|(outcome, _)| with(*outcome) > 0)
        .map(|(outcome, word)| format!("{} {word}", with(outcome)))
        .collect();
        let set = steps().find_map(|step| step.group.as_ref()).map(ToString::to_string).unwrap_or_default();
        let start = steps().filter_map(|step| step.start).min()?;
        let end = steps().filter_map(|step| step.end).max()?;
        let time = duration(end.saturating_sub(start));
        let parts = self.paint.dim(parts.join(", "));
        Some(format!("{glyph} apply:{set}  {}  {parts}", self.paint.dim(time)))
    }

    /// What the single lines left out, then the total.
    pub fn last(&self, record: &Record, elapsed: Duration) -> Vec<String> {
        let mut lines = match self.layout {
            Layout::Groups => groups::last(record, elapsed, self.paint),
            Layout::Steps => self.left_out(record),
        };
        let failed = record.steps.iter().filter(|step| step.outcome == Some(Outcome::Failed)).count();
        let ended = record.steps.iter().filter(|step| step.outcome.is_some() && !step.hidden).count();
        if ended > 0 {
            let time = duration(elapsed);
            lines.push(match failed {
                0 => self.paint.dim(format!("{} in {time}", count(ended, "step"))),
                _ => format!("{} after {time}", self.paint.bad(format!("{} failed", count(failed, "step")))),
            });
        }
        lines
    }

    /// Steps that got no line of their own.
    fn left_out(&self, record: &Record) -> Vec<String> {
        let mut lines = Vec::new();
        for (outcome, word) in [(Outcome::Unchanged, "unchanged"), (Outcome::Skipped, "skipped")] {
            let folded_and_told = |at: usize| {
                outcome == Outcome::Unchanged
                    && record.fold_of(at).is_some_and(|wave| {
                        wave.iter().any(|&other| record.steps[other].outcome == Some(Outcome::Done))
                    })
            };
            let ids: Vec<&str> = (0..record.steps.len())
                .filter(|&at| record.steps[at].outcome == Some(outcome) && !record.steps[at].hidden)
                .filter(|&at| !folded_and_told(at))
                .map(|at| &*record.steps[at].id)
                .collect();
            if !ids.is_empty() {
                lines.push(self.paint.dim(format!("· {word}: {}", names(&ids))));
            }
        }
        lines
    }
}

/// Steps other than `apply:` by name, the applied objects by number.
fn names(ids: &[&str]) -> String {
    let (objects, others): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| id.starts_with("apply:"));
    let mut names: Vec<String> = others.into_iter().map(str::to_owned).collect();
    match objects.as_slice() {
        [] => {}
        [one] => names.push((*one).to_owned()),
        many => names.push(count(many.len(), "object")),
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{super::record::fixture::*, *};

    fn transcript(events: &[Event], elapsed: u64) -> String {
        let lines = Lines { paint: Paint { color: false }, verbose: false, layout: Layout::Steps };
        let mut record = Record::default();
        let mut text = Vec::new();
        for event in events {
            record.add(event);
            text.extend(lines.of(&record, event));
        }
        text.extend(lines.last(&record, Duration::from_millis(elapsed)));
        text.join("\n")
    }

    #[test]
    fn a_run_that_works() {
        insta::assert_snapshot!(transcript(&hello(), 27_010), @r###"
        ✓ build:hello  12.3 s
        ✓ cluster:kind  21.0 s
        ✓ registry  600 ms
        ✓ push:hello  1.4 s
        ✓ apply:Deployment/hello-service  39 ms
        ✓ await:hello  4.0 s
        · unchanged: apply:Namespace/hello
        7 steps in 27.0 s
        "###);
    }

    #[test]
    fn a_failure_shows_its_output_and_what_was_skipped() {
        let events = [
            planned(&[("build:a", &[]), ("push:a", &["build:a"]), ("apply:Service/a", &["push:a"])]),
            started("build:a", 0),
            output("build:a", "RUN npm ci"),
            output("build:a", "\x1b[31mnpm error 404\x1b[0m"),
            finished("build:a", 4_200, Outcome::Failed),
            finished("push:a", 4_200, Outcome::Skipped),
            finished("apply:Service/a", 4_200, Outcome::Skipped),
        ];
        insta::assert_snapshot!(transcript(&events, 4_210), @r###"
        ✗ build:a  4.2 s
          │ RUN npm ci
          │ npm error 404
        · skipped: push:a, apply:Service/a
        1 step failed after 4.2 s
        "###);
    }

    #[test]
    fn a_large_wave_is_one_line() {
        let ids: Vec<String> = (0..12).map(|n| format!("apply:ConfigMap/c{n}")).collect();
        let steps: Vec<(&str, &[&str])> = ids.iter().map(|id| (id.as_str(), &[] as &[&str])).collect();
        let mut events = vec![planned(&steps)];
        for (n, id) in ids.iter().enumerate() {
            events.push(started(id, 0));
            events.push(finished(id, 50, if n < 3 { Outcome::Done } else { Outcome::Unchanged }));
        }
        insta::assert_snapshot!(transcript(&events, 60), @r###"
        ✓ apply:web  50 ms  3 applied, 9 unchanged
        12 steps in 60 ms
        "###);
        let mut failing = events.clone();
        let at = failing.iter().position(|event| matches!(event, Event::Finished { .. })).unwrap();
        failing[at] = finished("apply:ConfigMap/c0", 50, Outcome::Failed);
        insta::assert_snapshot!(transcript(&failing, 60), @r###"
        ✗ apply:ConfigMap/c0  50 ms
        ✗ apply:web  50 ms  2 applied, 9 unchanged, 1 failed
        1 step failed after 60 ms
        "###);
        for event in &mut events {
            if let Event::Finished { outcome, .. } = event {
                *outcome = Outcome::Unchanged;
            }
        }
        insta::assert_snapshot!(transcript(&events, 60), @r###"
        · unchanged: 12 objects
        12 steps in 60 ms
        "###);
    }
}
