use super::*;
use crate::{
    load::document::LostWorker,
    testing::{
        load_sample as sample,
        load_sample::{SERVER, Server},
    },
};

const WANDERING: Server = Server { wander: 0.03, memory: 5.0, ..SERVER };
const PAUSING: Server = Server { pauses: (0.07, 180.0), between: 0.005, ..SERVER };
const CLOSED: Server = Server { closed: true, rate: 16.0, median: 20.0, wander: 0.02, memory: 8.0, ..SERVER };
const NOISY: Server =
    Server { sigma: 0.8, rate: 200.0, median: 3.0, between: 0.01, pauses: (0.02, 60.0), failing: 0.0005, ..SERVER };

/// Equal runs are said to differ in at most 1 of 20 pairs, and a tenth slower is found in at least 18 of 20.
fn holds_the_bar(server: Server, seconds: u32) {
    let server = Server { seconds, ..server };
    let slower = Server { median: server.median * 1.1, ..server };
    let (mut alarms, mut found) = (Vec::new(), 0);
    for pair in 0..20 {
        let first = server.run(100 + pair);
        let same = compare(&first, &server.run(500 + pair)).unwrap();
        if same.verdict != Change::Same {
            alarms.push(same);
        }
        let result = compare(&first, &slower.run(900 + pair)).unwrap();
        found += usize::from(result.verdict == Change::Slower);
    }
    assert!(alarms.len() <= 1, "{alarms:#?}");
    assert!(found >= 18, "found in {found} of 20");
}

#[test]
fn a_steady_server_in_half_a_minute() {
    holds_the_bar(SERVER, 30);
}

#[test]
fn a_server_that_wanders() {
    holds_the_bar(WANDERING, 60);
}

#[test]
fn a_server_that_pauses() {
    holds_the_bar(PAUSING, 120);
}

#[test]
fn a_closed_loop() {
    holds_the_bar(CLOSED, 60);
}

#[test]
fn a_noisy_server_for_five_minutes() {
    holds_the_bar(NOISY, 300);
}

#[test]
fn a_change_that_both_runs_share_is_no_noise() {
    // hello gets three times as fast in the middle: paired blocks see a tenth beside that.
    let hello = sample::hello();
    let mut slower = hello.clone();
    let latencies = slower.seconds.iter_mut().map(|second| &mut second.latency).chain([&mut slower.totals.latency]);
    for latency in latencies {
        for value in [&mut latency.p50, &mut latency.p90, &mut latency.p99, &mut latency.p999, &mut latency.max] {
            *value *= 1.1;
        }
    }
    let result = compare(&hello, &slower).unwrap();
    let p50 = result.metrics.iter().find(|metric| metric.name == "p50").unwrap();
    assert!(p50.change == Change::Slower && p50.high - p50.low < 0.1, "{p50:?}");
    assert_eq!(compare(&slower, &hello).unwrap().verdict, Change::Faster);
    assert_eq!(compare(&hello, &hello).unwrap().verdict, Change::Same);
}

#[test]
fn failures_are_a_change_of_their_own() {
    let failing = Server { failing: 0.01, ..SERVER };
    let result = compare(&SERVER.run(1), &failing.run(2)).unwrap();
    let errors = result.metrics.iter().find(|metric| metric.name == "errorRate").unwrap();
    assert_eq!((errors.change, result.verdict), (Change::Slower, Change::Slower));
    assert!(errors.low > 0.0 && errors.low < errors.difference && errors.difference < errors.high);
    // A run that answers nothing has no latencies to compare, and still an end.
    let none = Server { failing: 1.0, ..SERVER };
    assert_eq!(compare(&SERVER.run(1), &none.run(2)).unwrap().verdict, Change::Slower);
    assert_eq!(compare(&none.run(1), &none.run(2)).unwrap().verdict, Change::Same);
}

#[test]
fn equal_documents_give_equal_comparisons() {
    let (old, new) = (SERVER.run(1), WANDERING.run(2));
    assert_eq!(compare(&old, &new).unwrap(), compare(&old, &new).unwrap());
}

#[test]
fn different_loads_are_refused_by_name() {
    let old = SERVER.run(1);
    let mut new = SERVER.run(2);
    new.parameters.connections = 64;
    new.parameters.rate = Some(200.0);
    new.parameters.paths.push("/read/1".into());
    let error = compare(&old, &new).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert_eq!(
        error.to_string(),
        "cannot compare two different loads: paths: /, then / /read/1; connections: 100, then 64; rate: 100, then 200"
    );
}

#[test]
fn short_runs_and_other_versions_are_refused() {
    let short = Server { seconds: 5, ..SERVER };
    assert!(compare(&short.run(1), &short.run(2)).unwrap_err().to_string().contains("5 s"));
    let mut other = SERVER.run(1);
    other.version = VERSION + 1;
    assert!(compare(&other, &SERVER.run(2)).unwrap_err().to_string().contains("version"));
}

#[test]
fn what_else_is_different_is_a_warning() {
    let old = SERVER.run(1);
    let mut new = SERVER.run(2);
    new.parameters.url = "http://127.0.0.1:9999".into();
    new.cluster = Some("kind-stackctl".into());
    new.workers.lost = vec![LostWorker { index: 0, share: 0.5, why: "killed".into() }];
    new.totals.seconds = 90.0;
    let warnings = compare(&old, &new).unwrap().warnings;
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(compare(&old, &SERVER.run(3)).unwrap().warnings.is_empty());
}
