pub mod embedded;
pub mod hardening;
pub mod load_sample;
pub mod policy;
pub mod traffic;
