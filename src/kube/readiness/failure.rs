//! What makes longer waiting pointless, and for whom.

use super::Readiness;
use crate::error::cause::{What, sentence};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    pub causes: Vec<What>,
    /// Evidence, line by line.
    pub details: Vec<String>,
    pub hints: Vec<String>,
    /// The container whose last log lines tell more.
    pub logs_of: Option<Container>,
    /// The pod that has to be deleted before its controller goes on.
    pub stuck: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// The run before the current one.
    pub previous: bool,
}

impl Failure {
    pub(super) fn new(why: impl Into<String>) -> Failure {
        Failure::of(What::Other(why.into()))
    }

    pub(super) fn of(what: What) -> Failure {
        Failure { causes: vec![what], ..Failure::default() }
    }

    pub fn why(&self) -> String {
        sentence(&self.causes)
    }

    pub(super) fn detail(mut self, line: impl Into<String>) -> Failure {
        let line = line.into();
        if !line.is_empty() && !self.details.contains(&line) {
            self.details.push(line);
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Failure {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// Both; of causes that are the same, the evidence of the first.
    pub(super) fn and(mut self, other: Failure) -> Failure {
        if other.causes.iter().all(|what| self.causes.contains(what)) {
            return self;
        }
        self.causes.extend(other.causes);
        self = other.details.into_iter().fold(self, Failure::detail);
        self = other.hints.into_iter().fold(self, Failure::hint);
        self.logs_of = self.logs_of.or(other.logs_of);
        self
    }
}

impl From<Failure> for Readiness {
    fn from(failure: Failure) -> Readiness {
        Readiness::Failed(failure)
    }
}
