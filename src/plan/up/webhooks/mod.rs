//! Webhooks that pods of the stack itself answer: in force only while there are such pods, or these could not be made.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::object::Key;
use crate::{
    object::json,
    stack::desired::{DesiredObject, DesiredSet},
};

/// What stands behind the webhooks of a configuration, as indices into the set's objects: Services and the workloads whose
/// pods these select. Nothing for an object of another kind.
pub fn backends(set: &DesiredSet, configuration: &Value) -> Vec<usize> {
    let called: Vec<Key> = webhooks(configuration).filter_map(service).collect();
    let selectors: Vec<(Option<&str>, &Value)> = set
        .objects
        .iter()
        .map(|object| &object.object)
        .filter(|object| called.contains(&object.key()))
        .filter_map(|object| Some((json::namespace(&object.value), object.value.pointer("/spec/selector")?)))
        .collect();
    let stands_behind = |object: &DesiredObject| {
        let value = &object.object.value;
        let selects = |(namespace, selector): &(Option<&str>, &Value)| {
            json::namespace(value) == *namespace && pod_labels(value).is_some_and(|labels| has_all(labels, selector))
        };
        called.contains(&object.object.key()) || selectors.iter().any(selects)
    };
    (0..set.objects.len()).filter(|&index| stands_behind(&set.objects[index])).collect()
}

pub fn is_configuration(key: &Key) -> bool {
    key.group == "admissionregistration.k8s.io"
        && matches!(key.kind.as_str(), "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration")
}

fn webhooks(configuration: &Value) -> impl Iterator<Item = &Value> {
    json::list(configuration, "/webhooks").iter().filter(|webhook| service(webhook).is_some())
}

/// The Service that a webhook calls, unless it calls a URL.
fn service(webhook: &Value) -> Option<Key> {
    let service = webhook.pointer("/clientConfig/service")?;
    Some(Key {
        group: String::new(),
        kind: "Service".to_owned(),
        namespace: Some(service["namespace"].as_str()?.to_owned()),
        name: service["name"].as_str()?.to_owned(),
    })
}

/// Of the pods that the object is or makes.
fn pod_labels(object: &Value) -> Option<&Value> {
    match json::kind(object) {
        "Pod" => object.pointer("/metadata/labels"),
        _ => object.pointer("/spec/template/metadata/labels"),
    }
}

/// An empty selector of a Service selects nothing.
fn has_all(labels: &Value, selector: &Value) -> bool {
    selector
        .as_object()
        .is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value)))
}

/// Whether webhooks of the configuration, as it is in the cluster, would have to admit the pods of this workload and refuse
/// them while nobody answers.
pub fn guards(configuration: &Value, workload: &Value) -> bool {
    let (Some(namespace), Some(labels)) = (json::namespace(workload), pod_labels(workload)) else { return false };
    let place = serde_json::json!({"kubernetes.io/metadata.name": namespace});
    webhooks(configuration).any(|webhook| {
        webhook["failurePolicy"] != "Ignore"
            && json::list(webhook, "/rules").iter().any(is_about_new_pods)
            && may_match(&webhook["namespaceSelector"], &place, false)
            && may_match(&webhook["objectSelector"], labels, true)
    })
}

fn is_about_new_pods(rule: &Value) -> bool {
    let has = |list: &str, wanted: &[&str]| {
        json::list(rule, list).iter().filter_map(Value::as_str).any(|entry| wanted.contains(&entry))
    };
    has("/apiGroups", &["", "*"]) && has("/resources", &["pods", "*", "*/*"]) && has("/operations", &["CREATE", "*"])
}

/// Whether a selector matches these labels. `all`: there are no labels but these; else only those of the same name count.
fn may_match(selector: &Value, labels: &Value, all: bool) -> bool {
    let value = |name: &str| labels.get(name).and_then(Value::as_str);
    let exact = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let by_labels = exact.into_iter().all(|(name, wanted)| match value(name) {
        Some(value) => Some(value) == wanted.as_str(),
        None => !all,
    });
    let mut expressions = json::list(selector, "/matchExpressions").iter();
    by_labels
        && expressions.all(|expression| {
            let value = expression["key"].as_str().and_then(value);
            if value.is_none() && !all {
                return true;
            }
            let listed = value.is_some_and(|value| json::list(expression, "/values").iter().any(|it| it == value));
            match expression["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => true,
            }
        })
}

/// Whether a change of the workload may leave none of its pods running for a while.
pub fn may_stop_all(wanted: &Value, live: Option<&Value>) -> bool {
    let rolls = |object: &Value| {
        json::kind(object) == "Deployment"
            && json::text(object, "/spec/strategy/type") != Some("Recreate")
            && object.pointer("/spec/strategy/rollingUpdate/maxUnavailable").is_none_or(|most| most == "25%")
    };
    !rolls(wanted) || live.is_some_and(|live| !rolls(live))
}

/// The configuration with webhooks that let pass what nobody answers for.
pub fn relaxed(configuration: &Value) -> Value {
    let mut relaxed = configuration.clone();
    let all = relaxed.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten();
    for webhook in all.filter(|webhook| service(webhook).is_some()) {
        webhook["failurePolicy"] = "Ignore".into();
    }
    relaxed
}
