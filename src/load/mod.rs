//! Load and the verdict on it: what to send, the engine that sends it, what was measured and how it is judged.

pub mod compare;
pub mod document;
#[cfg(test)]
mod documented;
pub mod engine;
pub mod failure;
pub mod fleet;
pub mod history;
pub mod host;
pub mod latencies;
pub mod order;
pub mod outcome;
pub mod permitted;
pub mod scaling;
pub mod spec;
pub mod stats;
pub mod syntax;
pub mod verdict;
pub mod watch;
pub mod wire;
