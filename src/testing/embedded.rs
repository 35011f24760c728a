//! What holds for every stack and component that the binary carries.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::object::Object;
use crate::{
    quantity,
    stack::{
        embedded::BUILT_IN,
        load::{LoadRequest, load},
        model::Stack,
    },
};

/// Every embedded stack as it is for each provider, with all of its components, and with each of them left out.
fn stacks() -> Vec<Stack> {
    let mut all = Vec::new();
    for stack in BUILT_IN.stacks() {
        for provider in ["kind", "existing"] {
            let whole = LoadRequest {
                stack: stack.clone(),
                provider: provider.into(),
                edge_on_nodes: provider == "kind",
                ..LoadRequest::default()
            };
            all.push(loaded(&whole));
            for component in BUILT_IN.components() {
                all.push(loaded(&LoadRequest { without: vec![component], ..whole.clone() }));
            }
        }
    }
    all
}

fn loaded(request: &LoadRequest) -> Stack {
    load(request).unwrap_or_else(|error| panic!("{request:?}: {error}\n{}", error.details.join("\n")))
}

fn objects(stack: &Stack) -> impl Iterator<Item = &Object> {
    stack.sets.iter().flat_map(|set| &set.objects)
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Name and pod specification of each workload of a stack's own namespace.
fn pods(stack: &Stack) -> impl Iterator<Item = (String, &Value)> {
    let workload = |object: &&Object| object.key().namespace.as_deref() == Some(stack.namespace.as_str());
    objects(stack)
        .filter(workload)
        .filter_map(|object| Some((object.key().to_string(), object.value.pointer("/spec/template/spec")?)))
}

/// 0 where there is none.
fn amount(container: &Value, pointer: &str) -> f64 {
    container.pointer(pointer).and_then(Value::as_str).and_then(quantity::parse).unwrap_or(0.0)
}

#[test]
fn pods_are_probed_and_keep_to_bounds() {
    for stack in stacks() {
        for (name, pod) in pods(&stack) {
            for container in list(pod, "/containers") {
                let request = amount(container, "/resources/requests/memory");
                assert!(request > 0.0 && request <= amount(container, "/resources/limits/memory"), "{name}");
                if list(container, "/ports").next().is_some() {
                    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                        assert!(container.get(probe).is_some(), "{name} has no {probe}");
                    }
                }
            }
            for volume in list(pod, "/volumes").filter(|volume| volume.get("emptyDir").is_some()) {
                assert!(volume.pointer("/emptyDir/sizeLimit").is_some(), "{name}: {volume}");
            }
            // Variables such as JAEGER_PORT would be taken for settings.
            assert_eq!(pod.get("enableServiceLinks"), Some(&Value::Bool(false)), "{name}");
        }
    }
}

/// Of all components that a stack can have at once.
#[test]
fn components_ask_for_at_most_a_gibibyte() {
    for stack in stacks() {
        let components = stack.sets.iter().filter(|set| set.name != stack.name).flat_map(|set| &set.objects);
        let asked: f64 = components
            .filter_map(|object| {
                Some((object.value.pointer("/spec/replicas"), object.value.pointer("/spec/template/spec")?))
            })
            .flat_map(|(replicas, pod)| {
                let replicas = replicas.and_then(Value::as_f64).unwrap_or(1.0);
                list(pod, "/containers")
                    .map(move |container| replicas * amount(container, "/resources/requests/memory"))
            })
            .sum();
        assert!(asked <= f64::from(1 << 30), "{}: {asked}", stack.name);
    }
}

#[test]
fn every_workload_of_a_component_has_a_policy_of_its_own() {
    for stack in stacks() {
        let all: Vec<&Object> = objects(&stack).collect();
        for set in stack.sets.iter().filter(|set| set.namespace == stack.namespace && set.name != stack.name) {
            for object in set.objects.iter().filter(|object| object.key().kind == "Deployment") {
                let labels = object.value.pointer("/spec/template/metadata/labels").and_then(Value::as_object).unwrap();
                let selects = |policy: &&&Object| {
                    let wanted = policy.value.pointer("/spec/podSelector/matchLabels").and_then(Value::as_object);
                    let types: BTreeSet<&str> =
                        list(&policy.value, "/spec/policyTypes").filter_map(Value::as_str).collect();
                    policy.key().kind == "NetworkPolicy"
                        && wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
                        && types == BTreeSet::from(["Egress", "Ingress"])
                };
                assert_eq!(all.iter().filter(selects).count(), 1, "{}", object.key());
            }
        }
    }
}

/// Files inside of ConfigMaps: whoever reads them finds a mistake only when it starts.
#[test]
fn files_in_configmaps_parse() {
    let mut seen = BTreeSet::new();
    for stack in stacks() {
        for object in objects(&stack).filter(|object| object.key().kind == "ConfigMap") {
            let data: Map<String, Value> =
                object.value.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
            for (file, text) in data {
                let text = text.as_str().unwrap();
                match file.rsplit_once('.').map(|(_, extension)| extension) {
                    Some("yaml" | "yml") => {
                        let parsed: Value =
                            serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
                        assert!(parsed.is_object(), "{file}");
                    }
                    Some("json") => {
                        drop(serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{file}: {error}")))
                    }
                    _ => continue,
                }
                seen.insert(format!("{}/{file}", object.key().name));
            }
        }
    }
    for file in ["collector/traces.yaml", "prometheus-rules/hello.yaml", "grafana-dashboards/hello.json"] {
        assert!(seen.contains(file), "{seen:?}");
    }
    for file in ["prometheus-rules/counter.yaml", "grafana-dashboards/counter.json"] {
        assert!(seen.contains(file), "{seen:?}");
    }
}

/// `jaeger:4317` in a configuration is a Service with that port, in every variant.
#[test]
fn addresses_in_configurations_are_services() {
    let address = regex::Regex::new(r"(collector|jaeger|prometheus|grafana):[0-9]+").unwrap();
    for stack in stacks() {
        let mut ports = BTreeSet::new();
        for service in objects(&stack).filter(|object| object.key().kind == "Service") {
            ports.extend(
                list(&service.value, "/spec/ports").map(|port| format!("{}:{}", service.key().name, port["port"])),
            );
        }
        // Grafana's data sources stay where one of them is left out: it says so itself.
        for object in
            objects(&stack).filter(|object| object.key().kind == "ConfigMap" && object.key().name != "grafana")
        {
            for text in object.value.get("data").and_then(Value::as_object).into_iter().flat_map(Map::values) {
                for found in address.find_iter(text.as_str().unwrap_or_default()) {
                    assert!(ports.contains(found.as_str()), "{} names {}", object.key(), found.as_str());
                }
            }
        }
    }
}

/// Runs a program of a component's image on the ConfigMaps below `folder`, which it sees as /config.
fn accepts(stack: &Stack, component: &str, entrypoint: &[&str], arguments: &[&str], folder: &std::path::Path) {
    let deployment = objects(stack).find(|object| object.key().kind == "Deployment" && object.key().name == component);
    let image = deployment.and_then(|object| object.value.pointer("/spec/template/spec/containers/0/image")).unwrap();
    let mut command = std::process::Command::new("timeout");
    command.args(["120", "docker", "run", "--rm", "--network", "none", "--volume"]);
    command.arg(format!("{}:/config:ro", folder.display())).args(entrypoint).arg(image.as_str().unwrap());
    let output = command.args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{component} {arguments:?}: {said}");
}

/// What parses need not be understood: the programs themselves say whether it is.
#[test]
#[ignore = "needs an engine"]
fn engine_programs_accept_their_configurations() {
    use std::{fs, os::unix::fs::PermissionsExt};

    if !super::has_engine() {
        return;
    }
    for without in [vec!["grafana".to_owned()], vec!["jaeger".to_owned()]] {
        let alone = without.contains(&"jaeger".to_owned());
        let stack = loaded(&LoadRequest {
            stack: "hello".into(),
            provider: "kind".into(),
            edge_on_nodes: true,
            without,
            ..LoadRequest::default()
        });
        let folder = tempfile::tempdir().unwrap();
        // The programs run as other users.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for object in objects(&stack).filter(|object| object.key().kind == "ConfigMap") {
            let own = folder.path().join(object.key().name);
            fs::create_dir(&own).unwrap();
            for (file, text) in object.value.get("data").and_then(Value::as_object).into_iter().flatten() {
                fs::write(own.join(file), text.as_str().unwrap()).unwrap();
            }
        }
        let check = |component: &str, entrypoint: &[&str], arguments: &[&str]| {
            accepts(&stack, component, entrypoint, arguments, folder.path());
        };
        let files = ["--config=/config/collector/collector.yaml", "--config=/config/collector/traces.yaml"];
        check("collector", &[], &["validate", files[0], files[1]]);
        if alone {
            continue;
        }
        check("jaeger", &[], &["validate", "--config=/config/jaeger/jaeger.yaml"]);
        let promtool = ["--entrypoint", "promtool"];
        check("prometheus", &promtool, &["check", "config", "--syntax-only", "/config/prometheus/prometheus.yml"]);
        check("prometheus", &promtool, &["check", "rules", "/config/prometheus-rules/hello.yaml"]);
    }
}
