//! `edge: gateway`: a Gateway with its routes, for a controller of the Gateway API that the cluster has.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Backend, EdgeInput, NAME, SECRET};

const API: &str = "gateway.networking.k8s.io/v1";
/// As many rules as one HTTPRoute may have.
const RULES: usize = 16;

pub fn objects(input: &EdgeInput) -> Vec<Value> {
    let mut objects = vec![gateway(input), redirect(input)];
    let chunks = input.backends.chunks(RULES).enumerate();
    objects.extend(chunks.map(|(index, backends)| {
        let name = if index == 0 { NAME.to_owned() } else { format!("{NAME}-{}", index + 1) };
        let rules = backends.iter().map(rule).collect();
        route(input, &name, "https", rules)
    }));
    objects
}

fn gateway(input: &EdgeInput) -> Value {
    let same = json!({"namespaces": {"from": "Same"}});
    let tls = json!({"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": SECRET}]});
    json!({
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": input.namespace},
        "spec": {
            "gatewayClassName": input.class.unwrap_or_default(),
            "listeners": [
                {"name": "https", "protocol": "HTTPS", "port": 443, "tls": tls, "allowedRoutes": same},
                {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": same},
            ],
        },
    })
}

/// Plain HTTP is sent to TLS, for now and not for good.
fn redirect(input: &EdgeInput) -> Value {
    let to = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 302}});
    route(input, &format!("{NAME}-http"), "http", vec![json!({"filters": [to]})])
}

fn route(input: &EdgeInput, name: &str, listener: &str, rules: Vec<Value>) -> Value {
    let mut spec = json!({"parentRefs": [{"name": NAME, "sectionName": listener}], "rules": rules});
    if !input.hosts.is_empty() {
        spec["hostnames"] = json!(input.hosts);
    }
    json!({
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": input.namespace},
        "spec": spec,
    })
}

fn rule(backend: &Backend) -> Value {
    let route = &backend.route;
    let mut rule = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
        "backendRefs": [{"name": route.service, "port": route.port}],
        "timeouts": {"request": duration(route.timeout)},
    });
    if route.strip && route.path != "/" {
        let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"});
        rule["filters"] = json!([{"type": "URLRewrite", "urlRewrite": {"path": path}}]);
    }
    rule
}

/// As the Gateway API writes it: at most five digits to a unit.
fn duration(timeout: Duration) -> String {
    match (timeout.as_secs(), timeout.subsec_millis()) {
        (seconds, 0) if seconds > 99_999 => format!("{}h", (seconds / 3600).min(99_999)),
        (0, 0) => "1ms".to_owned(),
        (0, milliseconds) => format!("{milliseconds}ms"),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, milliseconds) => format!("{seconds}s{milliseconds}ms"),
    }
}
