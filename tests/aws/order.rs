//! The order of the way back: as it is, AWS has nothing to refuse and nothing is forced. With any two neighbours the other
//! way round, one of these removals goes wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Test,
    account::Account,
    api::ApiServer,
    ground::{Ground, Home},
    upward::cluster,
};

pub const ALL: &[Test] = &[
    ("nothing_is_refused_on_the_way_back", nothing_is_refused_on_the_way_back),
    ("a_removal_in_another_order_fails", a_removal_in_another_order_fails),
];

/// What AWS says to who comes too early.
const TOO_EARLY: [&str; 6] = [
    "DependencyViolation",
    "DeleteConflict",
    "InvalidIPAddress.InUse",
    "InvalidNetworkInterface.InUse",
    "InvalidParameterValue",
    "ResourceInUseException",
];
/// What takes away by force what its owner would have taken along, had it been left the time.
const FORCED: [&str; 7] = [
    "DeleteLoadBalancer",
    "DeleteTargetGroup",
    "TerminateInstances",
    "DeleteNetworkInterface",
    "DeleteSecurityGroup",
    "RevokeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
];
const SWAP: &str = "STACKCTL_EKS_SWAP";

type Removal = fn(&Ground, &Home) -> Vec<String>;

const SCENARIOS: [(&str, Removal); 3] =
    [("in use", in_use), ("an interface is left", with_an_interface), ("it does not come to its end", stopped)];

fn nothing_is_refused_on_the_way_back(ground: &Ground) {
    for (name, removal) in SCENARIOS {
        let wrong = fresh(ground, removal, None);
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

fn a_removal_in_another_order_fails(ground: &Ground) {
    let waves = waves(ground);
    assert!(waves > 5, "{waves} waves");
    let mut unnoticed = Vec::new();
    for at in 0..waves - 1 {
        let found = SCENARIOS.iter().find_map(|(name, removal)| {
            let wrong = fresh(ground, *removal, Some(at));
            wrong.into_iter().next().map(|first| format!("{name}: {first}"))
        });
        match found {
            Some(found) => eprintln!("waves {at} and {}: {}", at + 1, found.lines().next().unwrap_or_default()),
            None => unnoticed.push(at),
        }
    }
    assert!(unnoticed.is_empty(), "the waves {unnoticed:?} may come after their next as well: let them be one wave");
}

/// How many there are: each begins when all of the one before is done.
fn waves(ground: &Ground) -> usize {
    let home = ground.fresh(json!({}));
    home.up();
    let planned = home.ok(&["down", "--dry-run", "--output", "json"]).stdout;
    let planned: Value = serde_json::from_str(&planned).unwrap();
    let steps = planned["steps"].as_array().unwrap();
    let removals = steps.iter().filter(|step| step["id"].as_str().unwrap().starts_with("delete:"));
    let waves: std::collections::BTreeSet<String> = removals.map(|step| step["needs"].to_string()).collect();
    waves.len()
}

fn fresh(ground: &Ground, removal: Removal, at: Option<usize>) -> Vec<String> {
    let mut home = ground.fresh(json!({}));
    home.up();
    if let Some(at) = at {
        home.set(SWAP, &at.to_string());
    }
    removal(ground, &home)
}

/// Removes it. What was refused, what had to be forced more often than was to be, and what is left.
fn removed(ground: &Ground, home: &Home, expected: &BTreeMap<&str, usize>) -> Vec<String> {
    let since = ground.account.calls().len();
    let down = home.run(&["down", "--yes", "--cluster"]);
    let mut wrong = Vec::new();
    if down.code != 0 {
        wrong.push(format!("exit code {}: {}", down.code, down.stderr));
    }
    let calls = ground.account.calls();
    let mut forced = BTreeMap::new();
    for call in &calls[since..] {
        let action = call["action"].as_str().unwrap();
        if call["code"].as_str().is_some_and(|code| TOO_EARLY.contains(&code)) {
            wrong.push(format!("{action} was refused: {}", call["code"]));
        } else if FORCED.contains(&action) {
            *forced.entry(action).or_insert(0) += 1;
        }
    }
    for (action, times) in forced {
        let expected = expected.get(action).copied().unwrap_or(0);
        if times > expected {
            wrong.push(format!("{action} was called {times} times, and not {expected}"));
        }
    }
    let after = ground.account.inventory();
    if !after.is_empty() {
        let left: Vec<String> = after.iter().map(|(kind, things)| format!("{} {kind}", things.len())).collect();
        wrong.push(format!("left: {}; {}", left.join(", "), down.stdout));
    }
    wrong
}

/// With nodes, and a load balancer whose controller runs on them, as people install it.
fn in_use(ground: &Ground, home: &Home) -> Vec<String> {
    let cluster = cluster(ground);
    let nodes = json!({ "cluster": cluster, "count": 2, "zone": "us-east-1a", "pool": "general-purpose" });
    ground.account.post("/automode/nodes", &nodes);
    let _controller = Controller::start(ground, &cluster);
    removed(ground, home, &BTreeMap::new())
}

/// One that a node has left holds a subnet and the cluster's security group, which EKS leaves for that.
fn with_an_interface(ground: &Ground, home: &Home) -> Vec<String> {
    ground.account.post("/automode/interface", &json!({ "cluster": cluster(ground) }));
    let expected = [("DeleteNetworkInterface", 1), ("DeleteSecurityGroup", 1), ("RevokeSecurityGroupIngress", 1)];
    removed(ground, home, &expected.into())
}

/// As long as anything is left, this machine knows of it.
fn stopped(ground: &Ground, home: &Home) -> Vec<String> {
    let fault = json!([{ "service": "ec2", "action": "DeleteVpc", "kind": "access_denied", "times": 1 }]);
    ground.account.post("/faults", &fault);
    let denied = home.run(&["down", "--yes"]);
    let mut wrong = Vec::new();
    if denied.code != 4 {
        wrong.push(format!("exit code {}: {}", denied.code, denied.stderr));
    }
    let clusters = home.path().join(".local/state/stackctl/clusters");
    let ledgers = std::fs::read_dir(&clusters).into_iter().flatten().flatten();
    if !ledgers.map(|folder| folder.path().join("ledger.jsonl")).any(|ledger| ledger.exists()) {
        wrong.push("the VPC is there, and its ledger is not".to_owned());
    }
    wrong.extend(removed(ground, home, &BTreeMap::new()));
    wrong
}

/// What takes the load balancer of a Service away and then lets the Service go. It runs in pods: without nodes it does
/// nothing, and the Service stays for ever (aws-load-balancer-controller#2200, #1629).
struct Controller {
    account: Arc<Account>,
    api: Arc<ApiServer>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const SERVICE: &str = "/api/v1/namespaces/default/services/entrance";

impl Controller {
    /// With a Service that has a load balancer.
    fn start(ground: &Ground, cluster: &str) -> Controller {
        let (account, api) = (Arc::clone(&ground.account), Arc::clone(&ground.api));
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "entrance", "finalizers": ["service.k8s.aws/resources"] },
            "spec": { "type": "LoadBalancer", "ports": [{ "port": 443 }] },
        });
        let made = api.ask("POST", "/api/v1/namespaces/default/services", &service);
        assert_eq!(made["metadata"]["name"], "entrance", "{made}");
        let balancer = json!({ "cluster": cluster, "service": "default/entrance", "dns_name": "localhost" });
        account.post("/automode/load-balancer", &balancer);
        let ended = Arc::new(AtomicBool::new(false));
        let mut controller = Controller { account, api, ended, thread: None };
        let (account, api) = (Arc::clone(&controller.account), Arc::clone(&controller.api));
        let (ended, gone) =
            (Arc::clone(&controller.ended), json!({ "cluster": cluster, "service": "default/entrance" }));
        controller.thread = Some(std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let there = api.ask("GET", SERVICE, &Value::Null);
                if there["metadata"]["deletionTimestamp"].is_string()
                    && account.inventory().contains_key("ec2:instance")
                {
                    account.post("/automode/load-balancer-gone", &gone);
                    let_go(&api);
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }));
        controller
    }
}

fn let_go(api: &ApiServer) {
    api.ask("PATCH", SERVICE, &json!({ "metadata": { "finalizers": null } }));
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // The API server outlives the cluster here.
        let_go(&self.api);
        self.api.ask("DELETE", SERVICE, &Value::Null);
    }
}
