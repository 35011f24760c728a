//! What happens while a command runs, as data. Logic emits, `report` shows.

pub mod interrupt;
pub mod load;

use std::{fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

pub use load::LoadTick;

/// The id of a step, such as `build:hello` or `apply:Deployment/hello-service`.
pub type StepId = Arc<str>;

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// The graph that will run, in the order of the plan.
    Planned { steps: Vec<PlannedStep> },
    Started {
        step: StepId,
        /// Milliseconds since the start of the run.
        #[serde(rename = "atMs", serialize_with = "as_millis")]
        #[schemars(with = "u64")]
        at: Duration,
    },
    /// What the step is doing now; replaces what it said before.
    Progress { step: StepId, message: String },
    /// A line of a child's output: shown with `-v` and when the step fails.
    Output { step: StepId, line: String },
    Finished {
        step: StepId,
        /// Milliseconds since the start of the run.
        #[serde(rename = "atMs", serialize_with = "as_millis")]
        #[schemars(with = "u64")]
        at: Duration,
        outcome: Outcome,
        note: Option<String>,
    },
    /// A second of a load run that has passed.
    Load(Box<LoadTick>),
    /// Outside any step.
    Notice { level: Level, message: String },
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    pub id: StepId,
    pub needs: Vec<StepId>,
    /// Waves and other barriers of the graph: in the timings, not on the screen.
    pub hidden: bool,
    /// Steps of one group are shown together. None for barriers.
    pub group: Option<Group>,
    /// Writes an object of its group: such steps are counted, not named.
    pub writes: bool,
    /// Objects that it deletes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<String>,
}

/// What a person takes for one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Group {
    Cluster,
    Images,
    Stack { name: Arc<str> },
    Component { name: Arc<str> },
    Edge,
    Proofs,
    Load,
    Job,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Group::Cluster => "cluster",
            Group::Images => "images",
            Group::Stack { name } | Group::Component { name } => name,
            Group::Edge => "edge",
            Group::Proofs => "proofs",
            Group::Load => "load",
            Group::Job => "job",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Done,
    /// Looked, and found nothing to do.
    Unchanged,
    Failed,
    /// A step that it needs failed, the run was interrupted, or nothing needed it any more.
    Skipped,
}

/// Durations in data are whole milliseconds.
pub fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    Info,
    Warning,
}

/// Where events go. Cloning is cheap; sending never blocks and never fails.
#[derive(Debug, Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    pub fn channel() -> (Events, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Events(sender), receiver)
    }

    pub fn send(&self, event: Event) {
        // A reporter that is gone has nobody left to tell.
        let _ = self.0.send(event);
    }

    pub fn info(&self, message: impl Into<String>) {
        self.send(Event::Notice { level: Level::Info, message: message.into() });
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.send(Event::Notice { level: Level::Warning, message: message.into() });
    }

    pub fn progress(&self, step: impl Into<StepId>) -> Progress {
        Progress { step: step.into(), events: self.clone() }
    }
}

/// The voice of one step; what modules below `execute` are given to speak with.
#[derive(Debug, Clone)]
pub struct Progress {
    step: StepId,
    events: Events,
}

impl Progress {
    /// What is going on now, in a few words: "pulling layer 3 of 7".
    pub fn say(&self, message: impl Into<String>) {
        self.events.send(Event::Progress { step: self.step.clone(), message: message.into() });
    }

    /// One line of a child's or a build's output.
    pub fn output(&self, line: impl Into<String>) {
        self.events.send(Event::Output { step: self.step.clone(), line: line.into() });
    }

    /// Worth keeping on the screen, and no reason to worry.
    pub fn info(&self, message: impl Into<String>) {
        self.events.info(message);
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.events.warn(message);
    }
}
