//! Checks of a running stack: data in, results out. Most checks run inside the cluster, in a short-lived pod whose image
//! is this executable; `agent` is what runs there, `run` is what starts it and reads the results.

pub mod agent;
mod autoscaler;
mod count;
mod http;
mod json;
mod lines;
mod logs;
pub mod pod;
mod prometheus;
mod rbac;
mod replicas;
pub mod result;
mod run;
#[cfg(test)]
pub mod testing;
mod trace;
mod wire;

pub use self::{
    agent::expectation,
    result::ProofResult,
    run::{Place, run, with_id},
};
