//! The page's text: badge, tiles, verdict and tables.

use std::fmt::Write;

use super::{condition, escape, ms, number, percent, whole};
use crate::{error::words::count, event::load::Latency};
use crate::{
    load::document::LoadDocument,
    report::{
        load::words::{by_number, scale_history, workloads},
        style::bytes,
    },
};

pub fn badge(document: &LoadDocument) -> String {
    match document.verdict.as_ref().map(|verdict| verdict.passed) {
        Some(true) => "<span class=\"badge held\">passed</span>".into(),
        Some(false) => "<span class=\"badge broken\">failed</span>".into(),
        None => String::new(),
    }
}

pub fn tiles(document: &LoadDocument) -> String {
    let totals = &document.totals;
    let mut tiles = String::new();
    let mut tile = |name: &str, value: &str, note: &str, bad: bool| {
        let bad = if bad { " bad" } else { "" };
        let _ = writeln!(
            tiles,
            "<div class=\"tile{bad}\"><dt>{}</dt><dd>{}</dd><p>{}</p></div>",
            escape(name),
            escape(value),
            escape(note)
        );
    };
    let answers = format!("{} answers", whole(totals.succeeded));
    let note = document.parameters.rate.map_or(answers, |rate| format!("of {}/s intended", number(rate)));
    tile("Throughput", &format!("{}/s", number(totals.rate)), &note, false);
    tile("Median latency", &ms(totals.latency.p50), &format!("p90 {}", ms(totals.latency.p90)), false);
    tile("p99 latency", &ms(totals.latency.p99), &format!("max {}", ms(totals.latency.max)), false);
    tile(
        "Failed",
        &percent(totals.error_rate),
        &format!("{} of {} requests", whole(totals.failed), whole(totals.requests)),
        totals.failed > 0,
    );
    for (name, samples) in workloads(&document.cluster_samples) {
        let ready = || samples.iter().map(|sample| sample.ready);
        let least = samples.first().map_or(0, |sample| sample.ready);
        let most = ready().max().unwrap_or_default();
        let value = if most > least { format!("{least} → {most}") } else { most.to_string() };
        let restarts = samples.iter().map(|sample| sample.restarts).max().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        tile("Replicas", &value, &format!("{name}, {}", count(restarts as usize, "restart")), restarts > 0);
    }
    format!("<dl class=\"tiles\">\n{tiles}</dl>")
}

pub fn verdict(document: &LoadDocument) -> String {
    let Some(verdict) = document.verdict.as_ref().filter(|verdict| !verdict.conditions.is_empty()) else {
        return String::new();
    };
    let mut html = String::from("<section>\n<h2>Verdict</h2>\n<ul class=\"verdict\">\n");
    for one in &verdict.conditions {
        let (class, glyph, word) = if one.held { ("held", "✓", "held") } else { ("broken", "✗", "broken") };
        let why = one.why.as_ref().map(|why| format!("<p class=\"why\">{}</p>", escape(why))).unwrap_or_default();
        let name = condition(&one.name);
        let mut name: String = name.to_owned();
        if let Some(first) = name.get_mut(0..1).filter(|_| !one.name.eq_ignore_ascii_case("maxP99")) {
            first.make_ascii_uppercase();
        }
        let _ = writeln!(
            html,
            "<li class=\"{class}\"><span class=\"glyph\" aria-hidden=\"true\">{glyph}</span><div><b>{}</b> <span \
             class=\"word\">{word}</span><p>{}</p><p class=\"dim\">expected {}</p>{why}</div></li>",
            escape(&name),
            escape(&one.measured),
            escape(&one.expected)
        );
    }
    html + "</ul>\n</section>"
}

pub fn lost(document: &LoadDocument) -> String {
    let workers = &document.workers;
    if workers.lost.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<section class=\"warning\">\n<h2>{} of {} lost</h2>\n<p>Their share of the load is missing from every number \
         of this page.</p>\n<ul>\n",
        workers.lost.len(),
        count(workers.started as usize, "worker")
    );
    for worker in &workers.lost {
        let _ = writeln!(
            html,
            "<li>Worker {}, {} of the load: {}</li>",
            worker.index,
            percent(worker.share),
            escape(&worker.why)
        );
    }
    html + "</ul>\n</section>"
}

pub fn percentiles(document: &LoadDocument) -> String {
    let row = |name: &str, latency: &Latency| {
        let Latency { mean, p50, p90, p99, p999, max } = *latency;
        let cells: String = [p50, p90, p99, p999, max, mean].map(|value| format!("<td>{}</td>", ms(value))).concat();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
    };
    let connects = &document.totals.connects;
    let refused = if connects.failed > 0 { format!(", {} failed", whole(connects.failed)) } else { String::new() };
    format!(
        "<div class=\"wide\"><table>\n<tr><th></th><th scope=\"col\">p50</th><th scope=\"col\">p90</th><th \
         scope=\"col\">p99</th><th scope=\"col\">p99.9</th><th scope=\"col\">max</th><th scope=\"col\">mean</th></tr>\n\
         {}{}</table></div>",
        row("Requests", &document.totals.latency),
        row(&format!("Connecting ({}{refused})", whole(connects.count)), &connects.latency)
    )
}

pub fn errors(document: &LoadDocument) -> String {
    if document.totals.errors.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section>\n<h2>Failures</h2>\n<div class=\"wide\"><table>\n<tr><th scope=\"col\">What happened</th><th \
         scope=\"col\">Requests</th><th scope=\"col\">Share</th></tr>\n",
    );
    for (what, number) in by_number(&document.totals.errors) {
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escape(&what),
            whole(number),
            percent(number as f64 / document.totals.requests.max(1) as f64)
        );
    }
    html + "</table></div>\n</section>"
}

pub fn paths(document: &LoadDocument) -> String {
    if document.paths.len() < 2 {
        return String::new();
    }
    let mut html = String::from(
        "<section>\n<h2>Paths</h2>\n<div class=\"wide\"><table>\n<tr><th scope=\"col\">Path</th><th \
         scope=\"col\">Requests</th><th scope=\"col\">Failed</th><th scope=\"col\">p50</th><th \
         scope=\"col\">p90</th><th scope=\"col\">p99</th><th scope=\"col\">max</th></tr>\n",
    );
    for path in &document.paths {
        let latency = &path.latency;
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&path.path),
            whole(path.requests),
            whole(path.failed),
            ms(latency.p50),
            ms(latency.p90),
            ms(latency.p99),
            ms(latency.max)
        );
    }
    html + "</table></div>\n</section>"
}

pub fn parameters(document: &LoadDocument) -> String {
    let parameters = &document.parameters;
    let totals = &document.totals;
    let seconds = |value: f64| format!("{} s", number(value));
    let optional = [
        ("Stack", document.stack.clone()),
        ("Load profile", document.profile.clone()),
        ("Cluster", document.cluster.clone()),
        ("Rate", parameters.rate.map(|rate| format!("{} requests/s", number(rate)))),
        ("Duration", parameters.duration_s.map(seconds)),
        ("Requests", parameters.requests.map(whole)),
    ];
    let mut rows: Vec<(String, String)> = vec![
        ("Started".into(), document.started.clone()),
        ("URL".into(), parameters.url.clone()),
        ("Sent".into(), format!("{} {}", parameters.method, parameters.paths.join(", "))),
        ("Arrivals".into(), parameters.arrivals.clone()),
        ("Connections".into(), whole(parameters.connections.into())),
    ];
    rows.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    rows.extend([
        ("Warm-up".into(), seconds(parameters.warmup_s)),
        ("Timeout".into(), seconds(parameters.timeout_s)),
        ("From".into(), format!("{}, {}", parameters.from, count(document.workers.started as usize, "worker"))),
        ("Measured".into(), seconds(totals.seconds)),
        ("Received, sent".into(), format!("{}, {}", bytes(totals.bytes_received), bytes(totals.bytes_sent))),
    ]);
    if totals.resent > 0 {
        rows.push(("Sent again".into(), count(totals.resent as usize, "request")));
    }
    let workloads = workloads(&document.cluster_samples);
    for (name, samples) in &workloads {
        let name = if workloads.len() > 1 { format!("Ready of {name}") } else { "Ready".to_owned() };
        rows.push((name, scale_history(samples)));
    }
    definitions(rows.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

pub fn images(document: &LoadDocument) -> String {
    if document.images.is_empty() {
        return "<p class=\"dim\">Whatever answered at the URL: no image of a stack is known.</p>".into();
    }
    definitions(document.images.iter().map(|(service, image)| (service.as_str(), image.as_str())))
}

fn definitions<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows: String =
        rows.map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value))).collect();
    format!("<dl class=\"facts\">\n{rows}</dl>")
}
