//! Load from inside the cluster: a Job of workers, held by a line each, and their measurements put together.

mod collect;
mod control;
mod drive;
mod job;
mod part;
mod pods;
mod run;
pub mod worker;

pub use self::run::{Fleet, Ran, Until, Word, run};
