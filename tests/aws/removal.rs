//! What a removal must not touch, and what it must wait for.

use serde_json::json;

use crate::{Test, ground::Ground, upward::cluster};

pub const ALL: &[Test] = &[
    ("what_the_cluster_has_made_goes_before_it", what_the_cluster_has_made_goes_before_it),
    ("a_removal_in_another_order_fails", a_removal_in_another_order_fails),
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
    ground.account.post("/automode/load-balancer", &json!({ "cluster": cluster, "service": "small/edge" }));
    ground.account.post("/automode/volume", &json!({ "cluster": cluster, "size": 8, "claim": "small/data" }));
    let down = home.down();
    down.says("volume");
    let mut after = ground.account.inventory();
    // Data stays.
    assert_eq!(after.remove("ec2:volume").map(|volumes| volumes.len()), Some(1));
    assert_eq!(after, before);
}

/// Each two neighbours of the order, the other way round.
fn a_removal_in_another_order_fails(ground: &Ground) {
    const WAVES: usize = 10;
    let mut passed = Vec::new();
    for at in 0..WAVES - 1 {
        let mut home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        home.up();
        let cluster = cluster(ground);
        ground.account.post(
            "/automode/nodes",
            &json!({ "cluster": cluster, "count": 1, "zone": "us-east-1a", "pool": "general-purpose" }),
        );
        ground.account.post("/automode/load-balancer", &json!({ "cluster": cluster, "service": "small/edge" }));
        home.set("STACKCTL_EKS_SWAP", &at.to_string());
        if home.run(&["down", "--yes"]).code == 0 && ground.account.inventory() == before {
            passed.push(at);
        }
    }
    assert!(passed.is_empty(), "waves that may as well come after their next: {passed:?}");
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
