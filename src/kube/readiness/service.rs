//! What pods stand behind, and what only has to be taken in by the cluster.

use serde_json::Value;

use super::{Failure, Readiness, Surroundings, waiting};
use crate::kube::json;

/// Ready addresses behind a Service.
fn endpoints(around: &Surroundings, namespace: Option<&str>, service: &str) -> usize {
    let slices = around.endpoint_slices.iter().filter(|slice| {
        json::namespace(slice) == namespace && json::label(slice, "kubernetes.io/service-name") == Some(service)
    });
    let ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
    slices.map(|slice| json::list(slice, "/endpoints").iter().filter(ready).count()).sum()
}

pub fn service(object: &Value, around: &Surroundings) -> Readiness {
    let type_ = json::text(object, "/spec/type").unwrap_or("ClusterIP");
    if type_ == "ExternalName" {
        return Readiness::Ready;
    }
    let selects =
        object.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|selector| !selector.is_empty());
    if selects && endpoints(around, json::namespace(object), json::name(object)) == 0 {
        return waiting("no ready pod stands behind it");
    }
    if type_ == "LoadBalancer" && json::list(object, "/status/loadBalancer/ingress").is_empty() {
        return waiting("it has no address yet");
    }
    Readiness::Ready
}

pub fn claim(object: &Value, around: &Surroundings) -> Readiness {
    match json::text(object, "/status/phase") {
        Some("Bound") => Readiness::Ready,
        Some("Lost") => Failure::new("its volume is lost").into(),
        // Bound once a pod uses it: that pod is waited for.
        _ if around.events.iter().any(|event| event["reason"] == "WaitForFirstConsumer") => Readiness::Ready,
        _ => match around.events.iter().rfind(|event| event["type"] == "Warning") {
            Some(event) => waiting(format!("it is not bound: {}", json::reason(event))),
            None => waiting("it is not bound yet"),
        },
    }
}

pub fn namespace(object: &Value) -> Readiness {
    match json::text(object, "/status/phase") {
        Some("Active") => Readiness::Ready,
        _ => waiting("it is not active yet"),
    }
}

pub fn definition(object: &Value) -> Readiness {
    if let Some(condition) = json::condition(object, "NamesAccepted").filter(|condition| condition["status"] == "False")
    {
        return Failure::new(format!("its names are taken: {}", json::reason(condition))).into();
    }
    match json::condition_status(object, "Established") {
        Some(true) => Readiness::Ready,
        _ => waiting("it is not served yet"),
    }
}

pub fn api_service(object: &Value) -> Readiness {
    if object.pointer("/spec/service").is_none_or(Value::is_null)
        || json::condition_status(object, "Available") == Some(true)
    {
        return Readiness::Ready;
    }
    match json::condition(object, "Available") {
        Some(condition) => waiting(json::reason(condition)),
        None => waiting("its server has not been asked yet"),
    }
}

/// The Services, as namespace and name, that the webhooks call.
pub fn webhook_services(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    json::list(object, "/webhooks").iter().filter_map(|webhook| {
        let service = webhook.pointer("/clientConfig/service")?;
        Some((service["namespace"].as_str()?, service["name"].as_str()?))
    })
}

pub fn webhooks(object: &Value, around: &Surroundings) -> Readiness {
    match webhook_services(object).find(|(namespace, name)| endpoints(around, Some(namespace), name) == 0) {
        Some((namespace, name)) => waiting(format!("its service {namespace}/{name} has no ready pod")),
        None => Readiness::Ready,
    }
}
