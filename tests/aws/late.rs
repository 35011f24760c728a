//! What AWS shows late, and what it says of things that come and go.

use serde_json::{Value, json};

use crate::{Test, ground::Ground, upward::cluster};

pub const ALL: &[Test] = &[
    ("what_was_just_made_may_be_unknown", what_was_just_made_may_be_unknown),
    ("what_goes_may_be_in_use_for_a_while", what_goes_may_be_in_use_for_a_while),
    ("a_stopped_up_needs_no_second_share_of_a_quota", a_stopped_up_needs_no_second_share_of_a_quota),
    ("another_region_is_not_taken_for_gone", another_region_is_not_taken_for_gone),
    ("a_kubeconfig_of_an_earlier_cluster_is_renewed", a_kubeconfig_of_an_earlier_cluster_is_renewed),
    ("all_clusters_at_once_are_refused", all_clusters_at_once_are_refused),
];

/// The first call of that action is refused like this.
fn refuses(action: &str, code: &str) -> Value {
    json!({ "action": action, "kind": "error", "code": code, "message": "it does not exist", "status": 400 })
}

fn what_was_just_made_may_be_unknown(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    let faults = [
        refuses("ModifyVpcAttribute", "InvalidVpcID.NotFound"),
        refuses("CreateSubnet", "InvalidVpcID.NotFound"),
        refuses("AttachInternetGateway", "InvalidInternetGatewayID.NotFound"),
        refuses("CreateRoute", "InvalidRouteTableID.NotFound"),
        refuses("AssociateRouteTable", "InvalidSubnetID.NotFound"),
        refuses("CreateNatGateway", "InvalidAllocationID.NotFound"),
        refuses("AttachRolePolicy", "NoSuchEntity"),
    ];
    ground.account.post("/faults", &json!(faults));
    home.up();
    let told = ground.account.get("/faults");
    let fired = told.as_array().or_else(|| told["faults"].as_array()).expect("faults").clone();
    assert!(fired.iter().all(|fault| fault["fired"] == 1), "{fired:?}");
    home.down();
    assert_eq!(ground.account.inventory(), before);
}

fn what_goes_may_be_in_use_for_a_while(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    home.up();
    let balancer = json!({ "cluster": cluster(ground), "service": "small/edge", "dns_name": "localhost" });
    ground.account.post("/automode/load-balancer", &balancer);
    let faults = [refuses("DeleteTargetGroup", "ResourceInUse"), refuses("ReleaseAddress", "AuthFailure")];
    ground.account.post("/faults", &json!(faults));
    home.down();
    assert_eq!(ground.account.inventory(), before);
}

fn a_stopped_up_needs_no_second_share_of_a_quota(ground: &Ground) {
    // One VPC beside the account's own, and one address.
    let home = ground.fresh(json!({ "quotas": { "L-F678F1CE": 2, "L-0263D0A3": 1 } }));
    let denied = json!([{ "action": "CreateNatGateway", "kind": "access_denied", "times": 1 }]);
    ground.account.post("/faults", &denied);
    assert_eq!(home.run(&["up", "--yes"]).code, 4);
    home.up();
    home.down();
}

fn another_region_is_not_taken_for_gone(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let there = ground.account.inventory();
    let refused = home.run(&["down", "--yes", "--region", "eu-west-1"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    refused.says("--region us-east-1");
    assert_eq!(ground.account.inventory(), there);
    home.down();
}

fn a_kubeconfig_of_an_earlier_cluster_is_renewed(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let path = home.ok(&["kubeconfig", "--path", "--cluster-name", "small"]).stdout;
    let right = std::fs::read_to_string(path.trim()).unwrap();
    let server = right.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server");
    std::fs::write(path.trim(), right.replace(server, "https://127.0.0.1:1")).unwrap();
    home.up();
    assert_eq!(std::fs::read_to_string(path.trim()).unwrap(), right);
    home.down();
}

fn all_clusters_at_once_are_refused(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let there = ground.account.inventory();
    assert_eq!(home.run(&["down", "--all", "--yes"]).code, 2);
    assert_eq!(ground.account.inventory(), there);
    home.down();
}
