//! A request with a trace id of its own, and what Jaeger tells of that trace.

use std::collections::BTreeMap;

use rand::Rng;
use serde_json::Value;

use super::http::Requester;
use crate::{
    object::json::list,
    stack::claims::{SpanClaim, TraceCheck},
};

type Seen<T> = std::result::Result<T, String>;

/// The id of the trace whose request was answered as it should, so that later attempts only look for it.
pub type Sent = Option<String>;

pub async fn attempt(requester: &Requester, check: &TraceCheck, sent: &mut Sent) -> Seen<()> {
    let id = match sent {
        Some(id) => id.clone(),
        None => {
            let id = random_hex(32);
            let mut request = check.request.clone();
            // W3C trace context: version, trace, parent span, sampled.
            request.headers.insert("traceparent".into(), format!("00-{id}-{}-01", random_hex(16)));
            requester.attempt(&request).await.map_err(|seen| format!("the request: {seen}"))?;
            sent.insert(id).clone()
        }
    };
    let url = format!("{}/api/traces/{id}", check.jaeger.trim_end_matches('/'));
    let answer = requester.get(&url, check.request.timeout).await.map_err(|seen| format!("Jaeger: {seen}"))?;
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| format!("Jaeger: {answer}"))?;
    let spans = spans(&body);
    if spans.is_empty() {
        return Err(format!("Jaeger has no trace {id} yet"));
    }
    let wrong: Vec<String> = check.spans.iter().filter_map(|claim| judge(claim, &spans).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("trace {id}: {}", wrong.join("; "))) }
}

pub fn random_hex(digits: usize) -> String {
    let mut random = rand::rng();
    // An id of zeros alone is invalid.
    let first = char::from(b"123456789abcdef"[random.random_range(0..15)]);
    let rest = (1..digits).map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)]));
    std::iter::once(first).chain(rest).collect()
}

struct Span {
    service: String,
    operation: String,
    tags: BTreeMap<String, String>,
}

impl Span {
    fn failed(&self) -> bool {
        let is = |key: &str, value: &str| self.tags.get(key).is_some_and(|tag| tag == value);
        is("error", "true") || is("otel.status_code", "ERROR")
    }
}

/// Of Jaeger's JSON: the resource's attributes are the process' tags.
fn spans(body: &Value) -> Vec<Span> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let tags = |of: &Value| -> Vec<(String, String)> {
        let tag = |tag: &Value| Some((tag.get("key")?.as_str()?.to_owned(), text(tag.get("value")?)));
        list(of, "/tags").iter().filter_map(tag).collect()
    };
    let mut found = Vec::new();
    for trace in list(body, "/data") {
        for span in list(trace, "/spans") {
            let process = span.get("processID").and_then(Value::as_str).and_then(|id| trace.get("processes")?.get(id));
            let named = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            found.push(Span {
                service: named(process.and_then(|process| process.get("serviceName"))),
                operation: named(span.get("operationName")),
                tags: process.map(tags).unwrap_or_default().into_iter().chain(tags(span)).collect(),
            });
        }
    }
    found
}

fn judge(claim: &SpanClaim, spans: &[Span]) -> Seen<()> {
    let of_service = |span: &&Span| claim.service.as_ref().is_none_or(|service| span.service == *service);
    let named: Vec<&Span> = spans.iter().filter(of_service).filter(|span| span.operation == claim.operation).collect();
    if named.is_empty() {
        let there: Vec<String> = spans.iter().map(|span| format!("{} of {}", span.operation, span.service)).collect();
        return Err(format!("no span {claim}; there are {}", there.join(", ")));
    }
    let mut why = Vec::new();
    for span in named {
        let differs = claim.attributes.iter().find(|(key, value)| span.tags.get(*key) != Some(value));
        match (differs, claim.error) {
            (Some((key, value)), _) => why.push(match span.tags.get(key) {
                Some(seen) => format!("{key} is {seen}, not {value}"),
                None => format!("it has no {key}"),
            }),
            (None, Some(error)) if error != span.failed() => {
                why.push(if error { "it did not fail" } else { "it failed" }.to_owned());
            }
            (None, _) => return Ok(()),
        }
    }
    Err(format!("span {claim}: {}", why.join(", or ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        proof::testing::{Reply, Server},
        stack::claims::HttpCheck,
    };

    /// A service at `/write` and a Jaeger that knows a trace from the second question on.
    async fn server() -> Server {
        Server::start(|request, before| {
            let tag = |key: &str, value: Value| json!({"key": key, "type": "string", "value": value});
            match request.path.as_str() {
                "/write" => Reply::Answer(500, r#"{"error":"Could not write to DynamoDB"}"#.into()),
                path if path.starts_with("/jaeger/api/traces/") && before < 2 => Reply::Answer(404, "{}".into()),
                _ => {
                    let spans = json!([
                        {"operationName": "POST /write", "processID": "p1", "tags": [tag("http.response.status_code", json!(500))]},
                        {"operationName": "DynamoDB.PutItem", "processID": "p1", "tags": [tag("error", json!(true)), tag("rpc.method", json!("PutItem"))]},
                    ]);
                    let process = json!({"serviceName": "hello-service", "tags": [tag("k8s.pod.name", json!("hello-1"))]});
                    Reply::Answer(200, json!({"data": [{"spans": spans, "processes": {"p1": process}}]}).to_string())
                }
            }
        })
        .await
    }

    fn check(server: &Server, spans: Vec<SpanClaim>) -> TraceCheck {
        let request = HttpCheck {
            method: "POST".into(),
            url: format!("http://{}/write", server.address),
            headers: BTreeMap::new(),
            body: None,
            status: 500,
            json: None,
            contains: None,
            wheres: Vec::new(),
            ca: false,
            timeout: Duration::from_secs(5),
        };
        TraceCheck { request, jaeger: format!("http://{}/jaeger", server.address), spans }
    }

    fn span(operation: &str, attributes: &[(&str, &str)], error: Option<bool>) -> SpanClaim {
        let attributes = attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        SpanClaim { service: Some("hello-service".into()), operation: operation.into(), attributes, error }
    }

    #[tokio::test]
    async fn one_request_is_sent_and_its_trace_looked_for_until_it_is_there() {
        let server = server().await;
        let requester = Requester::new(None, None).unwrap();
        let attributes = [("rpc.method", "PutItem"), ("k8s.pod.name", "hello-1")];
        let claims = vec![
            span("DynamoDB.PutItem", &attributes, Some(true)),
            span("POST /write", &[("http.response.status_code", "500")], None),
        ];
        let check = check(&server, claims);
        let mut sent = None;
        let first = attempt(&requester, &check, &mut sent).await.unwrap_err();
        assert!(first.ends_with(" yet"), "{first}");
        attempt(&requester, &check, &mut sent).await.unwrap();
        let id = sent.unwrap();
        let seen = server.requests();
        assert_eq!(seen.iter().filter(|request| request.path == "/write").count(), 1);
        let parent = seen[0].head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap().to_owned();
        let parts: Vec<&str> = parent.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[2].len(), parts[3]), ("00", id.as_str(), 16, "01"));
        assert_eq!(seen[2].path, format!("/jaeger/api/traces/{id}"));
    }

    #[tokio::test]
    async fn what_the_trace_lacks_is_told() {
        let server = server().await;
        let requester = Requester::new(None, None).unwrap();
        let claims = vec![
            span("DynamoDB.GetItem", &[], None),
            span("DynamoDB.PutItem", &[("rpc.method", "GetItem")], None),
            span("DynamoDB.PutItem", &[("db.system", "x")], None),
            span("POST /write", &[], Some(true)),
        ];
        let check = check(&server, claims);
        let mut sent = None;
        attempt(&requester, &check, &mut sent).await.unwrap_err();
        let seen = attempt(&requester, &check, &mut sent).await.unwrap_err();
        assert_eq!(
            seen.split_once(": ").unwrap().1,
            "no span DynamoDB.GetItem of hello-service; there are POST /write of hello-service, DynamoDB.PutItem of \
             hello-service; span DynamoDB.PutItem of hello-service: rpc.method is PutItem, not GetItem; span \
             DynamoDB.PutItem of hello-service: it has no db.system; span POST /write of hello-service that failed: it did \
             not fail"
        );
    }

    #[tokio::test]
    async fn a_wrong_answer_to_the_request_is_sent_again_with_another_id() {
        let server = server().await;
        let requester = Requester::new(None, None).unwrap();
        let mut check = check(&server, Vec::new());
        check.request.status = 200;
        let mut sent = None;
        let seen = attempt(&requester, &check, &mut sent).await.unwrap_err();
        assert!(seen.starts_with("the request: status 500"), "{seen}");
        assert_eq!(sent, None);
    }
}
