use serde_json::json;

use super::*;
use crate::{
    kube::live::Live,
    plan::{
        Plan,
        observed::{LiveState, Observed},
        up::{Options, plan},
    },
    provider::{ClusterState, Observation, existing},
    stack::desired,
};

fn hook(more: Value) -> Value {
    let mut webhook = json!({"name": "gate.n.svc", "clientConfig": {"service": {"namespace": "n", "name": "gate"}},
        "rules": [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}]});
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"webhooks": [webhook]})
}

#[test]
fn a_webhook_guards_the_pods_that_its_selectors_let_through() {
    let workload = json!({"kind": "Deployment", "metadata": {"namespace": "n"},
        "spec": {"template": {"metadata": {"labels": {"app": "gate"}}}}});
    let guards = |more: Value| guards(&hook(more), &workload);
    assert!(guards(json!({})));
    assert!(!guards(json!({"failurePolicy": "Ignore"})));
    assert!(!guards(json!({"clientConfig": {"url": "https://x"}})), "not ours to look after");
    assert!(!guards(json!({"rules": [{"apiGroups": ["apps"], "operations": ["*"], "resources": ["*"]}]})));
    let by_name = |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    assert!(guards(by_name("n")) && !guards(by_name("m")));
    assert!(guards(json!({"namespaceSelector": {"matchLabels": {"team": "a"}}})), "it may have that label");
    let not = |app: &str| json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [app]}]}});
    assert!(!guards(not("gate")) && guards(not("other")));
    assert!(!guards(json!({"objectSelector": {"matchLabels": {"checked": "yes"}}})));
}

#[test]
fn only_a_rolling_deployment_keeps_pods_running() {
    let of = |kind: &str, strategy: Value| json!({"kind": kind, "spec": {"strategy": strategy}});
    let rolling = of("Deployment", json!({}));
    assert!(!may_stop_all(
        &rolling,
        Some(&of(
            "Deployment",
            json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        ))
    ));
    assert!(may_stop_all(&of("Deployment", json!({"type": "Recreate"})), None));
    assert!(may_stop_all(&rolling, Some(&of("Deployment", json!({"type": "Recreate"})))));
    assert!(may_stop_all(&of("Deployment", json!({"rollingUpdate": {"maxUnavailable": 1}})), None));
    assert!(may_stop_all(&of("StatefulSet", json!({})), None));
}

#[test]
fn only_webhooks_of_services_are_relaxed() {
    let mut configuration = hook(json!({"failurePolicy": "Fail"}));
    configuration["webhooks"].as_array_mut().unwrap().push(json!({"clientConfig": {"url": "https://x"}}));
    let relaxed = relaxed(&configuration);
    assert_eq!(relaxed["webhooks"][0]["failurePolicy"], "Ignore");
    assert_eq!(relaxed["webhooks"][1], configuration["webhooks"][1]);
}

const GATE: &str = "apiVersion: v1
kind: Service
metadata: { name: gate }
spec: { selector: { app: gate }, ports: [{ port: 443 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: gate }
spec:
  strategy: { type: STRATEGY }
  selector: { matchLabels: { app: gate } }
  template:
    metadata: { labels: { app: gate } }
    spec: { containers: [{ name: main, image: 'gate:1' }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: 'web:1' }] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: gate }
webhooks:
  - name: gate.shop.svc
    clientConfig: { service: { namespace: shop, name: gate } }
    rules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods] }]
";

/// A plan where these objects are in the cluster as they were declared with `before`, all as they should be but for the
/// Deployment `gate`.
fn planned(before: Option<&str>, now: &str, ready: bool) -> Plan {
    let stack = |strategy: &str| {
        let manifest = GATE.replace("STRATEGY", strategy);
        crate::stack::testing::shop("name: shop\nmanifests: [gate.yaml]\n", &[("gate.yaml", &manifest)]).stack()
    };
    let live = before.map(|before| {
        let set = desired::desired(&stack(before), &Default::default()).pop().unwrap();
        let objects = set.objects.iter().map(|object| (object.object.key(), object.object.value.clone()));
        let keys = set.objects.iter().map(|object| object.object.key());
        let ready = keys.filter(|key| ready || key.name != "gate").collect();
        LiveState { live: Live { objects: objects.collect() }, ready, ..LiveState::default() }
    });
    let provider = Observation::of(ClusterState::Ours { stopped: false });
    let observed = Observed { live, ..Observed::of(existing::TRAITS, provider) };
    plan(&stack(now), &Options::default(), &observed).unwrap()
}

/// Whether the one comes after the other, through whatever steps.
fn comes_after(plan: &Plan, later: &str, earlier: &str) -> bool {
    let at = |id: &str| plan.steps.iter().position(|step| &*step.id == id).unwrap_or_else(|| panic!("no {id}"));
    let (mut open, earlier) = (vec![at(later)], at(earlier));
    while let Some(step) = open.pop() {
        if step == earlier {
            return true;
        }
        open.extend(&plan.steps[step].needs);
    }
    false
}

const HOOK: &str = "apply:ValidatingWebhookConfiguration/gate";
const RELAX: &str = "relax:ValidatingWebhookConfiguration/gate";

fn relaxes(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| &*step.id == RELAX)
}

#[test]
fn a_webhook_comes_after_the_pods_that_answer_it_are_ready() {
    let plan = planned(None, "RollingUpdate", false);
    assert!(!relaxes(&plan), "there is none yet");
    for behind in ["await:Deployment/gate", "await:Service/gate"] {
        assert!(comes_after(&plan, HOOK, behind), "{behind}");
        assert!(!comes_after(&plan, behind, HOOK), "{behind}");
    }
    assert!(!comes_after(&plan, HOOK, "await:Deployment/web"), "what does not answer it is not waited for");
    assert_eq!(plan.steps.iter().filter(|step| step.id.starts_with("await:Deployment/gate")).count(), 1);
}

#[test]
fn a_rollout_that_leaves_nobody_to_answer_is_let_through_in_a_later_run() {
    let plan = planned(Some("RollingUpdate"), "Recreate", true);
    assert!(comes_after(&plan, "apply:Deployment/gate", RELAX));
    assert!(comes_after(&plan, HOOK, "await:Deployment/gate"));
    assert!(!relaxes(&planned(Some("RollingUpdate"), "RollingUpdate", true)), "the old pods answer");
    let down = planned(Some("RollingUpdate"), "RollingUpdate", false);
    assert!(comes_after(&down, HOOK, "await:Deployment/gate") && relaxes(&down), "nobody answers now");
}
