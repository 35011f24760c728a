//! Kills and failures at each write in turn: the same command again comes to the same end.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{Test, ground::Ground};

pub const ALL: &[Test] = &[
    ("killed_after_each_write_of_up", killed_after_each_write_of_up),
    ("killed_after_each_write_of_down", killed_after_each_write_of_down),
    ("each_write_fails_in_each_way", each_write_fails_in_each_way),
    ("what_is_forbidden_is_told", what_is_forbidden_is_told),
];

/// How many of each kind there are, whatever their ids.
fn shape(inventory: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, usize> {
    inventory.iter().map(|(kind, things)| (kind.clone(), things.len())).collect()
}

/// Every nth write is tried; 1 tries all.
fn every() -> usize {
    std::env::var("STACKCTL_AWS_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(5)
}

/// The shape of a whole cluster, and how many writes it takes to make and to remove it.
fn whole(ground: &Ground) -> (BTreeMap<String, usize>, usize, usize) {
    let home = ground.fresh(json!({}));
    home.up();
    let (made, whole) = (ground.counted().0, shape(&ground.account.inventory()));
    home.down();
    (whole, made, ground.counted().0 - made)
}

/// Runs it until its nth write was applied, and no further. False: it ended before.
fn killed_at(ground: &Ground, home: &crate::ground::Home, arguments: &[&str], write: usize) -> bool {
    ground.account.post("/hold", &json!({ "write": write }));
    let mut child = home.start(arguments);
    let held = loop {
        let held = ground.account.get("/hold?wait=1");
        if !held["held"].is_null() {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    ground.account.post("/release", &json!({ "answer": "cut" }));
    held
}

fn killed_after_each_write_of_up(ground: &Ground) {
    let (whole, writes, _) = whole(ground);
    for write in (1..=writes).step_by(every()) {
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        assert!(killed_at(ground, &home, &["up", "--yes"], write), "write {write}");
        home.up();
        assert_eq!(shape(&ground.account.inventory()), whole, "killed after write {write}");
        home.down();
        assert_eq!(ground.account.inventory(), before, "killed after write {write}");
    }
    eprintln!("{} of {writes} writes", writes.div_ceil(every()));
}

fn killed_after_each_write_of_down(ground: &Ground) {
    let (_, _, writes) = whole(ground);
    for write in (1..=writes).step_by(every()) {
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        home.up();
        if killed_at(ground, &home, &["down", "--yes"], write) {
            home.down();
        }
        assert_eq!(ground.account.inventory(), before, "killed after write {write}");
    }
}

fn each_write_fails_in_each_way(ground: &Ground) {
    let (whole, writes, _) = whole(ground);
    let kinds = ["throttle", "error_before", "error_after", "cut_before", "cut_after"];
    for (nth, write) in (1..=writes).step_by(every()).enumerate() {
        let kind = kinds[nth % kinds.len()];
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        ground.account.post("/faults", &json!([{ "write": write, "kind": kind, "times": 1 }]));
        let first = home.run(&["up", "--yes"]);
        if first.code != 0 {
            assert_eq!(first.code, 4, "write {write}, {kind}: {}", first.stderr);
            home.up();
        }
        assert_eq!(shape(&ground.account.inventory()), whole, "write {write}, {kind}");
        home.down();
        assert_eq!(ground.account.inventory(), before, "write {write}, {kind}");
    }
}

fn what_is_forbidden_is_told(ground: &Ground) {
    let home = ground.fresh(json!({ "deny": ["ec2:CreateNatGateway"] }));
    let before = ground.account.inventory();
    let refused = home.run(&["up", "--yes"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    refused.says("UnauthorizedOperation").says("eks-policy");
    home.down();
    assert_eq!(ground.account.inventory(), before);
}
