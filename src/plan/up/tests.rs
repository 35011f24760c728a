use serde_json::json;

use super::*;
use crate::{
    kube::live::Live,
    plan::observed::ImageState,
    report::plan_text,
    stack::{LoadRequest, load},
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
    load(&LoadRequest { stack: path, provider: "kind".into(), ..LoadRequest::default() })
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn observed(cluster: ClusterState, registry: RegistryState, digest: Option<&str>) -> Observed {
    let image = ImageState {
        reference: "registry.stackctl.internal/shop/web:0123".into(),
        digest: digest.map(str::to_owned),
        tags: Vec::new(),
    };
    Observed { cluster, nodes_outdated: false, registry, images: [("web".to_owned(), image)].into(), live: None }
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
    assert_eq!(plan.steps[1].action, Action::StartCluster);
    assert!(ids.contains(&"registry:publish".to_owned()));
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
}

#[test]
fn a_namespace_of_somebody_else_is_left_alone() {
    let live = LiveState { foreign_namespaces: ["shop".to_owned()].into(), ..LiveState::default() };
    let seen =
        Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
    let plan = plan(&stack(), &up(), &seen).unwrap();
    assert!(!text(&plan).contains("Namespace/shop"), "{}", text(&plan));
}

#[test]
fn every_step_comes_after_what_it_needs() {
    let plan = plan(&stack(), &up(), &observed(ClusterState::Absent, RegistryState::Absent, None)).unwrap();
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.needs.iter().all(|&need| need < index), "{}", step.id);
    }
}
