//! Reads load profiles.

use super::url;
use crate::stack::{
    located::Content,
    model::{LoadProfile, ScaleUp, Verdict},
    problems::Problems,
    reader::{Item, Located},
};

pub fn load_profile(key: &Located<String>, item: &Item, problems: &mut Problems) -> Option<(String, LoadProfile)> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let rate = fields.required("rate").and_then(|item| item.positive(problems));
    let connections = fields.required("connections").and_then(|item| item.integer_within(1..=65_535, problems));
    let duration = fields.required("duration").and_then(|item| item.duration(problems));
    let verdict = fields.get("verdict").map(|item| verdict(&item, problems)).unwrap_or_default();
    fields.finish(problems);
    let connections = u32::try_from(connections?).ok()?;
    Some((key.value.clone(), LoadProfile { url: url?, rate: rate?, connections, duration: duration?, verdict }))
}

fn verdict(item: &Item, problems: &mut Problems) -> Verdict {
    let Some(mut fields) = item.fields(problems) else { return Verdict::default() };
    let verdict = Verdict {
        max_error_rate: fields.get("maxErrorRate").and_then(|item| item.percentage(problems)),
        max_p99: fields.get("maxP99").and_then(|item| item.duration(problems)),
        min_rate: fields.get("minRate").and_then(|item| item.positive(problems)),
        scale_up: fields.get("scaleUp").and_then(|item| scale_up(&item, problems)),
        scale_down: fields.get("scaleDown").and_then(|item| item.boolean(problems)).unwrap_or(false),
        no_restarts: fields.get("noRestarts").and_then(|item| item.boolean(problems)).unwrap_or(false),
    };
    fields.finish(problems);
    verdict
}

fn scale_up(item: &Item, problems: &mut Problems) -> Option<ScaleUp> {
    match &item.node.content {
        Content::Scalar { value, .. } if value.is_number() => {
            let replicas = item.integer_within(1..=100_000, problems)?;
            u32::try_from(replicas).ok().map(ScaleUp::To)
        }
        _ => item.boolean(problems)?.then_some(ScaleUp::Any),
    }
}
