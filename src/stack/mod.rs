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
pub mod podspec;
mod problems;
mod proofs;
pub mod pull;
mod reader;
mod render;
mod scalar;
mod setter;
#[cfg(test)]
mod testing;
mod values;

pub use load::{LoadRequest, list, load, name_of};
pub use problems::suggestion;
pub use render::to_yaml;
