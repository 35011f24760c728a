//! Reads what is claimed about the lines that pods log.

use std::collections::BTreeSet;

use super::http;
use crate::stack::{
    claims::{LogClaim, LogsCheck, Pattern, Since},
    format::{Found, FromFound, Section},
    problems::Problems,
};

pub fn logs(at: &Section, problems: &mut Problems) -> Option<LogsCheck> {
    let request = at.section("request").map(|at| http(at, problems));
    let pods = at.sections("pods").filter_map(|at| claim(at, problems)).collect();
    Some(LogsCheck { request: request.map_or(Some(None), |read| read.map(Some))?, since: at.get("since")?, pods })
}

impl FromFound for Since {
    fn from_found(found: &Found) -> Option<Since> {
        Some(if found.text()? == "pod" { Since::Pod } else { Since::Start })
    }
}

impl FromFound for Pattern {
    fn from_found(found: &Found) -> Option<Pattern> {
        String::from_found(found).map(Pattern)
    }
}

fn claim(at: &Section, problems: &mut Problems) -> Option<LogClaim> {
    let any_order = at.get("anyOrder")?;
    let mut known = BTreeSet::from(["id".to_owned()]);
    let mut matches = Vec::new();
    for found in at.items("matches") {
        let pattern = Pattern::from_found(found)?;
        for name in unknown(&pattern, &known) {
            let why = if any_order { ": with `anyOrder` no line is before another" } else { "" };
            let message = format!("`$({name})` is neither `$(id)` nor a named group of a line before it{why}");
            found.problem(problems, message);
        }
        if !any_order {
            known.extend(pattern.groups().unwrap_or_default());
        }
        matches.push(pattern);
    }
    Some(LogClaim {
        selector: at.get("selector")?,
        container: at.get("container")?,
        matches,
        every: at.get("every")?,
        any_order,
    })
}

/// Names with a dot are of something else than the line.
fn unknown(pattern: &Pattern, known: &BTreeSet<String>) -> Vec<String> {
    let references = pattern.references().into_iter().filter(|name| !name.contains('.'));
    references.filter(|name| !known.contains(*name)).map(str::to_owned).collect()
}
