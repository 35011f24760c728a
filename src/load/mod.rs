//! Load and the verdict on it: what to send, the engine that sends it, what was measured and how it is judged.

pub mod document;
pub mod scaling;
pub mod spec;
pub mod verdict;
pub mod watch;
