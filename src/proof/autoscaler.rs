//! Whether a HorizontalPodAutoscaler sees a metric.

use std::time::Duration;

use ::kube::{Api, Client};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricStatus, MetricValueStatus};
use tokio::time::Instant;

use super::result::ProofResult;
use crate::{
    event::Progress,
    stack::model::{AutoscalerCheck, Proof},
};

const INTERVAL: Duration = Duration::from_secs(1);
/// Per request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks until the autoscaler reports a value, `proof.eventually` has passed or `limit` is reached.
pub async fn prove(
    client: &Client,
    proof: &Proof,
    check: &AutoscalerCheck,
    limit: Instant,
    progress: &Progress,
) -> ProofResult {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &check.namespace);
    let start = Instant::now();
    let until = (start + proof.eventually.unwrap_or_default()).min(limit);
    let mut attempts = 0;
    let seen = loop {
        attempts += 1;
        let seen = match tokio::time::timeout(TIMEOUT, api.get(&check.name)).await {
            Ok(Ok(autoscaler)) => current(&autoscaler, &check.metric).err(),
            Ok(Err(::kube::Error::Api(status))) => Some(format!("the API server said: {}", status.message)),
            Ok(Err(error)) => Some(format!("the API server was not reached: {error}")),
            Err(_) => Some(format!("the API server did not answer within {} s", TIMEOUT.as_secs())),
        };
        let Some(seen) = seen else { break None };
        if Instant::now() + INTERVAL > until {
            break Some(seen);
        }
        progress.say(format!("{}: {seen}", proof.name));
        tokio::time::sleep(INTERVAL).await;
    };
    ProofResult {
        name: proof.name.clone(),
        passed: seen.is_none(),
        took: start.elapsed(),
        attempts,
        expected: Some(format!("HorizontalPodAutoscaler/{} reports {}", check.name, check.metric)),
        seen,
        skipped: None,
        note: None,
    }
}

/// The current value of a resource metric, or why there is none.
fn current(autoscaler: &HorizontalPodAutoscaler, metric: &str) -> Result<String, String> {
    let status = autoscaler.status.as_ref();
    let metrics = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
    if let Some(value) = metrics.iter().filter_map(|status| resource(status, metric)).find_map(value) {
        return Ok(value);
    }
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let causes: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.status == "False" && condition.type_ != "ScalingLimited")
        .map(|condition| {
            let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
            format!("{reason}: {}", condition.message.as_deref().unwrap_or_default())
        })
        .collect();
    match causes.as_slice() {
        [] => Err(format!("no current value of {metric}")),
        causes => Err(format!("no current value of {metric} ({})", causes.join("; "))),
    }
}

fn resource<'a>(status: &'a MetricStatus, metric: &str) -> Option<&'a MetricValueStatus> {
    let pods = status.resource.as_ref().filter(|resource| resource.name == metric).map(|resource| &resource.current);
    let container = status.container_resource.as_ref().filter(|resource| resource.name == metric);
    pods.or(container.map(|resource| &resource.current))
}

fn value(value: &MetricValueStatus) -> Option<String> {
    let percent = value.average_utilization.map(|percent| format!("{percent} %"));
    percent.or_else(|| value.average_value.as_ref().map(|quantity| quantity.0.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(status: serde_json::Value) -> Result<String, String> {
        let object = json!({ "metadata": {"name": "hello-service"}, "status": status });
        current(&serde_json::from_value(object).unwrap(), "cpu")
    }

    #[test]
    fn a_value_counts_even_when_it_is_zero() {
        let metric = |current| json!({ "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": current}}] });
        assert_eq!(seen(metric(json!({"averageUtilization": 0, "averageValue": "0"}))).unwrap(), "0 %");
        assert_eq!(seen(metric(json!({"averageValue": "12m"}))).unwrap(), "12m");
        assert!(seen(metric(json!({}))).is_err());
    }

    #[test]
    fn without_a_value_the_condition_says_why() {
        assert_eq!(seen(json!(null)).unwrap_err(), "no current value of cpu");
        let other = json!({ "currentMetrics": [{"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "1"}}}] });
        assert!(seen(other).is_err());
        let status = json!({ "conditions": [
            {"type": "AbleToScale", "status": "True"},
            {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange", "message": "in range"},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"},
        ] });
        assert_eq!(seen(status).unwrap_err(), "no current value of cpu (FailedGetResourceMetric: no metrics)");
    }
}
