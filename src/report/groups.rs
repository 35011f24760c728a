//! A run in the groups that a person thinks in: cluster, images, each stack and component, edge. A group has one line;
//! beneath it stand the steps that failed and those that have been running for a while. Pure.

use std::time::Duration;

use super::{
    live::{cut, seconds, spinner},
    record::{Record, Step},
    style::{Paint, duration},
};
use crate::{
    error::words::count,
    event::{Group, Outcome},
};

/// A step that has been running this long is named.
const SLOW: Duration = Duration::from_secs(1);
/// Steps named beneath a group at most.
const NAMED: usize = 5;
/// Titles are padded to one another up to this width.
const WIDE: usize = 28;

/// The shown steps of a group, in the order of the plan.
struct Part<'a> {
    title: String,
    steps: Vec<&'a Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
    Skipped,
}

/// The groups in the order in which the plan comes to them.
fn parts(record: &Record) -> Vec<Part<'_>> {
    let mut parts: Vec<(&Group, Part<'_>)> = Vec::new();
    for step in record.steps.iter().filter(|step| !step.hidden) {
        let Some(group) = &step.group else { continue };
        match parts.iter_mut().find(|(known, _)| *known == group) {
            Some((_, part)) => part.steps.push(step),
            None => parts.push((group, Part { title: group.to_string(), steps: vec![step] })),
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

impl Part<'_> {
    fn with(&self, outcome: Outcome) -> usize {
        self.steps.iter().filter(|step| step.outcome == Some(outcome)).count()
    }

    fn ended(&self) -> usize {
        self.steps.iter().filter(|step| step.outcome.is_some()).count()
    }

    fn state(&self) -> State {
        // What nothing needed any more has a note that says so, and is no gap.
        let missed = self.steps.iter().any(|step| step.outcome == Some(Outcome::Skipped) && step.note.is_none());
        match () {
            () if self.with(Outcome::Failed) > 0 => State::Failed,
            () if self.steps.iter().any(|step| step.running()) => State::Running,
            () if self.ended() < self.steps.len() => State::Waiting,
            () if missed => State::Skipped,
            () => State::Done,
        }
    }

    /// From the first start to the last end, or to now. None: nothing of it has started.
    fn took(&self, now: Duration) -> Option<Duration> {
        let start = self.steps.iter().filter_map(|step| step.start).min()?;
        let is_open = self.steps.iter().any(|step| step.running());
        let end = self.steps.iter().filter_map(|step| step.end).max().filter(|_| !is_open).unwrap_or(now);
        Some(end.saturating_sub(start))
    }

    /// What came of it: `49 created, 2 unchanged`, else what its steps say of themselves, else how many there were.
    fn result(&self) -> String {
        let (writes, others): (Vec<&Step>, Vec<&Step>) = self.steps.iter().partition(|step| step.writes);
        let mut words: Vec<(&str, usize)> = Vec::new();
        let mut add = |word| match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => words.push((word, 1)),
        };
        let ended = |outcome| writes.iter().filter(move |step| step.outcome == Some(outcome));
        ended(Outcome::Done).for_each(|step| add(step.note.as_deref().unwrap_or("applied")));
        ended(Outcome::Unchanged).for_each(|_| add("unchanged"));
        let mut said: Vec<String> = words.into_iter().map(|(word, number)| format!("{number} {word}")).collect();
        let notes = others.iter().filter(|step| matches!(step.outcome, Some(Outcome::Done | Outcome::Unchanged)));
        for note in notes.filter_map(|step| step.note.as_ref()) {
            if !said.contains(note) {
                said.push(note.clone());
            }
        }
        for (outcome, word) in [(Outcome::Failed, "failed"), (Outcome::Skipped, "skipped")] {
            match self.with(outcome) {
                0 => {}
                number => said.push(format!("{number} {word}")),
            }
        }
        if said.is_empty() { count(self.steps.len(), "step") } else { said.join(", ") }
    }
}

/// The lines of the live region, without the one that counts all: at most `rows`, each at most `columns` wide.
pub fn frame(record: &Record, now: Duration, paint: Paint, (columns, rows): (usize, usize)) -> Vec<String> {
    let parts = parts(record);
    let width = title_width(&parts);
    let heads = |parts: &[&Part<'_>]| -> Vec<Vec<String>> {
        parts.iter().map(|part| vec![head(part, width, now, paint, columns)]).collect()
    };
    let all: Vec<&Part<'_>> = parts.iter().collect();
    // Where there is no room for all, what has ended well is left out first, then what waits.
    let is = |part: &&Part<'_>, left_out: &[State]| !left_out.contains(&part.state());
    let shown = [&[][..], &[State::Done], &[State::Done, State::Waiting, State::Skipped]]
        .into_iter()
        .map(|left_out| all.iter().copied().filter(|part| is(part, left_out)).collect::<Vec<_>>())
        .find(|shown| shown.len() <= rows);
    let shown = shown.unwrap_or(all);
    let mut blocks = heads(&shown);
    let mut room = rows.saturating_sub(blocks.len());
    for named in 0..NAMED {
        for (block, part) in blocks.iter_mut().zip(&shown) {
            if let Some(step) = worth_naming(part, now).into_iter().nth(named).filter(|_| room > 0) {
                block.push(beneath(step, now, paint, columns));
                room -= 1;
            }
        }
    }
    let mut lines: Vec<String> = blocks.into_iter().flatten().collect();
    if let Some(step) = beside(record).filter(|_| lines.len() < rows) {
        lines.push(running(step, "", now, paint, columns));
    }
    lines.truncate(rows);
    lines
}

/// A line for each group that stays when the run has ended.
pub fn last(record: &Record, elapsed: Duration, paint: Paint) -> Vec<String> {
    let parts = parts(record);
    let width = title_width(&parts);
    parts.iter().map(|part| head(part, width, elapsed, paint, usize::MAX)).collect()
}

fn title_width(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|part| part.title.chars().count()).max().unwrap_or(0).min(WIDE)
}

/// `✓ cluster  21.0 s  created`, `⠹ hello  12 of 49 · 3.0 s`, `· edge`
fn head(part: &Part<'_>, width: usize, now: Duration, paint: Paint, columns: usize) -> String {
    let title = cut(&part.title, columns.saturating_sub(2));
    let width = width.min(columns.saturating_sub(2));
    let state = part.state();
    if part.steps.iter().all(|step| step.start.is_none() && step.outcome.is_none()) {
        return paint.dim(format!("· {title}"));
    }
    let took = part.took(now);
    let (ended, all) = (part.ended(), part.steps.len());
    let open = ended < all;
    let time = took.map(|took| if open { seconds(took) } else { duration(took) }).unwrap_or_default();
    let result = match open {
        true if all > 1 => format!("{ended} of {all}"),
        true => String::new(),
        false => part.result(),
    };
    let pad = " ".repeat(width.saturating_sub(title.chars().count()));
    let room = columns.saturating_sub(title.chars().count() + pad.len() + 4);
    let rest = cut(format!("{time:<8} {result}").trim_end(), room);
    let glyph = match state {
        State::Waiting => paint.dim('·'),
        State::Running => paint.busy(spinner(now)),
        State::Done => paint.good('✓'),
        State::Failed => paint.bad('✗'),
        State::Skipped => paint.dim('-'),
    };
    let title = if state == State::Running { paint.bold(title) } else { title };
    format!("{glyph} {title}{pad}  {}", paint.dim(rest)).trim_end().to_owned()
}

/// What failed, then what has been running longest.
fn worth_naming<'a>(part: &Part<'a>, now: Duration) -> Vec<&'a Step> {
    let steps = || part.steps.iter().copied();
    let failed = steps().filter(|step| step.outcome == Some(Outcome::Failed));
    let age = |step: &Step| step.start.map(|start| now.saturating_sub(start)).unwrap_or_default();
    let mut slow: Vec<&Step> = steps().filter(|step| step.running() && age(step) >= SLOW).collect();
    slow.sort_by_key(|step| std::cmp::Reverse(age(step)));
    failed.chain(slow).collect()
}

fn beneath(step: &Step, now: Duration, paint: Paint, columns: usize) -> String {
    match step.outcome {
        Some(_) => format!("  {} {}", paint.bad('✗'), cut(&step.id, columns.saturating_sub(4))),
        None => running(step, "  ", now, paint, columns),
    }
}

/// `⠹ build:hello  4.2 s  [3/7] RUN npm ci`
fn running(step: &Step, indent: &str, now: Duration, paint: Paint, columns: usize) -> String {
    let time = step.start.map(|start| seconds(now.saturating_sub(start))).unwrap_or_default();
    let id = cut(&step.id, columns.saturating_sub(indent.len() + 2));
    let message = step.says().unwrap_or_default();
    let room = columns.saturating_sub(indent.len() + id.chars().count() + 4);
    let rest = [time.as_str(), message].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("  ");
    let rest = cut(&rest, room);
    format!("{indent}{} {id}  {}", paint.busy(spinner(now)), paint.dim(rest)).trim_end().to_owned()
}

/// What speaks outside the plan, such as a look at the edge after all steps, while no step of the plan runs.
fn beside(record: &Record) -> Option<&Step> {
    let is_open = |step: &Step| step.group.is_some() && !step.hidden && step.outcome.is_none();
    match record.steps.iter().any(is_open) {
        true => None,
        false => record.steps.last().filter(|step| step.group.is_none() && !step.hidden && step.outcome.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::fixture::*, *};

    fn frame_of(record: &Record, now: u64, size: (usize, usize)) -> String {
        frame(record, Duration::from_millis(now), Paint { color: false }, size).join("\n")
    }

    #[test]
    fn running_groups_name_their_slow_steps() {
        insta::assert_snapshot!(frame_of(&record(&hello()[..4]), 4_210, (80, 24)), @r"
        ⠹ cluster  4.2 s    0 of 2
          ⠹ cluster:kind  4.2 s
        ⠹ images   4.2 s    0 of 2
          ⠹ build:hello  4.2 s  [3/7] RUN npm ci
        · hello
        ");
        insta::assert_snapshot!(frame_of(&record(&hello()[..8]), 21_400, (80, 24)), @r"
        ⠼ cluster  21.4 s   1 of 2
        · images   12.3 s   1 of 2
        ⠼ hello    0.4 s    0 of 3
        ");
    }

    #[test]
    fn a_failure_stands_beneath_its_group() {
        let events = [
            planned(&[("build:a", &[]), ("push:a", &["build:a"]), ("apply:Service/a", &["push:a"])]),
            started("build:a", 0),
            finished("build:a", 4_200, Outcome::Failed),
        ];
        insta::assert_snapshot!(frame_of(&record(&events), 4_300, (80, 24)), @r"
        ✗ images  4.2 s    1 of 2
          ✗ build:a
        · hello
        ");
        let ended = [finished("push:a", 4_200, Outcome::Skipped), finished("apply:Service/a", 4_200, Outcome::Skipped)];
        let record = record(&[&events[..], &ended[..]].concat());
        insta::assert_snapshot!(
            last(&record, Duration::from_millis(4_300), Paint { color: false }).join("\n"), @r"
        ✗ images  4.2 s    1 failed, 1 skipped
        - hello            1 skipped
        ");
    }

    #[test]
    fn what_was_done_stays_a_line_a_group() {
        let record = record(&hello());
        insta::assert_snapshot!(
            last(&record, Duration::from_secs(27), Paint { color: false }).join("\n"), @r"
        ✓ cluster  21.6 s   2 steps
        ✓ images   23.0 s   2 steps
        ✓ hello    6.0 s    1 applied, 1 unchanged
        ");
    }

    #[test]
    fn a_low_terminal_shows_what_runs() {
        insta::assert_snapshot!(frame_of(&record(&hello()[..8]), 21_400, (80, 1)), @r"
        ⠼ cluster  21.4 s   1 of 2
        ");
    }

    #[test]
    fn lines_never_exceed_the_columns() {
        let mut events = hello()[..4].to_vec();
        events.push(said("build:hello", &"very long ".repeat(40)));
        let record = record(&events);
        for columns in [4, 10, 20, 40, 80, 120] {
            for line in frame_of(&record, 100_000, (columns, 24)).lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn what_speaks_outside_the_plan_is_shown_when_the_plan_is_done() {
        let mut events = hello();
        events.push(said("urls", "waiting for the edge to answer"));
        let frame = frame_of(&record(&events), 28_000, (80, 24));
        assert!(frame.ends_with("urls  waiting for the edge to answer"), "{frame}");
        let early = [said("pull:web", "layer 1"), hello()[0].clone()];
        assert!(!frame_of(&record(&early), 100, (80, 24)).contains("pull:web"));
    }
}
