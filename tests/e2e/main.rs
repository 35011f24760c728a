//! The stacks on a real cluster, from nothing to nothing. The tests run in this order and share one cluster, because a
//! cluster takes longer to make than all that is asked of it; the last one takes it down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it measured"
)]

mod components;
mod counter;
mod failures;
mod greeter;
mod lifecycle;
mod load;
mod mesh;
mod minikube;
mod place;
mod private;
mod pubsub;
#[path = "../schema/mod.rs"]
mod schema;
mod soak;
mod stacks;

use std::{sync::Arc, time::Instant};

use libtest_mimic::{Arguments, Trial};
use place::Place;

type Test = (&'static str, fn(&Place));

/// Namespaces that tests make by themselves, and remove.
const NAMESPACES: &[&str] = &["theirs", "theirs-private"];

/// A run of this suite takes minutes: its log tells where they went.
fn timed(name: &str, test: impl FnOnce()) {
    let began = Instant::now();
    test();
    eprintln!("{name}: {:.1?}", began.elapsed());
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests: Vec<Test> = [
        lifecycle::FIRST,
        failures::ALL,
        stacks::ALL,
        components::ALL,
        counter::ALL,
        greeter::ALL,
        pubsub::ALL,
        mesh::ALL,
        load::ALL,
        private::ALL,
        lifecycle::LAST,
    ]
    .concat();
    // Another name lets several people of one machine run them side by side.
    let cluster = std::env::var("STACKCTL_TEST_CLUSTER").unwrap_or_else(|_| "e2e".to_owned());
    let place = Arc::new(Place::new(&cluster));
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let place = Arc::clone(&place);
            Trial::test(name, move || {
                timed(name, || place.tidied(NAMESPACES, &lifecycle::shared(), || test(&place)));
                Ok(())
            })
        })
        .chain(soak::ALL.iter().map(|(name, test)| {
            let trial = move || {
                timed(name, test);
                Ok(())
            };
            Trial::test(*name, trial).with_ignored_flag(true)
        }))
        .chain(minikube::ALL.iter().filter(|_| minikube::config().is_some()).map(|(name, test)| {
            let trial = move || {
                timed(name, test);
                Ok(())
            };
            Trial::test(*name, trial)
        }))
        .collect();
    if minikube::config().is_none() {
        let names: Vec<&str> = minikube::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("skipped: {}: the world has no minikube; `{}` builds it", names.join(", "), minikube::BUILT_BY);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // `exit` runs no destructors, and the place takes its cluster with it.
    drop(place);
    conclusion.exit();
}
