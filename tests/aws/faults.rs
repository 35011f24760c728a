//! Kills and failures at each write in turn: the same command again comes to the same end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{Test, ground::Ground};

pub const ALL: &[Test] = &[
    ("killed_after_each_write_of_up", killed_after_each_write_of_up),
    ("killed_after_each_write_of_down", killed_after_each_write_of_down),
    ("each_write_fails_in_each_way", each_write_fails_in_each_way),
    ("what_shows_late_is_removed_as_well", what_shows_late_is_removed_as_well),
    ("two_at_once_make_one_cluster", two_at_once_make_one_cluster),
    ("what_is_forbidden_is_told", what_is_forbidden_is_told),
];

/// How many of each kind there are, whatever their ids.
fn shape(inventory: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, usize> {
    inventory.iter().map(|(kind, things)| (kind.clone(), things.len())).collect()
}

/// Every nth write is tried; 1 tries all.
fn every() -> usize {
    std::env::var("STACKCTL_AWS_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(7)
}

/// A whole cluster: its shape, and how many writes it takes to make and to remove it.
struct Whole {
    shape: BTreeMap<String, usize>,
    /// With those that are refused: a fault meets a call before anybody knows what becomes of it.
    tried: usize,
    made: usize,
    removed: usize,
}

fn whole(ground: &Ground) -> Whole {
    let home = ground.fresh(json!({}));
    home.up();
    let (tried, made, shape) = (ground.counted().0, ground.applied(), shape(&ground.account.inventory()));
    home.down();
    Whole { shape, tried, made, removed: ground.applied() - made }
}

/// Runs it until its nth write was applied, and no further. False: it came to its end with fewer.
fn killed_at(ground: &Ground, home: &crate::ground::Home, arguments: &[&str], write: usize) -> bool {
    let before = ground.applied();
    ground.account.post("/hold", &json!({ "write": write }));
    let mut child = home.start(arguments);
    let ended = loop {
        let held = ground.account.get("/hold?wait=1");
        if !held["held"].is_null() {
            break None;
        }
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    ground.account.post("/release", &json!({ "answer": "cut" }));
    if let Some(status) = ended {
        let applied = ground.applied() - before;
        assert!(
            status.success() && applied < write,
            "{status} after {applied} writes, of which {write} was to be held"
        );
    }
    ended.is_none()
}

/// Writes after which it is killed, and whether it may come to its end instead: a late line of a log can spare a write.
fn chosen(writes: usize) -> impl Iterator<Item = (usize, bool)> {
    (1..=writes).step_by(every()).map(move |write| (write, write + 1 >= writes))
}

fn killed_after_each_write_of_up(ground: &Ground) {
    let whole = whole(ground);
    for (write, may_end) in chosen(whole.made) {
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        assert!(killed_at(ground, &home, &["up", "--yes"], write) || may_end, "write {write} of {}", whole.made);
        home.up();
        assert_eq!(shape(&ground.account.inventory()), whole.shape, "killed after write {write}");
        home.down();
        assert_eq!(ground.account.inventory(), before, "killed after write {write}");
    }
    eprintln!("{} of {} writes", whole.made.div_ceil(every()), whole.made);
}

fn killed_after_each_write_of_down(ground: &Ground) {
    let whole = whole(ground);
    for (write, may_end) in chosen(whole.removed) {
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        home.up();
        match killed_at(ground, &home, &["down", "--yes"], write) {
            true => drop(home.down()),
            false => assert!(may_end, "write {write} of {}", whole.removed),
        }
        assert_eq!(ground.account.inventory(), before, "killed after write {write}");
    }
    eprintln!("{} of {} writes", whole.removed.div_ceil(every()), whole.removed);
}

fn each_write_fails_in_each_way(ground: &Ground) {
    let whole = whole(ground);
    let kinds = ["throttle", "error_before", "error_after", "cut_before", "cut_after"];
    for (nth, write) in (1..=whole.tried).step_by(every()).enumerate() {
        let kind = kinds[nth % kinds.len()];
        let home = ground.fresh(json!({}));
        let before = ground.account.inventory();
        ground.account.post("/faults", &json!([{ "write": write, "kind": kind, "times": 1 }]));
        // A call whose answer is lost is looked for, and the run goes on.
        let first = home.run(&["up", "--yes"]);
        assert_eq!(first.code, 0, "write {write}, {kind}: {}", first.stderr);
        assert_eq!(shape(&ground.account.inventory()), whole.shape, "write {write}, {kind}");
        home.down();
        assert_eq!(ground.account.inventory(), before, "write {write}, {kind}");
    }
}

/// A call that was under way when its process ended makes something all the same, after whoever looks too early.
fn what_shows_late_is_removed_as_well(ground: &Ground) {
    let mut home = ground.fresh(json!({}));
    home.set("STACKCTL_EKS_PACE", "20");
    let before = ground.account.inventory();
    let fault =
        json!([{ "service": "ec2", "action": "AllocateAddress", "kind": "applied_late", "seconds": 2, "times": 1 }]);
    ground.account.post("/faults", &fault);
    let deadline = Instant::now() + Duration::from_secs(60);
    let until = |what: &str, happened: &dyn Fn() -> bool| {
        while !happened() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut up = home.start(&["up", "--yes"]);
    until("the call", &|| ground.account.get("/faults")[0]["fired"] == 1);
    up.kill().unwrap();
    up.wait().unwrap();
    home.down();
    let made = |call: &serde_json::Value| call["action"] == "AllocateAddress" && call["applied"] == true;
    until("the address", &|| ground.account.calls().iter().any(made));
    assert_eq!(ground.account.inventory(), before);
}

fn two_at_once_make_one_cluster(ground: &Ground) {
    let home = ground.fresh(json!({}));
    let before = ground.account.inventory();
    let both = [home.start(&["up", "--yes"]), home.start(&["up", "--yes"])];
    for mut up in both {
        assert!(up.wait().unwrap().success());
    }
    let made = shape(&ground.account.inventory());
    let of = |kind: &str| made.get(kind).copied().unwrap_or_default();
    let once = ["ec2:vpc", "ec2:internet-gateway", "ec2:nat-gateway", "ec2:address", "ec2:vpc-endpoint", "eks:cluster"];
    assert!(once.iter().all(|kind| of(kind) == 1), "{made:?}");
    assert_eq!((of("ec2:subnet"), of("ec2:route-table"), of("iam:role")), (6, 2, 2), "{made:?}");
    home.down();
    assert_eq!(ground.account.inventory(), before);
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
