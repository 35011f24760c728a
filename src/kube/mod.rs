//! The API server in this program's words: apply, prune, readiness, logs, forwards. Knows nothing of how a stack is read.
//!
//! Objects are JSON (`serde_json::Value`) exactly as the server has them. Every request has a deadline; what passes by
//! itself (an API server that restarts, a webhook that isn't up yet) is tried again until then.

pub mod agent_pod;
pub mod apply;
pub mod client;
mod clock;
pub mod delete;
pub mod diff;
pub mod discovery;
pub mod disrupt;
mod failure;
pub mod forward;
pub mod live;
#[cfg(test)]
mod live_tests;
pub mod logs;
pub mod noop;
pub mod ownership;
pub mod pull_secret;
mod put;
pub mod readiness;
mod request;
pub mod runs;
pub mod scale;
pub mod secrets;
pub mod selector;
pub mod status;
#[cfg(test)]
pub mod testing;
pub mod wait;

#[allow(unused_imports)]
pub use client::{Kube, connect};

/// The field manager of everything that a stack declares.
pub const MANAGER: &str = "stackctl";
/// Owns what is set once, when an object is created, and left to others afterwards.
pub const CREATION_MANAGER: &str = "stackctl-creation";
/// Requests that may be under way at the same time: what a single API server of a small machine still answers gladly.
pub const IN_FLIGHT: usize = 48;
/// Where the ApplySet parents live.
pub const SYSTEM_NAMESPACE: &str = "stackctl-system";
/// Ties an object to its ApplySet.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// On namespaces that this program created: only those are ever deleted.
pub const CREATED_LABEL: &str = "stackctl.io/created";
