mod balanced;
mod components;
mod held;
mod ids;
mod images;
mod namespaces;
mod proxy;
mod summary;

use std::path::Path;

use serde_json::json;

use super::*;
use crate::{
    error::Kind,
    kube::{live::Live, noop::known::Known},
    plan::observed::ImageState,
    provider::{
        Observation, ProxyState, existing, kind,
        local::proxy::{Container, config},
        step::Step,
    },
    report::plan_text,
    stack::{LoadRequest, desired, load},
};

/// One service behind an autoscaler, a component in the background, another one with a definition.
fn stack() -> Stack {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, content: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write(
        "manifests/shop/stack.yaml",
        "name: shop\nservices: { web: { context: services/web } }\ncomponents: [metrics, operator]\n\
         manifests: [all.yaml]\ngenerate: [{ name: admin, keys: { password: 16 } }]\n",
    );
    write("services/web/Dockerfile", "FROM scratch\n");
    write(
        "manifests/shop/all.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\n---\napiVersion: apps/v1\nkind: Deployment\n\
         metadata: { name: web }\nspec:\n  selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: \
         { app: web } }\n    spec: { containers: [{ name: web, image: web }] }\n",
    );
    write(
        "manifests/components/metrics/component.yaml",
        "name: metrics\nawait: background\nnamespace: kube-system\nmanifests: [m.yaml]\n",
    );
    write(
        "manifests/components/metrics/m.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: { name: metrics }\nspec: { selector: { app: metrics } }\n",
    );
    write("manifests/components/operator/component.yaml", "name: operator\nnamespace: operator\nmanifests: [o.yaml]\n");
    write(
        "manifests/components/operator/o.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: things.example.com }\nspec: \
         { group: example.com, scope: Namespaced, names: { kind: Thing, plural: things }, versions: [] }\n",
    );
    let path = folder.path().join("manifests/shop").display().to_string();
    load(&LoadRequest { stack: path, provider: "kind".into(), edge_on_nodes: true, ..LoadRequest::default() })
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn observed(cluster: ClusterState, registry: RegistryState, digest: Option<&str>) -> Observed {
    let image = ImageState {
        reference: "registry.stackctl.internal/shop/web:0123".into(),
        digest: digest.map(str::to_owned),
        loaded: false,
        tags: Vec::new(),
        doubt: None,
    };
    let images = [("web".to_owned(), image)].into();
    Observed { images, ..Observed::of(kind::TRAITS, Observation { registry, ..Observation::of(cluster) }) }
}

const RUNNING: ClusterState = ClusterState::Ours { stopped: false };

fn up() -> Options {
    Options { make_cluster: true, ..Options::default() }
}

fn text(plan: &Plan) -> String {
    plan_text(&plan.outline())
}

#[test]
fn from_nothing() {
    let plan = plan(&stack(), &up(), &observed(ClusterState::Absent, RegistryState::Absent, None)).unwrap();
    insta::assert_snapshot!(text(&plan));
    assert_eq!(plan.starting, ["metrics"]);
}

#[test]
fn an_image_that_the_registry_has_is_neither_built_nor_pushed() {
    let live = Some(LiveState { published_port: Some(5001), ..LiveState::default() });
    let seen = Observed { live, ..observed(RUNNING, RegistryState::Running { port: 5001 }, Some("sha256:abc")) };
    let plan = plan(&stack(), &Options { prove: true, tag: Some("v1".into()), ..up() }, &seen).unwrap();
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn a_stopped_cluster_is_started_and_its_registry_published_again() {
    let seen = observed(ClusterState::Ours { stopped: true }, RegistryState::Stopped, None);
    let plan = plan(&stack(), &up(), &seen).unwrap();
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids[..3], ["network", "cluster:start", "registry"]);
    assert_eq!(plan.steps[1].action, Action::Provider(Step::StartCluster));
    assert!(ids.contains(&"registry:publish".to_owned()));
}

#[test]
fn what_a_proof_left_changed_is_brought_back_before_anything_is_applied() {
    let parent = Parent { name: "stack-shop".into(), disrupted: Some("{}".into()), ..Parent::default() };
    let live = Some(LiveState { parents: [(parent.name.clone(), parent)].into(), ..LiveState::default() });
    let seen = Observed { live, ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
    let plan = plan(&stack(), &up(), &seen).unwrap();
    let at = |id: &str| plan.steps.iter().position(|step| &*step.id == id).unwrap_or_else(|| panic!("{}", text(&plan)));
    assert!(plan.steps[at("inventory:shop")].needs.contains(&at("restore")), "{}", text(&plan));
}

#[test]
fn what_left_the_stack_is_pruned_after_all_else_was_applied() {
    let stack = stack();
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let old = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "old", "namespace": "shop", "uid": "1", "labels": set.labels() },
    });
    let key =
        Key { group: String::new(), kind: "ConfigMap".into(), namespace: Some("shop".into()), name: "old".into() };
    let live = Some(LiveState { live: Live { objects: [(key, old)].into() }, ..LiveState::default() });
    let seen = Observed { live, ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
    let plan = plan(&stack, &up(), &seen).unwrap();
    let at = |id: &str| plan.steps.iter().position(|step| &*step.id == id).unwrap_or_else(|| panic!("{}", text(&plan)));
    let prune = &plan.steps[at("prune:shop")];
    assert!(prune.needs.contains(&at("apply:Deployment/web")), "{}", text(&plan));
}

#[test]
fn what_somebody_else_made_is_planned_for_only_where_it_is_to_be_adopted() {
    let stack = stack();
    let sets = desired::desired(&stack, &BTreeMap::new());
    let web = sets.iter().flat_map(|set| &set.objects).map(|object| object.object.key()).find(|key| key.name == "web");
    let web = web.unwrap();
    let there_by = |manager: serde_json::Value, labels: serde_json::Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop",
            "labels": labels, "managedFields": [manager]}});
        let others = Live { objects: [(web.clone(), object)].into() };
        let live = Some(LiveState { others, ..LiveState::default() });
        Observed { live, ..observed(RUNNING, RegistryState::Running { port: 1 }, None) }
    };
    let there = |labels| there_by(json!({"manager": "helm", "operation": "Update"}), labels);
    let nobodys = there(json!({}));
    let error = plan(&stack, &up(), &nobodys).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
    assert!(error.message.contains("by \"helm\"") && error.message.contains(&web.to_string()), "{error:?}");
    assert!(error.hints[0].contains("--adopt"), "{error:?}");
    let adopt = Options { adopt: true, ..up() };
    assert!(plan(&stack, &adopt, &nobodys).is_ok());
    let lost =
        plan(&stack, &up(), &there_by(json!({"manager": "stackctl", "operation": "Apply"}), json!({}))).unwrap_err();
    assert!(lost.message.contains("stackctl made it, but its label"), "{lost:?}");
    assert!(lost.hints[0].contains("kubectl label deployment web -n shop applyset"), "{lost:?}");
    let another_sets = there(json!({crate::kube::PART_OF: "applyset-x"}));
    assert_eq!(plan(&stack, &adopt, &another_sets).unwrap_err().kind, Kind::Preflight);
}

#[test]
fn a_stack_from_elsewhere_is_not_taken_over_by_its_name() {
    let stack = stack();
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let old = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "old", "namespace": "shop", "uid": "1", "labels": set.labels()}});
    let with = |origin: Option<&str>| {
        let parent = Parent { name: set.parent(), id: set.applyset_id(), ..Parent::default() };
        let parent = match origin {
            Some(origin) => parent.with_origin(origin),
            None => parent,
        };
        let parents = [(parent.name.clone(), parent)].into();
        let live = Live { objects: [(crate::object::json::key(&old), old.clone())].into() };
        let live = Some(LiveState { live, parents, ..LiveState::default() });
        Observed { live, ..observed(RUNNING, RegistryState::Running { port: 1 }, None) }
    };
    let error = plan(&stack, &up(), &with(Some("github.com/org/other:."))).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
    let told = format!("{error:?}");
    assert!(
        told.contains("github.com/org/other") && told.contains("ConfigMap/old") && told.contains("--take-over"),
        "{told}"
    );
    for fine in [None, Some(stack.origin.as_str())] {
        assert!(plan(&stack, &up(), &with(fine)).is_ok());
    }
    let taken = plan(&stack, &Options { take_over: true, ..up() }, &with(Some("path:0"))).unwrap();
    assert!(taken.steps.iter().any(|step| &*step.id == "inventory:shop"), "the new origin is written down");

    let live = with(Some("path:0")).live.unwrap();
    let remove = |origin| crate::plan::origin::check_removal("shop", origin, &live);
    assert!(remove(None).is_ok() && remove(Some("path:0")).is_ok());
    assert!(remove(Some("path:1")).unwrap_err().hints[0].contains("stackctl down shop"));
}

#[test]
fn deploy_makes_no_cluster() {
    let options = Options { make_cluster: false, ..up() };
    for cluster in [ClusterState::Absent, ClusterState::Ours { stopped: true }] {
        let error = plan(&stack(), &options, &observed(cluster, RegistryState::Absent, None)).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
    }
}

#[test]
fn a_foreign_cluster_is_refused() {
    let foreign = ClusterState::Foreign { why: "it has no mark".into() };
    let error = plan(&stack(), &up(), &observed(foreign, RegistryState::Absent, None)).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
    assert_eq!(error.causes, ["it has no mark"]);
}

#[test]
fn what_belongs_to_another_set_is_refused() {
    let theirs = |kind: &str, name: &str, id: &str| {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop",
            "labels": {crate::kube::PART_OF: id}}})
    };
    let refusal = |objects: &[serde_json::Value]| {
        let objects = objects.iter().map(|object| (crate::object::json::key(object), object.clone())).collect();
        let other = Parent { name: "stack-b".into(), id: "b".into(), ..Parent::default() };
        let parents = [(other.name.clone(), other)].into();
        let live = LiveState { others: Live { objects }, parents, ..LiveState::default() };
        let seen =
            Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
        plan(&stack(), &up(), &seen).map(|_| ())
    };
    let error = refusal(&[theirs("ConfigMap", "settings", "b")]).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
    assert_eq!(error.message, "ConfigMap/settings in namespace shop belongs to stack b");
    assert!(error.details[0].contains("all.yaml:"), "{error:?}");
    assert!(error.hints[0].contains("--namespace") && error.hints[0].contains("stackctl down b"), "{error:?}");
    let error = refusal(&[theirs("ConfigMap", "settings", "x"), theirs("Secret", "admin", "b")]).unwrap_err();
    assert_eq!((error.message.as_str(), error.details.len()), ("2 objects of the stack belong to others", 2));
    let label = "kubectl label configmap settings -n shop applyset.kubernetes.io/part-of-";
    assert!(error.hints.iter().any(|hint| hint.contains(label)), "{error:?}");
    assert!(refusal(&[theirs("ConfigMap", "unrelated", "b")]).is_ok());
}

#[test]
fn every_step_comes_after_what_it_needs() {
    let plan = plan(&stack(), &up(), &observed(ClusterState::Absent, RegistryState::Absent, None)).unwrap();
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.needs.iter().all(|&need| need < index), "{}", step.id);
    }
}
