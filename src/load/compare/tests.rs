use super::*;
use crate::load::sample::{self, SERVER, Server};

const WANDERING: Server = Server { wander: 0.03, memory: 5.0, ..SERVER };
const PAUSING: Server = Server { pauses: (0.07, 180.0), between: 0.005, ..SERVER };
const CLOSED: Server = Server { closed: true, rate: 16.0, median: 20.0, wander: 0.02, memory: 8.0, ..SERVER };
const WIDE: Server = Server { sigma: 0.8, rate: 200.0, median: 3.0, between: 0.01, pauses: (0.02, 60.0), failing: 0.0005, ..SERVER };

/// How many of 20 pairs are said to differ when the second server takes `factor` times as long.
fn found(server: Server, seconds: u32, factor: f64, expected: Change) -> usize {
    let server = Server { seconds, ..server };
    let slower = Server { median: server.median * factor, ..server };
    (0..20)
        .filter(|pair| {
            let result = compare(&server.run(100 + pair), &slower.run(900 + pair)).unwrap();
            if false && (result.verdict != Change::Same) != (factor != 1.0) {
                for metric in &result.metrics {
                    eprintln!(
                        "{seconds}s pair {pair} {}: {:.3} -> {:.3} {:+.3} [{:+.3} {:+.3}] {:?}",
                        metric.name, metric.previous, metric.current, metric.difference, metric.low, metric.high, metric.change
                    );
                }
            }
            if factor == 1.0 { result.verdict != Change::Same } else { result.verdict == expected }
        })
        .count()
}

#[test]
fn equal_runs_are_the_same() {
    for (name, server) in [("steady", SERVER), ("wandering", WANDERING), ("pausing", PAUSING), ("closed", CLOSED), ("wide", WIDE)] {
        for seconds in [30, 60, 300] {
            let alarms = found(server, seconds, 1.0, Change::Same);
            eprintln!("{name} {seconds}: {alarms} alarms");
        }
    }
}

#[test]
fn a_tenth_slower_is_found() {
    for (name, server) in [("steady", SERVER), ("wandering", WANDERING), ("pausing", PAUSING), ("closed", CLOSED), ("wide", WIDE)] {
        for seconds in [30, 60, 300] {
            let hits = found(server, seconds, 1.1, Change::Slower);
            eprintln!("{name} {seconds}: {hits} found");
        }
    }
    let _ = sample::hello();
}
