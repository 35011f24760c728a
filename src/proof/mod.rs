//! Checks of a running stack: data in, results out. Most checks run inside the cluster, in a short-lived pod whose image
//! is this executable; `agent` is what runs there, `run` is what starts it and reads the results.

pub mod agent;
mod autoscaler;
mod http;
mod json;
pub mod pod;
mod prometheus;
mod rbac;
pub mod result;
mod run;
#[cfg(test)]
pub mod testing;
mod trace;
mod wire;

pub use self::{
    result::ProofResult,
    run::{Place, run},
};
