//! Reads what is claimed about the lines that pods log.

use std::collections::BTreeSet;

use super::http_check;
use crate::stack::{
    claims::{LogClaim, LogsCheck, Pattern, Since},
    problems::Problems,
    reader::Item,
    scalar,
};

pub fn logs(item: &Item, problems: &mut Problems) -> Option<LogsCheck> {
    let mut fields = item.fields(problems)?;
    let request = fields.get("request").map(|item| http_check(&item, problems));
    let since = fields.get("since").and_then(|item| item.one_of(&["start", "pod"], problems));
    let pods = fields.required("pods").map(|item| (item.list(problems), item));
    if let Some((_, item)) = pods.as_ref().filter(|(pods, _)| pods.is_empty()) {
        item.problem(problems, "there are no pods whose logs are read");
    }
    let pods = pods.map(|(pods, _)| pods).unwrap_or_default();
    let pods = pods.iter().filter_map(|item| claim(item, problems)).collect();
    fields.finish(problems);
    let since = if since == Some("pod") { Since::Pod } else { Since::Start };
    Some(LogsCheck { request: request.map_or(Some(None), |read| read.map(Some))?, since, pods })
}

fn claim(item: &Item, problems: &mut Problems) -> Option<LogClaim> {
    let mut fields = item.fields(problems)?;
    let selector = selector(fields.required("selector"), problems);
    let container = fields.get("container").and_then(|item| item.name(problems));
    let every = fields.get("every").and_then(|item| item.boolean(problems)).unwrap_or(false);
    let any_order = fields.get("anyOrder").and_then(|item| item.boolean(problems)).unwrap_or(false);
    let patterns = fields.required("matches").map(|item| (item.list(problems), item));
    fields.finish(problems);
    let (patterns, list) = patterns?;
    if patterns.is_empty() {
        list.problem(problems, "there is no line to look for");
    }
    let mut known = BTreeSet::from(["id".to_owned()]);
    let mut matches = Vec::new();
    for item in &patterns {
        let Some(pattern) = pattern(item, problems) else { continue };
        for name in unknown(&pattern, &known) {
            let why = if any_order { ": with `anyOrder` no line is before another" } else { "" };
            item.problem(
                problems,
                format!("`$({name})` is neither `$(id)` nor a named group of a line before it{why}"),
            );
        }
        if !any_order {
            known.extend(pattern.groups().unwrap_or_default());
        }
        matches.push(pattern);
    }
    Some(LogClaim { selector: selector?, container, matches, every, any_order })
}

/// Names with a dot are of something else than the line.
fn unknown(pattern: &Pattern, known: &BTreeSet<String>) -> Vec<String> {
    let references = pattern.references().into_iter().filter(|name| !name.contains('.'));
    references.filter(|name| !known.contains(*name)).map(str::to_owned).collect()
}

pub fn pattern(item: &Item, problems: &mut Problems) -> Option<Pattern> {
    let pattern = Pattern(item.text(problems)?);
    match pattern.groups() {
        Ok(_) => Some(pattern),
        Err(why) => {
            item.problem(problems, why);
            None
        }
    }
}

/// `key=value`, several of them with commas: what labels are equal to.
pub fn selector(item: Option<Item>, problems: &mut Problems) -> Option<String> {
    let item = item?;
    let text = item.text(problems)?;
    let fine = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let name =
            key.rsplit_once('/').map_or(Some(key), |(prefix, name)| scalar::is_subdomain(prefix).then_some(name))?;
        (scalar::is_label_value(name) && (value.is_empty() || scalar::is_label_value(value))).then_some(())
    };
    if text.split(',').any(|part| fine(part).is_none()) {
        item.problem(problems, format!("`{text}` is no selector such as `app.kubernetes.io/name=web,tier=front`"));
        return None;
    }
    Some(text)
}
