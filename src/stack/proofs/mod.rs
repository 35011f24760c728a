//! Reads proofs and load profiles.

mod count;
mod during;
mod load;
mod logs;

use std::time::Duration;

use crate::stack::{
    claims::{
        Access, AlertCheck, AlertState, AutoscalerCheck, Check, DashboardsCheck, HttpCheck, PromqlCheck, RbacCheck,
        SpanClaim, TargetsCheck, Test, TraceCheck, Where,
    },
    declaration::{ProofDecl, text_map},
    field::FieldPath,
    model::Proof,
    problems::Problems,
    reader::{Fields, Item},
};

pub use load::load_profile;

/// Verbs that can be tried without changing anything.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

type Reader = fn(&Item, &mut Problems) -> Option<Check>;

/// The kinds of checks, by the key that declares one.
const KINDS: [(&str, Reader); 12] = [
    ("http", |item, problems| http_check(item, problems).map(Check::Http)),
    ("trace", |item, problems| trace_check(item, problems).map(Check::Trace)),
    ("promql", |item, problems| promql_check(item, problems).map(Check::Promql)),
    ("targets", |item, problems| targets_check(item, problems).map(Check::Targets)),
    ("dashboards", |item, problems| dashboards_check(item, problems).map(Check::Dashboards)),
    ("alert", |item, problems| alert_check(item, problems).map(Check::Alert)),
    ("rbac", |item, problems| rbac_check(item, problems).map(Check::Rbac)),
    ("count", |item, problems| count::count(item, problems).map(Check::Count)),
    ("replicas", |item, problems| count::replicas(item, problems).map(Check::Replicas)),
    ("autoscaler", |item, problems| autoscaler_check(item, problems).map(Check::Autoscaler)),
    ("logs", |item, problems| logs::logs(item, problems).map(Check::Logs)),
    ("during", |item, problems| during::during(item, problems).map(|check| Check::During(Box::new(check)))),
];

/// How long lines of a log may take to come, where it is not said.
const LINES: Duration = Duration::from_secs(30);

/// An autoscaler without `namespace:` has an empty one until the set's is known, and dashboards have no expressions.
pub fn proof(item: &Item, problems: &mut Problems) -> Option<ProofDecl> {
    let mut fields = item.fields(problems)?;
    let name = fields.required("name").and_then(|item| item.text(problems));
    let check = check(&mut fields, &KINDS, problems);
    let eventually = eventually(&mut fields, check.as_ref(), problems);
    let needs = fields.get("needs").map(|item| item.texts(problems)).unwrap_or_default();
    let set = fields.get("set").map(|item| item.texts(problems)).unwrap_or_default();
    let unset = fields.get("unset").map(|item| item.texts(problems)).unwrap_or_default();
    fields.finish(problems);
    let proof = Proof { name: name?, check: check?, eventually, origin: item.origin() };
    Some(ProofDecl { proof, needs, set, unset })
}

/// What is checked, of the one kind that is given.
fn check(fields: &mut Fields, kinds: &[(&'static str, Reader)], problems: &mut Problems) -> Option<Check> {
    let given: Vec<(Item, Reader)> =
        kinds.iter().filter_map(|(key, read)| fields.get(key).map(|item| (item, *read))).collect();
    let check = given.first().and_then(|(item, read)| read(item, problems));
    if given.len() != 1 {
        let kinds: Vec<String> = kinds.iter().map(|(key, _)| format!("`{key}`")).collect();
        fields.item.problem(problems, format!("a proof has one of {}", kinds.join(", ")));
    }
    check
}

fn eventually(fields: &mut Fields, check: Option<&Check>, problems: &mut Problems) -> Option<Duration> {
    let item = fields.get("eventually");
    if let (Some(item), Some(Check::During(_))) = (&item, check) {
        item.problem(problems, "a disruption is not repeated; each of its parts may have an `eventually`");
    }
    let given = item.and_then(|item| item.duration(problems));
    given.or(matches!(check, Some(Check::Logs(_))).then_some(LINES))
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

fn alert_check(item: &Item, problems: &mut Problems) -> Option<AlertCheck> {
    let mut fields = item.fields(problems)?;
    let url = url(fields.required("url"), problems);
    let name = fields.required("name").and_then(|item| item.text(problems));
    let state = fields.required("state").and_then(|item| item.one_of(&["firing", "pending", "inactive"], problems));
    let labels = text_map(fields.get("labels"), problems);
    let timeout = timeout(&mut fields, problems);
    fields.finish(problems);
    let state = match state? {
        "firing" => AlertState::Firing,
        "pending" => AlertState::Pending,
        _ => AlertState::Inactive,
    };
    Some(AlertCheck { url: url?, name: name?, state, labels, timeout })
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
