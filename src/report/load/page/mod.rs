//! The page of `--report FILE`: one file that loads nothing. All charts are drawn here; its script only shows values
//! where the pointer is.

mod data;
mod distribution;
mod scale;
mod sections;
#[cfg(test)]
mod tests;
mod timeline;

use super::{
    super::xml::escape,
    words::{condition, load, ms, number, percent, whole},
};
use crate::load::document::LoadDocument;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The HTML page of a run: charts over one time axis, distribution, verdict, parameters, what was tested.
pub fn page(document: &LoadDocument) -> String {
    let rows = data::rows(document);
    fill(
        TEMPLATE,
        &[
            ("title", escape(&title(document))),
            ("style", STYLE.to_owned()),
            ("script", SCRIPT.to_owned()),
            ("badge", sections::badge(document)),
            ("subtitle", escape(&load(document))),
            ("tiles", sections::tiles(document)),
            ("verdict", sections::verdict(document)),
            ("lost", sections::lost(document)),
            ("timeline", timeline::chart(document, &rows)),
            ("legend", timeline::legends(document)),
            ("step", step(&rows)),
            ("distribution", distribution::chart(document)),
            ("percentiles", sections::percentiles(document)),
            ("errors", sections::errors(document)),
            ("paths", sections::paths(document)),
            ("parameters", sections::parameters(document)),
            ("images", sections::images(document)),
            ("data", data::embedded(document, &rows)),
            ("version", escape(env!("CARGO_PKG_VERSION"))),
        ],
    )
}

fn title(document: &LoadDocument) -> String {
    document.stack.clone().unwrap_or_else(|| document.parameters.url.clone())
}

/// What a point stands for, where that is more than a second.
fn step(rows: &[data::Row]) -> String {
    match rows.first().map_or(1, |row| row.seconds) {
        1 => "Each point is one second.".to_owned(),
        many => format!("Each point is {many} seconds: mean rate and p50, highest p90, p99 and max of them."),
    }
}

/// Replaces each `{{name}}` once; what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        page.push_str(before);
        page.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}
