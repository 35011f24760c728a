#![doc = include_str!("FORMAT.md")]

mod assemble;
mod checks;
mod components;
mod declaration;
pub mod desired;
mod embedded;
mod files;
mod load;
mod located;
mod manifests;
pub mod model;
mod patch;
mod podspec;
mod problems;
mod proofs;
mod reader;
mod render;
mod scalar;
mod setter;
#[cfg(test)]
mod testing;
mod values;

pub use assemble::SYSTEM_NAMESPACE;
pub use declaration::PROVIDERS;
pub use desired::{CONFIG_HASH, DesiredObject, DesiredSet, applyset_id, desired, parent_name, wave};
pub use embedded::{MANIFESTS, SERVICES};
pub use load::{LoadRequest, StackSummary, list, load, name_of};
pub use render::to_yaml;
