//! What is pruned and removed, in which order, and what stays.

use std::time::Duration;

use crate::{Test, case::Case, place::eventually};

pub const ALL: &[Test] = &[
    ("crd-leaves-the-stack", definition_leaves),
    ("finalizers", finalizers),
    ("namespace-going", namespace_going),
    ("rename-with-nodeport", renamed),
    ("kept-by-down", kept_by_down),
    ("lost-record", lost_record),
    ("unknown-to-down", unknown),
    ("many-objects", many),
];

const CRDS: [&str; 2] = ["realms.leaving.example.org", "widgets.leaving.example.org"];

fn has(case: &Case, arguments: &[&str]) -> bool {
    case.find(arguments).is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null())
}

/// Definitions that leave the stack, or whose stack goes, stay while others have objects of them.
fn definition_leaves(case: &Case) {
    case.up("v1", &[], 0);
    case.up("user", &[], 0);
    let planned = case.run("plan", "v2", &[]);
    planned.says(&["- leaving/Widget/one", "- Realm/main"]);
    assert!(!planned.stdout.contains("- CustomResourceDefinition"), "{planned}");
    case.run("diff", "v2", &[]).says(&["live leaving/Widget/one"]);
    let run = case.up("v2", &[], 0);
    run.says(&[
        "CustomResourceDefinition/widgets.leaving.example.org stays: it holds leaving-user/Widget/theirs; --prune-data",
        "CustomResourceDefinition/realms.leaving.example.org stays: it holds Realm/second; --prune-data",
    ]);
    let theirs = || {
        assert!(CRDS.iter().all(|crd| has(case, &["crd", crd])));
        assert!(has(case, &["widgets.leaving.example.org", "theirs", "-n", "leaving-user"]));
        assert!(has(case, &["realms.leaving.example.org", "second"]));
    };
    theirs();
    assert!(!has(case, &["realms.leaving.example.org", "main"]));
    case.up("v2", &[], 0).says(&["nothing to do"]);
    // The same rule when the whole stack goes.
    case.up("v1", &[], 0);
    case.down("v1", &[], 0).says(&["kept: ", "CustomResourceDefinition/widgets.leaving.example.org", "0 left"]);
    theirs();
    case.down("user", &[], 0).says(&["0 left"]);
    case.down("v1", &[], 0).says(&["0 left"]);
    eventually("the definitions are gone", Duration::from_secs(20), || {
        CRDS.iter().all(|crd| case.find(&["crd", crd]).is_none()).then_some(())
    });
    // A kind whose objects are lists to Kubernetes.
    case.up("list", &[], 2).says(&["list/a.yaml:", "an object with `items` at its top"]);
}

/// What a finalizer holds is named within the time given, and all else that left is gone.
fn finalizers(case: &Case) {
    case.up("v1", &[], 0);
    let run = case.run("up", "v2", &["--timeout", "3s"]);
    let (stuck, free) =
        (case.find(&["cm", "stuck", "-n", "finalizers"]), case.find(&["cm", "free", "-n", "finalizers"]));
    // Before anything is asserted, or nobody would ever get rid of it.
    let release = r#"{"metadata":{"finalizers":null}}"#;
    case.place.kubectl(&["patch", "cm", "stuck", "-n", "finalizers", "--type=merge", "-p", release]);
    assert_eq!(run.code, 7, "{run}");
    run.says(&["ConfigMap/stuck", "example.org/cleanup", "waiting until they are gone"]);
    assert!(run.took < Duration::from_secs(40), "{run}");
    assert!(stuck.is_some() && free.is_none());
    case.settles("v2");
}

/// What is in a namespace that is being deleted goes with it, so a run creates all of it again.
fn namespace_going(case: &Case) {
    case.write("stack.yaml", "name: going\nmanifests: [a.yaml]\n");
    case.write("a.yaml", &maps(3));
    case.up("", &[], 0);
    // Held back, so that what is there while it goes is seen for sure.
    let patch = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        case.place.kubectl(&["patch", "cm", "map-0", "-n", "going", "--type=merge", "-p", &patch]);
    };
    patch(r#"["example.org/cleanup"]"#);
    case.place.kubectl(&["delete", "namespace", "going", "--wait=false"]);
    let planned = case.run("plan", "", &[]);
    let differs = case.run("diff", "", &[]);
    patch("null");
    planned.says(&["create 4 objects", "create Namespace going", "create ConfigMap map-0, map-1, map-2"]);
    assert_eq!(differs.code, 11, "{differs}");
    differs.says(&["4 to create, 0 to change, 0 to delete"]);
    case.up("", &[], 0);
    assert!((0..3).all(|number| has(case, &["cm", &format!("map-{number}"), "-n", "going"])));
    case.settles("");
}

/// The Service that leaves has the node port, and its pods the host port, that the new ones need.
fn renamed(case: &Case) {
    case.up("v1", &[], 0);
    case.run("plan", "v2", &["-v"]).says(&["prune-first:renamed", "- renamed/Service/web", "- renamed/Deployment/web"]);
    case.settles("v2");
    let service = case.find(&["service", "shop", "-n", "renamed"]).unwrap();
    assert_eq!(service["spec"]["ports"][0]["nodePort"], 30471);
    assert!(case.find(&["service", "web", "-n", "renamed"]).is_none());
}

/// Claims, and a namespace with what somebody else has put there, stay until it is asked for.
fn kept_by_down(case: &Case) {
    case.run("up", "", &["--timeout", "5s"]);
    case.kubectl_apply("theirs.yaml", &[]);
    case.run("down", "", &["--dry-run"]).says(&["stack kept-by-down", "- kept-by-down/ConfigMap/ours"]);
    assert!(has(case, &["cm", "ours", "-n", "kept-by-down"]), "a dry run removes nothing");
    case.down("", &[], 0).says(&[
        "PersistentVolumeClaim/data in namespace kept-by-down stays: it holds data; --prune-data removes it",
        "Namespace/kept-by-down stays: it holds 2 objects: kept-by-down/ConfigMap/theirs",
        "0 left",
    ]);
    assert!(!has(case, &["cm", "ours", "-n", "kept-by-down"]));
    for kept in [["cm", "theirs"], ["pvc", "data"]] {
        assert!(has(case, &[&kept[..], &["-n", "kept-by-down"]].concat()), "{kept:?}");
    }
    case.down("", &["--prune-data"], 0).says(&["0 left"]);
    assert!(!has(case, &["namespace", "kept-by-down"]));
}

fn maps(count: usize) -> String {
    let map = |number| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map-{number} }}\n---\n");
    (0..count).map(map).collect()
}

/// Objects that no record tells of are known by their label.
fn lost_record(case: &Case) {
    case.write("stack.yaml", "name: lost-record\nmanifests: [a.yaml]\n");
    case.write("a.yaml", &maps(2));
    case.up("", &[], 0);
    case.place.kubectl(&["delete", "cm", "stack-lost-record", "-n", "stackctl-system"]);
    case.down("", &[], 0).says(&["2 ConfigMaps", "0 left"]);
    assert!(!has(case, &["cm", "map-0", "-n", "lost-record"]));
}

/// A name that means nothing removes nothing, least of all the cluster.
fn unknown(case: &Case) {
    let run = case.place.run(&["down", "kepper", "--yes"]);
    assert_eq!(run.code, 2, "{run}");
    run.says(&["no stack named kepper", "did you mean keeper?"]);
}

/// Removal takes no time for each object: what is over at once needs no limit that counts them.
fn many(case: &Case) {
    case.write("stack.yaml", "name: many-objects\nmanifests: [a.yaml]\n");
    case.write("a.yaml", &maps(300));
    case.up("", &[], 0);
    let run = case.down("", &["--timeout", "20s"], 0);
    run.says(&["300 ConfigMaps", "0 left"]);
    eprintln!("down of 300 ConfigMaps: {:.1?}", run.took);
    assert!(run.took < Duration::from_secs(60), "{run}");
}
