//! Fields that something in the cluster rules: what the files say of them is where it starts, or nothing at all.

use serde_json::Value;

use crate::object::Key;

/// The workload that an autoscaler scales. They are of many kinds and all name their target alike.
pub fn scaled_by(autoscaler: &Value) -> Option<Key> {
    let target = autoscaler.pointer("/spec/scaleTargetRef")?;
    let text = |field| target.get(field).and_then(Value::as_str);
    let kind = text("kind").unwrap_or("Deployment");
    let group = match text("apiVersion") {
        Some(version) => version.split_once('/').map_or("", |(group, _)| group),
        None => "",
    };
    // Kinds of `apps` once were elsewhere, and may be named without a group.
    let is_of_apps = matches!(kind, "Deployment" | "ReplicaSet" | "StatefulSet") && matches!(group, "" | "extensions");
    Some(Key {
        group: if is_of_apps { "apps" } else { group }.to_owned(),
        kind: kind.to_owned(),
        namespace: autoscaler.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
        name: text("name")?.to_owned(),
    })
}

/// Takes out `spec.replicas`.
pub fn take_replicas(object: &mut Value) -> Option<i64> {
    object.get_mut("spec")?.as_object_mut()?.remove("replicas")?.as_i64()
}

/// A role that is made of others gets its rules from a controller, whatever its file says.
pub fn leave_aggregated_rules(object: &mut Value) {
    let is_role = object["kind"] == "ClusterRole"
        && object["apiVersion"].as_str().is_some_and(|version| version.starts_with("rbac.authorization.k8s.io/"));
    if is_role
        && object.get("aggregationRule").is_some_and(|rule| !rule.is_null())
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("rules");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_autoscaler_names_its_target_alike() {
        let target = |target: Value| {
            let object = json!({"metadata": {"name": "x", "namespace": "n"}, "spec": {"scaleTargetRef": target}});
            scaled_by(&object).map(|key| (key.group.clone(), key.to_string()))
        };
        let web = Some(("apps".to_owned(), "Deployment/web".to_owned()));
        assert_eq!(target(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})), web);
        assert_eq!(target(json!({"name": "web"})), web, "as KEDA has it");
        assert_eq!(target(json!({"kind": "Deployment", "name": "web"})), web);
        assert_eq!(
            target(json!({"apiVersion": "x.io/v1", "kind": "Fox", "name": "f"})),
            Some(("x.io".to_owned(), "Fox/f".to_owned()))
        );
        assert_eq!(scaled_by(&json!({"spec": {}})), None);
    }

    #[test]
    fn only_an_aggregated_role_is_without_rules() {
        let rules = |mut role: Value| {
            leave_aggregated_rules(&mut role);
            role.get("rules").cloned()
        };
        let api = "rbac.authorization.k8s.io/v1";
        let aggregation = json!({"clusterRoleSelectors": []});
        assert_eq!(
            rules(json!({"apiVersion": api, "kind": "ClusterRole", "aggregationRule": aggregation, "rules": []})),
            None
        );
        assert_eq!(rules(json!({"apiVersion": api, "kind": "ClusterRole", "rules": [1]})), Some(json!([1])));
    }
}
