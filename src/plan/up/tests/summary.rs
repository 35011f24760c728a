//! What a plan is said to change.

use super::*;
use crate::plan::summary::{ClusterChange, Counts, EdgeChange, Removal, Summary};

fn summary(options: &Options, seen: &Observed) -> Summary {
    Summary::of(&plan(&stack(), options, seen).unwrap(), seen)
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(Key::place).collect()
}

/// As it would be listed with the labels of the stack's own set.
fn there(kind: &str, api: &str, name: &str, labels: &serde_json::Value) -> (Key, serde_json::Value) {
    let object = json!({"apiVersion": api, "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": "1", "labels": labels,
            "managedFields": [{"manager": "helm", "operation": "Update"}]}});
    (json::key(&object), object)
}

#[test]
fn from_nothing_all_is_created() {
    let seen = observed(ClusterState::Absent, RegistryState::Absent, None);
    let summary = summary(&Options { prove: true, ..up() }, &seen);
    assert_eq!(summary.cluster, Some(ClusterChange::Create));
    assert_eq!(summary.build, ["web"]);
    assert!(summary.prove && summary.tag.is_empty());
    let sets: Vec<_> = summary.sets.iter().map(|set| (set.name.as_str(), names(&set.create))).collect();
    let expected = [
        ("metrics", vec!["kube-system/Service/metrics"]),
        ("operator", vec!["Namespace/operator", "CustomResourceDefinition/things.example.com"]),
        ("shop", vec!["Namespace/shop", "shop/ConfigMap/settings", "shop/Secret/admin", "shop/Deployment/web"]),
    ];
    assert_eq!(sets, expected.map(|(name, keys)| (name, keys.into_iter().map(str::to_owned).collect::<Vec<_>>())));
    assert_eq!(summary.counts, Counts { create: 7, ..Counts::default() });
}

#[test]
fn what_is_there_is_changed_what_is_anothers_adopted_and_what_left_deleted() {
    let stack = stack();
    let labels = desired::desired(&stack, &BTreeMap::new()).pop().unwrap().labels();
    let labels = serde_json::to_value(labels).unwrap();
    let objects = [there("ConfigMap", "v1", "settings", &labels), there("ConfigMap", "v1", "old", &labels)];
    let live = LiveState {
        live: Live { objects: objects.into() },
        others: Live { objects: [there("Deployment", "apps/v1", "web", &json!({}))].into() },
        ..LiveState::default()
    };
    let running = observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc"));
    let seen = Observed { live: Some(live), ..running };
    let summary = summary(&Options { adopt: true, tag: Some("v1".into()), ..up() }, &seen);
    assert_eq!(summary.cluster, None);
    assert_eq!((summary.build.len(), summary.tag.as_slice()), (0, &["web:v1".to_owned()][..]));
    let shop = summary.sets.iter().find(|set| set.name == "shop").unwrap();
    assert_eq!(names(&shop.create), ["Namespace/shop", "shop/Secret/admin"]);
    assert_eq!(names(&shop.change), ["shop/ConfigMap/settings"]);
    assert_eq!(names(&shop.adopt), ["shop/Deployment/web"]);
    assert_eq!(names(&shop.delete), ["shop/ConfigMap/old"]);
    assert_eq!(summary.counts, Counts { create: 5, change: 1, adopt: 1, delete: 1, unchanged: 0 });
}

#[test]
fn a_removal_names_the_sets_that_go_and_those_that_stay() {
    use crate::plan::down;
    let parents = |all: &[(&str, &[&str])]| {
        let parent =
            |users: &[&str]| Parent { users: users.iter().map(|user| (*user).into()).collect(), ..Parent::default() };
        all.iter().map(|(name, users)| ((*name).to_owned(), parent(users))).collect::<BTreeMap<_, _>>()
    };
    let options = down::Options { stack: "shop".into(), known: true, ..down::Options::default() };
    let seen = |all: &[(&str, &[&str])]| {
        let live = LiveState { parents: parents(all), ..LiveState::default() };
        let container = Container {
            name: "x".into(),
            running: true,
            config: String::new(),
            published: BTreeMap::new(),
            foreign: None,
        };
        let proxy = ProxyState { container: Some(container), ..ProxyState::default() };
        let mut seen = observed(RUNNING, RegistryState::Absent, None);
        seen.provider.proxy = proxy;
        Observed { live: Some(live), ..seen }
    };
    let removals = |seen: &Observed| {
        let summary = Summary::of(&down::plan(&options, seen).unwrap(), seen);
        let sets: Vec<_> = summary.sets.into_iter().map(|set| (set.name, set.removal.unwrap())).collect();
        (summary.cluster, summary.edge, sets)
    };
    let (deleted, left) = (Removal::Deleted, Removal::Left);
    let last = removals(&seen(&[("stack-shop", &[]), ("component-metrics", &["shop"])]));
    assert_eq!(last.0, Some(ClusterChange::Delete));
    assert_eq!(last.2, [("shop".to_owned(), deleted), ("metrics".to_owned(), deleted)]);
    let one = removals(&seen(&[("stack-shop", &[]), ("stack-other", &[]), ("component-metrics", &["other", "shop"])]));
    assert_eq!((one.0, one.1), (None, Some(EdgeChange::Close)));
    assert_eq!(one.2, [("shop".to_owned(), deleted), ("metrics".to_owned(), left)]);
}
