//! Components in a plan: shared ones, and those of one stack.

use super::*;

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

/// A stack whose component in its namespace mounts a ConfigMap of the stack and a generated Secret of its own.
pub fn stack_with_own_component(without: &[&str]) -> Stack {
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
pub fn after(stack: &Stack) -> LiveState {
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
