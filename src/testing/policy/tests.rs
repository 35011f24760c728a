use serde_json::json;

use super::*;
use crate::stack::{
    claims::Check,
    edge,
    embedded::BUILT_IN,
    load::{LoadRequest, list as stacks, load},
    testing::shop,
};

fn pod(namespace: &str, labels: &[(&str, &str)]) -> Pod {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Pod { namespace: namespace.into(), labels, ..Pod::default() }
}

/// What proofs and loads run in.
fn agent(namespace: &str, kind: &str) -> End {
    End::Pod(pod(namespace, &[("app.kubernetes.io/managed-by", "stackctl"), ("io.stackctl.agent", kind)]))
}

fn dns() -> End {
    End::Pod(pod("kube-system", &[("k8s-app", "kube-dns")]))
}

/// The embedded stacks, and one with every embedded component.
fn every_stack() -> Vec<Stack> {
    let mut all: Vec<Stack> = stacks()
        .into_iter()
        .map(|summary| {
            load(&LoadRequest {
                stack: summary.name,
                provider: "kind".into(),
                edge_on_nodes: true,
                ..LoadRequest::default()
            })
            .unwrap()
        })
        .collect();
    let components = BUILT_IN.components().join(", ");
    all.push(shop(&format!("name: all\ncomponents: [{components}]\nmanifests: []\n"), &[]).stack());
    all
}

fn objects(stack: &Stack) -> impl Iterator<Item = &Object> {
    stack.sets.iter().flat_map(|set| &set.objects)
}

#[test]
fn rules_select_by_labels_namespaces_and_ports() {
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {"matchExpressions": [{"key": "role", "operator": "In", "values": ["front"]}]}}],
                    "ports": [{"port": "http"}, {"port": 9000, "endPort": 9002}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}],
                    "ports": [{"protocol": "UDP"}]},
            ],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]}});
    let policy = Object { value: policy, origin: crate::object::Origin::default() };
    let policies = Policies::of(std::iter::once(&policy));
    let mut web = pod("a", &[("app", "web")]);
    web.ports.insert("http".into(), 8080);
    let web = End::Pod(web);
    let front = |namespace: &str| End::Pod(pod(namespace, &[("role", "front")]));
    let udp = Port { protocol: "UDP", number: 5 };
    for (from, to, port, wanted) in [
        (front("a"), web.clone(), tcp(8080), true),
        (front("a"), web.clone(), tcp(9001), true),
        (front("a"), web.clone(), tcp(9003), false),
        (front("c"), web.clone(), tcp(8080), false),
        (front("b"), web.clone(), udp, true),
        (front("b"), web.clone(), tcp(8080), false),
        (End::Pod(pod("a", &[("role", "back")])), web.clone(), tcp(8080), false),
        (End::Outside, web.clone(), tcp(8080), false),
        (End::Node, web.clone(), tcp(1), true),
        (web.clone(), End::Outside, tcp(443), true),
        (web.clone(), End::Outside, tcp(80), false),
        (web.clone(), front("a"), tcp(443), false),
        (front("a"), front("b"), tcp(1), true),
    ] {
        assert_eq!(policies.allow(&from, &to, port), wanted, "{from:?} → {to:?} {port:?}");
    }
}

#[test]
fn every_component_of_a_stack_is_isolated_in_both_directions() {
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        for (name, pod) in pods(&stack).into_iter().filter(|(_, pod)| pod.namespace == stack.namespace) {
            for direction in ["Ingress", "Egress"] {
                assert!(policies.isolates(&pod, direction), "{} in {}: no policy on {direction}", name, stack.name);
            }
        }
    }
}

#[test]
fn whoever_may_call_anybody_may_ask_for_names() {
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        for (name, pod) in pods(&stack).into_iter().filter(|(_, pod)| pod.namespace == stack.namespace) {
            let calls = policies.selecting(&pod, "Egress").any(|policy| !list(policy, "/spec/egress").is_empty());
            for protocol in ["UDP", "TCP"] {
                let may = policies.allow(&End::Pod(pod.clone()), &dns(), Port { protocol, number: 53 });
                assert_eq!(may, calls, "{name} in {}", stack.name);
            }
        }
    }
}

#[test]
fn prometheus_may_scrape_what_asks_for_it() {
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        let pods = pods(&stack);
        let Some(prometheus) = pods.get("prometheus").cloned().map(End::Pod) else { continue };
        let mut scraped = 0;
        for (name, pod) in &pods {
            if pod.annotations.get("prometheus.io/scrape").map(String::as_str) != Some("true") {
                continue;
            }
            let given = pod.annotations.get("prometheus.io/port").map(|port| vec![port.parse().unwrap()]);
            let named = || {
                let metric = |name: &str| name == "metrics" || name.ends_with("-metrics");
                pod.ports.iter().filter(|(name, _)| metric(name)).map(|(_, port)| *port).collect::<Vec<u16>>()
            };
            let ports = given.unwrap_or_else(named);
            assert!(!ports.is_empty(), "{name} asks to be scraped at no port");
            for port in ports {
                scraped += 1;
                assert!(policies.allow(&prometheus, &End::Pod(pod.clone()), tcp(port)), "{name}:{port}");
            }
        }
        assert!(scraped > 0, "nothing to scrape in {}", stack.name);
    }
}

/// Host and port of a URL of the stack's own.
fn target(url: &str) -> (String, u16) {
    let url = url::Url::parse(url).unwrap();
    (url.host_str().unwrap().split('.').next().unwrap().to_owned(), url.port_or_known_default().unwrap())
}

/// What a proof asks, and as which kind of agent.
fn urls(check: &Check) -> Vec<(&'static str, String)> {
    let urls: Vec<&String> = match check {
        Check::Http(check) => vec![&check.url],
        Check::Trace(check) => vec![&check.request.url, &check.jaeger],
        Check::Promql(check) => vec![&check.url],
        Check::Targets(check) => vec![&check.url],
        Check::Alert(check) => vec![&check.url],
        Check::Dashboards(check) => vec![&check.url],
        Check::Count(check) => vec![&check.claim.request.url],
        Check::Replicas(check) => vec![&check.request.url],
        Check::Number(claim) => vec![&claim.request.url],
        Check::Logs(check) => check.request.iter().map(|request| &request.url).collect(),
        Check::During(check) => {
            let parts = check.before.iter().chain(&check.meanwhile).chain(&check.after);
            let load = check.load.iter().map(|load| ("load", load.url.clone()));
            let keeps = check.keeps.iter().map(|keeps| ("proof", keeps.claim.request.url.clone()));
            return parts.flat_map(|part| urls(&part.check)).chain(load).chain(keeps).collect();
        }
        Check::Rbac(_) | Check::Autoscaler(_) => Vec::new(),
    };
    urls.into_iter().map(|url| ("proof", url.clone())).collect()
}

#[test]
fn proofs_and_loads_reach_what_they_are_about() {
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        let proofs = stack.proofs.iter().flat_map(|proof| urls(&proof.check));
        for (kind, url) in proofs.chain(stack.load.values().map(|profile| ("load", profile.url.clone()))) {
            let (service, port) = target(&url);
            let pods = behind(&stack, &service, port);
            assert!(!pods.is_empty(), "{url} leads to no pod of {}", stack.name);
            for (pod, port) in pods {
                assert!(policies.allow(&agent(&stack.namespace, kind), &End::Pod(pod), tcp(port)), "{kind} → {url}");
            }
        }
    }
}

/// Between pods of one stack, by the names of workloads; those that a stack has not are passed over.
const ALLOWED: [(&str, &str, u16); 20] = [
    ("edge", "hello-service", 8400),
    ("edge", "grafana", 3000),
    ("edge", "jaeger", 16686),
    ("edge", "prometheus", 9090),
    ("hello-service", "collector", 4318),
    ("collector", "jaeger", 4317),
    ("grafana", "prometheus", 9090),
    ("grafana", "jaeger", 16686),
    ("prometheus", "collector", 8888),
    ("prometheus", "collector", 8889),
    ("prometheus", "jaeger", 8888),
    ("edge", "greeter", 8080),
    ("producer", "localstack", 4566),
    ("consumer", "localstack", 4566),
    ("edge", "front-end", 8080),
    ("front-end", "business-logic", 8000),
    ("front-end", "collector", 4318),
    ("business-logic", "collector", 4318),
    ("prometheus", "front-end", 9464),
    ("prometheus", "business-logic", 8000),
];

/// One that each workload must not have, or not be offered.
const DENIED: [(&str, &str, u16); 18] = [
    ("stranger", "hello-service", 8400),
    ("stranger", "jaeger", 16686),
    ("stranger", "prometheus", 9090),
    ("stranger", "grafana", 3000),
    ("stranger", "collector", 8889),
    ("hello-service", "jaeger", 4317),
    ("jaeger", "collector", 4317),
    ("rbac-test", "hello-service", 8400),
    ("stranger", "greeter", 8080),
    ("greeter", "edge", 8081),
    ("stranger", "localstack", 4566),
    ("localstack", "consumer", 5000),
    ("producer", "consumer", 5000),
    ("stranger", "producer", 5000),
    ("edge", "front-end", 9464),
    ("edge", "business-logic", 8000),
    ("stranger", "business-logic", 8000),
    ("business-logic", "front-end", 8080),
];

#[test]
fn declared_flows_are_open_and_others_are_not() {
    let mut seen = 0;
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        let mut pods = pods(&stack);
        pods.insert("stranger".into(), pod(&stack.namespace, &[("app.kubernetes.io/name", "stranger")]));
        for (flows, wanted) in [(&ALLOWED[..], true), (&DENIED[..], false)] {
            for (from, to, port) in flows {
                let (Some(source), Some(end)) = (pods.get(*from), pods.get(*to)) else { continue };
                seen += 1;
                let open = policies.allow(&End::Pod(source.clone()), &End::Pod(end.clone()), tcp(*port));
                assert_eq!(open, wanted, "{from} → {to}:{port} in {}", stack.name);
            }
        }
        for (name, pod) in pods.iter().filter(|(name, pod)| *name != "stranger" && pod.namespace == stack.namespace) {
            for number in pod.ports.values() {
                let to = End::Pod(pod.clone());
                let probe = policies.allow(&End::Node, &to, tcp(*number));
                assert!(probe, "probes of {name}");
                let far = End::Pod(super::tests::pod("elsewhere", &[("app.kubernetes.io/name", "edge")]));
                // The front is there for everybody.
                let front = *name == edge::NAME && [edge::HTTP, edge::HTTPS].contains(number);
                assert_eq!(policies.allow(&far, &to, tcp(*number)), front, "another namespace → {name}:{number}");
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn the_metrics_server_asks_kubelets_and_answers_the_api_server() {
    let mut seen = 0;
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        let Some(server) = pods(&stack).get("metrics-server").cloned().map(End::Pod) else { continue };
        seen += 1;
        for (end, port) in [(End::Node, 10250), (End::Outside, 6443), (End::Outside, 443)] {
            assert!(policies.allow(&server, &end, tcp(port)), "metrics-server → {end:?}:{port}");
        }
        assert!(policies.allow(&End::Outside, &server, tcp(10250)) && policies.allow(&End::Node, &server, tcp(10250)));
        assert!(
            !policies.allow(&server, &End::Outside, tcp(5432)) && !policies.allow(&End::Outside, &server, tcp(8080))
        );
    }
    assert!(seen > 0);
}

#[test]
fn pods_that_ask_the_api_server_may_and_others_may_not() {
    for stack in every_stack() {
        let policies = Policies::of(objects(&stack));
        for object in objects(&stack).filter(|object| object.key().namespace.as_ref() == Some(&stack.namespace)) {
            let (Some(spec), Some(pod)) = (podspec::spec(&object.value), pod_of(object)) else { continue };
            if spec.get("automountServiceAccountToken") == Some(&json!(true)) {
                for port in [443, 6443] {
                    assert!(policies.allow(&End::Pod(pod.clone()), &End::Outside, tcp(port)), "{}", object.key());
                }
            } else {
                assert_eq!(spec["automountServiceAccountToken"], json!(false), "{}: {}", stack.name, object.key());
            }
        }
    }
}
