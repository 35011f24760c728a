//! Tests that are about the whole program, or about what ships with it.

mod arrows;
mod boundary;
pub mod embedded;
pub mod hardening;
pub mod load_sample;
pub mod policy;
pub mod traffic;
