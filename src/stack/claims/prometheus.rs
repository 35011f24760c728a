//! Claims about what Prometheus measures, scrapes, alerts of and understands.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::millis;

/// Every sample that the query yields is within the bounds, and there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromqlCheck {
    /// Base URL of Prometheus, such as `http://prometheus:9090/prometheus`.
    pub url: String,
    pub query: String,
    #[serde(default)]
    pub above: Option<f64>,
    #[serde(default)]
    pub below: Option<f64>,
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

/// Every active target of Prometheus is up, and each of the jobs has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsCheck {
    pub url: String,
    #[serde(default)]
    pub jobs: Vec<String>,
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

/// The state of an alerting rule of Prometheus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertCheck {
    pub url: String,
    pub name: String,
    pub state: AlertState,
    /// Only alerts with these labels count.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

/// In the order in which an alert goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Inactive,
    Pending,
    Firing,
}

/// Every expression of the dashboards in a ConfigMap is one that Prometheus understands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DashboardsCheck {
    pub url: String,
    pub config_map: String,
    /// Each must return data as well.
    #[serde(default)]
    pub data: bool,
    /// Filled in when the ConfigMap is known.
    #[serde(default)]
    pub expressions: Vec<Expression>,
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

/// One PromQL expression of a panel, its variables replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// `FILE: PANEL`
    pub place: String,
    pub query: String,
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        })
    }
}
