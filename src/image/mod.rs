//! Images of services: what goes into them, their content fingerprint, builds, pushes and what becomes of old ones.
//! Knows nothing of clusters.

pub mod agent;
pub mod auth;
pub mod base;
pub mod build;
pub mod context;
pub mod dockerfile;
pub mod dockerignore;
pub mod endpoint;
pub mod engine;
pub mod fingerprint;
pub mod git;
mod hashes;
mod misread;
pub mod reference;
mod spec;
pub mod store;
#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use spec::{BuildOptions, BuildSpec, repository};

/// The labels that images of ours carry; `io.stackctl.created` is in seconds since 1970.
pub const LABEL_SERVICE: &str = "io.stackctl.service";
pub const LABEL_STACK: &str = "io.stackctl.stack";
pub const LABEL_CREATED: &str = "io.stackctl.created";
