use super::{
    super::super::xml::well_formed,
    data::{POINTS, rows},
    scale::Scale,
    *,
};
use crate::{
    load::document::{Bucket, LostWorker, PathTotals},
    testing::{load_sample as sample, load_sample::SERVER},
};

/// The value of an attribute of the first tag that contains `mark`.
fn attribute<'a>(html: &'a str, mark: &str, name: &str) -> &'a str {
    let at = html.find(mark).unwrap_or_else(|| panic!("no {mark}"));
    let start = html[..at].rfind('<').unwrap();
    let tag = &html[start..start + html[start..].find('>').unwrap()];
    let value = tag.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {tag}")).1;
    value.split_once('"').unwrap().0
}

fn scale(text: &str) -> Scale {
    let (kind, numbers) = text.split_once(' ').unwrap();
    let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    Scale { log: kind == "log", from: numbers[0], to: numbers[1], start: numbers[2], end: numbers[3] }
}

fn inverse(scale: &Scale, pixel: f64) -> f64 {
    let share = (pixel - scale.start) / (scale.end - scale.start);
    if scale.log {
        scale.from * (scale.to / scale.from).powf(share)
    } else {
        scale.from + share * (scale.to - scale.from)
    }
}

/// The points of a drawn line in the page, turned back into times and values. Steps are their starts.
fn drawn(html: &str, panel: &str, series: &str) -> Vec<(f64, f64)> {
    let time = scale(attribute(html, "id=\"timeline\"", "data-x"));
    let panel = &html[html.find(&format!("data-panel=\"{panel}\"")).unwrap() - 20..];
    let y = scale(attribute(panel, "data-panel", "data-y"));
    let path = attribute(panel, &format!("data-series=\"{series}\""), "d");
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(char::is_alphabetic).map_or(rest.len(), |at| at + 1);
        let numbers: Vec<f64> = rest[1..end].split_whitespace().map(|number| number.parse().unwrap()).collect();
        match command {
            'M' | 'L' => points.push((numbers[0], numbers[1])),
            'H' => {
                let level = points.last().unwrap().1;
                points.push((numbers[0], level));
            }
            'V' => points.last_mut().unwrap().1 = numbers[0],
            'h' => {}
            other => panic!("{other} in a path"),
        }
        rest = &rest[end..];
    }
    points.into_iter().map(|(x, pixel)| (inverse(&time, x), inverse(&y, pixel))).collect()
}

fn close(drawn: &[(f64, f64)], expected: &[(f64, f64)], top: f64) {
    assert_eq!(drawn.len(), expected.len());
    for (drawn, expected) in drawn.iter().zip(expected) {
        // Coordinates have two digits of a pixel.
        assert!((drawn.0 - expected.0).abs() < 0.01, "{drawn:?} for {expected:?}");
        assert!((drawn.1 - expected.1).abs() <= top * 2e-4, "{drawn:?} for {expected:?}");
    }
}

#[test]
fn the_charts_hold_the_values_of_the_document() {
    let document = sample::hello();
    let html = page(&document);
    let seconds = || document.seconds.iter();
    assert_eq!(seconds().count(), 300);
    let answers: Vec<_> = seconds().map(|second| (f64::from(second.at), second.succeeded as f64)).collect();
    close(&drawn(&html, "throughput", "answers"), &answers, 150.0);
    let errors: Vec<_> =
        seconds().map(|second| (f64::from(second.at), second.errors.values().sum::<u64>() as f64)).collect();
    close(&drawn(&html, "throughput", "errors"), &errors, 150.0);
    for (name, value) in [
        ("p50", (|second| second.latency.p50) as fn(&crate::event::load::Second) -> f64),
        ("p90", |second| second.latency.p90),
        ("p99", |second| second.latency.p99),
    ] {
        let values: Vec<_> = seconds().map(|second| (f64::from(second.at), value(second))).collect();
        close(&drawn(&html, "latency", name), &values, 200.0);
    }
    let ready: Vec<_> = document.cluster_samples.iter().map(|sample| (sample.at, f64::from(sample.ready))).collect();
    close(&drawn(&html, "replicas", "ready"), &ready, 6.0);
    let metric: Vec<_> = document.cluster_samples.iter().map(|sample| (sample.at, sample.value.unwrap())).collect();
    close(&drawn(&html, "metric", "metric"), &metric, 200.0);
}

#[test]
fn the_embedded_data_are_the_documents() {
    let document = sample::hello();
    let html = page(&document);
    let data = html.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    for (n, second) in document.seconds.iter().enumerate() {
        assert_eq!(data["at"][n], second.at);
        assert_eq!(data["answers"][n], second.succeeded as f64);
        assert_eq!(data["p99"][n], second.latency.p99);
        assert_eq!(data["max"][n], second.latency.max);
    }
    assert_eq!(data["at"].as_array().unwrap().len(), 300);
    assert_eq!(data["workloads"][0]["ready"].as_array().unwrap().len(), document.cluster_samples.len());
}

#[test]
fn steep_latencies_are_drawn_by_logarithm() {
    let document = sample::Server { pauses: (0.1, 900.0), ..SERVER }.run(3);
    let html = page(&document);
    let panel = &html[html.find("data-panel=\"latency\"").unwrap() - 20..];
    assert!(attribute(panel, "data-panel", "data-y").starts_with("log "));
    for ((_, drawn), second) in drawn(&html, "latency", "p99").iter().zip(&document.seconds) {
        assert!((drawn / second.latency.p99 - 1.0).abs() < 1e-3);
    }
}

#[test]
fn seconds_without_an_answer_are_gaps() {
    let mut document = SERVER.run(1);
    for second in &mut document.seconds[10..20] {
        *second = crate::event::load::Second {
            at: second.at,
            requests: 100,
            errors: [("timeout".to_owned(), 100)].into(),
            ..Default::default()
        };
    }
    let html = page(&document);
    let path = attribute(&html, "data-series=\"p99\"", "d");
    assert_eq!(path.matches('M').count(), 2);
    assert_eq!(drawn(&html, "latency", "p99").len(), 50);
}

#[test]
fn the_bars_hold_every_answer() {
    let document = sample::hello();
    let html = page(&document);
    let bars: Vec<u64> = html
        .split("class=\"bar\"")
        .skip(1)
        .map(|tag| tag.split_once("data-count=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(bars.iter().sum::<u64>(), document.totals.succeeded);
    // Few buckets: a bar for each.
    assert_eq!(bars, document.distribution.iter().map(|bucket| bucket.count).collect::<Vec<_>>());
    let many: Vec<Bucket> = (1..5_000).map(|n| Bucket { ms: f64::from(n) * 0.1, count: 2 }).collect();
    let bars = distribution::bars(&many);
    assert!(bars.len() <= 140, "{}", bars.len());
    assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 9_998);
    assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from));
}

#[test]
fn the_page_is_well_formed_and_loads_nothing() {
    let html = page(&sample::hello());
    let body = html.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
    well_formed(body).unwrap();
    assert!(!html.contains("{{") && !html.contains("src=") && !html.contains("@import") && !html.contains("url("));
    assert!(html.len() < 200_000, "{}", html.len());
}

#[test]
fn nothing_in_a_document_breaks_out() {
    let evil = "</script><script>alert(1)</script>\"'&{{script}}<!--";
    let mut document = sample::hello();
    document.stack = Some(evil.into());
    document.cluster = Some(evil.into());
    document.parameters.url = evil.into();
    document.parameters.paths = vec![evil.into()];
    document.images.insert(evil.into(), evil.into());
    document.totals.errors.insert(evil.into(), 1);
    document.seconds[3].errors.insert(evil.into(), 1);
    document.workers.lost = vec![LostWorker { index: 0, share: 0.25, why: evil.into() }];
    let latency = document.totals.latency;
    document.paths = vec![PathTotals { path: evil.into(), requests: 1, failed: 0, latency }; 2];
    for sample in &mut document.cluster_samples {
        sample.workload = evil.into();
        sample.metric = Some(evil.into());
    }
    for condition in &mut document.verdict.as_mut().unwrap().conditions {
        condition.name = evil.into();
        condition.measured = evil.into();
        condition.expected = evil.into();
        condition.why = Some(evil.into());
    }
    let html = page(&document);
    assert!(!html.contains("<script>alert"));
    assert_eq!(html.matches("</script").count(), 2);
    let body = html.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
    well_formed(body).unwrap();
    let data = html.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["workloads"][0]["name"], evil);
}

#[test]
fn a_long_run_stays_small() {
    let mut document = sample::Server { rate: 3.0, seconds: 20_000, ..SERVER }.run(1);
    let samples = sample::hello().cluster_samples;
    document.cluster_samples = samples.iter().cycle().take(4_000).cloned().collect();
    for (n, sample) in document.cluster_samples.iter_mut().enumerate() {
        sample.at = n as f64 * 5.0;
    }
    let html = page(&document);
    assert!(html.len() < 500_000, "{}", html.len());
    let rows = rows(&document);
    assert!(rows.len() <= POINTS);
    let answers: f64 = rows.iter().map(|row| row.answers * f64::from(row.seconds)).sum();
    assert!((answers - document.totals.succeeded as f64).abs() < 30.0);
}

#[test]
fn any_run_has_a_page() {
    let mut empty = SERVER.run(1);
    empty.seconds.clear();
    empty.distribution.clear();
    empty.totals = Default::default();
    assert!(page(&empty).contains("Nothing was answered"));
    let one = sample::Server { seconds: 1, rate: 1.0, ..SERVER }.run(1);
    assert!(!page(&one).contains("NaN") && !page(&empty).contains("NaN") && !page(&empty).contains("inf"));
    let none = sample::Server { failing: 1.0, ..SERVER }.run(1);
    assert!(!page(&none).contains("NaN"));
}
