//! What proofs claim about a running stack. Claims that are checked from inside the cluster travel there as they are.

mod count;
mod during;
mod logs;
mod prometheus;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::{
    count::{CountCheck, NumberClaim, Replica, ReplicasCheck},
    during::{Disruption, DuringCheck, Keeps, LoadClaim, Part, WorkloadName},
    logs::{LogClaim, LogsCheck, Pattern, Since},
    prometheus::{AlertCheck, AlertState, DashboardsCheck, Expression, PromqlCheck, TargetsCheck},
};
use crate::stack::field::FieldPath;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    Http(HttpCheck),
    Trace(TraceCheck),
    Promql(PromqlCheck),
    Targets(TargetsCheck),
    Dashboards(DashboardsCheck),
    Alert(AlertCheck),
    Rbac(RbacCheck),
    Count(CountCheck),
    Replicas(ReplicasCheck),
    /// No proof of its own: what a `during` reads before and after.
    Number(NumberClaim),
    /// Checked from here, as all that follow.
    Autoscaler(AutoscalerCheck),
    Logs(LogsCheck),
    During(Box<DuringCheck>),
}

/// One HTTP request and what must come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpCheck {
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    /// Default 200.
    pub status: u16,
    /// The body, parsed, must equal this. `null` is an expectation, too; absence is none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The body must contain this text.
    #[serde(default)]
    pub contains: Option<String>,
    /// What must hold of fields of the body, parsed.
    #[serde(default, rename = "where")]
    pub wheres: Vec<Where>,
    /// HTTPS trusts the stack's own CA, and no other.
    #[serde(default)]
    pub ca: bool,
    /// Per attempt; default 10 s.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Where {
    pub path: FieldPath,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    Equals(Value),
    Above(f64),
    Below(f64),
    /// Of a text: a part of it; of a list: an item that has this text or contains it.
    Contains(String),
    Exists(bool),
}

/// A request whose trace must be found in Jaeger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceCheck {
    /// Sent with a `traceparent` of its own.
    pub request: HttpCheck,
    /// Base URL of Jaeger's query service, such as `http://jaeger:16686/jaeger`.
    pub jaeger: String,
    pub spans: Vec<SpanClaim>,
}

/// A span that the trace must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanClaim {
    #[serde(default)]
    pub service: Option<String>,
    pub operation: String,
    /// Compared as texts.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is an error.
    #[serde(default)]
    pub error: Option<bool>,
}

/// What a ServiceAccount may do in the stack's namespace, asked with its own token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RbacCheck {
    pub service_account: String,
    #[serde(default)]
    pub allowed: Vec<Access>,
    #[serde(default)]
    pub denied: Vec<Access>,
    /// Per request.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    pub verb: String,
    /// Plural, with its group unless that is the core one: `deployments.apps`.
    pub resource: String,
}

/// The named HorizontalPodAutoscaler reports a current value for a resource metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoscalerCheck {
    pub name: String,
    pub namespace: String,
    pub metric: String,
}

impl Check {
    /// The key under which a proof declares it.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::Http(_) => "http",
            Check::Trace(_) => "trace",
            Check::Promql(_) => "promql",
            Check::Targets(_) => "targets",
            Check::Dashboards(_) => "dashboards",
            Check::Alert(_) => "alert",
            Check::Rbac(_) => "rbac",
            Check::Count(_) => "count",
            Check::Replicas(_) => "replicas",
            Check::Autoscaler(_) => "autoscaler",
            Check::Logs(_) => "logs",
            Check::During(_) => "during",
            Check::Number(_) => "number",
        }
    }

    /// The longest that one attempt takes.
    pub fn timeout(&self) -> Duration {
        let many = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match self {
            Check::Http(check) => check.timeout,
            Check::Trace(check) => check.request.timeout * 2,
            Check::Promql(check) => check.timeout,
            Check::Targets(check) => check.timeout,
            // All of them together, as all of its requests are.
            Check::Dashboards(check) => check.timeout,
            Check::Alert(check) => check.timeout,
            Check::Rbac(check) => check.timeout * many(check.allowed.len() + check.denied.len()),
            // One before, one after, and the rounds between them.
            Check::Count(check) => {
                check.claim.request.timeout * (check.requests.div_ceil(check.concurrency.max(1)) + 2)
            }
            Check::Replicas(check) => check.request.timeout * many(check.replicas.len()),
            Check::Number(claim) => claim.request.timeout,
            Check::Autoscaler(_) | Check::Logs(_) | Check::During(_) => Duration::ZERO,
        }
    }

    /// An autoscaler of which it was not said where it is, is in this namespace.
    pub fn settle_namespace(&mut self, namespace: &str) {
        match self {
            Check::Autoscaler(check) if check.namespace.is_empty() => namespace.clone_into(&mut check.namespace),
            Check::During(check) => check.parts_mut().for_each(|part| part.check.settle_namespace(namespace)),
            _ => {}
        }
    }

    /// Whether it disturbs the stack.
    pub fn is_disruptive(&self) -> bool {
        matches!(self, Check::During(_))
    }

    /// With every text of it changed in this way, the keys of its maps apart. Err: it makes no check any more, because
    /// what has a form of its own cannot hold every text.
    pub fn with_texts(&self, mut change: impl FnMut(&str) -> String) -> serde_json::Result<Check> {
        fn changed(value: &mut Value, change: &mut impl FnMut(&str) -> String) {
            match value {
                Value::String(text) => *text = change(text),
                Value::Array(items) => items.iter_mut().for_each(|item| changed(item, change)),
                Value::Object(fields) => fields.values_mut().for_each(|field| changed(field, change)),
                _ => {}
            }
        }
        let mut value = serde_json::to_value(self)?;
        changed(&mut value, &mut change);
        serde_json::from_value(value)
    }

    /// The account whose token the check needs.
    pub fn service_account(&self) -> Option<&str> {
        match self {
            Check::Rbac(check) => Some(&check.service_account),
            _ => None,
        }
    }
}

impl Where {
    /// Err: what was seen instead.
    pub fn judge(&self, body: &Value) -> Result<(), String> {
        let found = self.path.find(body);
        let holds = match (&self.test, found) {
            (Test::Exists(wanted), found) => *wanted == found.is_some_and(|found| !found.is_null()),
            (_, None) => return Err(format!("there is no {}", self.path)),
            (Test::Equals(wanted), Some(found)) => same(wanted, found),
            (Test::Above(bound), Some(found)) => number(found).is_some_and(|number| number > *bound),
            (Test::Below(bound), Some(found)) => number(found).is_some_and(|number| number < *bound),
            (Test::Contains(part), Some(Value::Array(items))) => {
                items.iter().any(|item| item.as_str().is_some_and(|item| item.contains(part.as_str())))
            }
            (Test::Contains(part), Some(found)) => found.as_str().is_some_and(|found| found.contains(part.as_str())),
        };
        match holds {
            true => Ok(()),
            false => Err(format!("{} is {}", self.path, found.map_or_else(|| "absent".to_owned(), short))),
        }
    }
}

/// Prometheus and others write numbers as texts.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| !number.is_nan())
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == other,
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.test {
            Test::Equals(value) => write!(f, "{path} = {value}"),
            Test::Above(bound) => write!(f, "{path} > {bound}"),
            Test::Below(bound) => write!(f, "{path} < {bound}"),
            Test::Contains(part) => write!(f, "{path} contains {part:?}"),
            Test::Exists(true) => write!(f, "{path} exists"),
            Test::Exists(false) => write!(f, "no {path}"),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

impl fmt::Display for SpanClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(service) = &self.service {
            write!(f, " of {service}")?;
        }
        match self.error {
            Some(true) => write!(f, " that failed"),
            Some(false) => write!(f, " that did not fail"),
            None => Ok(()),
        }
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A duration as a number of milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
