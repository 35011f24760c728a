//! mesh: one request leads through both services, their traces, logs and figures, and none is lost while they roll.

use crate::place::Place;

type Test = (&'static str, fn(&Place));

pub const ALL: &[Test] = &[
    ("mesh_comes_up_beside_hello_and_proves_itself", comes_up),
    ("mesh_takes_a_lost_back_end_and_rollouts_under_load", disruptions),
    ("mesh_runs_without_anybody_who_takes_its_telemetry", without_telemetry),
    ("down_mesh_leaves_hello_as_it_was", down),
];

fn comes_up(place: &Place) {
    let hello = place.fingerprints("hello");
    place.ok(&["build", "mesh"]);
    let run = place.ok(&["up", "mesh"]);
    eprintln!("up mesh, images cached: {:.1?}", run.took);
    let run = place.ok(&["test", "mesh"]);
    eprintln!("test mesh: {:.1?}", run.took);
    run.says(&[
        "route /demo-app",
        "a slow page is one trace through both services",
        "the id of a trace is in the logs of both services",
        "exemplars of the back end lead to traces",
    ]);
    let mutations = place.mutations().len();
    let run = place.ok(&["up", "mesh"]);
    eprintln!("second up mesh: {:.1?}", run.took);
    run.says(&["nothing to do"]);
    assert_eq!(place.mutations()[mutations..], [] as [String; 0], "the second up wrote");
    place.unchanged("hello", &hello);
}

fn disruptions(place: &Place) {
    let run = place.ok(&["test", "mesh", "--disruptive"]);
    eprintln!("disruptive proofs of mesh: {:.1?}", run.took);
    run.says(&[
        "without its back end the front end answers 502, and is well again when it is back",
        "no request fails while both services roll",
        "no slow request fails while both services roll",
    ]);
}

/// Its requests are answered, and an id that a caller sends is still passed on and logged.
fn without_telemetry(place: &Place) {
    let alone = ["--without", "collector", "--without", "jaeger", "--without", "prometheus"];
    place.ok(&[&["up", "mesh"], &alone[..]].concat());
    place
        .ok(&[&["test", "mesh"], &alone[..]].concat())
        .says(&["the slow page over the edge", "the id of a trace is in the logs of both services"]);
}

fn down(place: &Place) {
    let hello = place.fingerprints("hello");
    place.ok(&["down", "mesh", "--yes"]).says(&["0 left"]);
    let left = place.kubectl(&["get", "namespace", "mesh", "--ignore-not-found", "-o", "name"]);
    assert!(left.is_empty() || place.kubectl(&["get", "all", "-n", "mesh", "-o", "name"]).is_empty(), "{left}");
    place.unchanged("hello", &hello);
}
