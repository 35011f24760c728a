//! The pods behind a Service, as its EndpointSlices say, watched.

use std::{collections::BTreeMap, time::Duration};

use ::kube::{
    api::Api,
    runtime::watcher::{self, watcher},
};
use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    error::{Error, Kind, Result},
    kube::{Kube, json},
};

/// Between two attempts to watch, growing.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Ready pods and the port to use on each, in the order of their names.
pub type Targets = Vec<(String, u16)>;

/// The name of the Service's port that is meant; unnamed ports have an empty one.
pub fn choose_port(service: &Value, wanted: Option<&str>) -> Result<String> {
    let ports = json::list(service, "/spec/ports");
    let name_of = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let found = match wanted {
        None => ports.first(),
        Some(wanted) => ports
            .iter()
            .find(|port| port["name"] == wanted || wanted.parse().is_ok_and(|number: i64| port["port"] == number)),
    };
    found.map(name_of).ok_or_else(|| {
        let known: Vec<_> =
            ports.iter().map(|port| format!("{} {}", port["port"], name_of(port)).trim().to_owned()).collect();
        Error::new(Kind::Usage, format!("service {} has no port {}", json::name(service), wanted.unwrap_or("at all")))
            .cause(format!("it has: {}", known.join(", ")))
    })
}

/// Ready pods and the number of the named port on each.
pub fn targets<'a>(slices: impl IntoIterator<Item = &'a Value>, port: &str) -> Targets {
    let of_slice = |slice: &Value| -> Targets {
        let found =
            json::list(slice, "/ports").iter().find(|candidate| candidate["name"].as_str().unwrap_or_default() == port);
        let Some(number) = found.and_then(|found| found["port"].as_u64()).and_then(|number| u16::try_from(number).ok())
        else {
            return Vec::new();
        };
        let ready = json::list(slice, "/endpoints")
            .iter()
            .filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true));
        let pods = ready.filter(|endpoint| endpoint.pointer("/targetRef/kind").is_some_and(|kind| kind == "Pod"));
        pods.filter_map(|endpoint| Some((json::text(endpoint, "/targetRef/name")?.to_owned(), number))).collect()
    };
    let mut found: Vec<_> = slices.into_iter().flat_map(of_slice).collect();
    found.sort();
    found.dedup();
    found
}

pub fn selector(service: &str) -> String {
    format!("kubernetes.io/service-name={service}")
}

/// Keeps `known` as the cluster is, for as long as anybody listens. What the watch can't see meanwhile (the API server
/// restarts) stays as it was last seen: pods outlive that.
pub async fn follow(kube: Kube, namespace: String, service: String, port: String, known: watch::Sender<Targets>) {
    let slices: Api<EndpointSlice> = Api::namespaced(kube.client.clone(), &namespace);
    let config = watcher::Config::default().labels(&selector(&service));
    let mut events = std::pin::pin!(watcher(slices, config));
    let mut now: BTreeMap<String, Value> = BTreeMap::new();
    let mut coming: BTreeMap<String, Value> = BTreeMap::new();
    let mut pause = PAUSE;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = known.closed() => return,
        };
        match event {
            Some(Ok(event)) => {
                pause = PAUSE;
                match event {
                    watcher::Event::Init => coming.clear(),
                    watcher::Event::InitApply(slice) => _ = coming.insert(name(&slice), value(&slice)),
                    watcher::Event::InitDone => now = std::mem::take(&mut coming),
                    watcher::Event::Apply(slice) => _ = now.insert(name(&slice), value(&slice)),
                    watcher::Event::Delete(slice) => _ = now.remove(&name(&slice)),
                }
                if coming.is_empty() {
                    publish(&known, targets(now.values(), &port));
                }
            }
            Some(Err(_)) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            None => return,
        }
    }
}

/// Wakes those who wait only where something changed.
pub fn publish(known: &watch::Sender<Targets>, found: Targets) {
    known.send_if_modified(|targets| {
        let changed = *targets != found;
        *targets = found;
        changed
    });
}

fn name(slice: &EndpointSlice) -> String {
    slice.metadata.name.clone().unwrap_or_default()
}

fn value(slice: &EndpointSlice) -> Value {
    serde_json::to_value(slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_chosen_by_name_by_number_or_as_the_first() {
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]}});
        assert_eq!(choose_port(&service, None).unwrap(), "http");
        assert_eq!(choose_port(&service, Some("metrics")).unwrap(), "metrics");
        assert_eq!(choose_port(&service, Some("9090")).unwrap(), "metrics");
        let error = choose_port(&service, Some("81")).unwrap_err();
        assert_eq!(error.causes, ["it has: 80 http, 9090 metrics"]);
    }

    #[test]
    fn only_ready_pods_are_targets() {
        let slice = json!({"ports": [{"name": "", "port": 8400}], "endpoints": [
            {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "b"}},
            {"conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "c"}},
            {"conditions": {}, "targetRef": {"kind": "Pod", "name": "a"}},
            {"conditions": {"ready": true}}]});
        assert_eq!(targets([&slice, &slice], ""), [("a".to_owned(), 8400), ("b".to_owned(), 8400)]);
    }
}
