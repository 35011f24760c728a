//! Services as routes see them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stack::model::Set;

#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Empty: its endpoints are somebody else's matter.
    pub selector: BTreeMap<String, String>,
    pub ports: Vec<Port>,
    /// A name elsewhere, with any port.
    pub external: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    pub port: u16,
    /// A number, or the name of a container's port.
    pub target: Value,
}

fn services(sets: &[Set]) -> impl Iterator<Item = (String, String, &Value)> {
    sets.iter().flat_map(|set| &set.objects).filter_map(|object| {
        let key = object.key();
        (key.group.is_empty() && key.kind == "Service")
            .then(|| (key.namespace.unwrap_or_default(), key.name, &object.value))
    })
}

pub fn names(sets: &[Set]) -> BTreeSet<String> {
    services(sets).map(|(_, name, _)| name).collect()
}

/// The Service of that name and its namespace; one of `namespace` comes before others.
pub fn find(name: &str, namespace: &str, sets: &[Set]) -> Option<(String, Service)> {
    let named = || services(sets).filter(|(_, found, _)| found == name);
    let (found, _, value) = named().find(|(found, _, _)| found == namespace).or_else(|| named().next())?;
    Some((found, read(value)))
}

fn read(value: &Value) -> Service {
    let selector = value.pointer("/spec/selector").and_then(Value::as_object);
    let selector =
        selector.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.into())));
    let ports = value.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.get("port")?.as_u64()?).ok()?;
        let tcp = port.get("protocol").and_then(Value::as_str).is_none_or(|protocol| protocol == "TCP");
        let target = port.get("targetPort").cloned().unwrap_or_else(|| number.into());
        tcp.then_some(Port { port: number, target })
    });
    let external = value.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
    Service { selector: selector.collect(), ports: ports.collect(), external }
}

/// The port of a route; Err: what is wrong, after the service's name.
pub fn port(service: &Service, wanted: Option<u16>) -> Result<u16, String> {
    let known: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
    match (wanted, service.ports.as_slice()) {
        (Some(wanted), _) if service.external => Ok(wanted),
        (Some(wanted), ports) if ports.iter().any(|port| port.port == wanted) => Ok(wanted),
        (Some(wanted), []) => Err(format!("has no port {wanted}, nor any other for TCP")),
        (Some(wanted), _) => Err(format!("has no port {wanted}; it has {}", known.join(", "))),
        (None, [only]) => Ok(only.port),
        (None, []) => Err("has no port; write NAME:PORT".to_owned()),
        (None, _) => Err(format!("has several ports: {}; write NAME:PORT", known.join(", "))),
    }
}
