//! What somebody else has in the account, and in the cluster's own network: nothing of it is touched.

use serde_json::{Value, json};

use crate::{Test, ground::Ground, upward::cluster};

pub const ALL: &[Test] = &[
    ("what_others_have_stays_as_it_is", what_others_have_stays_as_it_is),
    ("a_sweep_takes_nothing_of_others", a_sweep_takes_nothing_of_others),
    ("what_others_have_in_the_network_stops_its_removal", what_others_have_in_the_network_stops_its_removal),
];

/// Identical, with their tags, after everything that stackctl does: under other names, under names that begin with ours,
/// and with the tags of another cluster.
fn what_others_have_stays_as_it_is(ground: &Ground) {
    let mut home = ground.fresh(json!({}));
    home.up();
    let ours = cluster(ground);
    home.down();
    ground.account.post("/others/beside", &json!({ "cluster": ours }));
    let theirs = ground.account.inventory();
    assert!(theirs.len() > 12, "{theirs:?}");
    let unchanged = |when: &str| {
        let now = ground.account.inventory();
        for (kind, things) in &theirs {
            let lost: Vec<_> = things.iter().filter(|thing| !now[kind].contains(thing)).collect();
            assert!(lost.is_empty(), "{when}: {kind} {lost:?}");
        }
    };
    home.up();
    unchanged("after up");
    home.set("STACKCTL_PUBLIC_CIDRS", "203.0.113.0/24");
    home.up();
    unchanged("after a change");
    home.ok(&["doctor"]);
    unchanged("after doctor");
    home.down();
    assert_eq!(ground.account.inventory(), theirs);
    home.down();
    assert_eq!(ground.account.inventory(), theirs, "after another down");
}

fn a_sweep_takes_nothing_of_others(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    ground.account.post("/others/beside", &json!({ "cluster": cluster(ground) }));
    let everything = ground.account.inventory();
    ground.home().ok(&["sweep", "--yes", "--cluster-name", "small"]);
    let left = ground.account.inventory();
    assert!(!left.contains_key("eks:cluster"), "{left:?}");
    let payroll = |inventory: &std::collections::BTreeMap<String, Vec<String>>| {
        inventory.values().flatten().filter(|thing| thing.contains("payroll")).cloned().collect::<Vec<_>>()
    };
    assert!(payroll(&everything).len() > 12, "{everything:?}");
    assert_eq!(payroll(&left), payroll(&everything));
}

/// It is named, and nothing is removed before its owner has taken it away.
fn what_others_have_in_the_network_stops_its_removal(ground: &Ground) {
    const KINDS: [&str; 9] = [
        "instance",
        "subnet",
        "security-group",
        "interface",
        "nat-gateway",
        "load-balancer",
        "route-table",
        "network-acl",
        "endpoint",
    ];
    for kind in KINDS {
        let home = ground.fresh(json!({}));
        home.up();
        let vpc: Value = serde_json::from_str(&ground.account.inventory()["ec2:vpc"][0]).unwrap();
        let made = ground.account.post("/others/inside", &json!({ "vpc": vpc["id"], "kind": kind }));
        let before = ground.account.inventory();
        let refused = home.run(&["down", "--yes"]);
        assert_eq!(refused.code, 6, "{kind}: {}\n{}", refused.stdout, refused.stderr);
        let id = made["id"].as_str().unwrap();
        // A load balancer is told by its interface, which says its name.
        refused.says(if kind == "load-balancer" { "payroll" } else { id });
        assert_eq!(ground.account.inventory(), before, "{kind}");
    }
}
