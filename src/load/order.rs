//! A load that is asked for, and one that has been sent.

use super::{fleet::Ran, watch::Watch, wire::Order};
use crate::stack::model::Verdict;

/// The load that is to be put on a stack.
#[derive(Debug, Clone)]
pub struct LoadOrder {
    pub order: Order,
    /// Of the stack, unless all comes from flags.
    pub profile: Option<String>,
    pub verdict: Verdict,
}

/// A load that has been sent, and the watch that goes on after it.
#[derive(Debug)]
pub struct Sent {
    pub ran: Ran,
    pub watch: Watch,
    pub metrics_problem: Option<String>,
}
