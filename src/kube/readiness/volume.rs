//! PersistentVolumeClaims: bound, bound once a pod uses them, or never.

use serde_json::Value;

use super::{Failure, Readiness, Surroundings, waiting};
use crate::object::json;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// The provisioner of classes whose volumes are made by hand.
const BY_HAND: &str = "kubernetes.io/no-provisioner";

pub fn claim(object: &Value, around: &Surroundings) -> Readiness {
    match json::text(object, "/status/phase") {
        Some("Bound") => return Readiness::Ready,
        Some("Lost") => return Failure::new("its volume is lost").into(),
        _ => {}
    }
    if waits_for_a_pod(object, around) {
        return Readiness::Ready;
    }
    if let Some(failure) = trouble(object, around) {
        return failure.into();
    }
    match around.events.iter().rfind(|event| event["type"] == "Warning" || event["reason"] == "ExternalProvisioning") {
        Some(event) => waiting(format!("it is not bound: {}", json::reason(event))),
        None => waiting("it is not bound yet"),
    }
}

fn class_name(claim: &Value) -> Option<&str> {
    json::text(claim, "/spec/storageClassName").filter(|name| !name.is_empty())
}

fn is_default(class: &&Value) -> bool {
    json::annotation(class, DEFAULT) == Some("true")
}

/// Bound once a pod uses it: that pod is waited for. The event that says so is gone after an hour, the class stays.
fn waits_for_a_pod(claim: &Value, around: &Surroundings) -> bool {
    let class = |class: &&Value| class_name(claim).is_some_and(|name| name == json::name(class));
    let by_class = around.storage_classes.iter().flatten().find(class);
    by_class.is_some_and(|class| json::text(class, "/volumeBindingMode") == Some("WaitForFirstConsumer"))
        || around.events.iter().any(|event| {
            event["reason"] == "WaitForFirstConsumer" && event["involvedObject"]["uid"] == json::uid(claim)
        })
}

/// Why the PersistentVolumeClaim will never be bound, if so.
pub(super) fn trouble(claim: &Value, around: &Surroundings) -> Option<Failure> {
    // Without the right to list classes the deadline decides.
    let classes = around.storage_classes.as_ref()?;
    let text = |pointer: &str| json::text(claim, pointer).unwrap_or_default();
    if text("/status/phase") != "Pending" || !text("/spec/volumeName").is_empty() {
        return None;
    }
    let (name, wanted) = (json::name(claim), json::text(claim, "/spec/storageClassName"));
    let of_class = |volume: &&Value| {
        json::text(volume, "/spec/storageClassName").unwrap_or_default() == wanted.unwrap_or_default()
            && matches!(json::text(volume, "/status/phase"), None | Some("Pending" | "Available"))
    };
    if around.volumes_may_come || around.volumes.iter().any(|volume| of_class(&volume)) {
        return None;
    }
    let there: Vec<String> = classes
        .iter()
        .map(|class| format!("{}{}", json::name(class), if is_default(&class) { " (default)" } else { "" }))
        .collect();
    let there = match there.as_slice() {
        [] => "the cluster has no StorageClass".to_owned(),
        _ => format!("the cluster has: {}", there.join(", ")),
    };
    let by_hand = "make a PersistentVolume for it, or name a StorageClass that provisions";
    match wanted {
        None if classes.iter().any(|class| is_default(&class)) => None,
        None => Some(
            Failure::new(format!(
                "PersistentVolumeClaim {name} names no StorageClass, and the cluster has no default one"
            ))
            .detail(there)
            .hint("set spec.storageClassName to one of the cluster's"),
        ),
        Some("") => Some(
            Failure::new(format!(
                "PersistentVolumeClaim {name} asks for a volume without a class, and there is none that is free"
            ))
            .hint(by_hand),
        ),
        Some(class) => match classes.iter().find(|known| json::name(known) == class) {
            None => Some(
                Failure::of(crate::error::cause::What::Missing(format!("StorageClass {class}")))
                    .detail(format!("PersistentVolumeClaim {name} asks for it; {there}"))
                    .hint("name one of the cluster's classes, or leave spec.storageClassName out to get the default"),
            ),
            Some(known) if json::text(known, "/provisioner") == Some(BY_HAND) => Some(
                Failure::new(format!(
                    "PersistentVolumeClaim {name}: StorageClass {class} provisions nothing by itself, and no volume of that class is free"
                ))
                .hint(by_hand),
            ),
            Some(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(class: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "uid": "c"},
            "spec": {"storageClassName": class}, "status": {"phase": "Pending"}})
    }

    fn class(name: &str, mode: &str, default: &str) -> Value {
        json!({"metadata": {"name": name, "annotations": {DEFAULT: default}}, "volumeBindingMode": mode, "provisioner": "p"})
    }

    fn told(claim: &Value, classes: Vec<Value>, volumes: Vec<Value>) -> String {
        let around = Surroundings { storage_classes: Some(classes), volumes, ..Surroundings::default() };
        match super::claim(claim, &around) {
            Readiness::Failed(failure) => format!("{} | {}", failure.why(), failure.details.join(" | ")),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_class_that_is_not_there_is_named_with_those_that_are() {
        let gone = told(&claim(json!("gp2")), vec![class("standard", "WaitForFirstConsumer", "true")], vec![]);
        assert!(
            gone.starts_with("StorageClass gp2 does not exist")
                && gone.ends_with("the cluster has: standard (default)"),
            "{gone}"
        );
        let volume = json!({"spec": {"storageClassName": "gp2"}, "status": {"phase": "Available"}});
        assert!(told(&claim(json!("gp2")), vec![], vec![volume]).starts_with("Waiting"), "a volume made by hand");
        assert!(told(&claim(Value::Null), vec![class("a", "Immediate", "false")], vec![]).contains("no default one"));
        assert!(told(&claim(Value::Null), vec![class("a", "Immediate", "true")], vec![]).starts_with("Waiting"));
        assert!(told(&claim(json!("")), vec![], vec![]).contains("without a class"));
        let mut by_hand = class("local", "Immediate", "false");
        by_hand["provisioner"] = json!(BY_HAND);
        assert!(told(&claim(json!("local")), vec![by_hand], vec![]).contains("provisions nothing by itself"));
    }

    #[test]
    fn a_claim_that_is_bound_by_its_first_pod_is_as_it_should_be() {
        let first = class("standard", "WaitForFirstConsumer", "true");
        assert_eq!(told(&claim(json!("standard")), vec![first], vec![]), "Ready", "also when the event is gone");
        let at_once = class("fast", "Immediate", "true");
        assert!(told(&claim(json!("fast")), vec![at_once], vec![]).starts_with("Waiting"));
    }
}
