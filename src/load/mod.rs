//! Load and the verdict on it: what to send, the engine that sends it, what was measured and how it is judged.

pub mod document;
pub mod engine;
pub mod failure;
pub mod host;
pub mod latencies;
pub mod spec;
pub mod stats;
pub mod syntax;
pub mod wire;
