//! What bears our mark is found from AWS alone: for who has lost all state, for what has expired, for what it costs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    Test,
    ground::{Ground, Home},
};

pub const ALL: &[Test] = &[
    ("lost_clusters_are_found_and_removed", lost_clusters_are_found_and_removed),
    ("what_expired_goes_and_nothing_else", what_expired_goes_and_nothing_else),
    ("what_runs_is_on_the_bill", what_runs_is_on_the_bill),
];

const EXPIRES_WITHIN: Duration = Duration::from_secs(60);

fn document(home: &Home, arguments: &[&str]) -> Value {
    let run = home.ok(&[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&run.stdout).unwrap()
}

fn names(document: &Value) -> Vec<&str> {
    document["clusters"].as_array().unwrap().iter().map(|found| found["purpose"].as_str().unwrap()).collect()
}

fn lost_clusters_are_found_and_removed(ground: &Ground) {
    let home = ground.fresh(json!({ "deny": ["eks:CreateCluster"] }));
    // Somebody else's, of a name that looks like ours.
    ground.account.post("/automode/volume", &json!({ "cluster": "stackctl-prod-000000", "size": 8, "claim": "a/b" }));
    let before = ground.account.inventory();
    home.ok(&["sweep", "--yes"]).says("nothing to remove");
    // Half of one.
    assert_eq!(home.run(&["up", "--yes"]).code, 4);
    let half = document(&ground.home(), &["sweep", "--dry-run"]);
    assert_eq!(names(&half), ["small"], "{half:#}");
    assert!(half["clusters"][0]["things"].get("cluster").is_none(), "{half:#}");
    ground.home().ok(&["sweep", "--yes"]);
    assert_eq!(ground.account.inventory(), before);
    // A whole one, of which this machine knows nothing.
    ground.account.post("/settings", &json!({ "deny": [] }));
    home.up();
    let cluster = crate::upward::cluster(ground);
    ground.account.post("/automode/volume", &json!({ "cluster": cluster, "size": 8, "claim": "small/data" }));
    let whole = ground.account.inventory();
    let other = ground.home();
    let refused = other.run(&["sweep"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    refused.says(&cluster).says("an hour");
    assert_eq!(ground.account.inventory(), whole, "nothing goes without a yes");
    assert!(names(&document(&other, &["sweep", "--dry-run", "--cluster-name", "another"])).is_empty());
    let swept = document(&other, &["sweep", "--yes"]);
    assert!(swept["left"].as_array().unwrap().is_empty() && !swept["removed"].as_array().unwrap().is_empty());
    let kept = |document: &Value| document["kept"].to_string();
    assert!(kept(&swept).contains("vol-"), "{swept:#}");
    let (mut after, mut before) = (ground.account.inventory(), before);
    assert_eq!(after.remove("ec2:volume").map(|all| all.len()), before.remove("ec2:volume").map(|all| all.len() + 1));
    assert_eq!(after, before);
    // Data alone is nothing to remove, and is paid for all the same.
    other.ok(&["sweep", "--yes"]).says("nothing to remove");
    other.ok(&["cost"]).says("8 × GiB of volumes");
}

fn what_expired_goes_and_nothing_else(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let nothing = ground.account.inventory();
    home.ok(&["up", "--yes", "--ttl", "8h"]);
    let one = ground.account.inventory();
    home.ok(&["up", "--yes", "--cluster-name", "short", "--ttl", "1s"]);
    let other = ground.home();
    let deadline = Instant::now() + EXPIRES_WITHIN;
    while names(&document(&other, &["sweep", "--expired", "--dry-run"])) != ["short"] {
        assert!(Instant::now() < deadline, "it does not expire");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(names(&document(&other, &["sweep", "--dry-run"])).len(), 2);
    other.ok(&["sweep", "--expired", "--yes"]);
    assert_eq!(ground.account.inventory(), one);
    other.ok(&["sweep", "--yes"]);
    assert_eq!(ground.account.inventory(), nothing);
}

fn what_runs_is_on_the_bill(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.ok(&["cost"]).says("nothing of stackctl is there");
    home.up();
    let cost = document(&ground.home(), &["cost"]);
    assert_eq!(cost["perHour"], 150, "control plane, NAT gateway, address: {cost:#}");
    let cluster = crate::upward::cluster(ground);
    ground.account.post(
        "/automode/nodes",
        &json!({ "cluster": cluster, "count": 2, "zone": "us-east-1a", "pool": "general-purpose" }),
    );
    ground.account.post(
        "/automode/load-balancer",
        &json!({ "cluster": cluster, "service": "small/edge", "dns_name": "localhost" }),
    );
    home.ok(&["cost"]).says("2 × node c6a.large").says("load balancer").says("a day").says("us-east-1");
    let more = document(&home, &["cost"]);
    assert!(more["perHour"].as_u64() > cost["perHour"].as_u64(), "{more:#}");
    home.down();
    assert_eq!(document(&home, &["cost"])["perHour"], 0);
}
