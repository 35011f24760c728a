//! Which pods a workload has.

use serde_json::Value;

use crate::object::json;

/// The label selector of a workload's pods.
pub fn pod_selector(object: &Value) -> Option<String> {
    if !matches!(
        json::kind(object),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job"
    ) {
        return None;
    }
    if json::kind(object) == "ReplicationController" {
        return json::selector(object.pointer("/spec/selector"));
    }
    let mut parts: Vec<String> = json::selector(object.pointer("/spec/selector/matchLabels")).into_iter().collect();
    for expression in json::list(object, "/spec/selector/matchExpressions") {
        let key = expression["key"].as_str()?;
        let values: Vec<_> = json::list(expression, "/values").iter().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Whether a pod is to stay: neither being deleted nor at its end.
pub fn stays(pod: &Value) -> bool {
    !json::is_being_deleted(pod) && !matches!(json::text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_of_workloads_are_label_selectors() {
        let object = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b", "c": "d"},
            "matchExpressions": [{"key": "e", "operator": "NotIn", "values": ["f", "g"]}, {"key": "h", "operator": "DoesNotExist"}]}}});
        assert_eq!(pod_selector(&object).unwrap(), "a=b,c=d,e notin (f,g),!h");
        assert_eq!(pod_selector(&json!({"kind": "Service", "spec": {"selector": {"a": "b"}}})), None);
    }
}
