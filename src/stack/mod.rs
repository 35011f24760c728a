#![doc = include_str!("FORMAT.md")]

mod assemble;
mod checks;
mod components;
mod declaration;
pub mod desired;
pub mod edge;
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
mod reader;
mod render;
mod routes;
mod scalar;
mod setter;
#[cfg(test)]
pub mod testing;
mod values;

pub use load::{LoadRequest, list, load, name_of};
pub use problems::suggestion;
pub use render::to_yaml;
