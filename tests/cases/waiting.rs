//! What is waited for, what is not, and what is blamed.

use std::time::Duration;

use crate::{Test, case::Case, place::Run};

pub const ALL: &[Test] = &[
    ("nothing_to_wait_for", nothing_to_wait_for),
    ("missing_references", missing_references),
    ("bad_images", bad_images),
    ("sidecar_that_exits", sidecar_that_exits),
    ("jobs_that_remove_themselves", jobs_that_remove_themselves),
    ("broken_revision", broken_revision),
];

/// Far below the limit of five minutes: it was found out, not waited for.
fn early(run: &Run) {
    assert!(run.took < Duration::from_secs(150), "{run}");
}

fn nothing_to_wait_for(case: &Case) {
    let run = case.up("", &[], 0);
    run.says(&[
        "Service/idle: no pod stands behind it: Deployment/idle is at 0 replicas",
        "Deployment/held: its rollout is paused",
        "Service/held: no pod stands behind it: Deployment/held is paused",
        "Job/migrate: it is suspended",
        "CronJob/nightly: it is suspended",
        "DaemonSet/nowhere: it runs nowhere",
        "Service/front: it gets no address",
        "stackctl forward front:80 --namespace wait-idle",
        "HorizontalPodAutoscaler/scaler: it scales nothing: Deployment not-there does not exist",
        "Ingress/door: nothing serves it: IngressClass nobody does not exist",
    ]);
    early(&run);
    case.up("", &[], 0).says(&["nothing to do"]);
    let claim = case.find(&["persistentvolumeclaim", "later", "-n", "wait-idle"]).expect("the claim");
    assert_eq!(claim["status"]["phase"], "Pending", "no pod uses it");
}

fn missing_references(case: &Case) {
    let run = case.up("", &[], 7);
    run.says(&[
        "Secret web-tls does not exist, and nothing in the stack makes it",
        "ConfigMap settings does not exist",
        "key shape of ConfigMap there does not exist",
        "ServiceAccount robot does not exist",
        "PriorityClass very-high does not exist",
        "StorageClass gp2 does not exist",
        "Deployment/database",
        "the cluster has:",
        "Secret absent-secret does not exist",
        "no node has the labels no-node=has-this",
        "nothing in its namespace has the labels app=databsae",
    ]);
    assert!(!run.stderr.contains("give it longer"), "{run}");
    early(&run);
}

fn bad_images(case: &Case) {
    let run = case.up("", &[], 7);
    run.says(&[
        "6 images cannot be pulled: ",
        "nobody/bad:1",
        "nobody/bad:4",
        "container main: Failed to pull image \"registry.stackctl.internal/nobody/main:1.0\"",
        "container exporter: Failed to pull image \"registry.stackctl.internal/nobody/exporter:2.0\"",
    ]);
    early(&run);
}

fn sidecar_that_exits(case: &Case) {
    let run = case.up("", &[], 7);
    run.says(&["Deployment/app", "container proxy exited 3 times", "exit code 0", "nothing to proxy"]);
    early(&run);
}

fn jobs_that_remove_themselves(case: &Case) {
    let (done, failed) = std::thread::scope(|scope| {
        let done = scope.spawn(|| case.run("up", "done", &[]));
        let failed = scope.spawn(|| case.run("up", "fails", &[]));
        (done.join().expect("a run"), failed.join().expect("a run"))
    });
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(failed.code, 7, "{failed}");
    failed.says(&["Job/migrate", "the job failed"]);
    early(&done);
    early(&failed);
}

fn broken_revision(case: &Case) {
    case.up("v1", &[], 7).says(&["nobody/typo:1 cannot be pulled"]);
    let run = case.up("v2", &[], 7);
    run.says(&["pod db-0 is of an earlier version", "kubectl delete pod db-0 -n wait-revision", "--replace"]);
    assert!(!run.stderr.contains("typo"), "the file names another image by now\n{run}");
    early(&run);
    case.up("v2", &["--replace"], 0).says(&["pod db-0 is deleted"]);
    case.up("v2", &[], 0).says(&["nothing to do"]);
}
