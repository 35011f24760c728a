//! The live charts: throughput, latencies, replicas and the autoscaler's metric against its target.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Chart, Dataset, GraphType, Sparkline, Widget},
};

use super::{
    buffer,
    watch::{Watch, failures, line},
    words::{ms, number, whole},
};

/// A panel is never narrower, and never lower or higher.
const NARROW: usize = 36;
const LOW: usize = 6;
const HIGH: usize = 9;
/// More points than a panel has dots are thinned out.
const DOTS: usize = 400;

struct Series {
    color: Color,
    points: Vec<(f64, f64)>,
}

struct Panel {
    /// With the newest values.
    title: Vec<Span<'static>>,
    series: Vec<Series>,
    /// The top of the y axis, and the text there.
    top: f64,
    label: String,
}

/// At most `rows` lines of at most `columns` characters: charts where there is room, else sparklines, else one line.
pub fn charts(watch: &Watch, color: bool, (columns, rows): (usize, usize)) -> Vec<String> {
    let panels = panels(watch);
    let across = (columns / NARROW).clamp(1, panels.len());
    // Four panels beside each other or two by two, never three and one.
    let across = if panels.len() == 4 && across == 3 { 2 } else { across };
    let down = panels.len().div_ceil(across);
    let height = (rows.saturating_sub(1) / down).min(HIGH);
    if columns >= NARROW && height >= LOW {
        return grid(watch, &panels, color, columns, (across, down, height));
    }
    if columns >= NARROW && rows > panels.len() {
        return sparklines(watch, &panels, color, columns);
    }
    vec![line(watch).chars().take(columns).collect()]
}

fn panels(watch: &Watch) -> Vec<Panel> {
    let of = |value: fn(&crate::event::load::Second) -> f64| -> Vec<(f64, f64)> {
        watch.seconds.iter().map(|second| (f64::from(second.at), value(second))).collect()
    };
    let answered = |value: fn(&crate::event::load::Second) -> f64| -> Vec<(f64, f64)> {
        let seconds = watch.seconds.iter().filter(|second| second.succeeded > 0);
        seconds.map(|second| (f64::from(second.at), value(second))).collect()
    };
    let newest = watch.seconds.last();
    let mut panels = vec![
        Panel::new(
            vec![
                named("throughput"),
                colored(format!("{}/s", newest.map_or("–".into(), |second| whole(second.succeeded))), Color::Cyan),
                colored(
                    format!("{} failed", whole(watch.failed())),
                    if watch.failed() > 0 { Color::Red } else { Color::DarkGray },
                ),
            ],
            vec![
                Series { color: Color::Cyan, points: of(|second| second.succeeded as f64) },
                Series { color: Color::Red, points: of(|second| failures(second) as f64) },
            ],
            |top| format!("{}/s", number(top)),
        ),
        Panel::new(
            vec![
                named("latency"),
                colored(format!("p50 {}", newest.map_or("–".into(), |second| ms(second.latency.p50))), Color::Cyan),
                colored(format!("p90 {}", newest.map_or("–".into(), |second| ms(second.latency.p90))), Color::Yellow),
                colored(format!("p99 {}", newest.map_or("–".into(), |second| ms(second.latency.p99))), Color::Magenta),
            ],
            vec![
                Series { color: Color::Magenta, points: answered(|second| second.latency.p99) },
                Series { color: Color::Yellow, points: answered(|second| second.latency.p90) },
                Series { color: Color::Cyan, points: answered(|second| second.latency.p50) },
            ],
            ms,
        ),
    ];
    // Of several workloads the one that is scaled is worth watching, else the first.
    let newest = watch.newest();
    let Some(shown) = newest.iter().find(|sample| sample.metric.is_some()).or(newest.first()) else {
        return panels;
    };
    let samples = || watch.samples.iter().filter(|sample| sample.workload == shown.workload);
    let desired = shown.desired.unwrap_or(shown.replicas);
    panels.push(Panel::new(
        vec![
            named("replicas"),
            colored(format!("{} ready", shown.ready), Color::Green),
            colored(format!("{desired} wanted"), Color::DarkGray),
        ],
        vec![
            Series {
                color: Color::DarkGray,
                points: steps(
                    samples().map(|sample| (sample.at, f64::from(sample.desired.unwrap_or(sample.replicas)))),
                ),
            },
            Series { color: Color::Green, points: steps(samples().map(|sample| (sample.at, f64::from(sample.ready)))) },
        ],
        number,
    ));
    if let Some(metric) = &shown.metric {
        let value = shown.value.map_or("not measured".to_owned(), number);
        let target = shown.target.map_or("–".to_owned(), number);
        panels.push(Panel::new(
            vec![
                named(&super::super::style::clean(metric)),
                colored(value, Color::Yellow),
                colored(format!("target {target}"), Color::DarkGray),
            ],
            vec![
                Series {
                    color: Color::DarkGray,
                    points: samples().filter_map(|sample| Some((sample.at, sample.target?))).collect(),
                },
                Series {
                    color: Color::Yellow,
                    points: samples().filter_map(|sample| Some((sample.at, sample.value?))).collect(),
                },
            ],
            number,
        ));
    }
    panels
}

impl Panel {
    fn new(title: Vec<Span<'static>>, mut series: Vec<Series>, label: fn(f64) -> String) -> Panel {
        for series in &mut series {
            thin(&mut series.points);
        }
        let highest = series.iter().flat_map(|series| &series.points).map(|point| point.1).fold(0.0, f64::max);
        let top = round_up(highest);
        Panel { title, series, top, label: label(top) }
    }
}

fn named(name: &str) -> Span<'static> {
    Span::styled(name.to_owned(), Style::new().add_modifier(Modifier::BOLD))
}

fn colored(text: String, color: Color) -> Span<'static> {
    Span::styled(text, Style::new().fg(color))
}

/// A number that changes at once is no slope.
fn steps(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut stepped: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some(&(_, last)) = stepped.last().filter(|last| last.1 != y) {
            stepped.push((x, last));
        }
        stepped.push((x, y));
    }
    stepped
}

/// Keeps the highest point of each stretch.
fn thin(points: &mut Vec<(f64, f64)>) {
    if points.len() > DOTS {
        let stretch = points.len().div_ceil(DOTS);
        let highest = |points: &[(f64, f64)]| points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        *points = points.chunks(stretch).filter_map(highest).collect();
    }
}

/// The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factors = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    factors.iter().map(|factor| factor * power).find(|&top| top >= value).unwrap_or(10.0 * power)
}

fn end(watch: &Watch) -> f64 {
    watch.elapsed.max(watch.expected.unwrap_or_default()).as_secs_f64().max(10.0)
}

fn grid(
    watch: &Watch,
    panels: &[Panel],
    color: bool,
    columns: usize,
    (across, down, height): (usize, usize, usize),
) -> Vec<String> {
    let (gap, width) = (3, columns / across);
    let mut canvas = Buffer::empty(Rect::new(0, 0, size(columns), size(1 + down * height)));
    canvas.set_stringn(0, 0, watch.progress(), columns, Style::new().add_modifier(Modifier::DIM));
    for (n, panel) in panels.iter().enumerate() {
        let last = n % across + 1 == across;
        let area = Rect::new(
            size(n % across * width),
            size(1 + n / across * height),
            size(width - if last { 0 } else { gap }),
            size(height),
        );
        draw(panel, end(watch), area, &mut canvas);
    }
    buffer::lines(&canvas, color)
}

fn draw(panel: &Panel, end: f64, area: Rect, canvas: &mut Buffer) {
    canvas.set_line(area.x, area.y, &title(panel, area.width.into()), area.width);
    let dim = Style::new().fg(Color::DarkGray);
    let datasets = panel.series.iter().map(|series| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(series.color))
            .data(&series.points)
    });
    let label = |text: String| Line::styled(text, dim);
    Chart::new(datasets.collect())
        .legend_position(None)
        .x_axis(Axis::default().bounds([0.0, end]).style(dim).labels([label("0".into()), label(format!("{end:.0} s"))]))
        .y_axis(
            Axis::default().bounds([0.0, panel.top]).style(dim).labels([label("0".into()), label(panel.label.clone())]),
        )
        .render(Rect { y: area.y + 1, height: area.height - 1, ..area }, canvas);
}

/// The name and as many of the values as fit whole.
fn title(panel: &Panel, width: usize) -> Line<'static> {
    let mut line = Line::default();
    for span in &panel.title {
        let gap = if line.spans.is_empty() { 0 } else { 2 };
        if !line.spans.is_empty() && line.width() + gap + span.width() > width {
            break;
        }
        line.push_span(" ".repeat(gap));
        line.push_span(span.clone());
    }
    line
}

/// One line for each panel: its title and the newest values of its last series.
fn sparklines(watch: &Watch, panels: &[Panel], color: bool, columns: usize) -> Vec<String> {
    let mut canvas = Buffer::empty(Rect::new(0, 0, size(columns), size(1 + panels.len())));
    canvas.set_stringn(0, 0, watch.progress(), columns, Style::new().add_modifier(Modifier::DIM));
    let titles = panels.iter().map(|panel| title(panel, columns / 2)).collect::<Vec<_>>();
    let taken = titles.iter().map(Line::width).max().unwrap_or_default() + 2;
    for (n, panel) in panels.iter().enumerate() {
        let y = size(n + 1);
        canvas.set_line(0, y, &titles[n], size(columns));
        let series = if n == 0 { panel.series.first() } else { panel.series.last() };
        let Some(series) = series.filter(|_| columns > taken) else { continue };
        let room = columns - taken;
        let newest = &series.points[series.points.len().saturating_sub(room)..];
        let data: Vec<u64> = newest.iter().map(|point| (point.1.max(0.0) / panel.top * 1000.0) as u64).collect();
        Sparkline::default()
            .data(data)
            .max(1000)
            .style(Style::new().fg(series.color))
            .render(Rect::new(size(taken), y, size(room), 1), &mut canvas);
    }
    buffer::lines(&canvas, color)
}

fn size(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::watch::fixture::watch, *};
    use crate::{report::style::clean, testing::load_sample::SERVER};

    #[test]
    fn a_wide_terminal_has_all_side_by_side() {
        insta::assert_snapshot!(charts(&watch(120), false, (160, 30)).join("\n"));
    }

    #[test]
    fn a_usual_terminal_has_two_by_two() {
        insta::assert_snapshot!(charts(&watch(240), false, (80, 22)).join("\n"));
    }

    #[test]
    fn a_low_terminal_has_sparklines() {
        insta::assert_snapshot!(charts(&watch(120), false, (80, 10)).join("\n"));
    }

    #[test]
    fn no_cluster_no_replicas() {
        let mut watch = watch(0);
        watch.seconds = SERVER.run(2).seconds;
        watch.phase = "sending";
        insta::assert_snapshot!(charts(&watch, false, (90, 12)).join("\n"));
    }

    #[test]
    fn colours_add_nothing_but_sequences() {
        let (plain, painted) = (charts(&watch(120), false, (100, 30)), charts(&watch(120), true, (100, 30)));
        assert!(painted.iter().any(|line| line.contains("\x1b[36m")));
        let cleaned: Vec<String> = painted.iter().map(|line| clean(line)).collect();
        assert_eq!(cleaned, plain);
    }

    #[test]
    fn any_size_is_kept_to() {
        for until in [0, 1, 7, 120, 480] {
            let watch = watch(until);
            for columns in [1, 5, 20, 35, 36, 50, 71, 72, 80, 107, 108, 143, 144, 250] {
                for rows in [1, 2, 3, 5, 6, 8, 12, 13, 24, 60] {
                    let lines = charts(&watch, false, (columns, rows));
                    assert!(lines.len() <= rows.max(1), "{columns}×{rows}: {} lines", lines.len());
                    for line in lines {
                        assert!(line.chars().count() <= columns, "{columns}×{rows}: {line}");
                    }
                }
            }
        }
    }
}
