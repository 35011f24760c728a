//! Changes that the API server refuses, and how that is told.

use std::{process::Command, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{Test, case::Case, place::eventually};

pub const ALL: &[Test] = &[
    ("admission-403", admission_names_who_refused),
    ("every-error", every_refused_object_is_told),
    ("lists-in-order", the_order_of_lists_is_part_of_them),
    ("roleref-changes", what_cannot_be_changed_is_known_and_replaced),
    ("strategy-to-recreate", defaults_go_with_what_they_no_longer_fit),
    ("webhook-blocks-a-rollout", a_rollout_that_a_webhook_blocks_says_so),
    ("webhook-of-its-own-stack", webhooks_come_after_the_pods_that_answer_them),
];

fn defaults_go_with_what_they_no_longer_fit(case: &Case) {
    case.settles("v1");
    let uid = |case: &Case| case.find(&["deployment", "web", "-n", "a04"]).unwrap()["metadata"]["uid"].clone();
    let before = uid(case);
    let diff = case.run("diff", "v2", &[]);
    assert_eq!(diff.code, 11, "{diff}");
    diff.says(&["type: Recreate", "type: OnDelete", "sessionAffinity: None"]);
    case.settles("v2");
    assert_eq!(uid(case), before, "it was changed in place");
    for (object, field) in [("deployment/web", "strategy"), ("statefulset/db", "updateStrategy")] {
        let spec = &case.find(&[object, "-n", "a04"]).unwrap()["spec"];
        assert!(spec[field].get("rollingUpdate").is_none(), "{object}: {spec}");
    }
    let volume = &case.find(&["deployment/volume", "-n", "a04"]).unwrap()["spec"]["template"]["spec"]["volumes"][0];
    assert!(volume.get("emptyDir").is_none() && volume.get("configMap").is_some(), "{volume}");
    case.settles("v3");
    // The other way round the server sets its defaults again.
    case.settles("v1");
    let spec = &case.find(&["deployment/web", "-n", "a04"]).unwrap()["spec"];
    assert_eq!(spec["strategy"]["type"], "RollingUpdate");
}

fn what_cannot_be_changed_is_known_and_replaced(case: &Case) {
    case.settles("v1");
    let refused = case.up("v2", &[], 6);
    refused.says(&[
        "cannot change roleRef of RoleBinding/ops in namespace a14",
        "of PriorityClass/casesa14",
        "of Service/inner in namespace a14",
        "cannot change spec of StatefulSet/db in namespace a14",
        "spec.serviceName",
        "--replace",
    ]);
    let diff = case.run("diff", "v2", &[]);
    assert_eq!(diff.code, 6, "{diff}");
    diff.says(&["RoleBinding/ops", "PriorityClass/casesa14", "Service/inner", "StatefulSet/db"]);
    case.up("v2", &["--replace"], 0);
    let binding = case.find(&["rolebinding", "ops", "-n", "a14"]).unwrap();
    assert_eq!(binding["roleRef"]["name"], "edit");
    assert_eq!(case.find(&["service", "inner", "-n", "a14"]).unwrap()["spec"]["clusterIP"], "None");
    case.settles("v2");
    // What is wrong in itself is never deleted for it.
    let manifest = std::fs::read_to_string(case.path("v2/a.yaml")).unwrap();
    case.write("v2/a.yaml", &manifest.replace("port: 80", "port: 80000"));
    let run = case.up("v2", &["--replace"], 6);
    run.says(&["Service/inner in namespace a14 is invalid", "spec.ports[0].port"]);
    assert!(case.find(&["service", "inner", "-n", "a14"]).is_some());
}

fn admission_names_who_refused(case: &Case) {
    let run = case.up("pod-security", &[], 6);
    run.says(&["Pod/lone", "PodSecurity \"restricted:latest\" does not admit it", "allowPrivilegeEscalation"]);
    let told = run.stderr.clone() + &run.stdout;
    assert!(!told.contains("can-i") && !told.contains("RBAC"), "{run}");
    // The API server hears of its rules a moment after they were made, so they come first.
    for (stack, name, rule) in [("limit-range", "a33", "limitrange/bounds"), ("quota", "a33q", "quota/none")] {
        case.up(stack, &[], 0);
        case.write(&format!("{stack}/stack.yaml"), &format!("name: {name}\nmanifests: [a.yaml, pod.yaml]\n"));
        let bare = case.arg(&format!("{stack}/pod.yaml"));
        let tried = ["apply", "--dry-run=server", "-n", name, "-f", &bare];
        eventually(&format!("{rule} is in force"), Duration::from_secs(30), || {
            let mut command = Command::new("kubectl");
            let tried = command.args(tried).env("KUBECONFIG", case.place.kubeconfig()).output().unwrap();
            (!tried.status.success()).then_some(())
        });
    }
    case.up("limit-range", &[], 6).says(&[
        "Pod/greedy",
        "a LimitRange of the namespace does not admit it",
        "maximum cpu",
    ]);
    case.up("quota", &[], 6).says(&[
        "Pod/many",
        "a ResourceQuota of the namespace does not admit it",
        "exceeded quota",
    ]);
}

fn every_refused_object_is_told(case: &Case) {
    let all = [
        "Service/no-such-port in namespace refuse-all is invalid",
        "spec.ports[0].port",
        "Service/no-such-affinity in namespace refuse-all is invalid",
        "spec.sessionAffinity",
        "Deployment/selects-others in namespace refuse-all is invalid",
        "spec.template.metadata.labels",
        "HorizontalPodAutoscaler/upside-down in namespace refuse-all is invalid",
        "spec.maxReplicas",
    ];
    let run = case.up("", &[], 6);
    run.says(&all);
    let line = run.stderr.lines().find(|line| line.contains("apply:refuse-all")).unwrap_or_else(|| panic!("{run}"));
    assert!(line.contains('✗') && line.contains("2 failed"), "{line}");
    let told = run.stderr.clone() + &run.stdout;
    assert!(!told.contains("matchLabels\":") && !told.contains("map[string]"), "{run}");
    let diff = case.run("diff", "", &[]);
    assert_eq!(diff.code, 6, "{diff}");
    diff.says(&all);
    let json = case.run("diff", "", &["--output", "json"]).json();
    assert_eq!(json["error"]["others"].as_array().map(Vec::len), Some(3), "{json}");
}

fn the_order_of_lists_is_part_of_them(case: &Case) {
    case.settles("v1");
    let names = |list: &str| {
        let object = case.find(&["deployment", "web", "-n", "refuse-order"]).unwrap();
        let items = object["spec"]["template"]["spec"].pointer(list).unwrap().as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("/initContainers"), "first second");
    let run = case.up("v2", &[], 0);
    assert!(!run.stderr.contains("nothing to do"), "{run}");
    assert_eq!(
        [names("/initContainers"), names("/containers"), names("/containers/1/env")],
        ["second first", "beside main", "HOST URL"]
    );
    case.up("v2", &[], 0).says(&["nothing to do"]);
}

/// A certificate of its own for the Service, and its key.
fn serve_tls(case: &Case, host: &str) {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let text = std::fs::read_to_string(case.path("a.yaml")).unwrap();
    let encoded = |pem: String| BASE64_STANDARD.encode(pem);
    let text = text.replace("CERTIFICATE", &encoded(made.cert.pem()));
    case.write(
        "a.yaml",
        &text.replace("tls.key: KEY", &format!("tls.key: {}", encoded(made.signing_key.serialize_pem()))),
    );
}

fn webhooks_come_after_the_pods_that_answer_them(case: &Case) {
    serve_tls(case, "gate.a16p.svc");
    case.settles("");
    let policy = || {
        let hook = case.find(&["validatingwebhookconfiguration", "casesa-gate-pods"]).unwrap();
        hook["webhooks"][0]["failurePolicy"].clone()
    };
    assert_eq!(policy(), "Fail");
    // All pods go before the first new one comes, and the webhook has to admit it.
    let text = std::fs::read_to_string(case.path("a.yaml")).unwrap();
    case.write("a.yaml", &text.replace("value: \"1\"", "value: \"2\""));
    case.settles("");
    assert_eq!(policy(), "Fail");
    // Somebody took the pods away, and nobody can make new ones.
    case.place.kubectl(&["scale", "deployment", "gate", "-n", "a16p", "--replicas=0"]);
    eventually("the pods of the webhook are gone", Duration::from_secs(60), || {
        let pods = case.place.get(&["pods", "-l", "app=gate", "-n", "a16p"]);
        pods["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    case.place.kubectl(&["scale", "deployment", "gate", "-n", "a16p", "--replicas=1"]);
    case.settles("");
    assert_eq!(policy(), "Fail");
}

fn a_rollout_that_a_webhook_blocks_says_so(case: &Case) {
    case.kubectl_apply("theirs.kubectl.yaml", &[]);
    let run = case.up("", &["--timeout", "15s"], 7);
    run.says(&["Deployment/web", "nobody.cases.example"]);
}
