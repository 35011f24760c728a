//! Small inputs that once went wrong, each run on a real cluster. The cases share one cluster and run side by side, so
//! each has names of its own and touches nothing else. A case removes what it made also when it fails.
//!
//! `STACKCTL_CASES_HOME=DIR` keeps the cluster between runs, for work on a single case; `stackctl down --cluster` with
//! that folder as home removes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it measured"
)]

mod case;
mod images;
mod jobs;
mod manifests;
mod network;
mod ownership;
#[path = "../e2e/place.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod place;
mod proofs;
mod refusals;
mod removal;
#[path = "../schema/mod.rs"]
mod schema;
mod waiting;

use std::{sync::Arc, time::Instant};

use case::{Case, Ground};
use libtest_mimic::{Arguments, Trial};

/// The input folder's name and what is tried on it.
type Test = (&'static str, fn(&Case));

/// How many cases run at once: they wait for the cluster more than they compute.
const AT_ONCE: usize = 4;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let tests: Vec<Test> = [
        images::ALL,
        jobs::ALL,
        manifests::ALL,
        network::ALL,
        ownership::ALL,
        proofs::ALL,
        refusals::ALL,
        removal::ALL,
        waiting::ALL,
    ]
    .concat();
    let ground = Arc::new(Ground::new());
    let trial = |(name, test): Test| {
        let ground = Arc::clone(&ground);
        Trial::test(name, move || {
            ground.prepare();
            let began = Instant::now();
            test(&Case::new(&ground, name));
            eprintln!("{name}: {:.1?}", began.elapsed());
            Ok(())
        })
    };
    let trials = tests.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // `exit` runs no destructors, and the ground takes its cluster with it.
    drop(ground);
    conclusion.exit();
}
