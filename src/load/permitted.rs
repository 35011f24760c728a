//! Where load may go: Services of the stack that it is about. Pure.

use std::collections::BTreeSet;

use url::Url;

use crate::{
    error::{Error, Kind, Result},
    object::json,
    stack::model::{Scope, SetKind, Stack},
};

/// Ok for a URL that means a port of one of the stack's own Services as its pods name it, or where `mine` says that the
/// host is the user's. Else `Kind::Usage`.
pub fn from_cluster(stack: &Stack, url: &str, mine: bool) -> Result<()> {
    let wrong = |why: String| Error::new(Kind::Usage, format!("no load can be sent to {url}")).cause(why);
    let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong(format!("{} is neither http nor https", parsed.scheme())));
    }
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
        return Err(wrong("it names no host".to_owned()));
    };
    if mine {
        return Ok(());
    }
    let services = services(stack);
    let own: Vec<&Service> = services.iter().filter(|service| service.names(&stack.namespace).contains(host)).collect();
    if own.iter().any(|service| service.ports.contains(&i64::from(port))) {
        return Ok(());
    }
    let error = match own.first() {
        Some(service) => {
            let ports: Vec<String> = service.ports.iter().map(i64::to_string).collect();
            wrong(format!("Service {} has no port {port}, but {}", service.name, ports.join(", ")))
        }
        None => {
            let names: BTreeSet<&str> = services.iter().map(|service| service.name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            wrong(format!("{host} is no Service of stack {} (it has: {known})", stack.name))
        }
    };
    Err(error.hint("load goes to the stack's own Services; --i-own-this-host sends it elsewhere"))
}

struct Service {
    name: String,
    namespace: String,
    ports: Vec<i64>,
}

impl Service {
    /// By which pods of this namespace reach it.
    fn names(&self, from: &str) -> BTreeSet<String> {
        let Service { name, namespace, .. } = self;
        let mut names: BTreeSet<String> =
            ["", ".svc", ".svc.cluster.local"].iter().map(|end| format!("{name}.{namespace}{end}")).collect();
        if namespace == from {
            names.insert(name.clone());
        }
        names
    }
}

/// The stack's own, and those of components that are there for it alone.
fn services(stack: &Stack) -> Vec<Service> {
    let own = stack.sets.iter().filter(|set| set.kind == SetKind::Stack || set.scope == Scope::Stack);
    let objects = own.flat_map(|set| &set.objects).map(|object| &object.value);
    let services = objects.filter(|value| json::kind(value) == "Service" && json::group(value).is_empty());
    let service = |value| Service {
        name: json::name(value).to_owned(),
        namespace: json::namespace(value).unwrap_or(&stack.namespace).to_owned(),
        ports: json::list(value, "/spec/ports").iter().filter_map(|port| port["port"].as_i64()).collect(),
    };
    services.map(service).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Object, Origin};
    use crate::stack::model::{Scope, Set};

    fn stack() -> Stack {
        let set = |kind, namespace: &str, name: &str| Set {
            kind,
            scope: if namespace == "hello" { Scope::Stack } else { Scope::Cluster },
            name: name.into(),
            namespace: namespace.into(),
            objects: vec![Object {
                value: json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace },
                    "spec": { "ports": [{ "port": 8400 }, { "port": 80 }] } }),
                origin: Origin::default(),
            }],
            secrets: Vec::new(),
            yields: Vec::new(),
            certificate: None,
            background: false,
            steps_aside: false,
            needs: Vec::new(),
            namespace_labels: Default::default(),
        };
        let mut stack = Stack::named("hello");
        stack.sets = vec![
            set(SetKind::Component, "kube-system", "metrics-server"),
            set(SetKind::Component, "hello", "grafana"),
            set(SetKind::Stack, "hello", "hello-service"),
        ];
        stack
    }

    #[test]
    fn the_stacks_own_services_are_reached_by_all_their_names() {
        for url in [
            "http://hello-service:8400/",
            "http://hello-service/x?y=1",
            "http://hello-service.hello:8400",
            "http://hello-service.hello.svc:8400",
            "http://hello-service.hello.svc.cluster.local:8400/",
            "http://grafana:8400",
        ] {
            from_cluster(&stack(), url, false).unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    }

    #[test]
    fn others_are_refused_unless_they_are_the_users() {
        for url in [
            "http://example.com/",
            "http://10.96.0.1:443",
            "http://metrics-server.kube-system:8400",
            "http://metrics-server:8400",
            "http://hello-service.other:8400",
            "http://hello-service.evil.com:8400",
            "https://hello-service/",
            "http://localhost:8400",
        ] {
            let error = from_cluster(&stack(), url, false).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{url}");
            assert!(error.hints[0].contains("--i-own-this-host"));
            from_cluster(&stack(), url, true).unwrap();
        }
        let error = from_cluster(&stack(), "http://hello-service:1", false).unwrap_err();
        assert_eq!(error.causes, ["Service hello-service has no port 1, but 8400, 80"]);
        let error = from_cluster(&stack(), "http://hallo:1", false).unwrap_err();
        assert_eq!(error.causes, ["hallo is no Service of stack hello (it has: grafana, hello-service)"]);
    }

    #[test]
    fn what_is_no_url_is_named() {
        for url in ["hello-service:8400", "ftp://hello-service:8400", "nothing"] {
            assert_eq!(from_cluster(&stack(), url, true).unwrap_err().kind, Kind::Usage, "{url}");
        }
    }
}
