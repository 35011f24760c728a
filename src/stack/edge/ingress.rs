//! `edge: ingress`: for a controller that the cluster has.
//!
//! What a portable Ingress cannot say: how to strip a prefix, how long a service may take, where plain HTTP goes. Routes
//! that strip stand in an Ingress of their own with the annotations of ingress-nginx, which Traefik reads as well; of
//! the others only paths and TLS depend on no controller.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Backend, EdgeInput, NAME, SECRET};

const ANNOTATIONS: &str = "nginx.ingress.kubernetes.io";

pub fn objects(input: &EdgeInput) -> Vec<Value> {
    let strips = |backend: &&Backend| backend.route.strip && backend.route.path != "/";
    let (stripped, plain): (Vec<&Backend>, Vec<&Backend>) = input.backends.iter().partition(|backend| strips(backend));
    let mut objects = Vec::new();
    if !plain.is_empty() {
        objects.push(ingress(input, NAME, &plain, &[]));
    }
    if !stripped.is_empty() {
        let annotations = [("use-regex", "true".to_owned()), ("rewrite-target", "/$2".to_owned())];
        objects.push(ingress(input, &format!("{NAME}-strip"), &stripped, &annotations));
    }
    objects
}

fn ingress(input: &EdgeInput, name: &str, backends: &[&Backend], annotations: &[(&str, String)]) -> Value {
    let strip = !annotations.is_empty();
    let paths: Vec<Value> = backends
        .iter()
        .map(|backend| {
            let route = &backend.route;
            let (path, kind) = match strip {
                // A pattern, so the point must be one and no other character.
                true => (format!("{}(/|$)(.*)", route.path.replace('.', "[.]")), "ImplementationSpecific"),
                false => (route.path.clone(), "Prefix"),
            };
            let service = json!({"name": route.service, "port": {"number": route.port}});
            json!({"path": path, "pathType": kind, "backend": {"service": service}})
        })
        .collect();
    // The longest of them: annotations are about the whole Ingress.
    let timeout = backends.iter().map(|backend| backend.route.timeout.as_secs().max(1)).max().unwrap_or(60);
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    all.insert(format!("{ANNOTATIONS}/proxy-read-timeout"), timeout.to_string());
    all.insert(format!("{ANNOTATIONS}/ssl-redirect"), "true".to_owned());
    all.extend(annotations.iter().map(|(key, value)| (format!("{ANNOTATIONS}/{key}"), value.clone())));
    let http = json!({"paths": paths});
    let rules: Vec<Value> = match input.hosts {
        [] => vec![json!({"http": http})],
        hosts => hosts.iter().map(|host| json!({"host": host, "http": http})).collect(),
    };
    let mut tls = json!({"secretName": SECRET});
    if !input.hosts.is_empty() {
        tls["hosts"] = json!(input.hosts);
    }
    let mut spec = json!({"tls": [tls], "rules": rules});
    if let Some(class) = input.class {
        spec["ingressClassName"] = class.into();
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": input.namespace, "annotations": all},
        "spec": spec,
    })
}
