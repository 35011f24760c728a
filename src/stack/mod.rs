//! Stacks as data: parsing, validation and the objects that they declare. Knows nothing of clusters.
//!
//! The files of a stack are described in docs/stack-yaml.md.

mod assemble;
mod builtin;
mod checks;
pub mod claims;
mod components;
mod dashboards;
mod declaration;
pub mod desired;
pub mod disruption;
pub mod edge;
pub mod embedded;
mod exported;
pub mod facts;
mod field;
mod files;
mod format;
pub mod jobs;
pub mod load;
pub mod located;
mod manifests;
pub mod model;
pub mod origin;
mod patch;
mod plain;
mod problems;
mod proofs;
pub mod pull;
mod reader;
pub mod references;
mod render;
mod routes;
pub mod scalar;
mod setter;
mod sizes;
#[cfg(test)]
pub mod testing;
mod values;
pub mod yields;

pub use format::schema;
pub use load::{LoadRequest, StackSummary, is_known, list, load, name_of, origin_of};
pub use plain::Scalars;
pub use problems::{Problems, closest, suggestion};
pub use render::to_yaml;
