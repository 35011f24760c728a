//! Which traffic NetworkPolicies let through. Pure: a CNI that enforces nothing would let every mistake in them pass.

mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::{Key, Object};
use crate::{
    object::{
        json::{list, text},
        podspec,
    },
    stack::model::Stack,
};

type Labels = BTreeMap<String, String>;

/// One end of a connection.
#[derive(Debug, Clone)]
pub enum End {
    Pod(Pod),
    /// What a node does itself: probes, and connections by port-forward.
    Node,
    /// An address that is no pod's.
    Outside,
}

#[derive(Debug, Clone, Default)]
pub struct Pod {
    pub namespace: String,
    pub labels: Labels,
    /// Container ports by name.
    pub ports: BTreeMap<String, u16>,
    pub annotations: Labels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    pub protocol: &'static str,
    pub number: u16,
}

pub const fn tcp(number: u16) -> Port {
    Port { protocol: "TCP", number }
}

/// The policies of some objects, and what they mean together.
#[derive(Debug)]
pub struct Policies<'a>(Vec<&'a Value>);

impl<'a> Policies<'a> {
    pub fn of(objects: impl Iterator<Item = &'a Object>) -> Policies<'a> {
        let is_policy = |key: &Key| key.kind == "NetworkPolicy" && key.group == "networking.k8s.io";
        Policies(objects.filter(|object| is_policy(&object.key())).map(|object| &object.value).collect())
    }

    /// Whether a connection may be opened: both ends have a say.
    pub fn allow(&self, from: &End, to: &End, port: Port) -> bool {
        let leaves = match from {
            End::Pod(pod) => self.side(pod, "Egress", "egress", "to", to, to, port),
            _ => true,
        };
        // A node always reaches its own pods.
        let enters = match (from, to) {
            (End::Node, _) => true,
            (_, End::Pod(pod)) => self.side(pod, "Ingress", "ingress", "from", from, to, port),
            _ => true,
        };
        leaves && enters
    }

    /// Whether a policy of this direction selects the pod.
    pub fn isolates(&self, pod: &Pod, direction: &str) -> bool {
        self.selecting(pod, direction).next().is_some()
    }

    fn selecting(&self, pod: &Pod, direction: &str) -> impl Iterator<Item = &'a Value> {
        let selects = move |policy: &&&Value| {
            text(policy, "/metadata/namespace") == Some(&pod.namespace)
                && selected(policy.pointer("/spec/podSelector"), &pod.labels)
                && has_direction(policy, direction)
        };
        self.0.iter().filter(selects).copied().collect::<Vec<_>>().into_iter()
    }

    #[expect(clippy::too_many_arguments, reason = "the two directions differ in just these words")]
    fn side(&self, pod: &Pod, direction: &str, rules: &str, peers: &str, other: &End, to: &End, port: Port) -> bool {
        let mut policies = self.selecting(pod, direction).peekable();
        if policies.peek().is_none() {
            return true;
        }
        policies.any(|policy| {
            list(policy, &format!("/spec/{rules}")).iter().any(|rule| {
                let peers = list(rule, &format!("/{peers}"));
                let peer = peers.is_empty() || peers.iter().any(|peer| is_peer(peer, &pod.namespace, other));
                peer && fits_port(list(rule, "/ports"), to, port)
            })
        })
    }
}

fn has_direction(policy: &Value, direction: &str) -> bool {
    match policy.pointer("/spec/policyTypes").and_then(Value::as_array) {
        Some(types) => types.iter().any(|kind| kind == direction),
        // Every policy is about what comes in; about what goes out only if it says something of it.
        None => direction == "Ingress" || policy.pointer("/spec/egress").is_some(),
    }
}

fn is_peer(peer: &Value, own_namespace: &str, other: &End) -> bool {
    let End::Pod(pod) = other else {
        // Blocks of addresses are for what has no labels; which address it is is not known here.
        return peer.get("ipBlock").is_some() && matches!(other, End::Outside);
    };
    if peer.get("ipBlock").is_some() {
        return false;
    }
    let namespace = match peer.get("namespaceSelector") {
        None => pod.namespace == own_namespace,
        selector => {
            // The label that every namespace carries.
            let labels = [("kubernetes.io/metadata.name".to_owned(), pod.namespace.clone())].into();
            selected(selector, &labels)
        }
    };
    namespace && peer.get("podSelector").is_none_or(|selector| selected(Some(selector), &pod.labels))
}

fn fits_port(ports: &[Value], to: &End, port: Port) -> bool {
    let fits = |rule: &Value| {
        let protocol = text(rule, "/protocol").unwrap_or("TCP");
        let number = match rule.get("port") {
            None => return protocol == port.protocol,
            Some(Value::String(name)) => match to {
                End::Pod(pod) => pod.ports.get(name).copied().map(u64::from),
                _ => None,
            },
            Some(number) => number.as_u64(),
        };
        let end = rule.get("endPort").and_then(Value::as_u64);
        let within = number.is_some_and(|first| (first..=end.unwrap_or(first)).contains(&u64::from(port.number)));
        protocol == port.protocol && within
    };
    ports.is_empty() || ports.iter().any(fits)
}

/// A label selector; an empty one selects all, an absent one nothing.
pub fn selected(selector: Option<&Value>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return false };
    let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut equal = equal.map(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    let expressions = list(selector, "/matchExpressions").iter().all(|expression| {
        let value = text(expression, "/key").and_then(|key| labels.get(key));
        let listed = || value.is_some_and(|value| list(expression, "/values").iter().any(|listed| listed == value));
        match text(expression, "/operator") {
            Some("In") => listed(),
            Some("NotIn") => !listed(),
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            _ => false,
        }
    });
    equal.all(|equal| equal) && expressions
}

/// The pods that the stack's workloads run, one of each, by the workload's name.
pub fn pods(stack: &Stack) -> BTreeMap<String, Pod> {
    let objects = stack.sets.iter().flat_map(|set| &set.objects);
    objects.filter_map(|object| Some((object.key().name, pod_of(object)?))).collect()
}

fn pod_of(object: &Object) -> Option<Pod> {
    let spec = podspec::spec(&object.value)?;
    let template = podspec::template(&object.value)?;
    let map = |pointer: &str| -> Labels {
        let map = template.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let ports = list(spec, "/containers").iter().flat_map(|container| list(container, "/ports"));
    let port = |port: &Value| {
        let number = u16::try_from(port.get("containerPort")?.as_u64()?).ok()?;
        Some((text(port, "/name").map_or_else(|| number.to_string(), str::to_owned), number))
    };
    Some(Pod {
        namespace: object.key().namespace?,
        labels: map("/metadata/labels"),
        ports: ports.filter_map(port).collect(),
        annotations: map("/metadata/annotations"),
    })
}

/// The pods behind a Service, and the port of theirs that one of its ports leads to.
pub fn behind(stack: &Stack, service: &str, port: u16) -> Vec<(Pod, u16)> {
    let objects = stack.sets.iter().flat_map(|set| &set.objects);
    let is = |object: &&Object| object.key().kind == "Service" && object.key().name == service;
    let mut found = Vec::new();
    for object in objects.filter(is) {
        let ports = list(&object.value, "/spec/ports");
        let Some(target) = ports.iter().find(|it| it.get("port").and_then(Value::as_u64) == Some(port.into())) else {
            continue;
        };
        let target = target.get("targetPort").cloned().unwrap_or_else(|| port.into());
        let selector = serde_json::json!({ "matchLabels": object.value.pointer("/spec/selector") });
        let same = pods(stack).into_values().filter(|pod| {
            Some(&pod.namespace) == object.key().namespace.as_ref() && selected(Some(&selector), &pod.labels)
        });
        found.extend(same.filter_map(|pod| {
            let number = match &target {
                Value::String(name) => pod.ports.get(name).copied(),
                number => u16::try_from(number.as_u64()?).ok(),
            };
            Some((pod, number?))
        }));
    }
    found
}
