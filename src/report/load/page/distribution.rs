//! How the latencies are distributed: an area for each bucket, over a logarithmic axis.

use std::fmt::Write;

use super::{escape, ms, percent, scale::Scale, timeline::WIDTH, whole};
use crate::load::document::{Bucket, LoadDocument};

const HEIGHT: f64 = 170.0;
const HEAD: f64 = 46.0;
const LEFT: f64 = 14.0;
const AXIS: f64 = 28.0;
/// More bars than this are merged.
const BARS: usize = 120;

/// Latencies above `from` up to `to` in ms.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub from: f64,
    pub to: f64,
    pub count: u64,
}

pub fn chart(document: &LoadDocument) -> String {
    let bars = bars(&document.distribution);
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return "<p>Nothing was answered.</p>".into();
    };
    let total: u64 = bars.iter().map(|bar| bar.count).sum();
    let scale = Scale { from: first.from, to: last.to, start: LEFT, end: WIDTH - LEFT, log: true };
    // Buckets differ in width, so it is their area that stands for the count.
    let density = |bar: &Bar| bar.count as f64 / (bar.to / bar.from).ln();
    let highest = bars.iter().map(density).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let bottom = HEAD + HEIGHT;
    let mut svg = format!(
        "<svg id=\"distribution\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" data-x=\"{}\" \
         aria-label=\"Distribution of the latencies of {} answers\">\n",
        bottom + AXIS,
        scale.describe(),
        whole(total)
    );
    for tick in scale.ticks(10) {
        let x = scale.at(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD}\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            escape(&ms(tick))
        );
    }
    for bar in &bars {
        let (from, to) = (scale.at(bar.from), scale.at(bar.to));
        let height = density(bar) / highest * HEIGHT;
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" data-to=\"{}\" data-count=\"{}\" x=\"{from:.2}\" y=\"{:.2}\" width=\"{:.2}\" \
             height=\"{height:.2}\"><title>{} to {}: {} answers, {}</title></rect>",
            bar.to,
            bar.count,
            bottom - height,
            (to - from - 0.6).max(0.4),
            ms(bar.from),
            ms(bar.to),
            whole(bar.count),
            percent(bar.count as f64 / total.max(1) as f64)
        );
    }
    marks(&mut svg, document, &scale, bottom);
    svg + "</svg>\n"
}

/// The percentiles, their names in two rows where they stand close.
fn marks(svg: &mut String, document: &LoadDocument, scale: &Scale, bottom: f64) {
    let latency = &document.totals.latency;
    let mut ends = [f64::MIN; 3];
    for (class, name, value) in [
        ("p50", "p50", latency.p50),
        ("p90", "p90", latency.p90),
        ("p99", "p99", latency.p99),
        ("p999", "p99.9", latency.p999),
    ] {
        if value <= 0.0 {
            continue;
        }
        let x = scale.at(value.min(scale.to));
        let text = format!("{name} {}", ms(value));
        let width = 7.0 * text.chars().count() as f64;
        // Left of its line where there is no room on the right.
        let from = if x + 5.0 + width > WIDTH - 2.0 { x - 5.0 - width } else { x + 5.0 };
        let row = ends.iter().position(|end| *end < from).unwrap_or(ends.len() - 1);
        ends[row] = from + width + 8.0;
        let y = 12.0 + 15.0 * row as f64;
        let _ = writeln!(
            svg,
            "<line class=\"mark {class}\" x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{:.1}\" y2=\"{bottom}\"/>\
             <text class=\"key\" x=\"{from:.1}\" y=\"{y}\">{}</text>",
            y - 10.0,
            escape(&text)
        );
    }
}

/// Neighbours merged until they are few; each starts where the one before ends.
pub fn bars(buckets: &[Bucket]) -> Vec<Bar> {
    let buckets: Vec<&Bucket> = buckets.iter().filter(|bucket| bucket.ms > 0.0).collect();
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Vec::new() };
    let ratio = buckets.get(1).map_or(1.05, |second| second.ms / first.ms).clamp(1.001, 1.5);
    let mut from = first.ms / ratio;
    // As wide as an even division of the axis gives, or as the widest bucket there.
    let width = (last.ms / from).powf(1.0 / BARS as f64);
    let mut bars = Vec::new();
    let mut count = 0;
    for (n, bucket) in buckets.iter().enumerate() {
        count += bucket.count;
        if bucket.ms >= from * width || n + 1 == buckets.len() {
            bars.push(Bar { from, to: bucket.ms, count });
            (from, count) = (bucket.ms, 0);
        }
    }
    bars
}
