//! The PromQL expressions of Grafana dashboards.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::claims::Expression;

/// What Grafana puts in place of its own variables; wide enough for two scrapes at any usual interval.
const BUILT_IN: [(&str, &str); 5] = [
    ("__rate_interval", "1m"),
    ("__interval", "1m"),
    ("__interval_ms", "60000"),
    ("__range", "5m"),
    ("__range_s", "300"),
];

/// The expressions of every `*.json` of a ConfigMap, in the order of files and panels. Err: which file is no dashboard, and
/// why.
pub fn expressions(config_map: &Value) -> Result<Vec<Expression>, String> {
    let data = config_map.get("data").and_then(Value::as_object);
    let files: BTreeMap<&String, &Value> =
        data.into_iter().flatten().filter(|(key, _)| key.ends_with(".json")).collect();
    let mut found = Vec::new();
    for (file, text) in files {
        let dashboard: Value = serde_json::from_str(text.as_str().unwrap_or_default())
            .map_err(|error| format!("{file} is no JSON: {error}"))?;
        if !dashboard.get("title").is_some_and(Value::is_string) {
            return Err(format!("{file} is no dashboard: it has no title"));
        }
        let variables = variables(&dashboard);
        let before = found.len();
        panels(&dashboard, &mut |panel| {
            let title = panel.get("title").and_then(Value::as_str).unwrap_or("a panel without title");
            for target in list(panel, "targets") {
                if let Some(expression) = target.get("expr").and_then(Value::as_str) {
                    let query = replaced(expression, &variables);
                    found.push(Expression { place: format!("{file}: {title}"), query });
                }
            }
        });
        if found.len() == before {
            return Err(format!("no panel of {file} has an expression"));
        }
    }
    match found.is_empty() {
        true => Err("it holds no dashboard (*.json)".to_owned()),
        false => Ok(found),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Rows hold panels of their own.
fn panels(within: &Value, visit: &mut impl FnMut(&Value)) {
    for panel in list(within, "panels") {
        visit(panel);
        panels(panel, visit);
    }
}

/// A dashboard's variables at the values that it was saved with; where that is "all", what matches all.
fn variables(dashboard: &Value) -> BTreeMap<String, String> {
    let own = dashboard.get("templating").into_iter().flat_map(|templating| list(templating, "list"));
    let own = own.filter_map(|variable| {
        let saved = variable.pointer("/current/value");
        let saved = saved.and_then(|value| value.as_array().map_or(Some(value), |values| values.first()));
        let value = match saved.and_then(Value::as_str) {
            None | Some("" | "$__all") => variable.get("allValue").and_then(Value::as_str).unwrap_or(".*"),
            Some(value) => value,
        };
        Some((variable.get("name")?.as_str()?.to_owned(), value.to_owned()))
    });
    let built_in = BUILT_IN.map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(built_in).collect()
}

/// `$name`, `${name}` and `${name:format}`; what names no variable stays.
fn replaced(expression: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = match braced {
            Some((inner, behind)) => (inner.split(':').next().unwrap_or_default(), behind),
            None => after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        match variables.get(name) {
            Some(value) => {
                out.push_str(value);
                rest = behind;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(dashboard: &Value) -> Value {
        json!({"data": {"hello.json": dashboard.to_string(), "notes.txt": "x"}})
    }

    #[test]
    fn expressions_of_panels_and_rows_with_their_variables() {
        let dashboard = json!({
            "title": "Hello",
            "templating": {"list": [
                {"name": "app", "current": {"value": "hello"}},
                {"name": "pod", "current": {"value": ["$__all"]}},
                {"name": "code", "current": {}, "allValue": "[0-9]+"},
            ]},
            "panels": [
                {"title": "Rate", "targets": [{"expr": "rate(a{app=\"$app\",pod=~\"${pod:regex}\"}[$__rate_interval])"}, {}]},
                {"type": "row", "panels": [{"title": "Errors", "targets": [{"expr": "b{code=~\"$code\"}$"}]}]},
            ],
        });
        let found = expressions(&map(&dashboard)).unwrap();
        let lines: Vec<String> = found.iter().map(|found| format!("{} {}", found.place, found.query)).collect();
        assert_eq!(
            lines,
            ["hello.json: Rate rate(a{app=\"hello\",pod=~\".*\"}[1m])", "hello.json: Errors b{code=~\"[0-9]+\"}$"]
        );
    }

    #[test]
    fn what_is_no_dashboard_is_named() {
        let error = |value: &Value| expressions(value).unwrap_err();
        assert!(error(&json!({"data": {"a.json": "{"}})).starts_with("a.json is no JSON: "));
        assert_eq!(error(&json!({"data": {"a.json": "{}"}})), "a.json is no dashboard: it has no title");
        assert_eq!(error(&map(&json!({"title": "t"}))), "no panel of hello.json has an expression");
        assert_eq!(error(&json!({})), "it holds no dashboard (*.json)");
    }
}
