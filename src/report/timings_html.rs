//! The page of `--timings FILE.html`: a Gantt chart and a table, in one file that loads nothing.

use std::{fmt::Write, time::Duration};

use super::{
    style::duration,
    timings::{Timing, Timings},
    xml::escape,
};
use crate::event::Outcome;

const WIDTH: f64 = 1000.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 24.0;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1f2328; --dim: #656d76; --line: #d0d7de; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #8d96a0; --line: #30363d; --page: #0d1117; } }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1040px; padding: 0 1em; color: var(--text);
  background: var(--page); }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--text); } svg .axis { fill: var(--dim); }
svg line { stroke: var(--line); } rect { rx: 3px; fill: #4c8dd6; } rect.unchanged { fill: #9aa4ae; }
rect.failed { fill: #cf222e; } rect.running { fill: #bf8700; } rect.critical { stroke: #d97706; stroke-width: 2.5px; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 3px 10px 3px 0;
  border-bottom: 1px solid var(--line); } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.critical td:first-child { border-left: 3px solid #d97706; padding-left: 7px; } p { color: var(--dim); }
";

pub fn page(timings: &Timings) -> String {
    let total = ms(timings.elapsed_ms);
    let path: u64 = timings.steps.iter().filter(|step| step.critical).map(took).sum();
    let ran = timings.steps.iter().filter(|step| step.start_ms.is_some()).count();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>stackctl timings</title>\n\
         <style>{STYLE}</style>\n<h1>Timings</h1>\n<p>{total} in all, {ran} steps. The critical path ({}) is framed: \
         only what is on it makes the run shorter.</p>\n{}\n{}\n</html>\n",
        ms(path),
        chart(timings),
        table(timings)
    )
}

fn chart(timings: &Timings) -> String {
    let mut rows: Vec<&Timing> = timings.steps.iter().filter(|step| step.start_ms.is_some()).collect();
    rows.sort_by_key(|step| (step.start_ms, step.end_ms));
    let height = HEAD + ROW * rows.len() as f64 + 4.0;
    let whole = timings.elapsed_ms.max(1) as f64;
    let x = |time: u64| time as f64 / whole * WIDTH;
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Gantt chart of the steps\">\n");
    let every = grid(timings.elapsed_ms);
    for at in (0..=timings.elapsed_ms).step_by(every as usize) {
        let _ = writeln!(svg, "<line x1=\"{0:.1}\" y1=\"{HEAD}\" x2=\"{0:.1}\" y2=\"{height}\"/>", x(at));
        let _ = writeln!(svg, "<text class=\"axis\" x=\"{:.1}\" y=\"14\">{}</text>", x(at) + 2.0, ms(at));
    }
    for (n, step) in rows.iter().enumerate() {
        let (start, end) = (x(step.start_ms.unwrap_or(0)), x(step.end_ms.unwrap_or(0)));
        let y = HEAD + ROW * n as f64;
        let critical = if step.critical { " critical" } else { "" };
        let _ = writeln!(
            svg,
            "<rect class=\"{}{critical}\" x=\"{start:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            class(step),
            y + 3.0,
            (end - start).max(1.5),
            ROW - 6.0,
            escape(&format!("{} {}", step.id, ms(took(step))))
        );
        // The label stands right of its bar, or left of it where there is no room.
        let (place, anchor) = if end < WIDTH * 0.7 { (end + 6.0, "start") } else { (start.max(0.0) - 6.0, "end") };
        let (place, anchor) = if place < 200.0 && anchor == "end" { (start + 6.0, "start") } else { (place, anchor) };
        let _ = writeln!(
            svg,
            "<text x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            y + 15.0,
            escape(&format!("{}  {}", step.id, ms(took(step))))
        );
    }
    svg + "</svg>"
}

/// A round number of milliseconds that gives 5 to 12 lines.
fn grid(elapsed_ms: u64) -> u64 {
    let mut unit = 1;
    loop {
        for factor in [1, 2, 5] {
            if elapsed_ms / (unit * factor) <= 10 {
                return unit * factor;
            }
        }
        unit *= 10;
    }
}

fn table(timings: &Timings) -> String {
    let mut html = String::from(
        "<table>\n<tr><th>step</th><th class=\"number\">start</th><th class=\"number\">time</th><th>outcome</th>\
         <th>waited for last</th><th>note</th></tr>\n",
    );
    for step in &timings.steps {
        let outcome = step.outcome.map_or(if step.start_ms.is_some() { "unfinished" } else { "not run" }, word);
        let _ = writeln!(
            html,
            "<tr{}><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{outcome}</td><td>{}</td><td>{}</td></tr>",
            if step.critical { " class=\"critical\"" } else { "" },
            escape(&step.id),
            step.start_ms.map(ms).unwrap_or_default(),
            step.start_ms.map(|_| ms(took(step))).unwrap_or_default(),
            escape(step.waited_for.as_deref().unwrap_or_default()),
            escape(step.note.as_deref().unwrap_or_default()),
        );
    }
    html + "</table>"
}

fn took(step: &Timing) -> u64 {
    step.end_ms.unwrap_or(0).saturating_sub(step.start_ms.unwrap_or(0))
}

fn ms(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Unchanged => "unchanged",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

fn class(step: &Timing) -> &'static str {
    step.outcome.map_or("running", word)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{record::fixture::*, xml::well_formed},
        *,
    };

    #[test]
    fn the_page_shows_every_step_and_loads_nothing() {
        let timings = Timings::new(&record(&hello()), Duration::from_millis(27_010));
        let html = page(&timings);
        for step in &timings.steps {
            assert!(html.contains(&step.id), "{}", step.id);
        }
        assert_eq!(html.matches("<rect").count(), timings.steps.len());
        assert_eq!(html.matches(" critical\"").count(), 5);
        assert!(!html.contains("http") && !html.contains("src="));
    }

    #[test]
    fn names_cannot_break_the_page() {
        let events = [planned(&[("a<script>&\"", &[])]), started("a<script>&\"", 0)];
        let timings = Timings::new(&record(&events), Duration::from_millis(10));
        assert!(!page(&timings).contains("<script>"));
        well_formed(&chart(&timings)).unwrap();
    }

    #[test]
    fn the_grid_is_round() {
        assert_eq!([grid(9), grid(27_010), grid(600_000)], [1, 5_000, 100_000]);
    }
}
