//! Pod specs inside objects: their images and what they refer to.

use std::collections::BTreeSet;

use serde_json::Value;

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Where the pod template of a built-in kind is; for a Pod, the Pod itself.
fn template_pointer(object: &Value) -> Option<&'static str> {
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => Some(""),
        ("v1", "PodTemplate") => Some("/template"),
        ("v1", "ReplicationController") => Some("/spec/template"),
        (version, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") if version.starts_with("apps/") => {
            Some("/spec/template")
        }
        (version, "Job") if version.starts_with("batch/") => Some("/spec/template"),
        (version, "CronJob") if version.starts_with("batch/") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

/// The pod template of a workload whose change rolls its pods; None for a Pod and a Job, which cannot change theirs.
pub fn rolling_template(object: &mut Value) -> Option<&mut Value> {
    if matches!(object.get("kind").and_then(Value::as_str), Some("Pod" | "Job" | "PodTemplate")) {
        return None;
    }
    let pointer = template_pointer(object)?;
    object.pointer_mut(pointer).filter(|template| template.is_object())
}

pub fn spec(object: &Value) -> Option<&Value> {
    object.pointer(template_pointer(object)?)?.get("spec")
}

/// The pod template of a workload; a Pod is its own.
pub fn template(object: &Value) -> Option<&Value> {
    object.pointer(template_pointer(object)?)
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    CONTAINERS.into_iter().filter_map(|list| spec.get(list)?.as_array()).flatten()
}

pub fn images(object: &Value) -> Vec<&str> {
    let images = spec(object).into_iter().flat_map(containers).filter_map(|container| container.get("image"));
    images.filter_map(Value::as_str).collect()
}

/// Gives each container another image where `other` knows one.
pub fn replace_images(object: &mut Value, other: impl Fn(&str) -> Option<String>) {
    let Some(pointer) = template_pointer(object) else { return };
    let Some(spec) = object.pointer_mut(pointer).and_then(|template| template.get_mut("spec")) else { return };
    for list in CONTAINERS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(image) = container.get_mut("image")
                && let Some(new) = image.as_str().and_then(&other)
            {
                *image = Value::String(new);
            }
        }
    }
}

/// Has the images that are `stored` on the nodes used as they are there, where the text would ask a registry for them.
pub fn use_stored_images(object: &mut Value, stored: impl Fn(&str) -> bool) {
    let Some(pointer) = template_pointer(object) else { return };
    let Some(spec) = object.pointer_mut(pointer).and_then(|template| template.get_mut("spec")) else { return };
    for list in CONTAINERS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let is_stored = container.get("image").and_then(Value::as_str).is_some_and(&stored);
            if let Some(policy) = container.get_mut("imagePullPolicy").filter(|policy| is_stored && *policy == "Always")
            {
                *policy = Value::String("IfNotPresent".to_owned());
            }
        }
    }
}

/// The ConfigMaps and Secrets, as (kind, name), that the containers of a pod see.
pub fn references(spec: &Value) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    let mut add = |kind, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str) {
            found.insert((kind, name.to_owned()));
        }
    };
    for volume in spec.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        add("ConfigMap", volume.pointer("/configMap/name"));
        add("Secret", volume.pointer("/secret/secretName"));
        for source in volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten() {
            add("ConfigMap", source.pointer("/configMap/name"));
            add("Secret", source.pointer("/secret/name"));
        }
    }
    for container in containers(spec) {
        for source in container.get("envFrom").and_then(Value::as_array).into_iter().flatten() {
            add("ConfigMap", source.pointer("/configMapRef/name"));
            add("Secret", source.pointer("/secretRef/name"));
        }
        for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
            add("ConfigMap", variable.pointer("/valueFrom/configMapKeyRef/name"));
            add("Secret", variable.pointer("/valueFrom/secretKeyRef/name"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_of_every_kind_with_pods() {
        let spec = json!({"initContainers": [{"image": "a"}], "containers": [{"image": "b"}, {"image": "c/d:1"}],
            "ephemeralContainers": [{"image": "b"}]});
        let template = json!({"spec": spec});
        let objects = [
            json!({"apiVersion": "v1", "kind": "Pod", "spec": spec}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"template": template}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}}),
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}),
        ];
        for mut object in objects {
            let mut seen = images(&object);
            seen.sort();
            assert_eq!(seen, ["a", "b", "b", "c/d:1"], "{object}");
            replace_images(&mut object, |name| (name == "b").then(|| "registry/b@sha256:1".into()));
            let mut seen = images(&object);
            seen.sort();
            assert_eq!(seen, ["a", "c/d:1", "registry/b@sha256:1", "registry/b@sha256:1"], "{object}");
        }
        assert!(
            images(&json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {"template": template}}))
                .is_empty()
        );
    }

    #[test]
    fn references_by_every_way() {
        let spec = json!({
            "volumes": [{"configMap": {"name": "a"}}, {"secret": {"secretName": "b"}}, {"emptyDir": {}},
                {"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "d"}}]}}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "e"}}, {"secretRef": {"name": "f"}}]}],
            "initContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "g", "key": "x"}}},
                {"valueFrom": {"secretKeyRef": {"name": "h", "key": "x"}}}, {"name": "plain", "value": "i"}]}],
        });
        let names: Vec<String> = references(&spec).into_iter().map(|(kind, name)| format!("{kind}/{name}")).collect();
        assert_eq!(
            names,
            [
                "ConfigMap/a",
                "ConfigMap/c",
                "ConfigMap/e",
                "ConfigMap/g",
                "Secret/b",
                "Secret/d",
                "Secret/f",
                "Secret/h"
            ]
        );
    }
}
