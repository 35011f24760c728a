//! An edge that a load balancer leads to.

use serde_json::Value;

use super::*;
use crate::{
    plan::up::edge,
    stack::{edge::tests::SERVICE, testing::Repository},
    tls::{Seen, certificate::Facts},
};

const STACK: &str = "name: shop\nmanifests: [service.yaml]\nroutes: [{ path: /, service: web }]\n";

fn stack() -> Stack {
    let files = [("manifests/shop/stack.yaml", STACK), ("manifests/shop/service.yaml", SERVICE)];
    Repository::new(&files).balanced().stack()
}

fn seen(live: LiveState) -> Observed {
    let seen = observed(RUNNING, RegistryState::Running { port: 1 }, None);
    Observed { live: Some(live), images: BTreeMap::new(), ..seen }
}

fn needs(plan: &Plan, id: &str) -> Vec<String> {
    let step = plan.steps.iter().find(|step| &*step.id == id).unwrap_or_else(|| panic!("{id} in {}", text(plan)));
    step.needs.iter().map(|&need| plan.steps[need].id.to_string()).collect()
}

#[test]
fn the_certificate_waits_for_the_name_and_pods_for_the_certificate() {
    let plan = plan(&stack(), &up(), &seen(LiveState::default())).unwrap();
    assert!(needs(&plan, "address:Service/edge-public").contains(&"apply:Service/edge-public".to_owned()));
    assert!(needs(&plan, "certificate:Secret/edge-tls").contains(&"address:Service/edge-public".to_owned()));
    let gate = needs(&plan, "apply:Deployment/edge");
    let gates: Vec<String> = gate.iter().flat_map(|id| needs(&plan, id)).collect();
    assert!([gate, gates].concat().contains(&"certificate:Secret/edge-tls".to_owned()), "{}", text(&plan));
}

#[test]
fn a_name_that_is_known_is_not_waited_for() {
    let stack = stack();
    let sets = desired::desired(&stack, &BTreeMap::new());
    let mut service = edge::balanced(&sets).unwrap().clone();
    service["metadata"]["uid"] = json!("1");
    let key = json::key(&service);
    let wanted = sets.iter().find_map(|set| set.certificate.clone()).unwrap();
    let mut facts = Facts {
        serial: "0a".into(),
        issuer: String::new(),
        subject: String::new(),
        not_before: 0,
        not_after: i64::MAX,
        is_authority: false,
        names: wanted.names.clone(),
    };
    let mut with = |host: Option<&str>, service: Value| {
        facts.names = wanted.names.iter().cloned().chain(host.map(str::to_owned)).collect();
        let host = host.map(str::to_owned);
        let seen =
            Seen { now: 1, certificate: Ok(facts.clone()), ours: true, signed: true, bundled: true, own: None, host };
        let live = Live { objects: [(key.clone(), service)].into() };
        LiveState { live, certificates: [(wanted.secret_key(), seen)].into(), ..LiveState::default() }
    };
    let ids = |live: LiveState| -> Vec<String> {
        plan(&stack, &up(), &super::balanced::seen(live))
            .unwrap()
            .steps
            .iter()
            .map(|step| step.id.to_string())
            .collect()
    };
    let waits = |ids: &[String]| {
        ["address:Service/edge-public", "certificate:Secret/edge-tls"].map(|id| ids.iter().any(|known| known == id))
    };
    assert_eq!(waits(&ids(with(None, service.clone()))), [true, true], "it has no load balancer yet");
    service["status"] = json!({ "loadBalancer": { "ingress": [{ "hostname": "lb.example" }] } });
    assert_eq!(waits(&ids(with(Some("lb.example"), service))), [false, false]);
}
