//! The text at the end of a load run.

use super::{
    super::{
        style::{Paint, bytes, clean},
        text::table,
    },
    words::{by_number, condition, load, ms, number, percent, scale_history, whole, workloads},
};
use crate::error::words::count;
use crate::event::load::Latency;
use crate::load::document::{LoadDocument, PathTotals};

/// Totals, latencies, failures, paths, replicas, lost workers and, last, the verdict.
pub fn summary(document: &LoadDocument, paint: Paint) -> String {
    let totals = &document.totals;
    let mut lines = vec![format!("{}  {}", paint.bold(clean(&document.parameters.url)), paint.dim(load(document)))];
    lines.push(String::new());
    lines.push(row(
        "requests",
        &format!(
            "{} in {} s, {} answered ({}/s), {}",
            whole(totals.requests),
            number(totals.seconds),
            whole(totals.succeeded),
            number(totals.rate),
            failures(document, paint)
        ),
    ));
    lines.push(row("latency", &latency(&totals.latency)));
    let connects = &totals.connects;
    let refused = if connects.failed > 0 { format!(", {} failed", whole(connects.failed)) } else { String::new() };
    lines.push(row(
        "connecting",
        &format!(
            "{}{refused}, p50 {}, p99 {}",
            count(connects.count as usize, "connection"),
            ms(connects.latency.p50),
            ms(connects.latency.p99)
        ),
    ));
    lines.push(row("bytes", &format!("{} received, {} sent", bytes(totals.bytes_received), bytes(totals.bytes_sent))));
    if totals.resent > 0 {
        let what = count(totals.resent as usize, "request");
        lines.push(row("sent again", &format!("{what}, whose connection was closed before it answered")));
    }
    for (what, number) in by_number(&totals.errors) {
        lines.push(row("failed", &paint.bad(format!("{} × {}", whole(number), clean(&what)))));
    }
    for (workload, samples) in workloads(&document.cluster_samples) {
        let restarts = samples.iter().map(|sample| sample.restarts).max().unwrap_or_default();
        let restarts =
            if restarts > 0 { paint.bad(format!(", {}", count(restarts as usize, "restart"))) } else { String::new() };
        lines.push(row("replicas", &format!("{} {}{restarts}", clean(workload), scale_history(&samples))));
    }
    for worker in &document.workers.lost {
        lines.push(row(
            "lost",
            &paint.bad(format!(
                "worker {} with {} of the load: {}",
                worker.index,
                percent(worker.share),
                clean(&worker.why)
            )),
        ));
    }
    if document.paths.len() > 1 {
        lines.push(String::new());
        lines.push(paths(&document.paths));
    }
    if let Some(verdict) = &document.verdict {
        lines.push(String::new());
        for condition in &verdict.conditions {
            let glyph = if condition.held { paint.good("✓") } else { paint.bad("✗") };
            let word = if condition.held { paint.dim("held  ") } else { paint.bad("broken") };
            let name = super::words::condition(&condition.name);
            let why = condition.why.as_ref().map(|why| format!(" ({})", clean(why))).unwrap_or_default();
            lines.push(format!(
                "{glyph} {word}  {name}: {}, expected {}{why}",
                clean(&condition.measured),
                clean(&condition.expected)
            ));
        }
        let broken: Vec<&str> =
            verdict.conditions.iter().filter(|one| !one.held).map(|one| condition(&one.name)).collect();
        lines.push(match (verdict.passed, broken.as_slice()) {
            (true, _) => paint.good("passed"),
            (false, []) => paint.bad("failed"),
            (false, broken) => format!("{}: {}", paint.bad("failed"), broken.join(", ")),
        });
    }
    lines.join("\n")
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<11} {text}")
}

fn failures(document: &LoadDocument, paint: Paint) -> String {
    match document.totals.failed {
        0 => "0 failed".to_owned(),
        failed => paint.bad(format!("{} failed ({})", whole(failed), percent(document.totals.error_rate))),
    }
}

fn latency(latency: &Latency) -> String {
    let Latency { mean, p50, p90, p99, p999, max } = *latency;
    if max <= 0.0 {
        return "none: nothing was answered".to_owned();
    }
    let values = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max), ("mean", mean)];
    values.map(|(name, value)| format!("{name} {}", ms(value))).join("  ")
}

fn paths(paths: &[PathTotals]) -> String {
    let rows: Vec<[String; 7]> = paths
        .iter()
        .map(|path| {
            let latency = &path.latency;
            [
                clean(&path.path),
                whole(path.requests),
                whole(path.failed),
                ms(latency.p50),
                ms(latency.p90),
                ms(latency.p99),
                ms(latency.max),
            ]
        })
        .collect();
    table(["path", "requests", "failed", "p50", "p90", "p99", "max"], &rows, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::document::LostWorker,
        testing::{load_sample as sample, load_sample::SERVER},
    };

    const PLAIN: Paint = Paint { color: false };

    #[test]
    fn a_run_of_hello() {
        insta::assert_snapshot!(summary(&sample::hello(), PLAIN));
    }

    #[test]
    fn paths_lost_workers_and_restarts() {
        let mut document = SERVER.run(1);
        let latency = document.totals.latency;
        document.paths = vec![
            PathTotals { path: "/read/1?x=2".into(), requests: 4_000, failed: 0, latency },
            PathTotals { path: "/write\x1b[31m".into(), requests: 2_000, failed: 12, latency },
        ];
        document.workers.lost = vec![LostWorker { index: 3, share: 0.25, why: "OOMKilled".into() }];
        document.cluster_samples = sample::hello().cluster_samples;
        document.cluster_samples[40].restarts = 2;
        document.totals.resent = 12;
        insta::assert_snapshot!(summary(&document, PLAIN));
    }

    #[test]
    fn a_run_without_any_answer() {
        let mut document = sample::Server { failing: 1.0, seconds: 3, ..SERVER }.run(1);
        document.totals.errors = [("connect".to_owned(), 300)].into();
        insta::assert_snapshot!(summary(&document, PLAIN));
    }
}
