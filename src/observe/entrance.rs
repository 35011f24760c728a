//! Where requests from this machine enter the edge of a stack.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    machine::Machine,
    object::{balancer, json},
    stack::edge::is_public,
};

/// Host and port of both ways in, as they stand in a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entrance {
    pub https: Option<String>,
    pub http: Option<String>,
    /// Not on this machine: its name has to spread first, and proxies may lie between.
    pub far: bool,
}

impl Entrance {
    /// Of a container beside the cluster. `published`: ports of the Service, to ports of 127.0.0.1.
    pub fn of_proxy(service: &Value, published: &BTreeMap<u16, u16>) -> Entrance {
        let at = |name: &str| published.get(&port(service, name)?).map(|port| format!("localhost:{port}"));
        Entrance { https: at("https"), http: at("http"), far: false }
    }

    /// Of a load balancer. None: the Service has none yet.
    pub fn of_balancer(service: &Value) -> Option<Entrance> {
        let host = balancer::host(service).filter(|_| !json::is_being_deleted(service))?;
        let at = |name: &str, usual: u16| {
            port(service, name).map(|port| match port == usual {
                true => host.to_owned(),
                false => format!("{host}:{port}"),
            })
        };
        Some(Entrance { https: at("https", 443), http: at("http", 80), far: true })
    }

    pub fn urls(&self) -> Vec<String> {
        let https = self.https.iter().map(|at| format!("https://{at}"));
        https.chain(self.http.iter().map(|at| format!("http://{at}"))).collect()
    }
}

fn port(service: &Value, name: &str) -> Option<u16> {
    let port = json::list(service, "/spec/ports").iter().find(|port| port["name"] == name)?;
    u16::try_from(port["port"].as_u64()?).ok()
}

/// Of each stack whose edge has a load balancer. `objects`: with the stack that each belongs to.
pub fn balanced<'a>(objects: impl Iterator<Item = (&'a str, &'a Value)>) -> BTreeMap<String, Vec<String>> {
    let public = objects.filter(|(_, object)| is_public(object));
    public.filter_map(|(stack, object)| Some((stack.to_owned(), Entrance::of_balancer(object)?.urls()))).collect()
}

/// The Service as it is now. None: it is not there, or has no load balancer yet.
pub async fn of_service(machine: &Machine, declared: &Value) -> crate::error::Result<Option<Entrance>> {
    let there = machine.kube().await?.get(&json::key(declared)).await?;
    Ok(there.as_ref().and_then(Entrance::of_balancer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_that_browsers_know_are_left_out() {
        let service = |https: u16| {
            json!({
                "kind": "Service", "apiVersion": "v1", "metadata": {"annotations": {"stackctl.io/edge": "public"}},
                "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": https}, {"name": "http", "port": 80}]},
                "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}},
            })
        };
        assert_eq!(Entrance::of_balancer(&service(443)).unwrap().urls(), ["https://lb.example", "http://lb.example"]);
        let (odd, mut going) = (service(8443), service(443));
        assert_eq!(Entrance::of_balancer(&odd).unwrap().https.as_deref(), Some("lb.example:8443"));
        going["metadata"]["deletionTimestamp"] = "2026-11-21T03:05:00Z".into();
        assert_eq!(Entrance::of_balancer(&going), None);
        let found = balanced([("shop", &odd), ("blog", &going), ("x", &json!({}))].into_iter());
        assert_eq!(
            found,
            [("shop".to_owned(), vec!["https://lb.example:8443".into(), "http://lb.example".into()])].into()
        );
    }
}
