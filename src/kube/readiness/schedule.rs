//! Pods that get no node: which of them never will.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Failure, Surroundings, pod::events_of};
use crate::{object::json, quantity};

/// An autoscaler of nodes has spoken by then, if there is one.
const SPOKEN: u64 = 10;

/// Only what no node could ever hold is a failure: room may become free.
pub(super) fn unschedulable(pod: &Value, around: &Surroundings) -> Option<Failure> {
    let condition = json::condition(pod, "PodScheduled").filter(|condition| condition["reason"] == "Unschedulable")?;
    let scaling =
        events_of(pod, around).any(|event| matches!(event["reason"].as_str(), Some("TriggeredScaleUp" | "Nominated")));
    if around.nodes.is_empty() || around.nodes_may_grow || scaling {
        return None;
    }
    let message = condition["message"].as_str().unwrap_or_default();
    if (around.hurried || around.has_waited(SPOKEN))
        && let Some(why) = unfit(pod, &around.nodes)
    {
        return Some(
            Failure::new(format!("no node can hold pod {}: {why}", json::name(pod)))
                .detail(message)
                .hint("label a node, or change what the pod selects or tolerates"),
        );
    }
    for (resource, wanted) in requests(pod) {
        let of_node = |node: &Value| node.pointer("/status/allocatable")?.get(&resource)?.as_str().map(str::to_owned);
        let sizes = around.nodes.iter().filter_map(of_node);
        let largest = sizes.filter_map(|size| Some((quantity::thousandths(&size)?, size))).max();
        if largest.as_ref().is_none_or(|(most, _)| *most < wanted) {
            let asked = shown(pod, &resource, wanted);
            let most = largest.map_or("no node has any".to_owned(), |(_, size)| format!("the largest node has {size}"));
            return Some(
                Failure::new(format!(
                    "no node can hold pod {}: it asks for {asked} of {resource}, {most}",
                    json::name(pod)
                ))
                .detail(message)
                .hint(format!("lower resources.requests.{resource}, or use larger nodes")),
            );
        }
    }
    None
}

/// What no node has, whatever room there is: labels that the pod selects, or no taint that it does not tolerate.
fn unfit(pod: &Value, nodes: &[Value]) -> Option<String> {
    let selector = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    let wanted: Vec<(&String, &Value)> = selector.into_iter().flatten().collect();
    let selected: Vec<&Value> = nodes
        .iter()
        .filter(|node| wanted.iter().all(|(key, value)| json::label(node, key) == value.as_str()))
        .collect();
    if selected.is_empty() {
        let labels = wanted.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        return Some(format!("no node has the labels {}", labels.collect::<Vec<_>>().join(", ")));
    }
    let terms =
        json::list(pod, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    let selected: Vec<&Value> =
        selected.into_iter().filter(|node| terms.is_empty() || terms.iter().any(|term| meets(node, term))).collect();
    if selected.is_empty() {
        return Some("no node has what its node affinity requires".to_owned());
    }
    let keeps = |node: &&&Value| json::list(node, "/spec/taints").iter().any(|taint| keeps_off(pod, taint));
    if selected.iter().filter(keeps).count() < selected.len() {
        return None;
    }
    let taints = selected.iter().flat_map(|node| json::list(node, "/spec/taints"));
    let keys: BTreeSet<&str> =
        taints.filter(|taint| keeps_off(pod, taint)).filter_map(|it| it["key"].as_str()).collect();
    Some(format!("it does not tolerate the taint {} of the nodes", keys.into_iter().collect::<Vec<_>>().join(", ")))
}

/// What is said by an operator that is not known may be so.
fn meets(node: &Value, term: &Value) -> bool {
    let labels = json::list(term, "/matchExpressions").iter().all(|wanted| {
        let found = wanted["key"].as_str().and_then(|key| json::label(node, key));
        one_of(found, wanted)
    });
    let fields = json::list(term, "/matchFields").iter().all(|wanted| one_of(Some(json::name(node)), wanted));
    labels && fields
}

fn one_of(found: Option<&str>, wanted: &Value) -> bool {
    let values = || json::list(wanted, "/values").iter().filter_map(Value::as_str);
    match wanted["operator"].as_str().unwrap_or_default() {
        "In" => found.is_some_and(|found| values().any(|value| value == found)),
        "NotIn" => found.is_none_or(|found| values().all(|value| value != found)),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => true,
    }
}

/// Taints of the cluster itself, such as of a node that is not ready, come and go.
fn keeps_off(pod: &Value, taint: &Value) -> bool {
    let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let key = text(taint, "key");
    let passing = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
    if text(taint, "effect") == "PreferNoSchedule" || passing.iter().any(|prefix| key.starts_with(prefix)) {
        return false;
    }
    !json::list(pod, "/spec/tolerations").iter().any(|toleration| {
        let any = |field: &str| text(toleration, field).is_empty();
        (any("effect") || text(toleration, "effect") == text(taint, "effect"))
            && match text(toleration, "operator").as_str() {
                "Exists" => any("key") || text(toleration, "key") == key,
                _ => text(toleration, "key") == key && text(toleration, "value") == text(taint, "value"),
            }
    })
}

/// What the pod asks a node for, in thousandths: the sum of its containers or its largest init container.
fn requests(pod: &Value) -> Vec<(String, i128)> {
    let of = |container: &Value| -> Vec<(String, i128)> {
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        let requests = container.pointer("/resources/requests").and_then(Value::as_object);
        let both = limits
            .into_iter()
            .flatten()
            .filter(|(name, _)| requests.is_none_or(|requests| !requests.contains_key(*name)))
            .chain(requests.into_iter().flatten());
        both.filter_map(|(name, amount)| {
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            Some((name.clone(), quantity::thousandths(&text)?))
        })
        .collect()
    };
    let mut total = std::collections::BTreeMap::new();
    for (name, amount) in json::list(pod, "/spec/containers").iter().flat_map(of) {
        *total.entry(name).or_insert(0) += amount;
    }
    for (name, amount) in json::list(pod, "/spec/initContainers").iter().flat_map(of) {
        let slot = total.entry(name).or_insert(0);
        *slot = amount.max(*slot);
    }
    total.into_iter().collect()
}

/// As written when one container asks for it, else the sum.
fn shown(pod: &Value, resource: &str, sum: i128) -> String {
    let written = json::list(pod, "/spec/containers")
        .iter()
        .filter_map(|container| container.pointer("/resources/requests")?.get(resource));
    match written.collect::<Vec<_>>().as_slice() {
        [one] => one.as_str().map_or_else(|| one.to_string(), str::to_owned),
        _ if sum % 1000 == 0 => (sum / 1000).to_string(),
        _ => format!("{sum}m"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_no_node_for_other_reasons_than_room() {
        let node = |name: &str, taints: Value| json!({"metadata": {"name": name, "labels": {"disk": "ssd", "name": name}}, "spec": {"taints": taints}});
        let nodes = [node("a", json!([])), node("b", json!([]))];
        let pod = |spec: Value| json!({"spec": spec});
        let of = |spec: Value, nodes: &[Value]| unfit(&pod(spec), nodes);
        assert_eq!(of(json!({}), &nodes), None);
        assert_eq!(of(json!({"nodeSelector": {"disk": "ssd"}}), &nodes), None);
        assert_eq!(of(json!({"nodeSelector": {"disk": "tape"}}), &nodes).unwrap(), "no node has the labels disk=tape");
        let affinity = |values: Value| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "name", "operator": "In", "values": values}]}]}}}})
        };
        assert_eq!(of(affinity(json!(["b"])), &nodes), None);
        assert!(of(affinity(json!(["c"])), &nodes).unwrap().contains("node affinity"));
        let taint = json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]);
        let tainted = [node("a", taint.clone())];
        assert!(of(json!({}), &tainted).unwrap().contains("taint dedicated"));
        assert_eq!(of(json!({}), &[node("a", taint), node("b", json!([]))]), None, "the other one takes it");
        assert_eq!(of(json!({"tolerations": [{"key": "dedicated", "operator": "Exists"}]}), &tainted), None);
        let not_ready = [node("a", json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]))];
        assert_eq!(of(json!({}), &not_ready), None);
    }
}
