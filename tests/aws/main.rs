//! The EKS provider against an AWS account of the world: the binary as users run it, real signatures, a real API server.
//! What is not on this machine is named, and its tests are skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it measured"
)]

mod account;
mod api;
mod asked;
mod controllers;
mod data;
mod edge;
mod faults;
mod fleet;
mod ground;
mod inputs;
mod late;
mod order;
mod others;
mod removal;
mod upward;

use std::sync::Arc;

use ground::Ground;
use libtest_mimic::{Arguments, Trial};

pub type Test = (&'static str, fn(&Ground));

fn main() {
    let mut arguments = Arguments::from_args();
    // They share one account.
    arguments.test_threads = Some(1);
    let tests: Vec<Test> = [
        upward::ALL,
        faults::ALL,
        removal::ALL,
        order::ALL,
        others::ALL,
        inputs::ALL,
        late::ALL,
        fleet::ALL,
        asked::ALL,
        edge::ALL,
        data::ALL,
    ]
    .concat();
    let ground = match Ground::start(arguments.list) {
        Ok(ground) => Arc::new(ground),
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            let skipped = tests.iter().map(|(name, _)| Trial::test(*name, || Ok(())).with_ignored_flag(true));
            libtest_mimic::run(&arguments, skipped.collect()).exit();
        }
    };
    let trial = |(name, test): Test| {
        let ground = Arc::clone(&ground);
        Trial::test(name, move || {
            test(&ground);
            Ok(())
        })
    };
    let trials = tests.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // `exit` runs no destructors, and the ground ends what it has started.
    drop(ground);
    conclusion.exit();
}
