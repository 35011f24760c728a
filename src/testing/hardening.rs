//! What every pod of the embedded stacks must be: admitted by the Pod Security Standard `restricted`, bounded, pinned.

use serde_json::{Value, json};

use crate::{
    object::{
        json::{list, text},
        podspec,
    },
    stack::{
        embedded::BUILT_IN,
        jobs::Template,
        load::{LoadRequest, list as stacks, load},
        model::Stack,
        testing::shop,
    },
};

/// Kinds of volumes that `restricted` admits.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Why a pod would not be admitted, or should not be.
fn faults(spec: &Value, is_service: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.get(key) == Some(&json!(true)) {
            faults.push(key.to_owned());
        }
    }
    for volume in list(spec, "/volumes") {
        let fine = volume
            .as_object()
            .is_some_and(|volume| volume.keys().all(|key| key == "name" || VOLUMES.contains(&key.as_str())));
        if !fine {
            faults.push(format!("volume {volume}"));
        }
    }
    let containers = ["/initContainers", "/containers"].into_iter().flat_map(|lists| list(spec, lists));
    for container in containers {
        let name = text(container, "/name").unwrap_or_default();
        let mut check = |fine: bool, what: &str| {
            if !fine {
                faults.push(format!("{name}: {what}"));
            }
        };
        let either = |key: &str| {
            container.pointer(&format!("/securityContext/{key}")).or(spec.pointer(&format!("/securityContext/{key}")))
        };
        let own = |key: &str| container.pointer(&format!("/securityContext/{key}"));
        check(either("runAsNonRoot") == Some(&json!(true)), "runAsNonRoot");
        check(either("runAsUser").is_none_or(|user| user.as_u64() != Some(0)), "runs as root");
        let profile = either("seccompProfile").and_then(|profile| text(profile, "/type"));
        check(matches!(profile, Some("RuntimeDefault" | "Localhost")), "seccompProfile");
        check(own("allowPrivilegeEscalation") == Some(&json!(false)), "allowPrivilegeEscalation");
        check(own("privileged").is_none_or(|it| it == &json!(false)), "privileged");
        check(own("readOnlyRootFilesystem") == Some(&json!(true)), "readOnlyRootFilesystem");
        check(own("capabilities/drop") == Some(&json!(["ALL"])), "capabilities");
        let added = own("capabilities/add").map_or(&[][..], |add| add.as_array().map_or(&[], Vec::as_slice));
        check(added.iter().all(|it| it == "NET_BIND_SERVICE"), "capabilities added");
        check(list(container, "/ports").iter().all(|port| port.get("hostPort").is_none()), "hostPort");
        for bound in ["requests/cpu", "requests/memory", "limits/cpu", "limits/memory"] {
            check(container.pointer(&format!("/resources/{bound}")).is_some(), bound);
        }
        let image = text(container, "/image").unwrap_or_default();
        let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
        check(
            is_service(image) || tag.is_some_and(|tag| !tag.is_empty() && tag != "latest"),
            "image without a fixed tag",
        );
    }
    faults
}

fn check(stack: &Stack) {
    let mut pods = 0;
    let run = stack.jobs.values().filter_map(|job| match &job.template {
        Template::Job(object) => Some(object.as_ref()),
        Template::CronJob(_) => None,
    });
    for object in stack.sets.iter().flat_map(|set| &set.objects).chain(run) {
        if let Some(spec) = podspec::spec(&object.value) {
            pods += 1;
            let faults = faults(spec, |image| stack.services.contains_key(image));
            assert!(faults.is_empty(), "{} ({}): {faults:#?}", object.key(), object.origin);
        }
    }
    assert!(pods > 0, "{}", stack.name);
}

#[test]
fn every_pod_of_the_embedded_stacks_is_restricted_bounded_and_pinned() {
    for summary in stacks() {
        for provider in ["kind", "eks"] {
            let request = LoadRequest {
                stack: summary.name.clone(),
                provider: provider.into(),
                edge_on_nodes: provider == "kind",
                ..LoadRequest::default()
            };
            check(&load(&request).unwrap());
        }
    }
    let components = BUILT_IN.components().join(", ");
    check(&shop(&format!("name: all\ncomponents: [{components}]\nmanifests: []\n"), &[]).stack());
}

#[test]
fn faults_are_found() {
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "a", "image": "b/c:1", "resources": {"requests": {"cpu": 1, "memory": 1}, "limits": {"cpu": 1, "memory": 1}},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}],
    });
    assert_eq!(faults(&good, |_| false), Vec::<String>::new());
    for (pointer, value, fault) in [
        ("/securityContext/runAsNonRoot", json!(false), "a: runAsNonRoot"),
        ("/securityContext/seccompProfile/type", json!("Unconfined"), "a: seccompProfile"),
        ("/containers/0/image", json!("b/c"), "a: image without a fixed tag"),
        ("/containers/0/image", json!("b/c:latest"), "a: image without a fixed tag"),
        ("/containers/0/resources/limits", json!({"cpu": 1}), "a: limits/memory"),
        ("/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"]), "a: capabilities"),
        (
            "/volumes/0",
            json!({"name": "v", "hostPath": {"path": "/"}}),
            "volume {\"hostPath\":{\"path\":\"/\"},\"name\":\"v\"}",
        ),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(faults(&bad, |_| false), [fault], "{pointer}");
    }
}
