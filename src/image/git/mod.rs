pub mod revision;
pub mod tree;
