mod held;
mod ids;
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
fn a_namespace_that_a_stack_moved_out_of_stays_while_it_holds_what_must_stay() {
    let mut stack = stack_with_own_component(&[]);
    let before = after(&stack);
    for set in &mut stack.sets {
        set.namespace = "shop2".to_owned();
        for object in &mut set.objects {
            object.value["metadata"]["namespace"] = "shop2".into();
        }
        set.secrets.iter_mut().for_each(|secret| secret.namespace = "shop2".to_owned());
    }
    let sets = desired::desired(&stack, &BTreeMap::new());
    let set = sets.last().unwrap();
    let key = |kind: &str, namespace: Option<&str>| Key {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: "shop".to_owned(),
    };
    let (namespace, claim) = (key("Namespace", None), key("PersistentVolumeClaim", Some("shop")));
    let mut live = before;
    live.live.objects.get_mut(&namespace).unwrap()["metadata"]["labels"][crate::kube::CREATED_LABEL] = "true".into();
    let removes = |live: &LiveState| {
        let found = stale_objects(set, live, false);
        found.remove.iter().any(|object| crate::object::json::key(object) == namespace)
    };
    // The record of its own component names the namespace too, and comes along.
    assert!(live.parents["component-shop.metrics"].namespaces.contains("shop"));
    assert!(removes(&live));
    let other = Parent { name: "stack-b".into(), namespaces: ["shop".to_owned()].into(), ..Parent::default() };
    live.parents.insert(other.name.clone(), other);
    assert!(!removes(&live), "another stack has objects in it");
    live.parents.remove("stack-b");
    let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "3", "labels": set.labels()}});
    live.live.objects.insert(claim, object);
    assert!(!removes(&live), "it holds a claim");
}

/// A stack whose edge listens on the nodes, and its Service as it is in the cluster.
fn edge() -> (Stack, Key, serde_json::Value) {
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: front, annotations: { stackctl.io/edge: \"true\" } }\nspec:\n  type: NodePort\n  selector: { app: edge }\n  \
                   ports: [{ name: https, port: 8443 }, { name: http, port: 8080 }]\n";
    let stack = crate::stack::testing::shop("name: shop\nmanifests: [edge.yaml]\n", &[("edge.yaml", service)]).stack();
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let object = set.objects.iter().find(|object| object.object.key().kind == "Service").unwrap();
    let mut live = object.object.value.clone();
    live["spec"]["ports"][0]["nodePort"] = json!(30443);
    live["spec"]["ports"][1]["nodePort"] = json!(30080);
    (stack, object.object.key(), live)
}

/// What is planned for the proxy where all objects are as they should be.
fn proxy_steps(stack: &Stack, options: &Options, seen: &Observed) -> Vec<String> {
    let mut graph = Graph::default();
    edge::plan(&mut graph, options, &stack.name, seen, &desired::desired(stack, &BTreeMap::new()), None);
    graph.steps.iter().map(|step| step.id.to_string()).collect()
}

#[test]
fn an_edge_on_a_local_cluster_gets_a_proxy_once() {
    let (stack, key, service) = edge();
    let options = up();
    let first = observed(ClusterState::Absent, RegistryState::Absent, None);
    let planned = plan(&stack, &options, &first).unwrap();
    let at = |id: &str| planned.steps.iter().position(|step| &*step.id == id).unwrap();
    assert!(planned.steps[at("proxy")].needs.contains(&at("apply:Service/front")));
    let elsewhere =
        Observed { traits: existing::TRAITS, ..observed(ClusterState::Absent, RegistryState::Absent, None) };
    assert!(proxy_steps(&stack, &options, &elsewhere).is_empty(), "only where the nodes are here");

    let ports = provider::edge::ports(&service, Asked::default());
    let live = LiveState { live: Live { objects: [(key, service)].into() }, ..LiveState::default() };
    let nodes = vec!["stackctl-control-plane".to_owned()];
    let container = Container {
        name: "one-proxy-shop".to_owned(),
        running: true,
        config: config(&nodes, &ports),
        published: [(8443, 8443), (8080, 40001)].into(),
        foreign: None,
    };
    let running = observed(RUNNING, RegistryState::Running { port: 1 }, None);
    let proxy = ProxyState { nodes, container: Some(container) };
    let provider = Observation { proxy, ..running.provider };
    let mut seen = Observed { live: Some(live), provider, ..running };
    assert_eq!(proxy_steps(&stack, &options, &seen), Vec::<String>::new());
    let asked = Options { asked: Asked { https: Some(443), http: None }, ..options.clone() };
    assert_eq!(proxy_steps(&stack, &asked, &seen), ["proxy:image", "proxy"]);
    seen.provider.proxy.container.as_mut().unwrap().running = false;
    assert_eq!(proxy_steps(&stack, &options, &seen), ["proxy:image", "proxy"]);
    assert_eq!(proxy_steps(&self::stack(), &options, &seen), ["proxy:remove"]);
}

#[test]
fn where_nodes_have_stores_of_their_own_images_wait_for_them_and_need_no_registry() {
    let mut stack = stack();
    let web = stack.sets.last_mut().unwrap().objects.iter_mut().find(|object| object.key().name == "web").unwrap();
    web.value["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    let of = |cluster| Observed {
        traits: crate::provider::Traits { pulls_while_made: false, ..kind::TRAITS },
        ..observed(cluster, RegistryState::None, None)
    };
    let made = plan(&stack, &Options { prove: true, ..up() }, &of(ClusterState::Absent)).unwrap();
    let at = |plan: &Plan, id: &str| plan.steps.iter().position(|step| &*step.id == id);
    let cluster = at(&made, "cluster:create").unwrap();
    for id in ["push:web", "agent"] {
        assert!(made.steps[at(&made, id).unwrap()].needs.contains(&cluster), "{id}\n{}", text(&made));
    }
    for id in ["registry", "registry:publish", "preload:web", "gc"] {
        assert_eq!(at(&made, id), None, "{}", text(&made));
    }
    let policy = |seen: &Observed| {
        let sets = desired_sets(&stack, seen);
        let web = sets.iter().flat_map(|set| &set.objects).find(|object| object.object.key().name == "web").unwrap();
        web.object.value["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"].clone()
    };
    assert_eq!(policy(&of(RUNNING)), "IfNotPresent");
    assert_eq!(policy(&observed(RUNNING, RegistryState::Running { port: 1 }, None)), "Always");

    let mut held = of(RUNNING);
    held.images.get_mut("web").unwrap().loaded = true;
    assert_eq!(at(&plan(&stack, &up(), &held).unwrap(), "push:web"), None);
}

#[test]
fn a_component_that_says_so_is_left_to_what_somebody_else_has_there() {
    let mut stack = stack();
    let metrics = stack.sets.iter_mut().find(|set| set.name == "metrics").unwrap();
    let key = metrics.objects[0].key();
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": key.name, "namespace": key.namespace,
        "managedFields": [{"manager": "addon", "operation": "Update"}]}});
    let seen = || {
        let live =
            LiveState { others: Live { objects: [(key.clone(), theirs.clone())].into() }, ..LiveState::default() };
        Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, None) }
    };
    let has = |plan: &Plan| plan.steps.iter().any(|step| step.id.contains("Service/metrics"));
    metrics.steps_aside = false;
    assert_eq!(plan(&stack, &up(), &seen()).unwrap_err().kind, Kind::Preflight);
    stack.sets.iter_mut().find(|set| set.name == "metrics").unwrap().steps_aside = true;
    let left = plan(&stack, &up(), &seen()).unwrap();
    assert!(!has(&left), "{}", text(&left));
    assert_eq!(left.aside[0].found, "kube-system/Service/metrics");
    assert!(left.starting.is_empty(), "nobody waits for what is not brought up");
    let adopted = plan(&stack, &Options { adopt: true, ..up() }, &seen()).unwrap();
    assert!(has(&adopted) && adopted.aside.is_empty(), "{}", text(&adopted));
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
fn a_namespace_of_somebody_else_is_left_alone() {
    let live = LiveState { foreign_namespaces: ["shop".to_owned()].into(), ..LiveState::default() };
    let seen =
        Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
    let plan = plan(&stack(), &up(), &seen).unwrap();
    assert!(!text(&plan).contains("Namespace/shop"), "{}", text(&plan));
}

#[test]
fn a_namespace_of_another_stack_is_used_and_left_as_it_is() {
    let other = Parent { name: "stack-b".into(), id: "b".into(), ..Parent::default() };
    let live = LiveState {
        parents: [(other.name.clone(), other)].into(),
        namespace_owners: [("shop".to_owned(), "b".to_owned())].into(),
        ..LiveState::default()
    };
    let seen =
        Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc")) };
    let plan = plan(&stack(), &up(), &seen).unwrap();
    assert!(!text(&plan).contains("Namespace/shop"), "{}", text(&plan));
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

/// A stack whose component in its namespace mounts a ConfigMap of the stack and a generated Secret of its own.
fn stack_with_own_component(without: &[&str]) -> Stack {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, content: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("manifests/shop/stack.yaml", "name: shop\ncomponents: [metrics]\nmanifests: [all.yaml]\n");
    let config = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n---\n");
    let pods = |name: &str, volumes: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec: {{ template: {{ spec: {{ volumes: \
             [{volumes}], containers: [{{ name: a, image: 'b:1' }}] }} }} }}\n"
        )
    };
    write("manifests/shop/all.yaml", &format!("{}{}{}", config("rules"), config("other"), pods("web", "")));
    write(
        "manifests/components/metrics/component.yaml",
        "name: metrics\nscope: stack\nmanifests: [m.yaml]\ngenerate: [{ name: admin, keys: { password: 16 } }]\n",
    );
    let volumes = "{ name: r, configMap: { name: rules, optional: true } }, { name: s, secret: { secretName: admin } }";
    write("manifests/components/metrics/m.yaml", &pods("metrics", volumes));
    let stack = folder.path().join("manifests/shop").display().to_string();
    let without = without.iter().map(|name| (*name).to_owned()).collect();
    let loaded =
        load(&LoadRequest { stack, provider: "kind".into(), edge_on_nodes: true, without, ..LoadRequest::default() });
    // The same stack each time, though its folder is another.
    Stack { origin: "path:shop".to_owned(), ..loaded.unwrap_or_else(|error| panic!("{error:?}")) }
}

fn without_images(live: Option<LiveState>) -> Observed {
    let seen = observed(RUNNING, RegistryState::Running { port: 1 }, Some("sha256:abc"));
    Observed { images: BTreeMap::new(), live, ..seen }
}

#[test]
fn a_component_of_the_stack_comes_after_its_namespace_and_the_configuration_it_sees() {
    let plan = plan(&stack_with_own_component(&[]), &up(), &without_images(None)).unwrap();
    insta::assert_snapshot!(text(&plan));
}

/// What a run of this plan leaves in the cluster.
fn after(stack: &Stack) -> LiveState {
    let mut live = LiveState { published_port: Some(1), ..LiveState::default() };
    for set in desired::desired(stack, &BTreeMap::new()) {
        let parent = inventory(&set, stack);
        live.parents.insert(parent.name.clone(), parent);
        let secrets = set.secrets.iter().map(|secret| {
            let labels = set.labels();
            (
                secret.key(),
                json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": secret.name, "namespace": secret.namespace, "uid": "2", "labels": labels}}),
            )
        });
        let objects = set.objects.iter().map(|object| {
            let mut value = object.object.value.clone();
            value["metadata"]["uid"] = "1".into();
            (object.object.key(), value)
        });
        for (key, value) in objects.chain(secrets) {
            live.ready.insert(key.clone());
            live.live.objects.insert(key, value);
        }
    }
    live
}

#[test]
fn a_component_of_the_stack_that_is_left_out_later_is_removed_after_all_else() {
    let stack = stack_with_own_component(&["metrics"]);
    let mut live = after(&stack_with_own_component(&[]));
    let other = Parent { name: "component-shopping.metrics".into(), ..Parent::default() };
    live.parents.insert(other.name.clone(), other);
    let plan = plan(&stack, &up(), &without_images(Some(live))).unwrap();
    let ids: Vec<&str> = plan.steps.iter().map(|step| &*step.id).collect();
    assert_eq!(ids.last(), Some(&"prune:shop.metrics"), "{ids:?}");
    assert!(!ids.contains(&"prune:shopping.metrics"), "another stack's");
    let Action::Prune { set } = plan.steps.last().unwrap().action else { panic!() };
    assert!(plan.sets[set].is_empty());
    assert_eq!(plan.sets[set].parent(), "component-shop.metrics");
}

#[test]
fn a_component_that_lost_its_users_after_it_was_seen_was_removed() {
    let used = Parent { users: ["hello".to_owned()].into(), ..Parent::default() };
    let unused = Parent::default();
    assert!(was_removed(Some(&used), Some(&unused)) && was_removed(Some(&used), None));
    assert!(!was_removed(Some(&used), Some(&used)));
    assert!(!was_removed(Some(&unused), Some(&unused)) && !was_removed(None, None), "the plan makes it anew");
}

#[test]
fn what_is_there_of_a_component_without_users_is_applied_again() {
    let stack = stack();
    let steps = |users: &[&str]| {
        let mut live = after(&stack);
        // What the server called equal before is unchanged.
        let known = Known::load(Path::new("/dev/null"));
        for object in desired::desired(&stack, &BTreeMap::new()).into_iter().flat_map(|set| set.objects) {
            let key = object.object.key();
            let there = live.live.objects.get_mut(&key).unwrap();
            there["metadata"]["uid"] = key.to_string().into();
            there["metadata"]["managedFields"] = json!([{"manager": "stackctl", "operation": "Apply",
                "apiVersion": there["apiVersion"], "fieldsV1": {"f:spec": {}}}]);
            known.remember(&object.object.value, there);
        }
        live.known = Some(known.into());
        live.parents.get_mut("component-metrics").unwrap().users =
            users.iter().map(|user| (*user).to_owned()).collect();
        let plan = plan(&stack, &up(), &without_images(Some(live))).unwrap();
        plan.steps.into_iter().map(|step| step.id.to_string()).filter(|id| id.starts_with("apply:")).collect::<Vec<_>>()
    };
    let joined = steps(&["shop"]);
    let left = steps(&[]);
    let again: Vec<_> = left.iter().filter(|id| !joined.contains(id)).collect();
    assert_eq!(again, ["apply:Service/metrics"], "somebody may be removing it: {left:?}");
    assert_eq!(steps(&["other"]), joined, "with a user it stays");
}

#[test]
fn an_instance_that_is_on_record_with_data_alone_stays_there() {
    let stack = stack_with_own_component(&["metrics"]);
    let whole = stack_with_own_component(&[]);
    let mut live = after(&stack);
    let set = desired::desired(&whole, &BTreeMap::new()).remove(0);
    let parent = inventory(&set, &stack);
    live.parents.insert(parent.name.clone(), parent);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop", "uid": "3", "labels": set.labels()}});
    live.live.objects.insert(crate::object::json::key(&claim), claim);
    let pruned = |options: &Options, live: &LiveState| {
        gone_instances(&stack, &desired::desired(&stack, &BTreeMap::new()), live, options.prune_data).len()
    };
    assert_eq!(pruned(&up(), &live), 0);
    assert_eq!(pruned(&Options { prune_data: true, ..up() }, &live), 1);
}

#[test]
fn an_image_in_doubt_is_built_though_the_registry_has_it() {
    let mut seen = observed(RUNNING, RegistryState::Running { port: 5001 }, Some("sha256:abc"));
    let ids = |seen: &Observed| {
        let plan = plan(&stack(), &up(), seen).unwrap();
        plan.steps.iter().map(|step| step.id.to_string()).collect::<Vec<_>>()
    };
    assert!(!ids(&seen).contains(&"build:web".to_owned()));
    seen.images.get_mut("web").unwrap().doubt = Some("line 3: why".to_owned());
    let ids = ids(&seen);
    for id in ["build:web", "push:web", "apply:Deployment/web"] {
        assert!(ids.contains(&id.to_owned()), "{id}: {ids:?}");
    }
}

#[test]
fn a_private_registry_gets_its_secret_between_accounts_and_pods_and_its_tags_after_the_push() {
    let stack = stack();
    let mut seen = Observed { pull_secret: true, ..observed(RUNNING, RegistryState::External, None) };
    let image = seen.images.get_mut("web").unwrap();
    image.tags = vec!["0a1b2c3".to_owned(), "latest".to_owned()];
    let planned = plan(&stack, &up(), &seen).unwrap();
    let at = |plan: &Plan, id: &str| plan.steps.iter().position(|step| &*step.id == id);
    let reaches = |from: usize, to: usize| {
        let mut open = vec![from];
        while let Some(step) = open.pop() {
            if step == to {
                return true;
            }
            open.extend(&planned.steps[step].needs);
        }
        false
    };
    let secret = at(&planned, "registry:Secret/stackctl-registry").unwrap_or_else(|| panic!("{}", text(&planned)));
    assert!(reaches(at(&planned, "apply:Deployment/web").unwrap(), secret), "{}", text(&planned));
    let push = at(&planned, "push:web").unwrap();
    for tag in ["tag:web:0a1b2c3", "tag:web:latest"] {
        assert_eq!(planned.steps[at(&planned, tag).unwrap()].needs, [push], "{}", text(&planned));
    }

    // As it should be, it is not in the plan; and as long as it is wanted, it is not pruned.
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let labels = set.labels();
    let there = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "stackctl-registry", "namespace": "shop", "uid": "1", "labels": labels}});
    let live = |current: bool| LiveState {
        live: Live { objects: [(pull_secret::key("shop"), there.clone())].into() },
        pull_secrets: if current { ["shop".to_owned()].into() } else { BTreeSet::new() },
        ..LiveState::default()
    };
    let external = || observed(RUNNING, RegistryState::External, Some("sha256:abc"));
    let seen = Observed { live: Some(live(true)), pull_secret: true, ..external() };
    let planned = plan(&stack, &up(), &seen).unwrap();
    assert_eq!(at(&planned, "registry:Secret/stackctl-registry"), None, "{}", text(&planned));
    assert_eq!(at(&planned, "prune:shop"), None, "{}", text(&planned));
    let seen = Observed { live: Some(live(false)), ..external() };
    let planned = plan(&stack, &up(), &seen).unwrap();
    assert!(at(&planned, "prune:shop").is_some(), "{}", text(&planned));
}
