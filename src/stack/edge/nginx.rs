//! `edge: nginx`: two of them behind a Service, with all that belongs to a workload which must not fail.

use serde_json::{Value, json};

use super::{
    Backend, EdgeInput, HTTP, HTTPS, MARK, NAME, SECRET,
    nginx_conf::{self, DRAIN, HEALTH, SCRATCH, TLS},
    public,
};

const IMAGE: &str = "nginx:1.30.6";
/// Of user and group `nginx` in the image.
const USER: u32 = 101;
/// Seconds until every node has heard that a pod left the Service.
const NOTICE: u64 = 5;
const FOLDER: &str = "/etc/edge";

pub fn objects(input: &EdgeInput) -> Vec<Value> {
    let mut objects = vec![
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME},
            "data": {"nginx.conf": nginx_conf::text(input.backends), "start.sh": nginx_conf::START},
        }),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME},
            "automountServiceAccountToken": false,
        }),
        deployment(),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "annotations": {MARK: "true"}},
            "spec": {
                "type": if input.on_nodes { "NodePort" } else { "ClusterIP" },
                "selector": labels(),
                "ports": [
                    {"name": "https", "port": HTTPS, "targetPort": "https"},
                    {"name": "http", "port": HTTP, "targetPort": "http"},
                ],
            },
        }),
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": NAME},
            "spec": {
                "maxUnavailable": 1,
                // A pod that is not ready serves nobody, and must not block a node's drain.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": labels()},
            },
        }),
        network_policy(input),
    ];
    objects.extend(input.balanced.map(|balanced| public::service(input, balanced)));
    for object in &mut objects {
        object["metadata"]["namespace"] = input.namespace.into();
    }
    objects
}

pub fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn deployment() -> Value {
    let probe = |period: u32, failures: u32| {
        let get = json!({"path": "/healthz", "port": "health"});
        json!({"httpGet": get, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures})
    };
    // After a moment in which it asks where the services are.
    let mut startup = probe(1, 60);
    startup["initialDelaySeconds"] = 1.into();
    let container = json!({
        "name": "nginx",
        "image": IMAGE,
        "command": ["/bin/sh", format!("{FOLDER}/start.sh")],
        "env": [{"name": "AWAITED_NAME", "value": "kubernetes.default.svc.cluster.local"}],
        "ports": [
            {"name": "https", "containerPort": HTTPS},
            {"name": "http", "containerPort": HTTP},
            {"name": "health", "containerPort": HEALTH},
        ],
        "resources": {
            "requests": {"cpu": "20m", "memory": "32Mi"},
            "limits": {"cpu": "1", "memory": "128Mi"},
        },
        "startupProbe": startup,
        "readinessProbe": probe(5, 2),
        "livenessProbe": probe(10, 3),
        // The image's stop signal is SIGQUIT: no new connections, the others end with their next answer.
        "lifecycle": {"preStop": {"sleep": {"seconds": NOTICE}}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "configuration", "mountPath": FOLDER},
            {"name": "certificate", "mountPath": TLS},
            {"name": "scratch", "mountPath": SCRATCH},
        ],
    });
    let spec = json!({
        "serviceAccountName": NAME,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": NOTICE + DRAIN + 5,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels()},
            "matchLabelKeys": ["pod-template-hash"],
        }],
        "containers": [container],
        "volumes": [
            {"name": "configuration", "configMap": {"name": NAME}},
            {"name": "certificate", "secret": {"secretName": SECRET, "defaultMode": 0o440, "items": [
                {"key": "tls.crt", "path": "tls.crt"},
                {"key": "tls.key", "path": "tls.key"},
            ]}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": labels()},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels()}, "spec": spec},
        },
    })
}

/// In: anybody, on the two ports that are served; the kubelet's probes need no rule. Out: DNS, and the routes' pods.
fn network_policy(input: &EdgeInput) -> Value {
    let mut egress = vec![json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]})];
    for backend in input.backends {
        let rule = to_pods(input, backend);
        if !egress.contains(&rule) {
            egress.push(rule);
        }
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "podSelector": {"matchLabels": labels()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "https", "protocol": "TCP"}, {"port": "http", "protocol": "TCP"}]}],
            "egress": egress,
        },
    })
}

fn to_pods(input: &EdgeInput, backend: &Backend) -> Value {
    let (route, service) = (&backend.route, &backend.service);
    let target = service.ports.iter().find(|port| port.port == route.port).map(|port| port.target.clone());
    let port = json!([{"port": target.unwrap_or_else(|| route.port.into()), "protocol": "TCP"}]);
    if service.selector.is_empty() {
        // Who is behind it is not known here.
        return json!({"ports": port});
    }
    let mut peer = json!({"podSelector": {"matchLabels": service.selector}});
    if route.namespace != input.namespace {
        let label = json!({"kubernetes.io/metadata.name": route.namespace});
        peer["namespaceSelector"] = json!({"matchLabels": label});
    }
    json!({"to": [peer], "ports": port})
}
