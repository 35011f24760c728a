//! What a removal must not touch, and what it must wait for.

use serde_json::json;

use crate::{Test, ground::Ground, upward::cluster};

pub const ALL: &[Test] = &[
    ("what_the_cluster_has_made_goes_before_it", what_the_cluster_has_made_goes_before_it),
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

fn lost_state_is_no_hindrance(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    home.up();
    let other = ground.home();
    other.up();
    other.down();
    assert_eq!(ground.account.inventory(), before);
}
