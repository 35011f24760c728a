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
pub mod store;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

pub use engine::Engine;

use crate::stack::model::Source;

/// The labels that images of ours carry; `io.stackctl.created` is in seconds since 1970.
pub const LABEL_SERVICE: &str = "io.stackctl.service";
pub const LABEL_STACK: &str = "io.stackctl.stack";
pub const LABEL_CREATED: &str = "io.stackctl.created";

/// All that decides what an image becomes. `secrets`, `ca_bundle`, `no_cache` and `pull` are not part of its identity.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    pub service: String,
    pub context: Source,
    /// Relative to the context.
    pub dockerfile: String,
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
    /// BuildKit secret id to the file that holds it.
    pub secrets: BTreeMap<String, PathBuf>,
    /// PEM file offered to the build as the secret `ca-bundle`.
    pub ca_bundle: Option<PathBuf>,
    /// `linux/amd64`: the nodes' platform.
    pub platform: String,
    pub no_cache: bool,
    /// Ask the registries for newer base images.
    pub pull: bool,
}

#[cfg(test)]
impl BuildSpec {
    /// Of a service called hello, with nothing said but the folder and the platform.
    fn of_folder(root: &std::path::Path, platform: &str) -> BuildSpec {
        BuildSpec {
            service: "hello".into(),
            context: Source::Folder(root.to_owned()),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ca_bundle: None,
            platform: platform.into(),
            no_cache: false,
            pull: false,
        }
    }
}
