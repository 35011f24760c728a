//! Reads what is claimed about a disturbance.

use std::time::Duration;

use super::{KINDS, Reader, check, count, eventually, logs::selector, url};
use crate::stack::{
    claims::{Disruption, DuringCheck, Keeps, LoadClaim, Part, WorkloadName},
    problems::Problems,
    reader::Item,
};

/// What has pods that can be replaced.
const ROLLING: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
/// What has a number of replicas.
const SCALED: [&str; 2] = ["Deployment", "StatefulSet"];

pub fn during(item: &Item, problems: &mut Problems) -> Option<DuringCheck> {
    let mut fields = item.fields(problems)?;
    let disruption = fields.required("disrupt").and_then(|item| disruption(&item, problems));
    let [before, meanwhile, after] = ["before", "meanwhile", "after"].map(|key| fields.get(key));
    let mut claims = meanwhile.is_some() || after.is_some();
    let mut parts = |item: Option<Item>| {
        let items = item.map(|item| item.list(problems)).unwrap_or_default();
        items.iter().filter_map(|item| part(item, problems)).collect::<Vec<_>>()
    };
    let (before, meanwhile, after) = (parts(before), parts(meanwhile), parts(after));
    let load = fields.get("load").map(|item| load(&item, problems));
    let keeps = fields.get("keeps").map(|item| keeps(&item, problems));
    fields.finish(problems);
    claims |= load.is_some() || keeps.is_some();
    if !claims {
        item.problem(problems, "nothing must hold: it has at least one of `meanwhile`, `after`, `load`, `keeps`");
    }
    let load = load.map_or(Some(None), |read| read.map(Some))?;
    let keeps = keeps.map_or(Some(None), |read| read.map(Some))?;
    Some(DuringCheck { disruption: disruption?, before, meanwhile, after, load, keeps })
}

fn disruption(item: &Item, problems: &mut Problems) -> Option<Disruption> {
    let mut fields = item.fields(problems)?;
    let mut given = Vec::new();
    given.extend(fields.get("deletePods").map(|item| delete_pods(&item, problems)));
    given.extend(fields.get("restart").map(|item| restart(&item, problems)));
    given.extend(fields.get("scale").map(|item| scale(&item, problems)));
    given.extend(fields.get("drain").map(|item| drain(&item, problems)));
    fields.finish(problems);
    if given.len() != 1 {
        item.problem(problems, "it has one of `deletePods`, `restart`, `scale`, `drain`");
    }
    given.into_iter().next().flatten()
}

fn delete_pods(item: &Item, problems: &mut Problems) -> Option<Disruption> {
    let mut fields = item.fields(problems)?;
    let selector = selector(fields.required("selector"), problems);
    let force = fields.get("force").and_then(|item| item.boolean(problems)).unwrap_or(false);
    fields.finish(problems);
    Some(Disruption::DeletePods { selector: selector?, force })
}

fn restart(item: &Item, problems: &mut Problems) -> Option<Disruption> {
    let objects = item.list(problems);
    if objects.is_empty() {
        item.problem(problems, "there is nothing to restart");
    }
    let names: Vec<Option<WorkloadName>> = objects.iter().map(|item| workload(item, &ROLLING, problems)).collect();
    names.into_iter().collect::<Option<Vec<_>>>().map(Disruption::Restart)
}

fn scale(item: &Item, problems: &mut Problems) -> Option<Disruption> {
    let mut fields = item.fields(problems)?;
    let object = fields.required("object").and_then(|item| workload(&item, &SCALED, problems));
    let to = fields.required("to").and_then(|item| item.integer_within(0..=1_000, problems));
    fields.finish(problems);
    Some(Disruption::Scale { object: object?, to: u32::try_from(to?).ok()? })
}

fn drain(item: &Item, problems: &mut Problems) -> Option<Disruption> {
    let mut fields = item.fields(problems)?;
    let node_of = selector(fields.required("nodeOf"), problems);
    fields.finish(problems);
    Some(Disruption::Drain { node_of: node_of? })
}

fn workload(item: &Item, kinds: &[&str], problems: &mut Problems) -> Option<WorkloadName> {
    let text = item.text(problems)?;
    match text.split_once('/') {
        Some((kind, name)) if kinds.contains(&kind) && !name.is_empty() => {
            Some(WorkloadName { kind: kind.to_owned(), name: name.to_owned() })
        }
        _ => {
            let known: Vec<String> = kinds.iter().map(|kind| format!("{kind}/NAME")).collect();
            item.problem(problems, format!("`{text}` is none of {}", known.join(", ")));
            None
        }
    }
}

/// A proof of any kind but this one, which may do without a name.
fn part(item: &Item, problems: &mut Problems) -> Option<Part> {
    let kinds: Vec<(&'static str, Reader)> = KINDS.into_iter().filter(|(key, _)| *key != "during").collect();
    let mut fields = item.fields(problems)?;
    let name = fields.get("name").map(|item| item.text(problems));
    let check = check(&mut fields, &kinds, problems);
    let eventually = eventually(&mut fields, check.as_ref(), problems).unwrap_or_default();
    fields.finish(problems);
    let check = check?;
    let name = name.unwrap_or_else(|| Some(check.kind().to_owned()))?;
    Some(Part { name, check, eventually })
}

fn load(item: &Item, problems: &mut Problems) -> Option<LoadClaim> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let rate = fields.required("rate").and_then(|item| item.positive(problems));
    let connections = fields.required("connections").and_then(|item| item.integer_within(1..=65_535, problems));
    let duration = fields.required("duration").and_then(|item| item.duration(problems));
    let max_errors = fields.get("maxErrors").map_or(Some(0), |item| item.integer_within(0..=i64::MAX, problems));
    let min_requests = fields.get("minRequests").map_or(Some(1), |item| item.integer_within(1..=i64::MAX, problems));
    let timeout = fields.get("timeout").map_or(Some(Duration::from_secs(10)), |item| item.duration(problems));
    fields.finish(problems);
    Some(LoadClaim {
        url: url?,
        rate: rate?,
        connections: u32::try_from(connections?).ok()?,
        duration: duration?,
        max_errors: max_errors?.unsigned_abs(),
        min_requests: min_requests?.unsigned_abs(),
        timeout: timeout?,
    })
}

fn keeps(item: &Item, problems: &mut Problems) -> Option<Keeps> {
    let mut fields = item.fields(problems)?;
    let claim = count::number(&mut fields, problems);
    let by = fields.get("by").map(|item| item.integer_within(0..=i64::MAX, problems));
    fields.finish(problems);
    let by = by.map_or(Some(None), |read| read.map(Some))?;
    Some(Keeps { claim: claim?, by: by.map(i64::unsigned_abs) })
}
