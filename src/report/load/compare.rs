//! Two load runs beside each other, as a table.

use super::{
    super::{
        style::{Paint, clean},
        text::table,
    },
    words::{ms, number, percent},
};
use crate::load::compare::{Change, Comparison, Metric};

/// A row for each metric with its difference and the noise around it, warnings, and the verdict last.
pub fn comparison_text(comparison: &Comparison, paint: Paint) -> String {
    let rows: Vec<[String; 6]> = comparison.metrics.iter().map(row).collect();
    let text = table(["metric", "previous", "current", "difference", "but for noise", ""], &rows, None);
    let mut lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(n, line)| match n.checked_sub(1).and_then(|n| comparison.metrics.get(n)).map(|metric| metric.change) {
            Some(Change::Slower) => paint.bad(line),
            Some(Change::Faster) => paint.good(line),
            _ => line.to_owned(),
        })
        .collect();
    lines.extend(comparison.warnings.iter().map(|warning| format!("{} {}", paint.warn("warning:"), clean(warning))));
    let since = format!("than the run of {}", clean(&comparison.previous));
    lines.push(match comparison.verdict {
        Change::Slower => format!("{} {since}", paint.bad("worse")),
        Change::Faster => format!("{} {since}", paint.good("better")),
        Change::Same => format!("no change from the run of {} that is more than noise", clean(&comparison.previous)),
    });
    lines.join("\n")
}

fn row(metric: &Metric) -> [String; 6] {
    let errors = metric.name == "errorRate";
    let value = |value: f64| match metric.name {
        "throughput" => format!("{}/s", number(value)),
        "errorRate" => percent(value),
        _ => ms(value),
    };
    let name = if errors { "error rate" } else { metric.name };
    let word = match (metric.change, errors) {
        (Change::Same, _) => "same",
        (Change::Slower, false) => "slower",
        (Change::Faster, false) => "faster",
        (Change::Slower, true) => "more failures",
        (Change::Faster, true) => "fewer failures",
    };
    [
        name.into(),
        value(metric.previous),
        value(metric.current),
        signed(metric.difference, errors),
        format!("{} to {}", signed(metric.low, errors), signed(metric.high, errors)),
        word.into(),
    ]
}

/// `+10.2 %`; of shares, `+0.25 points`.
fn signed(difference: f64, points: bool) -> String {
    if difference > 1e6 {
        return "any".into();
    }
    if points { format!("{:+.2} points", difference * 100.0) } else { format!("{:+.1} %", difference * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::compare::compare,
        testing::load_sample::{SERVER, Server},
    };

    #[test]
    fn a_slower_run() {
        let slower = Server { median: SERVER.median * 1.1, failing: 0.004, ..SERVER };
        let mut current = slower.run(2);
        current.cluster = Some("kind-other".into());
        let comparison = compare(&SERVER.run(1), &current).unwrap();
        insta::assert_snapshot!(comparison_text(&comparison, Paint { color: false }));
    }

    #[test]
    fn an_equal_run() {
        let comparison = compare(&SERVER.run(1), &SERVER.run(2)).unwrap();
        insta::assert_snapshot!(comparison_text(&comparison, Paint { color: false }));
    }
}
