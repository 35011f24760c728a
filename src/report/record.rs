//! A run as its events tell it: what the live view, the plain lines and the timings are made from. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::load::Watch;
use crate::event::{Event, Group, Level, Outcome, StepId};

/// Lines of output kept per step, shown when it fails.
const KEPT_LINES: usize = 20;

/// More steps than this of one group are shown as one.
pub const FOLD_ABOVE: usize = 2;

#[derive(Debug, Clone)]
pub struct Step {
    pub id: StepId,
    pub needs: Vec<StepId>,
    pub hidden: bool,
    pub group: Option<Group>,
    /// Writes an object of its group.
    pub writes: bool,
    /// Since the start of the run.
    pub start: Option<Duration>,
    pub end: Option<Duration>,
    pub outcome: Option<Outcome>,
    pub note: Option<String>,
    /// What it does now.
    pub message: Option<String>,
    /// The newest lines of its output.
    pub output: VecDeque<String>,
}

impl Step {
    fn new(id: StepId, needs: Vec<StepId>, hidden: bool) -> Step {
        Step {
            id,
            needs,
            hidden,
            group: None,
            writes: false,
            start: None,
            end: None,
            outcome: None,
            note: None,
            message: None,
            output: VecDeque::new(),
        }
    }

    pub fn running(&self) -> bool {
        self.start.is_some() && self.outcome.is_none()
    }

    /// What it says that it does, else the newest line of what it runs.
    pub fn says(&self) -> Option<&str> {
        self.message.as_deref().or(self.output.back().map(String::as_str))
    }

    /// None before it ended, and for a step that never ran.
    pub fn took(&self) -> Option<Duration> {
        Some(self.end?.saturating_sub(self.start?))
    }
}

#[derive(Debug, Default)]
pub struct Record {
    /// In the order of the plan.
    pub steps: Vec<Step>,
    pub warnings: Vec<String>,
    /// The load run, where there is one.
    pub load: Option<Watch>,
    index: HashMap<StepId, usize>,
    /// The wave of each folded step.
    folds: HashMap<usize, usize>,
    waves: Vec<Vec<usize>>,
}

impl Record {
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Planned { steps } => {
                for step in steps {
                    let at = self.position(&step.id);
                    self.steps[at].needs.clone_from(&step.needs);
                    self.steps[at].hidden = step.hidden;
                    self.steps[at].group.clone_from(&step.group);
                    self.steps[at].writes = step.writes;
                }
                self.fold();
            }
            Event::Started { step, at } => {
                let step = self.step_mut(step);
                step.start = Some(*at);
            }
            Event::Progress { step, message } => {
                let message = super::style::clean(message);
                self.step_mut(step).message = Some(message);
            }
            Event::Output { step, line } => {
                let line = super::style::clean(line);
                let output = &mut self.step_mut(step).output;
                if output.len() == KEPT_LINES {
                    output.pop_front();
                }
                output.push_back(line);
            }
            Event::Finished { step, at, outcome, note } => {
                let step = self.step_mut(step);
                step.end = Some(*at);
                step.outcome = Some(*outcome);
                step.note = note.as_deref().map(super::style::clean);
            }
            Event::Notice { level: Level::Warning, message } => self.warnings.push(message.clone()),
            Event::Load(tick) => self.load.get_or_insert_default().add(tick),
            Event::Notice { level: Level::Info, .. } => {}
        }
    }

    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The steps of the wave that hides this one in a single line, when there is such a wave.
    pub fn fold_of(&self, step: usize) -> Option<&[usize]> {
        self.folds.get(&step).map(|&wave| self.waves[wave].as_slice())
    }

    /// The needs that a reader sees: hidden ones are replaced by what they need themselves.
    pub fn visible_needs(&self, step: usize) -> Vec<usize> {
        let mut seen = vec![false; self.steps.len()];
        let mut found = Vec::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            for need in self.steps[at].needs.iter().filter_map(|id| self.index_of(id)) {
                if std::mem::replace(&mut seen[need], true) {
                    continue;
                }
                if self.steps[need].hidden {
                    open.push(need);
                } else {
                    found.push(need);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Position of a step; one that was never planned is added at the end.
    fn position(&mut self, id: &StepId) -> usize {
        if let Some(&at) = self.index.get(id) {
            return at;
        }
        let at = self.steps.len();
        self.index.insert(Arc::clone(id), at);
        self.steps.push(Step::new(Arc::clone(id), Vec::new(), false));
        at
    }

    fn step_mut(&mut self, id: &StepId) -> &mut Step {
        let at = self.position(id);
        &mut self.steps[at]
    }

    /// The steps that apply one set's objects are told of together.
    fn fold(&mut self) {
        let mut waves: Vec<(&Group, Vec<usize>)> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let Some(group) = step.group.as_ref().filter(|_| step.writes && !step.hidden) else { continue };
            match waves.iter_mut().find(|(known, _)| *known == group) {
                Some((_, steps)) => steps.push(at),
                None => waves.push((group, vec![at])),
            }
        }
        self.waves = waves.into_iter().map(|(_, steps)| steps).filter(|steps| steps.len() > FOLD_ABOVE).collect();
        self.folds =
            self.waves.iter().enumerate().flat_map(|(wave, steps)| steps.iter().map(move |&at| (at, wave))).collect();
    }
}

#[cfg(test)]
pub mod fixture {
    //! Events of made-up runs, for the tests of this folder.

    use std::time::Duration;

    use super::Record;
    use crate::event::{Event, Group, Outcome, PlannedStep};

    pub fn planned(steps: &[(&str, &[&str])]) -> Event {
        let steps = steps
            .iter()
            .map(|(id, needs)| PlannedStep {
                id: (*id).into(),
                needs: needs.iter().map(|&need| need.into()).collect(),
                hidden: id.starts_with("wave:"),
                group: Some(group(id)),
                writes: id.starts_with("apply:"),
                deletes: id.strip_prefix("prune:").map(|_| "web/Service/old".into()).into_iter().collect(),
            })
            .collect();
        Event::Planned { steps }
    }

    fn group(id: &str) -> Group {
        match id.split(':').next().unwrap_or_default() {
            "cluster" | "registry" => Group::Cluster,
            "build" | "push" => Group::Images,
            "proxy" => Group::Edge,
            _ if id.starts_with("apply:ConfigMap/") => Group::Stack { name: "web".into() },
            _ => Group::Stack { name: "hello".into() },
        }
    }

    pub fn started(step: &str, at: u64) -> Event {
        Event::Started { step: step.into(), at: Duration::from_millis(at) }
    }

    pub fn said(step: &str, message: &str) -> Event {
        Event::Progress { step: step.into(), message: message.into() }
    }

    pub fn output(step: &str, line: &str) -> Event {
        Event::Output { step: step.into(), line: line.into() }
    }

    pub fn finished(step: &str, at: u64, outcome: Outcome) -> Event {
        Event::Finished { step: step.into(), at: Duration::from_millis(at), outcome, note: None }
    }

    pub fn record(events: &[Event]) -> Record {
        let mut record = Record::default();
        events.iter().for_each(|event| record.add(event));
        record
    }

    /// A cluster is made while an image is built; then push, apply, await.
    pub fn hello() -> Vec<Event> {
        use Outcome::{Done, Unchanged};
        vec![
            planned(&[
                ("cluster:kind", &[]),
                ("build:hello", &[]),
                ("registry", &["cluster:kind"]),
                ("push:hello", &["build:hello", "registry"]),
                ("wave:hello/0", &["cluster:kind"]),
                ("apply:Namespace/hello", &["wave:hello/0"]),
                ("apply:Deployment/hello-service", &["push:hello", "apply:Namespace/hello"]),
                ("await:hello", &["apply:Deployment/hello-service"]),
            ]),
            started("cluster:kind", 0),
            started("build:hello", 10),
            said("build:hello", "[3/7] RUN npm ci"),
            finished("build:hello", 12_300, Done),
            finished("cluster:kind", 21_000, Done),
            started("registry", 21_000),
            started("apply:Namespace/hello", 21_010),
            finished("apply:Namespace/hello", 21_050, Unchanged),
            finished("registry", 21_600, Done),
            started("push:hello", 21_600),
            finished("push:hello", 23_000, Done),
            started("apply:Deployment/hello-service", 23_001),
            finished("apply:Deployment/hello-service", 23_040, Done),
            started("await:hello", 23_041),
            finished("await:hello", 27_000, Done),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{fixture::*, *};

    #[test]
    fn keeps_the_newest_output_and_cleans_it() {
        let events: Vec<_> = (0..30).map(|n| output("build:hello", &format!("\x1b[2mline {n}\x1b[0m"))).collect();
        let record = record(&events);
        let step = &record.steps[record.index_of("build:hello").unwrap()];
        assert_eq!(step.output.len(), KEPT_LINES);
        assert_eq!(step.output.back().unwrap(), "line 29");
    }

    #[test]
    fn hidden_needs_resolve_to_visible_ones() {
        let record = record(&hello());
        let namespace = record.index_of("apply:Namespace/hello").unwrap();
        assert_eq!(record.visible_needs(namespace), [record.index_of("cluster:kind").unwrap()]);
    }

    #[test]
    fn folds_only_large_waves() {
        let ids: Vec<String> = (0..FOLD_ABOVE + 1).map(|n| format!("apply:ConfigMap/c{n}")).collect();
        let mut steps: Vec<(&str, &[&str])> = ids.iter().map(|id| (id.as_str(), &["cluster"] as &[&str])).collect();
        let record_of_large = record(&[planned(&steps)]);
        assert_eq!(record_of_large.fold_of(0).unwrap().len(), FOLD_ABOVE + 1);
        steps.pop();
        assert!(record(&[planned(&steps)]).fold_of(0).is_none());
    }
}
