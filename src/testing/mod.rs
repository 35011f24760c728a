//! Tests that are about the whole program, or about what ships with it.

mod arrows;
mod boundary;
pub mod embedded;
pub mod hardening;
pub mod load_sample;
pub mod policy;
pub mod traffic;

/// Whether the tests may use a Docker engine; says so where they may not.
pub fn has_engine() -> bool {
    let given = std::env::var("STACKCTL_TEST_ENGINE").is_ok_and(|value| value == "1");
    if !given {
        eprintln!("skipped: STACKCTL_TEST_ENGINE is not 1");
    }
    given
}
