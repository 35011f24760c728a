//! What is wrong with credentials, settings and what is there: told with what to do, before anything is made or removed.

use serde_json::json;

use crate::{
    Test,
    ground::{Ground, Home},
    upward::cluster,
};

pub const ALL: &[Test] = &[
    ("credentials_that_do_not_do_are_told_with_the_command_that_helps", credentials_that_do_not_do_are_told),
    ("a_clock_that_is_off_is_told_in_seconds", a_clock_that_is_off_is_told_in_seconds),
    ("what_aws_does_not_have_is_told_before_anything_is_made", what_aws_does_not_have_is_told),
    ("a_cluster_of_that_name_that_is_not_ours_is_left_alone", a_cluster_of_that_name_that_is_not_ours_is_left_alone),
    ("a_role_that_nobody_can_take_is_told", a_role_that_nobody_can_take_is_told),
    ("a_role_goes_with_what_others_have_given_to_it", a_role_goes_with_what_others_have_given_to_it),
];

const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Refused by the preflight; nothing was written to AWS.
fn refused(ground: &Ground, home: &Home, arguments: &[&str], words: &[&str]) {
    let before = ground.applied();
    let run = home.run(arguments);
    assert!([2, 3].contains(&run.code), "{arguments:?}: exit code {}\n{}", run.code, run.stderr);
    for word in words {
        run.says(word);
    }
    assert_eq!(ground.applied(), before, "{arguments:?}");
}

fn credentials_that_do_not_do_are_told(ground: &Ground) {
    let mut home = ground.fresh(json!({}));
    for key in KEYS {
        home.unset(key);
    }
    refused(ground, &home, &["up", "--yes"], &["there are no credentials for AWS", "AWS_PROFILE"]);
    let session = "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = admin\n\
        [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n";
    std::fs::create_dir_all(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), session).unwrap();
    home.set("AWS_PROFILE", "work");
    refused(ground, &home, &["up", "--yes"], &["log in again: aws sso login --profile work"]);
    let home = ground.fresh(json!({ "session_expired": true }));
    refused(ground, &home, &["up", "--yes"], &["ExpiredToken", "log in again"]);
    refused(ground, &home, &["down", "--yes"], &["ExpiredToken", "log in again"]);
}

fn a_clock_that_is_off_is_told_in_seconds(ground: &Ground) {
    for (skew, words) in [(900, "s behind that of AWS"), (-900, "s ahead of that of AWS")] {
        let home = ground.fresh(json!({ "clock_skew": skew }));
        refused(ground, &home, &["up", "--yes"], &["this machine's clock is ", words, "timedatectl"]);
    }
}

fn what_aws_does_not_have_is_told(ground: &Ground) {
    let mut home = ground.fresh(json!({ "quotas": { "L-F678F1CE": 1 } }));
    // All that is wrong at once.
    let wrong = ["EKS has no version 1.99", "1.36, 1.35, 1.34", "1 VPCs are needed", "request-service-quota-increase"];
    refused(ground, &home, &["up", "--yes", "--kubernetes-version", "1.99"], &wrong);
    refused(ground, &home, &["up", "--yes", "--vpc-cidr", "10.0.0.0/28"], &["/16 to /24"]);
    refused(
        ground,
        &home,
        &["up", "--yes", "--vpc-cidr", "10.0.7.0/16"],
        &["the network of that address is 10.0.0.0/16"],
    );
    // Without the world: no such place has a name in DNS.
    home.unset("AWS_ENDPOINT_URL");
    home.unset("STACKCTL_EKS_PACE");
    refused(ground, &home, &["up", "--yes", "--region", "us-nowhere-9"], &["is us-nowhere-9 a region of AWS"]);
    home.set("STACKCTL_EKS_PACE", "200");
    refused(ground, &home, &["up", "--yes"], &["AWS_ENDPOINT_URL is not"]);
}

fn a_cluster_of_that_name_that_is_not_ours_is_left_alone(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let cluster = cluster(ground);
    let nodes = json!({ "cluster": cluster, "count": 1, "zone": "us-east-1a", "pool": "general-purpose" });
    ground.account.post("/automode/nodes", &nodes);
    ground.account.post("/others/takes", &json!({ "cluster": cluster }));
    let there = ground.account.inventory();
    for arguments in [&["up", "--yes"][..], &["down", "--yes"], &["down", "--yes", "--cluster"]] {
        refused(ground, &home, arguments, &["not made by stackctl"]);
    }
    assert_eq!(ground.account.inventory(), there);
}

fn a_role_that_nobody_can_take_is_told(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    let role = format!("{}-cluster", cluster(ground));
    ground.account.post("/others/distrusts", &json!({ "role": role }));
    refused(ground, &home, &["up", "--yes"], &[&role, "cannot be taken by eks.amazonaws.com", "aws iam delete-role"]);
    // The way back does not need it.
    home.down();
    assert_eq!(ground.account.inventory(), Default::default());
}

/// A customer's policies on the role of nodes are the usual way to let pods read a bucket.
fn a_role_goes_with_what_others_have_given_to_it(ground: &Ground) {
    let home = ground.fresh(json!({}));
    home.up();
    ground.account.post("/others/gives", &json!({ "role": format!("{}-node", cluster(ground)) }));
    home.down();
    assert_eq!(ground.account.inventory(), Default::default());
}
