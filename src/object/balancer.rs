//! A load balancer of a cloud, as a Service asks for one.

use serde::Serialize;
use serde_json::Value;

use super::json;

/// What a Service has to say so that the cluster makes it a load balancer that everybody reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    pub class: &'static str,
    pub annotations: &'static [(&'static str, &'static str)],
    /// Words of a warning about the Service after which longer waiting helps nobody, and what to do then.
    pub in_vain: &'static [(&'static str, &'static str)],
    /// How long it usually takes until its name leads anywhere.
    pub usually: &'static str,
}

/// The name or the address that the cluster has given a Service of type LoadBalancer.
pub fn host(service: &Value) -> Option<&str> {
    json::list(service, "/status/loadBalancer/ingress")
        .iter()
        .find_map(|entry| entry["hostname"].as_str().or_else(|| entry["ip"].as_str()))
        .filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_balancer_is_known_by_its_name_or_its_address() {
        let with = |ingress: Value| json!({"status": {"loadBalancer": {"ingress": ingress}}});
        assert_eq!(host(&with(json!([{"hostname": "lb.example"}]))), Some("lb.example"));
        assert_eq!(host(&with(json!([{"ip": "192.0.2.1"}]))), Some("192.0.2.1"));
        assert_eq!(host(&with(json!([{"hostname": ""}]))), None);
        assert_eq!(host(&json!({"status": {}})), None);
    }
}
