//! Reads proofs and load profiles.

use std::time::Duration;

use crate::stack::{
    declaration::{ProofDecl, text_map},
    located::Content,
    model::{AutoscalerCheck, Check, HttpCheck, LoadProfile, Proof, ScaleUp, Verdict},
    problems::Problems,
    reader::{Item, Located},
};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// An autoscaler without `namespace:` has an empty one until the set's is known.
pub fn proof(item: &Item, problems: &mut Problems) -> Option<ProofDecl> {
    let mut fields = item.fields(problems)?;
    let name = fields.required("name").and_then(|item| item.text(problems));
    let http = fields.get("http");
    let autoscaler = fields.get("autoscaler");
    let eventually = fields.get("eventually").and_then(|item| item.duration(problems));
    let needs = fields.get("needs").map(|item| item.texts(problems)).unwrap_or_default();
    let both = http.is_some() && autoscaler.is_some();
    let neither = http.is_none() && autoscaler.is_none();
    let check = match (http, autoscaler) {
        (Some(http), _) => http_check(&http, problems).map(Check::Http),
        (None, Some(autoscaler)) => autoscaler_check(&autoscaler, problems).map(Check::Autoscaler),
        (None, None) => None,
    };
    fields.finish(problems);
    if both || neither {
        item.problem(problems, "a proof has either `http` or `autoscaler`");
    }
    let proof = Proof { name: name?, check: check?, eventually, origin: item.origin() };
    Some(ProofDecl { proof, needs })
}

fn url(item: Option<Item>, problems: &mut Problems) -> Option<String> {
    let item = item?;
    let text = item.text(problems)?;
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(text),
        _ => {
            item.problem(problems, format!("`{text}` is no http:// or https:// URL"));
            None
        }
    }
}

fn http_check(item: &Item, problems: &mut Problems) -> Option<HttpCheck> {
    let mut fields = item.fields(problems)?;
    let method = fields.get("method").map(|item| item.one_of(&METHODS, problems).unwrap_or("GET")).unwrap_or("GET");
    let url = url(fields.required("url"), problems);
    let headers = text_map(fields.get("headers"), problems);
    let body = fields.get("body").and_then(|item| item.text(problems));
    let status = fields.get("status").and_then(|item| item.integer_within(100..=599, problems)).unwrap_or(200);
    let json = fields.get("json").map(|item| item.node.to_value());
    let contains = fields.get("contains").and_then(|item| item.text(problems));
    let timeout = fields.get("timeout").and_then(|item| item.duration(problems)).unwrap_or(Duration::from_secs(10));
    fields.finish(problems);
    for name in headers.keys().filter(|name| http::HeaderName::try_from(name.as_str()).is_err()) {
        item.problem(problems, format!("`{name}` is no header name"));
    }
    let status = u16::try_from(status).ok()?;
    Some(HttpCheck { method: method.to_owned(), url: url?, headers, body, status, json, contains, timeout })
}

fn autoscaler_check(item: &Item, problems: &mut Problems) -> Option<AutoscalerCheck> {
    let mut fields = item.fields(problems)?;
    let name = fields.required("name").and_then(|item| item.text(problems));
    let namespace = fields.get("namespace").and_then(|item| item.name(problems)).unwrap_or_default();
    let metric = fields.required("metric").and_then(|item| item.text(problems));
    fields.finish(problems);
    Some(AutoscalerCheck { name: name?, namespace, metric: metric? })
}

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
