//! Other flags than those that a cluster was made with.

use serde_json::json;

use crate::{Test, ground::Ground};

pub const ALL: &[Test] = &[
    ("a_cluster_that_is_there_stays_what_it_is", a_cluster_that_is_there_stays_what_it_is),
    ("a_way_out_is_not_mixed_with_another", a_way_out_is_not_mixed_with_another),
];

fn a_cluster_that_is_there_stays_what_it_is(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    home.ok(&["up", "--yes", "--nat", "per-zone"]);
    let (writes, whole) = (ground.counted().0, ground.account.inventory());
    home.up();
    assert_eq!(ground.counted().0, writes, "nobody asked for anything else");
    let refused = home.run(&["up", "--yes", "--nat", "single", "--vpc-cidr", "10.7.0.0/16"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    refused.says("--nat per-zone --vpc-cidr 10.0.0.0/16");
    assert_eq!((ground.counted().0, ground.account.inventory()), (writes, whole));
    // Who may reach the API server is no such thing.
    let narrow = ["up", "--yes", "--public-cidr", "127.0.0.0/8"];
    home.ok(&narrow);
    let calls = ground.account.calls();
    let update = calls.iter().rfind(|call| call["kind"] == "write").unwrap();
    assert_eq!(update["action"], "UpdateClusterConfig");
    assert!(update["params"].to_string().contains("127.0.0.0/8"), "{update:#}");
    let writes = ground.counted().0;
    home.ok(&narrow);
    home.up();
    assert_eq!(ground.counted().0, writes);
    home.down();
    assert_eq!(ground.account.inventory(), before);
}

fn a_way_out_is_not_mixed_with_another(ground: &Ground) {
    let home = ground.fresh(json!({ "deny": ["eks:CreateCluster"] }));
    let before = ground.account.inventory();
    // What goes on beside the call that is refused is done after the second time.
    for _ in 0..2 {
        assert_eq!(home.run(&["up", "--yes"]).code, 4);
    }
    ground.account.post("/settings", &json!({ "deny": [] }));
    let refused = home.run(&["up", "--yes", "--nat", "per-zone"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    refused.says("another route table");
    home.down();
    assert_eq!(ground.account.inventory(), before);
}
