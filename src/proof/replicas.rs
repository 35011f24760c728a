//! The pods of a Service, all of which are to be ready.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    error::Result,
    event::Progress,
    kube::{Kube, selector::stays},
    object::{Key, json},
    stack::claims::{Replica, ReplicasCheck},
};

const INTERVAL: Duration = Duration::from_secs(1);

/// Looks until all pods of the Service are ready, or this time has come. Err of the inner one: what was seen instead.
pub async fn find(
    kube: &Kube,
    namespace: &str,
    check: &ReplicasCheck,
    until: Instant,
    progress: &Progress,
) -> Result<std::result::Result<Vec<Replica>, String>> {
    loop {
        let seen = match look(kube, namespace, check).await? {
            Ok(replicas) => return Ok(Ok(replicas)),
            Err(seen) => seen,
        };
        if Instant::now() + INTERVAL > until {
            return Ok(Err(seen));
        }
        progress.say(seen);
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn look(kube: &Kube, own: &str, check: &ReplicasCheck) -> Result<std::result::Result<Vec<Replica>, String>> {
    let Some((name, namespace, port)) = check.service() else { return Ok(Err("its URL names no Service".to_owned())) };
    let namespace = namespace.as_deref().unwrap_or(own);
    let key = Key { group: String::new(), kind: "Service".to_owned(), namespace: Some(namespace.to_owned()), name };
    let Some(service) = kube.get(&key).await? else { return Ok(Err(format!("there is no {key}"))) };
    let Some(selector) = json::selector(service.pointer("/spec/selector")) else {
        return Ok(Err(format!("{key} selects no pods")));
    };
    let pods = kube.selected_pods(namespace, &selector).await?;
    Ok(replicas(&key, &service, port, &pods, check.minimum))
}

/// Where each pod answers. Err: what is wrong with one of them.
fn replicas(
    key: &Key,
    service: &Value,
    port: u16,
    pods: &[Value],
    minimum: u32,
) -> std::result::Result<Vec<Replica>, String> {
    let declared = json::list(service, "/spec/ports");
    let declared = declared.iter().find(|declared| declared["port"] == port);
    let target = declared.ok_or_else(|| format!("{key} has no port {port}"))?;
    let target = target.get("targetPort").unwrap_or(&target["port"]);
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for pod in pods.iter().filter(|pod| stays(pod)) {
        let name = json::name(pod).to_owned();
        if json::condition_status(pod, "Ready") != Some(true) {
            wrong.push(format!("{name} is not ready"));
            continue;
        }
        let ip = json::text(pod, "/status/podIP").unwrap_or_default();
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        match port_of(pod, target) {
            Some(port) => found.push(Replica { pod: name, address: format!("{ip}:{port}") }),
            None => wrong.push(format!("{name} has no port {target}")),
        }
    }
    if found.len() + wrong.len() < minimum as usize {
        wrong.push(format!("{key} has {} of at least {minimum} pods", found.len() + wrong.len()));
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong.join("; ")) }
}

/// A target's number, or the number of the container's port of that name.
fn port_of(pod: &Value, target: &Value) -> Option<i64> {
    if let Some(number) = target.as_i64() {
        return Some(number);
    }
    let containers = json::list(pod, "/spec/containers").iter();
    let mut ports = containers.flat_map(|container| json::list(container, "/ports"));
    ports.find(|port| port["name"] == *target).and_then(|port| port["containerPort"].as_i64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: bool) -> Value {
        json!({"metadata": {"name": name}, "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8400}]}]},
            "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn found(pods: &[Value], minimum: u32) -> std::result::Result<Vec<String>, String> {
        let key = Key { group: String::new(), kind: "Service".into(), namespace: Some("n".into()), name: "web".into() };
        let service =
            json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 9090, "targetPort": 9090}]}});
        let found = replicas(&key, &service, 80, pods, minimum)?;
        Ok(found.into_iter().map(|replica| replica.address).collect())
    }

    #[test]
    fn all_pods_must_be_ready() {
        assert_eq!(found(&[pod("a", true), pod("b", true)], 2).unwrap(), ["10.0.0.7:8400", "10.0.0.7:8400"]);
        assert_eq!(found(&[pod("a", true), pod("b", false)], 1).unwrap_err(), "b is not ready");
        assert_eq!(found(&[pod("a", true)], 3).unwrap_err(), "Service/web has 1 of at least 3 pods");
    }

    #[test]
    fn pods_that_go_or_have_ended_do_not_count() {
        let mut going = pod("b", false);
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let mut ended = pod("c", false);
        ended["status"]["phase"] = "Succeeded".into();
        assert_eq!(found(&[pod("a", true), going, ended], 1).unwrap().len(), 1);
        let mut other = pod("d", true);
        other["spec"]["containers"][0]["ports"] = json!([]);
        assert_eq!(found(&[other], 1).unwrap_err(), "d has no port \"http\"");
    }
}
