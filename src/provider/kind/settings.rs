//! The settings that only clusters have that kind makes.

use std::path::PathBuf;

use crate::{
    error::Result,
    provider::{ClusterSpec, settings::cluster_spec},
    setting::{Section, Setting, Values, parse},
};

pub static SECTION: Section =
    Section { heading: Some("kind options"), provider: Some("kind"), settings: &[&KIND_CONFIG] };

const KIND_CONFIG: Setting<PathBuf> = Setting::new(
    "kindConfig",
    "--kind-config",
    "FILE",
    "A kind configuration to merge into the generated one",
    parse::path,
);

pub fn spec(values: &Values) -> Result<ClusterSpec> {
    Ok(ClusterSpec { kind_config: values.optional(&KIND_CONFIG)?, ..cluster_spec(values)? })
}
