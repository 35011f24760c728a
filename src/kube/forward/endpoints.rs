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
    kube::Kube,
    object::json,
};

/// Between two attempts to watch, growing.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Ready pods and the port to use on each, in the order of their names.
pub type Targets = Vec<(String, u16)>;

/// The name of the Service's port that is meant; unnamed ports have an empty one. Streams to pods carry TCP alone.
pub fn choose_port(service: &Value, wanted: Option<&str>) -> Result<String> {
    let ports = json::list(service, "/spec/ports");
    let name_of = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let is_wanted = |port: &&Value| {
        wanted.is_none_or(|wanted| {
            port["name"] == wanted || wanted.parse().is_ok_and(|number: i64| port["port"] == number)
        })
    };
    let meant: Vec<&Value> = ports.iter().filter(is_wanted).collect();
    if let Some(tcp) = meant.iter().find(|port| is_tcp(port)) {
        return Ok(name_of(tcp));
    }
    let service = json::name(service);
    let known: Vec<String> = ports
        .iter()
        .map(|port| {
            let protocol = if is_tcp(port) { "" } else { protocol(port) };
            let words = [port["port"].to_string(), protocol.to_owned(), name_of(port)];
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let known = format!("it has: {}", known.join(", "));
    let Some(other) = meant.first() else {
        let wanted = wanted.unwrap_or("at all");
        return Err(Error::new(Kind::Usage, format!("service {service} has no port {wanted}")).cause(known));
    };
    let what = match wanted {
        Some(_) => {
            format!("port {} of service {service} is {}, which cannot be forwarded", other["port"], protocol(other))
        }
        None => format!("service {service} has no TCP port that could be forwarded"),
    };
    let refused = Error::new(Kind::Usage, what)
        .cause("connections go through the API server, whose port forward carries TCP alone")
        .cause(known);
    Err(match ports.iter().find(|port| is_tcp(port)) {
        Some(tcp) => refused.hint(format!("forward its TCP port: stackctl forward {service}:{}", tcp["port"])),
        None => {
            refused.hint("reach it from a pod of the cluster, or through a Service of type NodePort or LoadBalancer")
        }
    })
}

fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
}

pub fn is_tcp(port: &Value) -> bool {
    protocol(port) == "TCP"
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

/// Keeps `known` as the cluster is, for as long as anybody listens. What the watch cannot see meanwhile (the API server
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
    fn what_is_not_tcp_is_refused_with_the_reason() {
        let udp = |name: &str, port: i64| json!({"name": name, "port": port, "protocol": "UDP"});
        let service = |ports: Value| json!({"metadata": {"name": "dns"}, "spec": {"ports": ports}});
        let both =
            service(json!([udp("dns", 53), {"name": "dns-tcp", "port": 53, "protocol": "TCP"}, udp("log", 514)]));
        assert_eq!(choose_port(&both, None).unwrap(), "dns-tcp");
        assert_eq!(choose_port(&both, Some("53")).unwrap(), "dns-tcp");
        for wanted in ["dns", "log", "514"] {
            let error = choose_port(&both, Some(wanted)).unwrap_err();
            assert!(error.message.contains("is UDP, which cannot be forwarded"), "{wanted}: {error:?}");
            assert_eq!(error.hints, ["forward its TCP port: stackctl forward dns:53"]);
        }
        let none = choose_port(&service(json!([udp("dns", 53)])), None).unwrap_err();
        assert_eq!(none.message, "service dns has no TCP port that could be forwarded");
        assert_eq!(none.causes[1], "it has: 53 UDP dns");
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
