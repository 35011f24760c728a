//! What a removal must not touch, and what it must wait for.

use serde_json::json;

use crate::{Test, ground::Ground, upward::cluster};

pub const ALL: &[Test] = &[
    ("what_the_cluster_has_made_goes_before_it", what_the_cluster_has_made_goes_before_it),
    ("a_removal_in_another_order_fails", a_removal_in_another_order_fails),
    ("nothing_is_refused_on_the_way_back", nothing_is_refused_on_the_way_back),
    ("lost_state_is_no_hindrance", lost_state_is_no_hindrance),
];

fn what_the_cluster_has_made_goes_before_it(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    home.up();
    let cluster = cluster(ground);
    ground.account.post(
        "/automode/nodes",
        &json!({ "cluster": cluster, "count": 2, "zone": "us-east-1a", "pool": "general-purpose" }),
    );
    ground.account.post(
        "/automode/load-balancer",
        &json!({ "cluster": cluster, "service": "small/edge", "dns_name": "localhost" }),
    );
    ground.account.post("/automode/volume", &json!({ "cluster": cluster, "size": 8, "claim": "small/data" }));
    let down = home.down();
    down.says("volume");
    let mut after = ground.account.inventory();
    // Data stays.
    assert_eq!(after.remove("ec2:volume").map(|volumes| volumes.len()), Some(1));
    assert_eq!(after, before);
}

/// Waves that AWS refuses to see the other way round with their next: the control plane and gateways before interfaces,
/// subnets before their route tables, the internet gateway before the VPC.
const HELD_BY_AWS: [usize; 3] = [2, 5, 7];

fn a_removal_in_another_order_fails(ground: &Ground) {
    for at in HELD_BY_AWS {
        let mut home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        home.up();
        let cluster = cluster(ground);
        ground.account.post(
            "/automode/nodes",
            &json!({ "cluster": cluster, "count": 1, "zone": "us-east-1a", "pool": "general-purpose" }),
        );
        ground.account.post(
            "/automode/load-balancer",
            &json!({ "cluster": cluster, "service": "small/edge", "dns_name": "localhost" }),
        );
        home.set("STACKCTL_EKS_SWAP", &at.to_string());
        assert_ne!(home.run(&["down", "--yes"]).code, 0, "waves {at} and {} the other way round", at + 1);
        assert_ne!(ground.account.inventory(), before);
    }
}

/// In the order as it is, AWS has nothing to refuse.
fn nothing_is_refused_on_the_way_back(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let up = ground.account.calls().len();
    home.down();
    let refused = ["DependencyViolation", "DeleteConflict", "InvalidIPAddress.InUse", "ResourceInUseException"];
    let calls = ground.account.calls();
    let refused: Vec<_> = calls[up..]
        .iter()
        .filter(|call| call["code"].as_str().is_some_and(|code| refused.contains(&code)))
        .map(|call| call["action"].clone())
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn lost_state_is_no_hindrance(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    home.up();
    let other = ground.home();
    other.up();
    other.down();
    assert_eq!(ground.account.inventory(), before);
}
