//! Against a real API server, named by STACKCTL_TEST_KUBECONFIG. Without that variable they have nothing to test.

mod forward;
mod rollouts;
mod sets;

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::{
    Kube, PART_OF,
    apply::{ApplyOptions, ApplyOutcome},
    connect,
    delete::DeleteOptions,
    diff::Change,
    discovery::KindRef,
    live::Live,
    logs::LogOptions,
    noop::{self, Verdict},
    wait::WaitOptions,
};
use crate::object::{GeneratedSecret, Object, Origin};
use crate::{
    error::{Error, Kind},
    event::{Events, Progress},
};
use crate::{
    kube::{
        noop::known::Known,
        ownership::{
            inventory::{Parent, Write},
            prune,
        },
    },
    object::json,
};

/// An image that the cluster can run; it needs a shell.
fn image() -> String {
    std::env::var("STACKCTL_TEST_IMAGE").unwrap_or_else(|_| "docker.io/library/node:22-slim".to_owned())
}

fn within(seconds: u64) -> DeleteOptions {
    DeleteOptions { foreground: false, timeout: Some(Duration::from_secs(seconds)) }
}

fn progress() -> Progress {
    Events::channel().0.progress("test")
}

/// A namespace of one test, with its own ApplySet id; removed first if an earlier run left it.
struct Place {
    kube: Kube,
    namespace: String,
    id: String,
}

async fn place(name: &str) -> Option<Place> {
    let Some(kubeconfig) = std::env::var_os("STACKCTL_TEST_KUBECONFIG") else {
        eprintln!("STACKCTL_TEST_KUBECONFIG is not set: {name} has no cluster to test against");
        return None;
    };
    let kube = connect(&PathBuf::from(kubeconfig), None).await.unwrap();
    let namespace = format!("stackctl-test-{name}");
    let place = Place { kube, id: format!("applyset-test-{name}-v1"), namespace };
    place.remove().await;
    assert!(place.kube.ensure_namespace(&place.namespace, &BTreeMap::new()).await.unwrap());
    Some(place)
}

impl Place {
    async fn remove(&self) {
        let key = crate::object::Key {
            group: String::new(),
            kind: "Namespace".into(),
            namespace: None,
            name: self.namespace.clone(),
        };
        if let Some(namespace) = self.kube.get(&key).await.unwrap() {
            self.kube.delete_waves(&[vec![namespace]], within(90), &progress()).await.unwrap();
        }
    }

    /// As the stack module hands objects over: in its namespace (unless the kind has none), with the set's label.
    fn object(&self, mut value: Value) -> Object {
        let cluster_scoped = value["kind"].as_str().is_some_and(|kind| {
            kind.starts_with("Cluster")
                || matches!(kind, "Namespace" | "CustomResourceDefinition" | "APIService" | "PriorityClass")
        });
        if !cluster_scoped {
            value["metadata"]["namespace"] = json!(self.namespace);
        }
        value["metadata"]["labels"][PART_OF] = json!(self.id);
        Object { value, origin: Origin { file: "test.yaml".into(), line: 7, column: 1 } }
    }

    async fn apply(&self, value: Value) -> super::apply::Applied {
        self.kube.apply(&self.object(value), None, &ApplyOptions::default()).await.unwrap()
    }

    async fn refused(&self, value: Value, options: &ApplyOptions) -> Error {
        self.kube.apply(&self.object(value), None, options).await.map(|applied| applied.object).unwrap_err()
    }

    async fn live(&self, objects: &[Object]) -> Live {
        let kinds: Vec<_> = objects.iter().map(KindRef::of).collect();
        self.kube.live(&[&self.id], &kinds, &[]).await.unwrap()
    }

    async fn wait(&self, object: &Object, seconds: u64) -> crate::error::Result<Option<String>> {
        let options = WaitOptions {
            deadline: Instant::now() + Duration::from_secs(seconds),
            nodes_may_grow: false,
            may_come: &|_| false,
            replace: false,
        };
        self.kube.wait_ready(&object.key(), None, options, self.kube.begin_wait(), &progress()).await
    }
}

fn deployment(name: &str, container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("main");
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}}})
}

fn config(name: &str, data: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": data}})
}

/// One of every kind that stacks use, written the way people write them.
fn gallery() -> Vec<Value> {
    let text = include_str!("gallery.yaml");
    text.split("\n---\n").map(|part| serde_yaml::from_str(part).unwrap()).collect()
}

#[tokio::test]
async fn cluster_a_second_apply_of_every_kind_needs_no_patch() {
    let Some(place) = place("gallery").await else { return };
    let mut unlike = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let known = Known::load(&folder.path().join("known.json"));
    let mut compare = |object: &Object, found: &Value| match noop::unchanged(&object.value, found) {
        Verdict::Same => {}
        // Its defaults depend on each other within one list: only the server knows them, and what it said is remembered.
        Verdict::Unsure(_) if object.key().kind == "LimitRange" => {
            assert!(!known.is_known(&object.value, found));
            known.remember(&object.value, found);
            assert!(known.is_known(&object.value, found));
        }
        other => unlike.push(format!("{}: {other:?}\n{}", object.key(), found["metadata"]["managedFields"])),
    };
    let mut objects: Vec<_> = gallery().into_iter().map(|value| place.object(value)).collect();
    // An APIService without a server would stop every namespace from being deleted: it is only tried.
    let (tried, real): (Vec<_>, Vec<_>) = objects.drain(..).partition(|object| object.key().kind == "APIService");
    for object in &tried {
        let options = ApplyOptions { dry_run: true, ..Default::default() };
        compare(object, &place.kube.apply(object, None, &options).await.unwrap().object);
    }
    for object in &real {
        let done = place.kube.apply(object, None, &ApplyOptions::default()).await;
        done.unwrap_or_else(|error| panic!("{}: {error:?}", object.key()));
    }
    let live = place.live(&real).await;
    for object in &real {
        let found = &live.objects[&object.key()];
        compare(object, found);
        let again = place.kube.apply(object, Some(found), &ApplyOptions::default()).await.unwrap();
        assert_eq!(again.outcome, ApplyOutcome::Unchanged, "{}", object.key());
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
    for object in live.objects.values().filter(|object| json::namespace(object).is_none()) {
        place.kube.delete_waves(&[vec![object.clone()]], within(30), &progress()).await.unwrap();
    }
    place.remove().await;
}

#[tokio::test]
async fn cluster_conflicts_name_the_manager_and_can_be_forced() {
    let Some(place) = place("conflict").await else { return };
    let object = place.object(config("c", "ours"));
    assert_eq!(place.kube.apply(&object, None, &ApplyOptions::default()).await.unwrap().outcome, ApplyOutcome::Created);
    let at = super::discovery::core("ConfigMap");
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "theirs"}});
    let params = ::kube::api::PatchParams::apply("someone-else").force();
    place.kube.patch(&at, Some(&place.namespace), "c", &params, &theirs).await.unwrap();
    let live = place.live(std::slice::from_ref(&object)).await;
    assert!(matches!(noop::unchanged(&object.value, &live.objects[&object.key()]), Verdict::Different(_)));
    let error = place.refused(config("c", "ours"), &ApplyOptions::default()).await;
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.message.contains("someone-else"), "{error:?}");
    assert!(
        error.details.iter().any(|line| line.contains("data.key"))
            && error.details.iter().any(|line| line.contains("test.yaml:7")),
        "{error:?}"
    );
    let forced = place
        .kube
        .apply(&object, live.objects.get(&object.key()), &ApplyOptions { force_conflicts: true, ..Default::default() })
        .await
        .unwrap();
    assert_eq!((forced.outcome, &forced.object["data"]["key"]), (ApplyOutcome::Configured, &json!("ours")));
    place.remove().await;
}

#[tokio::test]
async fn cluster_refusals_say_which_field() {
    let Some(place) = place("refused").await else { return };
    let options = ApplyOptions::default();
    let mut unknown = deployment("web", json!({"image": "x"}));
    unknown["spec"]["template"]["spec"]["contianers"] = json!([]);
    let error = place.refused(unknown, &options).await;
    assert!(error.message.contains("contianers") && error.details[0].contains("test.yaml:7"), "{error:?}");
    let error = place
        .refused(
            deployment(
                "web",
                json!({"image": "x", "imagePullPolicy": "Sometimes", "ports": [{"containerPort": 99999}]}),
            ),
            &options,
        )
        .await;
    assert!(
        error.details.iter().any(|line| line.contains("imagePullPolicy"))
            && error.details.iter().any(|line| line.contains("containerPort")),
        "{error:?}"
    );
    let mut nowhere = place.object(config("c", "x"));
    nowhere.value["metadata"]["namespace"] = json!("stackctl-test-absent");
    let error = place.kube.apply(&nowhere, None, &options).await.map(|_| ()).unwrap_err();
    assert!(error.message.contains("namespace does not exist"), "{error:?}");
    let error = place
        .refused(json!({"apiVersion": "nobody.io/v1", "kind": "Nothing", "metadata": {"name": "n"}}), &options)
        .await;
    assert!(error.message.contains("does not know the kind Nothing.nobody.io"), "{error:?}");
    place.remove().await;
}

#[tokio::test]
async fn cluster_an_immutable_field_can_be_replaced() {
    let Some(place) = place("immutable").await else { return };
    let mut value = deployment("web", json!({"image": "x"}));
    value["spec"]["replicas"] = json!(0);
    place.apply(value.clone()).await;
    value["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    value["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
    let error = place.refused(value.clone(), &ApplyOptions::default()).await;
    assert!(error.message.contains("spec.selector") && error.hints[0].contains("--replace"), "{error:?}");
    let options = ApplyOptions { replace: true, ..Default::default() };
    let done = place.kube.apply(&place.object(value), None, &options).await.unwrap();
    assert_eq!(done.outcome, ApplyOutcome::Replaced);
    let claim = |size: &str| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {"serviceName": size, "replicas": 0,
        "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}}})
    };
    place.apply(claim("one")).await;
    let error = place.refused(claim("two"), &ApplyOptions::default()).await;
    assert!(error.hints.iter().any(|hint| hint.contains("--replace")), "{error:?}");
    place.remove().await;
}

#[tokio::test]
async fn cluster_replicas_are_set_at_creation_only() {
    let Some(place) = place("replicas").await else { return };
    let object = place.object(deployment("web", json!({"image": "x"})));
    let options = ApplyOptions { initial_replicas: Some(3), ..Default::default() };
    place.kube.apply(&object, None, &options).await.unwrap();
    let replicas = async || place.kube.get(&object.key()).await.unwrap().unwrap()["spec"]["replicas"].clone();
    assert_eq!(replicas().await, 3);
    let at = super::discovery::core("Deployment");
    place.kube.merge(&at, Some(&place.namespace), "web", &json!({"spec": {"replicas": 5}})).await.unwrap();
    let again = place.kube.apply(&object, None, &options).await.unwrap();
    assert_eq!((replicas().await, again.outcome), (json!(5), ApplyOutcome::Configured));
    let live = place.live(std::slice::from_ref(&object)).await;
    assert_eq!(noop::unchanged(&object.value, &live.objects[&object.key()]), Verdict::Same);
    place.remove().await;
}

#[tokio::test]
async fn cluster_sets_are_recorded_pruned_and_removed() {
    let Some(place) = place("prune").await else { return };
    let parent = Parent {
        name: "test-prune".into(),
        id: place.id.clone(),
        kinds: [KindRef::any_version("", "ConfigMap")].into(),
        namespaces: [place.namespace.clone()].into(),
        users: ["a".to_owned()].into(),
        notes: BTreeMap::new(),
        disrupted: None,
    };
    place.kube.delete_parent(&parent.name).await.unwrap();
    assert!(place.kube.write_parent(&parent, Write::Widen).await.unwrap().wrote);
    assert!(
        !place.kube.write_parent(&parent, Write::Widen).await.unwrap().wrote,
        "nothing changes, nothing is written"
    );
    // Two runs at the same time: neither user is lost.
    let users: Vec<_> =
        (0..8).map(|number| Parent { users: [format!("user-{number}")].into(), ..parent.clone() }).collect();
    stream::iter(&users)
        .map(|parent| place.kube.write_parent(parent, Write::Widen))
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(place.kube.read_parents().await.unwrap()["test-prune"].users.len(), 9);
    assert_eq!(place.kube.remove_user("test-prune", "a").await.unwrap().unwrap().len(), 8);

    let objects: Vec<_> = ["stays", "goes"].map(|name| place.object(config(name, "x"))).into();
    for object in &objects {
        place.kube.apply(object, None, &ApplyOptions::default()).await.unwrap();
    }
    let live = place.live(&objects).await;
    let desired: HashSet<_> = [objects[0].key()].into();
    let found = prune::candidates(&live, &place.id, &desired, false, |_| None, &BTreeMap::new());
    // One that was made anew in between is not the one that was seen.
    let mut stale = found.remove[0].clone();
    stale["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    assert!(place.kube.delete_waves(&[vec![stale]], within(5), &progress()).await.unwrap().is_empty());
    assert!(place.kube.get(&objects[1].key()).await.unwrap().is_some());
    let removed = place.kube.delete_waves(&[found.remove], within(5), &progress()).await.unwrap();
    assert_eq!(removed, [objects[1].key()]);
    assert!(place.kube.get(&objects[1].key()).await.unwrap().is_none());
    assert!(place.kube.get(&objects[0].key()).await.unwrap().is_some());

    let mut held = config("held", "x");
    held["metadata"]["finalizers"] = json!(["stackctl.io/test"]);
    let held = place.apply(held).await.object;
    let error = place.kube.delete_waves(&[vec![held.clone()]], within(2), &progress()).await.unwrap_err();
    assert!(error.message.contains("ConfigMap/held") && error.causes[0].contains("stackctl.io/test"), "{error:?}");
    let at = super::discovery::core("ConfigMap");
    place.kube.merge(&at, Some(&place.namespace), "held", &json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(place.kube.delete_parent("test-prune").await.unwrap());
    assert!(!place.kube.delete_parent("test-prune").await.unwrap());
    place.remove().await;
}

#[tokio::test]
async fn cluster_generated_secrets_are_never_overwritten() {
    let Some(place) = place("secrets").await else { return };
    let mut secret = GeneratedSecret {
        name: "s".into(),
        namespace: place.namespace.clone(),
        keys: [("password".to_owned(), 32)].into(),
        fixed: BTreeMap::new(),
    };
    let labels = [(PART_OF.to_owned(), place.id.clone())].into();
    assert!(place.kube.ensure_secret(&secret, &labels).await.unwrap());
    assert!(!place.kube.ensure_secret(&secret, &labels).await.unwrap());
    let key = crate::object::Key {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some(place.namespace.clone()),
        name: "s".into(),
    };
    let first = place.kube.get(&key).await.unwrap().unwrap();
    secret.keys.insert("token".into(), 8);
    assert!(place.kube.ensure_secret(&secret, &labels).await.unwrap());
    let second = place.kube.get(&key).await.unwrap().unwrap();
    assert_eq!(first["data"]["password"], second["data"]["password"]);
    assert!(second["data"]["token"].is_string() && json::label(&second, PART_OF) == Some(place.id.as_str()));
    place.remove().await;
}

#[tokio::test]
async fn cluster_a_diff_shows_what_would_change() {
    let Some(place) = place("diff").await else { return };
    place.apply(config("c", "old")).await;
    place.apply(config("gone", "x")).await;
    let desired = [place.object(config("c", "new")), place.object(config("fresh", "x"))];
    let live = place.live(&desired).await;
    let prune = prune::candidates(
        &live,
        &place.id,
        &desired.iter().map(Object::key).collect(),
        false,
        |_| None,
        &BTreeMap::new(),
    )
    .remove;
    let found = place.kube.diff(&desired, &live, &prune, &ApplyOptions::default()).await.unwrap().found;
    let changes: Vec<_> = found.iter().map(|diff| (diff.key.name.as_str(), diff.change)).collect();
    assert_eq!(changes, [("c", Change::Update), ("fresh", Change::Create), ("gone", Change::Delete)]);
    assert!(found[0].text.contains("-  key: old") && found[0].text.contains("+  key: new"), "{}", found[0].text);
    assert!(place.kube.get(&desired[1].key()).await.unwrap().is_none(), "a diff stores nothing");
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_a_thousand_configmaps() {
    let Some(place) = place("thousand").await else { return };
    let objects: Vec<_> = (0..1000).map(|number| place.object(config(&format!("c-{number:04}"), "value"))).collect();
    let options = ApplyOptions::default();
    let applied = stream::iter(&objects)
        .map(|object| place.kube.apply(object, None, &options))
        .buffer_unordered(super::IN_FLIGHT);
    let applied: Vec<_> = applied.try_collect().await.unwrap();
    assert!(applied.iter().all(|applied| applied.outcome == ApplyOutcome::Created));
    let live = place.live(&objects).await;
    assert!(objects.iter().all(|object| noop::unchanged(&object.value, &live.objects[&object.key()]) == Verdict::Same));
    place.remove().await;
}
