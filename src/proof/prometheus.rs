//! Claims about what Prometheus measured, scrapes and understands.

use std::time::Duration;

use serde_json::Value;

use super::http::Requester;
use crate::{
    object::json::list,
    stack::claims::{AlertCheck, AlertState, DashboardsCheck, PromqlCheck, TargetsCheck},
};

type Seen<T> = std::result::Result<T, String>;

pub async fn query(requester: &Requester, check: &PromqlCheck) -> Seen<()> {
    let samples = samples(requester, &check.url, &check.query, check.timeout).await?;
    if samples.is_empty() {
        return Err("the query returned nothing".to_owned());
    }
    let fits = |value: f64| {
        !value.is_nan()
            && check.above.is_none_or(|bound| value > bound)
            && check.below.is_none_or(|bound| value < bound)
    };
    match samples.iter().find(|(_, value)| !fits(*value)) {
        None => Ok(()),
        Some((labels, value)) => Err(format!("{labels} is {value}")),
    }
}

pub async fn targets(requester: &Requester, check: &TargetsCheck) -> Seen<()> {
    let data = data(requester, &check.url, "targets?state=active", check.timeout).await?;
    let active: Vec<&Value> = list(&data, "/activeTargets").iter().collect();
    let text =
        |target: &Value, pointer: &str| target.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if active.is_empty() {
        return Err("there is no active target".to_owned());
    }
    let down = active.iter().filter(|target| text(target, "/health") != "up").map(|target| {
        let why = text(target, "/lastError");
        let why = if why.is_empty() { "not scraped yet".to_owned() } else { why };
        format!(
            "{} of job {} is {}: {why}",
            text(target, "/scrapeUrl"),
            text(target, "/labels/job"),
            text(target, "/health")
        )
    });
    let missing = check.jobs.iter().filter(|job| !active.iter().any(|target| text(target, "/labels/job") == **job));
    let wrong: Vec<String> = down.chain(missing.map(|job| format!("job {job} has no active target"))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Every expression is asked, so that all that are wrong are told at once.
pub async fn dashboards(requester: &Requester, check: &DashboardsCheck) -> Seen<()> {
    let mut wrong = Vec::new();
    for expression in &check.expressions {
        match samples(requester, &check.url, &expression.query, check.timeout).await {
            Ok(samples) if samples.is_empty() && check.data => wrong.push(format!("{}: no data", expression.place)),
            Ok(_) => {}
            Err(why) => wrong.push(format!("{}: {why}", expression.place)),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The rule must be there whatever state is wanted: one that nobody has written is never firing.
pub async fn alert(requester: &Requester, check: &AlertCheck) -> Seen<()> {
    let data = data(requester, &check.url, "rules?type=alert", check.timeout).await?;
    let rules: Vec<&Value> = list(&data, "/groups").iter().flat_map(|group| list(group, "/rules")).collect();
    let name_of = |rule: &Value| rule["name"].as_str().unwrap_or_default().to_owned();
    let own: Vec<&&Value> = rules.iter().filter(|rule| name_of(rule) == check.name).collect();
    if own.is_empty() {
        let names: Vec<String> = rules.iter().map(|rule| name_of(rule)).collect();
        let others =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        return Err(format!("Prometheus has no alerting rule {}; {others}", check.name));
    }
    if let Some(ill) = own.iter().find(|rule| rule["health"] != "ok") {
        let why = ill["lastError"].as_str().filter(|why| !why.is_empty()).unwrap_or("it was not evaluated yet");
        return Err(format!("the rule {} is no measure: {why}", check.name));
    }
    let is_meant = |alert: &&Value| check.labels.iter().all(|(key, value)| alert["labels"][key] == value.as_str());
    let alerts: Vec<&Value> = own.iter().flat_map(|rule| list(rule, "/alerts")).filter(is_meant).collect();
    let state_of = |alert: &&Value| match alert["state"].as_str() {
        Some("firing") => AlertState::Firing,
        _ => AlertState::Pending,
    };
    let state = alerts.iter().map(state_of).max().unwrap_or(AlertState::Inactive);
    if state == check.state {
        return Ok(());
    }
    let told = alerts.iter().find(|alert| state_of(alert) == state);
    let told = told.map(|alert| format!(" since {}, {}", alert["activeAt"].as_str().unwrap_or("?"), alert["labels"]));
    Err(format!("{} is {state}{}", check.name, told.unwrap_or_default()))
}

/// The samples of an instant query, each with its labels.
async fn samples(requester: &Requester, base: &str, query: &str, timeout: Duration) -> Seen<Vec<(String, f64)>> {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let data = data(requester, base, &format!("query?query={encoded}"), timeout).await?;
    let number = |pair: Option<&Value>| pair?.get(1)?.as_str()?.parse::<f64>().ok();
    if data.get("resultType").and_then(Value::as_str) == Some("scalar") {
        return Ok(number(data.get("result")).map(|value| ("the scalar".to_owned(), value)).into_iter().collect());
    }
    let sample = |sample: &Value| {
        let labels = sample.get("metric").map(Value::to_string).unwrap_or_default();
        // A matrix has several points to a series; the newest counts.
        let newest = sample.get("values").and_then(Value::as_array).and_then(|values| values.last());
        Some((labels, number(sample.get("value").or(newest))?))
    };
    Ok(list(&data, "/result").iter().filter_map(sample).collect())
}

/// `data` of an answer of Prometheus' API.
async fn data(requester: &Requester, base: &str, call: &str, timeout: Duration) -> Seen<Value> {
    let url = format!("{}/api/v1/{call}", base.trim_end_matches('/'));
    let answer = requester.get(&url, timeout).await?;
    let mut body: Value = serde_json::from_slice(&answer.body).map_err(|_| answer.to_string())?;
    match body.get("status").and_then(Value::as_str) {
        Some("success") => Ok(body["data"].take()),
        // A query that cannot be parsed, among others.
        _ => Err(body.get("error").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        proof::testing::{Reply, Server},
        stack::claims::Expression,
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// A Prometheus that answers each query by its text.
    async fn prometheus() -> (Server, Requester, String) {
        let server = Server::start(|request, _| {
            let query = request.path.split_once('=').map_or("", |(_, query)| query);
            let vector = |values: &[&str]| {
                let series = values.iter().map(|value| json!({"metric": {"pod": "a"}, "value": [1.5, value]}));
                json!({"status": "success", "data": {"resultType": "vector", "result": series.collect::<Vec<_>>()}})
            };
            let answer = match (request.path.split('?').next().unwrap(), query) {
                ("/prometheus/api/v1/targets", _) => {
                    let target = |job: &str, health: &str, error: &str| {
                        json!({"labels": {"job": job}, "scrapeUrl": "http://a", "health": health, "lastError": error})
                    };
                    let targets = [target("pods", "up", ""), target("pods", "down", "refused")];
                    json!({"status": "success", "data": {"activeTargets": targets}})
                }
                (_, "two") => vector(&["1", "2"]),
                (_, "none") => vector(&[]),
                (_, "nan") => vector(&["NaN"]),
                (_, "sum%28up%29") => vector(&["3"]),
                (_, "scalar") => json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}),
                _ => return Reply::Answer(400, json!({"status": "error", "error": "parse error: x"}).to_string()),
            };
            Reply::Answer(200, answer.to_string())
        })
        .await;
        let url = format!("http://{}/prometheus/", server.address);
        (server, Requester::new(None, None).unwrap(), url)
    }

    #[tokio::test]
    async fn every_sample_is_judged_and_there_must_be_one() {
        let (_server, requester, url) = prometheus().await;
        let ask = async |text: &str, above: Option<f64>, below: Option<f64>| {
            let check = PromqlCheck { url: url.clone(), query: text.into(), above, below, timeout: SECOND };
            query(&requester, &check).await
        };
        assert_eq!(ask("two", Some(0.0), Some(3.0)).await, Ok(()));
        assert_eq!(ask("sum(up)", Some(2.0), None).await, Ok(()));
        assert_eq!(ask("scalar", Some(6.0), None).await, Ok(()));
        assert_eq!(ask("two", Some(1.0), None).await.unwrap_err(), r#"{"pod":"a"} is 1"#);
        assert_eq!(ask("two", None, Some(2.0)).await.unwrap_err(), r#"{"pod":"a"} is 2"#);
        assert_eq!(ask("nan", None, None).await.unwrap_err(), r#"{"pod":"a"} is NaN"#);
        assert_eq!(ask("none", None, None).await.unwrap_err(), "the query returned nothing");
        assert_eq!(ask("sum(", None, None).await.unwrap_err(), "parse error: x");
    }

    #[tokio::test]
    async fn targets_that_are_down_or_missing_are_told() {
        let (_server, requester, url) = prometheus().await;
        let check = TargetsCheck { url, jobs: vec!["pods".into(), "redis".into()], timeout: SECOND };
        assert_eq!(
            targets(&requester, &check).await.unwrap_err(),
            "http://a of job pods is down: refused; job redis has no active target"
        );
    }

    #[tokio::test]
    async fn an_alert_is_as_active_as_its_most_active_instance() {
        let server = Server::start(|_, _| {
            let alert = |state: &str, pod: &str| json!({"state": state, "labels": {"pod": pod}, "activeAt": "noon"});
            let rules = json!([
                {"name": "Down", "health": "ok", "alerts": [alert("pending", "a"), alert("firing", "b")]},
                {"name": "Quiet", "health": "ok", "alerts": []},
                {"name": "Broken", "health": "err", "lastError": "many-to-many", "alerts": []},
                {"name": "New", "health": "unknown", "alerts": []},
            ]);
            let answer = json!({"status": "success", "data": {"groups": [{"rules": rules}]}});
            Reply::Answer(200, answer.to_string())
        })
        .await;
        let requester = Requester::new(None, None).unwrap();
        let ask = async |name: &str, state: AlertState, pod: Option<&str>| {
            let labels = pod.map(|pod| ("pod".to_owned(), pod.to_owned())).into_iter().collect();
            let url = format!("http://{}", server.address);
            alert(&requester, &AlertCheck { url, name: name.into(), state, labels, timeout: SECOND }).await
        };
        assert_eq!(ask("Down", AlertState::Firing, None).await, Ok(()));
        assert_eq!(ask("Down", AlertState::Pending, Some("a")).await, Ok(()));
        assert_eq!(ask("Down", AlertState::Inactive, Some("c")).await, Ok(()));
        assert_eq!(ask("Quiet", AlertState::Inactive, None).await, Ok(()));
        assert_eq!(ask("Quiet", AlertState::Firing, None).await.unwrap_err(), "Quiet is inactive");
        let down = ask("Down", AlertState::Inactive, None).await.unwrap_err();
        assert_eq!(down, r#"Down is firing since noon, {"pod":"b"}"#);
        let broken = ask("Broken", AlertState::Inactive, None).await.unwrap_err();
        assert_eq!(broken, "the rule Broken is no measure: many-to-many");
        let new = ask("New", AlertState::Inactive, None).await.unwrap_err();
        assert_eq!(new, "the rule New is no measure: it was not evaluated yet");
        let none = ask("Dwon", AlertState::Inactive, None).await.unwrap_err();
        assert_eq!(none, "Prometheus has no alerting rule Dwon; there are Down, Quiet, Broken, New");
    }

    #[tokio::test]
    async fn each_expression_must_be_understood_and_may_have_to_return_data() {
        let (_server, requester, url) = prometheus().await;
        let expression = |query: &str| Expression { place: format!("d.json: {query}"), query: query.into() };
        let expressions = ["two", "none", "broken("].map(expression).to_vec();
        let mut check = DashboardsCheck { url, config_map: "d".into(), data: false, expressions, timeout: SECOND };
        assert_eq!(dashboards(&requester, &check).await.unwrap_err(), "d.json: broken(: parse error: x");
        check.data = true;
        assert_eq!(
            dashboards(&requester, &check).await.unwrap_err(),
            "d.json: none: no data; d.json: broken(: parse error: x"
        );
    }
}
