//! Reads what is claimed about a number that requests raise, and about the replicas that answer them.

use super::{http_check, logs::pattern};
use crate::stack::{
    claims::{CountCheck, NumberClaim, Pattern, ReplicasCheck},
    problems::Problems,
    reader::{Fields, Item},
};

pub fn count(item: &Item, problems: &mut Problems) -> Option<CountCheck> {
    let mut fields = item.fields(problems)?;
    let claim = number(&mut fields, problems);
    let requests = fields.required("requests").and_then(|item| item.integer_within(1..=100_000, problems));
    let concurrency = fields.get("concurrency").map_or(Some(10), |item| item.integer_within(1..=1_000, problems));
    fields.finish(problems);
    let (requests, concurrency) = (u32::try_from(requests?).ok()?, u32::try_from(concurrency?).ok()?);
    Some(CountCheck { claim: claim?, requests, concurrency })
}

/// `request` and `number`.
pub fn number(fields: &mut Fields, problems: &mut Problems) -> Option<NumberClaim> {
    let request = fields.required("request").and_then(|item| http_check(&item, problems));
    let number = fields.required("number").and_then(|item| one_group(&item, problems));
    Some(NumberClaim { request: request?, number: number? })
}

pub fn replicas(item: &Item, problems: &mut Problems) -> Option<ReplicasCheck> {
    let mut fields = item.fields(problems)?;
    let request = fields.required("request");
    let minimum = fields.get("minimum").map_or(Some(1), |item| item.integer_within(1..=1_000, problems));
    let distinct = fields.get("distinct").map(|item| one_group(&item, problems));
    fields.finish(problems);
    let request = http_check(request.as_ref()?, problems)?;
    if !request.url.starts_with("http:") {
        item.problem(problems, "each pod is asked by its address, for which it has no certificate: http:// only");
    }
    let (minimum, distinct) = (u32::try_from(minimum?).ok()?, distinct.map_or(Some(None), |read| read.map(Some))?);
    Some(ReplicasCheck { request, minimum, distinct, replicas: Vec::new() })
}

fn one_group(item: &Item, problems: &mut Problems) -> Option<Pattern> {
    let pattern = pattern(item, problems)?;
    let groups = pattern.filled(|_| Some("x")).map(|regex| regex.captures_len() - 1).unwrap_or_default();
    if groups != 1 {
        item.problem(
            problems,
            format!("`{}` has {groups} groups; one is expected, as in `hit (\\d+) times`", pattern.0),
        );
        return None;
    }
    Some(pattern)
}
