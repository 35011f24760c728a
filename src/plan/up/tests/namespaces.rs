//! Namespaces in a plan: whose they are, and when they go.

use super::{
    components::{after, stack_with_own_component},
    *,
};

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
    assert!(!removes(&live), "it holds a PersistentVolumeClaim");
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
