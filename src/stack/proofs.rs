//! Reads proofs and load profiles.

use std::time::Duration;

use crate::stack::{
    claims::{
        Access, AutoscalerCheck, Check, DashboardsCheck, HttpCheck, PromqlCheck, RbacCheck, SpanClaim, TargetsCheck,
        Test, TraceCheck, Where,
    },
    declaration::{ProofDecl, text_map},
    field::FieldPath,
    located::Content,
    model::{LoadProfile, Proof, ScaleUp, Verdict},
    problems::Problems,
    reader::{Fields, Item, Located},
};

/// Verbs that can be tried without changing anything.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

type Reader = fn(&Item, &mut Problems) -> Option<Check>;

/// The kinds of checks, by the key that declares one.
const KINDS: [(&str, Reader); 7] = [
    ("http", |item, problems| http_check(item, problems).map(Check::Http)),
    ("trace", |item, problems| trace_check(item, problems).map(Check::Trace)),
    ("promql", |item, problems| promql_check(item, problems).map(Check::Promql)),
    ("targets", |item, problems| targets_check(item, problems).map(Check::Targets)),
    ("dashboards", |item, problems| dashboards_check(item, problems).map(Check::Dashboards)),
    ("rbac", |item, problems| rbac_check(item, problems).map(Check::Rbac)),
    ("autoscaler", |item, problems| autoscaler_check(item, problems).map(Check::Autoscaler)),
];

/// An autoscaler without `namespace:` has an empty one until the set's is known, and dashboards have no expressions.
pub fn proof(item: &Item, problems: &mut Problems) -> Option<ProofDecl> {
    let mut fields = item.fields(problems)?;
    let name = fields.required("name").and_then(|item| item.text(problems));
    let given: Vec<(Item, Reader)> =
        KINDS.iter().filter_map(|(key, read)| fields.get(key).map(|item| (item, *read))).collect();
    let eventually = fields.get("eventually").and_then(|item| item.duration(problems));
    let needs = fields.get("needs").map(|item| item.texts(problems)).unwrap_or_default();
    let set = fields.get("set").map(|item| item.texts(problems)).unwrap_or_default();
    let unset = fields.get("unset").map(|item| item.texts(problems)).unwrap_or_default();
    let check = given.first().and_then(|(item, read)| read(item, problems));
    fields.finish(problems);
    if given.len() != 1 {
        let kinds: Vec<String> = KINDS.iter().map(|(key, _)| format!("`{key}`")).collect();
        item.problem(problems, format!("a proof has one of {}", kinds.join(", ")));
    }
    let proof = Proof { name: name?, check: check?, eventually, origin: item.origin() };
    Some(ProofDecl { proof, needs, set, unset })
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

fn timeout(fields: &mut Fields, problems: &mut Problems) -> Duration {
    fields.get("timeout").and_then(|item| item.duration(problems)).unwrap_or(Duration::from_secs(10))
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
    let wheres = fields.get("where").map(|item| item.list(problems)).unwrap_or_default();
    let wheres = wheres.iter().filter_map(|item| where_of(item, problems)).collect();
    let ca = fields.get("ca").and_then(|item| item.boolean(problems)).unwrap_or(false);
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    for name in headers.keys().filter(|name| http::HeaderName::try_from(name.as_str()).is_err()) {
        item.problem(problems, format!("`{name}` is no header name"));
    }
    if ca && url.as_ref().is_some_and(|url| !url.starts_with("https:")) {
        item.problem(problems, "`ca` is about https:// URLs");
    }
    let (method, status) = (method.to_owned(), u16::try_from(status).ok()?);
    Some(HttpCheck { method, url: url?, headers, body, status, json, contains, wheres, ca, timeout })
}

fn where_of(item: &Item, problems: &mut Problems) -> Option<Where> {
    let mut fields = item.fields(problems)?;
    let path = fields.required("path").and_then(|item| {
        let text = item.text(problems)?;
        text.parse::<FieldPath>().map_err(|message| item.problem(problems, message)).ok()
    });
    let mut tests: Vec<Option<Test>> = Vec::new();
    tests.extend(fields.get("equals").map(|item| Some(Test::Equals(item.node.to_value()))));
    tests.extend(fields.get("above").map(|item| item.number(problems).map(Test::Above)));
    tests.extend(fields.get("below").map(|item| item.number(problems).map(Test::Below)));
    tests.extend(fields.get("contains").map(|item| item.text(problems).map(Test::Contains)));
    tests.extend(fields.get("exists").map(|item| item.boolean(problems).map(Test::Exists)));
    fields.finish(problems);
    if tests.len() != 1 {
        item.problem(problems, "it has one of `equals`, `above`, `below`, `contains`, `exists`");
    }
    Some(Where { path: path?, test: tests.into_iter().next().flatten()? })
}

fn trace_check(item: &Item, problems: &mut Problems) -> Option<TraceCheck> {
    let mut fields = item.fields(problems)?;
    let request = fields.required("request").and_then(|item| http_check(&item, problems));
    let jaeger = url(fields.required("jaeger"), problems);
    let spans = fields.required("spans").map(|item| item.list(problems)).unwrap_or_default();
    let spans = spans.iter().filter_map(|item| span(item, problems)).collect();
    fields.finish(problems);
    Some(TraceCheck { request: request?, jaeger: jaeger?, spans })
}

fn span(item: &Item, problems: &mut Problems) -> Option<SpanClaim> {
    let mut fields = item.fields(problems)?;
    let service = fields.get("service").and_then(|item| item.text(problems));
    let operation = fields.required("operation").and_then(|item| item.text(problems));
    let attributes = text_map(fields.get("attributes"), problems);
    let error = fields.get("error").and_then(|item| item.boolean(problems));
    fields.finish(problems);
    Some(SpanClaim { service, operation: operation?, attributes, error })
}

fn promql_check(item: &Item, problems: &mut Problems) -> Option<PromqlCheck> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let query = fields.required("query").and_then(|item| item.text(problems));
    let above = fields.get("above").and_then(|item| item.number(problems));
    let below = fields.get("below").and_then(|item| item.number(problems));
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    Some(PromqlCheck { url: url?, query: query?, above, below, timeout })
}

fn targets_check(item: &Item, problems: &mut Problems) -> Option<TargetsCheck> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let jobs = fields.get("jobs").map(|item| item.texts(problems)).unwrap_or_default();
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    Some(TargetsCheck { url: url?, jobs: jobs.into_iter().map(|job| job.value).collect(), timeout })
}

fn dashboards_check(item: &Item, problems: &mut Problems) -> Option<DashboardsCheck> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let config_map = fields.required("configMap").and_then(|item| item.text(problems));
    let data = fields.get("data").and_then(|item| item.boolean(problems)).unwrap_or(false);
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    Some(DashboardsCheck { url: url?, config_map: config_map?, data, expressions: Vec::new(), timeout })
}

fn rbac_check(item: &Item, problems: &mut Problems) -> Option<RbacCheck> {
    let mut fields = item.fields(problems)?;
    let account = fields.required("serviceAccount").and_then(|item| item.text(problems));
    let mut list = |key| {
        let items = fields.get(key).map(|item| item.list(problems)).unwrap_or_default();
        items.iter().filter_map(|item| access(item, problems)).collect::<Vec<_>>()
    };
    let (allowed, denied) = (list("allowed"), list("denied"));
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    if allowed.is_empty() && denied.is_empty() {
        item.problem(problems, "there is nothing `allowed` or `denied` to check");
    }
    Some(RbacCheck { service_account: account?, allowed, denied, timeout })
}

fn access(item: &Item, problems: &mut Problems) -> Option<Access> {
    let mut fields = item.fields(problems)?;
    let verb = fields.required("verb").and_then(|item| item.one_of(&VERBS, problems));
    let resource = fields.required("resource").and_then(|item| item.text(problems));
    fields.finish(problems);
    Some(Access { verb: verb?.to_owned(), resource: resource? })
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
