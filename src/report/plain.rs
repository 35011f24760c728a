//! Lines for logs: every end of a step, the start of one that takes longer, a sign of life from a long one.

use std::{collections::HashMap, time::Duration};

use super::{
    lines::Lines,
    load,
    record::{Record, Step},
    style::{clock, duration},
};
use crate::event::{Event, StepId};

/// A step that runs this long gets a line that says it started.
const SLOW: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two lines about a load run.
const LOAD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Plain {
    pub lines: Lines,
    /// When a running step was last spoken of, and what it said.
    spoken: HashMap<StepId, (Duration, Option<String>)>,
    /// Phase and time of the last line about a load run.
    load: Option<(&'static str, Duration)>,
}

impl Plain {
    pub fn new(lines: Lines) -> Plain {
        Plain { lines, spoken: HashMap::new(), load: None }
    }

    pub fn event(&mut self, record: &Record, event: &Event, now: Duration) -> Vec<String> {
        let mut lines = self.lines.of(record, event);
        if let (Event::Load(_), Some(watch)) = (event, &record.load) {
            let due = |(phase, at): (&str, Duration)| phase != watch.phase || watch.elapsed >= at + LOAD;
            if self.load.is_none_or(due) {
                self.load = Some((watch.phase, watch.elapsed));
                lines.push(load::line(watch));
            }
        }
        lines.into_iter().map(|line| format!("{} {line}", clock(now))).collect()
    }

    pub fn tick(&mut self, record: &Record, now: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, step) in record.steps.iter().enumerate() {
            let Some(start) = step.start.filter(|_| step.running() && !step.hidden) else { continue };
            let age = now.saturating_sub(start);
            if age < SLOW || record.fold_of(at).is_some() && age < HEARTBEAT {
                continue;
            }
            if self.is_told(record, step, now) {
                continue;
            }
            let message = step.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            let line = match self.spoken.get(&step.id) {
                None => format!("{} ▸ {}{message}", clock(now), step.id),
                Some((last, _)) if now.saturating_sub(*last) >= HEARTBEAT => {
                    format!("{} … {}  {}{message}", clock(now), step.id, duration(age))
                }
                Some(_) => continue,
            };
            self.spoken.insert(step.id.clone(), (now, step.message.clone()));
            lines.push(line);
        }
        lines
    }

    /// Whether another running step has just said the same: steps that wait for one thing say so once.
    fn is_told(&self, record: &Record, step: &Step, now: Duration) -> bool {
        let Some(message) = &step.message else { return false };
        let others = record.steps.iter().filter(|other| other.id != step.id && other.running());
        others
            .filter_map(|other| self.spoken.get(&other.id))
            .any(|(at, said)| said.as_ref() == Some(message) && now.saturating_sub(*at) < HEARTBEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{live::Layout, record::fixture::*, style::Paint},
        *,
    };
    use crate::event::Outcome;

    /// Feeds the events at their own times, with a tick every second.
    fn transcript(events: &[Event]) -> String {
        let mut plain = Plain::new(Lines { paint: Paint { color: false }, verbose: false, layout: Layout::Steps });
        let mut record = Record::default();
        let mut now = Duration::ZERO;
        let mut text = Vec::new();
        for event in events {
            if let Event::Started { at, .. } | Event::Finished { at, .. } = event {
                while now + Duration::from_secs(1) <= *at {
                    now += Duration::from_secs(1);
                    text.extend(plain.tick(&record, now));
                }
            }
            record.add(event);
            text.extend(plain.event(&record, event, now));
        }
        text.join("\n")
    }

    #[test]
    fn slow_steps_announce_themselves() {
        insta::assert_snapshot!(transcript(&hello()), @r###"
        00:02 ▸ cluster:kind
        00:03 ▸ build:hello: [3/7] RUN npm ci
        00:12 ✓ build:hello  12.3 s
        00:17 … cluster:kind  17.0 s
        00:21 ✓ cluster:kind  21.0 s
        00:21 ✓ registry  600 ms
        00:23 ✓ push:hello  1.4 s
        00:23 ✓ apply:Deployment/hello-service  39 ms
        00:26 ▸ await:hello
        00:27 ✓ await:hello  4.0 s
        "###);
    }

    #[test]
    fn a_load_run_speaks_each_five_seconds() {
        let mut plain = Plain::new(Lines { paint: Paint { color: false }, verbose: false, layout: Layout::Steps });
        let mut record = Record::default();
        let mut text = Vec::new();
        for tick in load::ticks().into_iter().skip(279).take(45) {
            let now = tick.elapsed;
            let event = Event::Load(Box::new(tick));
            record.add(&event);
            text.extend(plain.event(&record, &event, now));
        }
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn steps_that_wait_for_the_same_say_so_once() {
        let events = [
            planned(&[("preload:a", &[]), ("preload:b", &[]), ("preload:c", &[])]),
            started("preload:a", 0),
            started("preload:b", 0),
            started("preload:c", 0),
            said("preload:a", "waiting for the nodes"),
            said("preload:b", "waiting for the nodes"),
            said("preload:c", "waiting for the nodes"),
            finished("preload:c", 20_000, Outcome::Done),
            said("preload:b", "pulling b:1"),
            finished("preload:a", 22_000, Outcome::Done),
            finished("preload:b", 23_000, Outcome::Done),
        ];
        insta::assert_snapshot!(transcript(&events), @r###"
        00:02 ▸ preload:a: waiting for the nodes
        00:17 … preload:a  17.0 s: waiting for the nodes
        00:20 ✓ preload:c  20.0 s
        00:21 ▸ preload:b: pulling b:1
        00:22 ✓ preload:a  22.0 s
        00:23 ✓ preload:b  23.0 s
        "###);
    }

    #[test]
    fn long_steps_give_signs_of_life() {
        let events = [
            planned(&[("cluster:kind", &[])]),
            started("cluster:kind", 0),
            said("cluster:kind", "preparing nodes"),
            finished("cluster:kind", 40_000, Outcome::Done),
        ];
        insta::assert_snapshot!(transcript(&events), @r###"
        00:02 ▸ cluster:kind: preparing nodes
        00:17 … cluster:kind  17.0 s: preparing nodes
        00:32 … cluster:kind  32.0 s: preparing nodes
        00:40 ✓ cluster:kind  40.0 s
        "###);
    }
}
