//! Jobs that a person runs, what comes from an image, and stacks side by side.

use std::{process::Stdio, time::Duration};

use serde_json::Value;

use crate::{
    Test,
    case::Case,
    place::{Run, eventually},
};

pub const ALL: &[Test] = &[("jobs", jobs), ("image-hash", image_hash), ("side-by-side", side_by_side)];

fn jobs(case: &Case) {
    let folder = case.arg("");
    let run = |arguments: &[&str]| case.place.run(&[&["run", &folder], arguments].concat());
    let there = |name: &str| case.find(&["job", name, "-n", "c-jobs"]);
    let ends = |code: i32, arguments: &[&str]| -> Run {
        let ended = run(arguments);
        assert_eq!(ended.code, code, "run {arguments:?}\n{ended}");
        ended
    };
    ends(3, &["backup"]).says(&["stack c-jobs is not up", "stackctl up"]);
    case.settles("");

    let done = ends(0, &["backup"]);
    assert!(done.stderr.contains("copy: kept 7 of them") && done.stderr.contains("copy: the end"), "{done}");
    assert!(done.stdout.contains("backup of c-jobs has succeeded"), "{done}");
    let done = case.place.ok(&["backup", &folder, "--set", "keep=9", "--output", "json"]).json();
    assert_eq!(done["log"][0]["line"], "kept 9 of them", "{done}");
    assert_eq!((&done["job"], &done["stack"]), (&"backup".into(), &"c-jobs".into()));
    assert!(there("run-backup").is_none(), "nothing is left of a run");
    let pods = || case.place.get(&["pods", "-n", "c-jobs"])["items"].as_array().map_or(0, Vec::len);
    assert_eq!(pods(), 0);
    case.up("", &[], 0).says(&["nothing to do"]);

    ends(2, &["bakcup"]).says(&["stack c-jobs has no job bakcup", "did you mean backup?", "backup, breaks, slow"]);
    ends(2, &["backup", "--set", "keep=0"]).says(&["below the minimum 1"]);
    ends(0, &[]).says(&["Copies what there is", "keep=7", "seconds=600"]);
    case.place.fails(2, &["restore", &folder]).says(&["no job restore"]);
    let dry = ends(0, &["backup", "--dry-run"]);
    dry.says(&["name: run-backup", "registry.stackctl.internal/c-jobs/tool:"]);
    assert!(dry.stdout.contains("@sha256:") && there("run-backup").is_none(), "{dry}");

    let failed = ends(7, &["breaks"]);
    failed.says(&["job breaks failed", "the disk is full"]);
    assert!(failed.took < Duration::from_secs(60) && there("run-breaks").is_none(), "{failed}");
    ends(7, &["slow", "--timeout", "5s"]).says(&["job slow failed", "not done after"]);
    assert!(there("run-slow").is_none());

    // A run that is killed leaves its Job to the next run, and no `up` takes it for something that left the stack.
    let killed = || {
        let mut run = case.place.command(&["run", &folder, "slow"]);
        let mut run = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
        eventually("its job is there", Duration::from_secs(60), || there("run-slow").map(drop));
        run.kill().expect("an end");
        run.wait().expect("its end");
    };
    killed();
    let uid = |job: Option<Value>| job.expect("a job")["metadata"]["uid"].clone();
    let left = uid(there("run-slow"));
    case.up("", &[], 0).says(&["nothing to do"]);
    assert_eq!(uid(there("run-slow")), left);
    let after = ends(0, &["slow", "--set", "seconds=1"]);
    assert!(after.stderr.contains("main: awake"), "{after}");
    assert!(there("run-slow").is_none());
    killed();
    case.down("", &[], 0).says(&["0 left"]);
    assert!(there("run-slow").is_none_or(|job| !job["metadata"]["deletionTimestamp"].is_null()));
}

fn image_hash(case: &Case) {
    let pod = || {
        let teller = case.find(&["deployment", "teller", "-n", "c-image-hash"]).expect("the deployment");
        let container = &teller["spec"]["template"]["spec"]["containers"][0];
        let image = container["image"].as_str().expect("an image").to_owned();
        (image, container["env"][0]["value"].as_str().expect("a tag").to_owned())
    };
    case.settles("");
    let (image, tag) = pod();
    assert!(image.contains(&format!("/teller:{tag}@sha256:")), "{image} {tag}");
    case.run("diff", "", &[]).says(&["no differences"]);
    case.place.ok(&["test", &case.arg("")]).says(&["tells the tag that is deployed"]);
    let rendered = case.place.ok(&["render", &case.arg("")]);
    assert!(rendered.stdout.contains(&format!("value: {tag}")) || rendered.stdout.contains(&tag), "{rendered}");
    case.up("", &["--set", "tag=mine"], 2).says(&["nobody sets it"]);

    // Another content is another tag; what is deployed counts for a proof, not what the files would be.
    let script = std::fs::read_to_string(case.path("app/tell.js")).expect("the script");
    case.write("app/tell.js", &format!("{script}// changed\n"));
    case.place.ok(&["test", &case.arg("")]);
    case.up("", &["--test"], 0);
    let (image, other) = pod();
    assert!(other != tag && image.contains(&format!(":{other}@")), "{image} {other}");
}

fn side_by_side(case: &Case) {
    let (one, two) = (case.arg("one"), case.arg("two"));
    case.settles("one");
    case.settles("two");
    let address = |stack: &str, route: &str| {
        let urls = case.place.ok(&["urls", stack, "--output", "json"]).json();
        let url = urls["urls"].as_array().expect("a list").iter().find(|url| url["route"] == route).cloned();
        let url = url.unwrap_or_else(|| panic!("{urls}"));
        assert_eq!(url["status"], 200, "{urls}");
        url["url"].as_str().expect("an address").to_owned()
    };
    let (first, second) = (address(&one, "/one"), address(&two, "/two"));
    assert_ne!(first.split('/').nth(2), second.split('/').nth(2), "each edge has a port of its own");

    let all = |namespace: &str| {
        let kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets";
        let text = case.place.kubectl(&["get", kinds, "-n", namespace, "-o", "yaml", "--show-managed-fields"]);
        // What the controllers say of it may change at any time.
        case.place.kubectl(&["get", kinds, "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}"])
            + &text.lines().filter(|line| !line.contains("resourceVersion")).collect::<Vec<_>>().join("\n")
    };
    let before = (all("c-side-two"), all("c-side-common"));
    case.down("one", &[], 0).says(&["0 left"]);
    assert!(all("c-side-two") == before.0 && all("c-side-common") == before.1, "the other stack is not as it was");
    assert_eq!(address(&two, "/two"), second);
    case.up("two", &[], 0).says(&["nothing to do"]);
    case.down("two", &[], 0).says(&["0 left"]);
}
