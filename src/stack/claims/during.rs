//! Claims about what holds before, while and after something of the stack is disturbed.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Check, NumberClaim, millis};

/// A disturbance and what must hold around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DuringCheck {
    pub disruption: Disruption,
    /// Must hold before anything is disturbed.
    #[serde(default)]
    pub before: Vec<Part>,
    /// While it is disturbed.
    #[serde(default)]
    pub meanwhile: Vec<Part>,
    /// Once all that was disturbed is ready again.
    #[serde(default)]
    pub after: Vec<Part>,
    #[serde(default)]
    pub load: Option<LoadClaim>,
    #[serde(default)]
    pub keeps: Option<Keeps>,
}

/// A proof within another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub check: Check,
    #[serde(rename = "eventually_ms", with = "millis")]
    pub eventually: Duration,
}

/// What is done to the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Disruption {
    /// The pods of the selector are deleted; with `force` without a grace period.
    DeletePods { selector: String, force: bool },
    /// The pods of these workloads are replaced, as `kubectl rollout restart` does.
    Restart(Vec<WorkloadName>),
    /// The workload gets this number of replicas for a while.
    Scale { object: WorkloadName, to: u32 },
    /// The node of the first pod of the selector takes no pods for a while, and the stack's pods leave it.
    Drain { node_of: String },
}

/// `KIND/NAME` of the stack's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkloadName {
    pub kind: String,
    pub name: String,
}

/// Requests that are sent from inside the cluster all the while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadClaim {
    pub url: String,
    /// Requests per second, over all connections.
    pub rate: f64,
    pub connections: u32,
    /// It goes on for longer when what is disturbed is not ready by then.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    pub max_errors: u64,
    pub min_requests: u64,
    /// Of each request.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

/// A number that must not become less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keeps {
    #[serde(flatten)]
    pub claim: NumberClaim,
    /// It must be more by exactly this much; None: not less.
    #[serde(default)]
    pub by: Option<u64>,
}

impl DuringCheck {
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.before.iter_mut().chain(&mut self.meanwhile).chain(&mut self.after)
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disruption::DeletePods { selector, force: false } => write!(f, "the pods of {selector} are deleted"),
            Disruption::DeletePods { selector, force: true } => write!(f, "the pods of {selector} are killed"),
            Disruption::Restart(objects) => {
                let names: Vec<String> = objects.iter().map(WorkloadName::to_string).collect();
                write!(f, "{} {} restarted", names.join(", "), if names.len() == 1 { "is" } else { "are" })
            }
            Disruption::Scale { object, to } => write!(f, "{object} is scaled to {to}"),
            Disruption::Drain { node_of } => write!(f, "the node of {node_of} is drained"),
        }
    }
}
