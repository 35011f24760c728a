//! Throughput, latencies, replicas and the autoscaler's metric, one below the other over one time axis.

use std::fmt::Write;

use super::{
    data::{Row, thinned},
    escape, ms, number,
    scale::{Scale, top},
};
use crate::event::load::ClusterSample;
use crate::{load::document::LoadDocument, report::load::words::workloads};

pub const WIDTH: f64 = 1040.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 14.0;
const TITLE: f64 = 30.0;
const GAP: f64 = 18.0;
const AXIS: f64 = 34.0;
/// Highest p99 against lowest p50 from which on latencies are drawn by logarithm: else the low ones are a flat line.
const STEEP: f64 = 40.0;

/// One chart of the stack: where it is drawn so far, and its own values.
struct Panel {
    name: &'static str,
    title: String,
    height: f64,
    /// Value at the upper end, and the least one above 0 for a logarithm.
    log_from: Option<f64>,
    to: f64,
    label: fn(f64) -> String,
    ticks: usize,
    series: Vec<Series>,
}

struct Series {
    class: &'static str,
    name: String,
    points: Vec<Option<(f64, f64)>>,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    Line,
    /// Filled down to 0.
    Area,
    /// Holds until the next point.
    Steps,
    StepArea,
}

pub fn chart(document: &LoadDocument, rows: &[Row]) -> String {
    let time = time(document);
    let load = f64::from(rows.last().map_or(0, |row| row.at + row.seconds));
    let panels = panels(document, rows);
    let height = panels.iter().map(|panel| TITLE + panel.height + GAP).sum::<f64>() - GAP + AXIS;
    let mut svg = format!(
        "<svg id=\"timeline\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" tabindex=\"0\" data-x=\"{}\" \
         aria-label=\"Throughput, latencies and replicas over time; arrow keys move through the seconds\">\n",
        time.describe()
    );
    let mut y = 0.0;
    for panel in &panels {
        draw(&mut svg, panel, y + TITLE, &time, load);
        y += TITLE + panel.height + GAP;
    }
    let bottom = y - GAP;
    let step = time_step(time.to - time.from);
    let first = (time.from / step).ceil() as i64;
    for at in (first..).map(|n| n as f64 * step).take_while(|at| *at <= time.to) {
        let _ = writeln!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            time.at(at).min(WIDTH - 18.0),
            bottom + 18.0,
            clock(at, step)
        );
    }
    let _ = writeln!(
        svg,
        "<line id=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{TITLE}\" y2=\"{bottom}\" visibility=\"hidden\"/>\n</svg>"
    );
    svg
}

/// From the first look at the cluster to the last one, at least the measurement.
fn time(document: &LoadDocument) -> Scale {
    let samples = || document.cluster_samples.iter().map(|sample| sample.at);
    let seconds = document.seconds.last().map_or(1.0, |second| f64::from(second.at) + 1.0);
    let from = samples().fold(0.0, f64::min).floor();
    let to = samples().fold(seconds, f64::max).ceil().max(from + 1.0);
    Scale { from, to, start: LEFT, end: WIDTH - RIGHT, log: false }
}

fn panels(document: &LoadDocument, rows: &[Row]) -> Vec<Panel> {
    let mut panels = vec![throughput(document, rows), latency(rows)];
    let workloads = workloads(&document.cluster_samples);
    let several = workloads.len() > 1;
    for (name, samples) in &workloads {
        let samples = thinned(samples);
        let of = if several { format!(" of {name}") } else { String::new() };
        panels.push(replicas(&of, &samples));
        panels.extend(metric(&of, &samples));
    }
    panels
}

fn throughput(document: &LoadDocument, rows: &[Row]) -> Panel {
    let points = |value: fn(&Row) -> f64| rows.iter().map(|row| Some((f64::from(row.at), value(row)))).collect();
    let mut series =
        vec![Series { class: "answers", name: "answers".into(), points: points(|row| row.answers), kind: Kind::Area }];
    if document.totals.failed > 0 {
        let points = points(|row| row.errors);
        series.push(Series { class: "errors", name: "failures".into(), points, kind: Kind::Area });
    }
    let highest = highest(&series);
    // Only a constant rate is intended at every second.
    let constant = matches!(document.parameters.arrivals.as_str(), "constant" | "poisson");
    let rate = document.parameters.rate.filter(|_| constant);
    if let (Some(rate), Some(last)) = (rate, rows.last()) {
        series.push(Series {
            class: "intended",
            name: "intended".into(),
            points: vec![Some((0.0, rate)), Some((f64::from(last.at + last.seconds), rate))],
            kind: Kind::Line,
        });
    }
    Panel {
        name: "throughput",
        title: "Throughput in requests per second".into(),
        height: 150.0,
        log_from: None,
        // Room above, so that a constant rate is not a line on the edge.
        to: top(highest.max(rate.unwrap_or_default()) * 1.1, 4),
        label: number,
        ticks: 4,
        series,
    }
}

fn latency(rows: &[Row]) -> Panel {
    let points = |n: usize| {
        rows.iter().map(|row| row.latency.map(|latency| (f64::from(row.at), latency[n]))).collect::<Vec<_>>()
    };
    let series = [("p99", 2), ("p90", 1), ("p50", 0)].map(|(name, n)| Series {
        class: name,
        name: name.into(),
        points: points(n),
        kind: Kind::Line,
    });
    let highest = highest(&series);
    let lowest = points(0).into_iter().flatten().map(|point| point.1).filter(|value| *value > 0.0);
    let lowest = lowest.fold(f64::INFINITY, f64::min);
    let steep = lowest.is_finite() && highest / lowest > STEEP;
    Panel {
        name: "latency",
        title: format!("Latency{}", if steep { ", logarithmic" } else { "" }),
        height: 190.0,
        log_from: steep.then_some(lowest * 0.8),
        to: if steep { highest * 1.2 } else { top(highest, 5) },
        label: ms,
        ticks: 5,
        series: series.into(),
    }
}

fn replicas(of: &str, samples: &[&ClusterSample]) -> Panel {
    let points = |value: fn(&ClusterSample) -> Option<u32>| {
        samples.iter().map(|sample| value(sample).map(|value| (sample.at, f64::from(value)))).collect::<Vec<_>>()
    };
    let mut series = vec![Series {
        class: "ready",
        name: "ready".into(),
        points: points(|sample| Some(sample.ready)),
        kind: Kind::StepArea,
    }];
    // Without an autoscaler: those that the workload has.
    let (name, value): (&str, fn(&ClusterSample) -> Option<u32>) =
        match samples.iter().any(|sample| sample.desired.is_some()) {
            true => ("wanted", |sample| sample.desired),
            false => ("existing", |sample| Some(sample.replicas)),
        };
    series.push(Series { class: "desired", name: name.into(), points: points(value), kind: Kind::Steps });
    Panel {
        name: "replicas",
        title: format!("Replicas{of}"),
        height: 110.0,
        log_from: None,
        // Never halves of replicas on the axis.
        to: top(highest(&series), 4).max(2.0),
        label: number,
        ticks: 4,
        series,
    }
}

fn metric(of: &str, samples: &[&ClusterSample]) -> Option<Panel> {
    let name = samples.iter().find_map(|sample| sample.metric.as_ref())?;
    let points = |value: fn(&ClusterSample) -> Option<f64>| {
        samples.iter().map(|sample| value(sample).map(|value| (sample.at, value))).collect::<Vec<_>>()
    };
    let series = vec![
        Series { class: "metric", name: name.clone(), points: points(|sample| sample.value), kind: Kind::Line },
        Series { class: "target", name: "target".into(), points: points(|sample| sample.target), kind: Kind::Steps },
    ];
    Some(Panel {
        name: "metric",
        title: format!("{name}{of} against the autoscaler's target"),
        height: 110.0,
        log_from: None,
        to: top(highest(&series), 4),
        label: number,
        ticks: 4,
        series,
    })
}

fn highest(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| &series.points).flatten().map(|point| point.1).fold(0.0, f64::max)
}

fn draw(svg: &mut String, panel: &Panel, y: f64, time: &Scale, load: f64) {
    let scale = Scale {
        from: panel.log_from.unwrap_or_default(),
        to: panel.to,
        start: y + panel.height,
        end: y,
        log: panel.log_from.is_some(),
    };
    let (left, right) = (LEFT, WIDTH - RIGHT);
    let title = escape(&panel.title);
    let _ = writeln!(
        svg,
        "<g class=\"panel\" data-panel=\"{}\" data-y=\"{}\">\n\
         <text class=\"title\" x=\"{left}\" y=\"{:.1}\">{title}</text>",
        panel.name,
        scale.describe(),
        y - 11.0
    );
    legend(svg, panel, y - 11.0);
    // What came before and after the load.
    let edges = [(time.from, 0.0_f64.min(time.to)), (load.min(time.to), time.to)];
    for (from, to) in edges.into_iter().filter(|(from, to)| to > from) {
        let _ = writeln!(
            svg,
            "<rect class=\"idle\" x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\"/>",
            time.at(from),
            time.at(to) - time.at(from),
            panel.height
        );
    }
    let mut ticks = scale.ticks(panel.ticks);
    if panel.name == "replicas" {
        ticks.retain(|tick| tick.fract() == 0.0);
    }
    for tick in ticks {
        let at = scale.at(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            escape(&(panel.label)(tick))
        );
    }
    for series in &panel.series {
        path(svg, series, &scale, time);
    }
    svg.push_str("</g>\n");
}

/// Right of the title, from the right edge on.
fn legend(svg: &mut String, panel: &Panel, y: f64) {
    let mut x = WIDTH - RIGHT;
    for series in panel.series.iter().rev() {
        let name = escape(&series.name);
        // About as wide as the font makes it; there is room for more.
        x -= 7.0 * series.name.chars().count() as f64;
        let _ = writeln!(
            svg,
            "<text class=\"key\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>\
             <line class=\"swatch {}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            series.class,
            x - 20.0,
            x - 6.0,
            y - 4.0,
            y - 4.0
        );
        x -= 38.0;
    }
}

fn path(svg: &mut String, series: &Series, scale: &Scale, time: &Scale) {
    let stepped = matches!(series.kind, Kind::Steps | Kind::StepArea);
    let (mut line, mut area) = (String::new(), String::new());
    for piece in series.points.split(Option::is_none) {
        let points: Vec<(f64, f64)> =
            piece.iter().flatten().map(|point| (time.at(point.0), scale.at(point.1))).collect();
        let Some(first) = points.first() else { continue };
        let mut piece = format!("M{:.2} {:.2}", first.0, first.1);
        for (x, y) in &points[1..] {
            let _ = if stepped { write!(piece, "H{x:.2}V{y:.2}") } else { write!(piece, "L{x:.2} {y:.2}") };
        }
        if points.len() == 1 {
            // A line of no length has round ends: a dot.
            piece.push_str("h0");
        }
        let _ = write!(area, "{piece}V{0:.2}H{1:.2}Z", scale.start, first.0);
        line += &piece;
    }
    if matches!(series.kind, Kind::Area | Kind::StepArea) {
        let _ = writeln!(svg, "<path class=\"area {}\" d=\"{area}\"/>", series.class);
    }
    let _ = writeln!(svg, "<path class=\"line {0}\" data-series=\"{0}\" d=\"{line}\"/>", series.class);
}

/// Seconds between two labels: about ten of them.
fn time_step(span: f64) -> f64 {
    const STEPS: [f64; 14] =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0];
    STEPS.into_iter().find(|step| span / step <= 12.0).unwrap_or_else(|| (span / 12.0 / 86_400.0).ceil() * 86_400.0)
}

/// `15 s`, `1:30` where minutes are of use, `2:30 h` beyond hours.
fn clock(at: f64, step: f64) -> String {
    let seconds = at.abs().round() as i64;
    let sign = if at < 0.0 { "-" } else { "" };
    if step < 30.0 {
        format!("{sign}{seconds} s")
    } else if step < 3600.0 {
        format!("{sign}{}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{sign}{}:{:02} h", seconds / 3600, seconds / 60 % 60)
    }
}

/// What the shading means, where there is any.
pub fn legends(document: &LoadDocument) -> String {
    let time = time(document);
    let load = document.seconds.last().map_or(0.0, |second| f64::from(second.at) + 1.0);
    if time.from < 0.0 || time.to > load { " Shaded: no load.".into() } else { String::new() }
}
