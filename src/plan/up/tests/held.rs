//! What only one object can have passes from one that leaves to one that comes.

use super::*;

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec: {{ type: NodePort, selector: {{ app: {name} }}, \
         ports: [{{ port: 80, nodePort: {port} }}] }}\n---\n"
    )
}

fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n---\n")
}

/// The plan of the second content where the first one is in the cluster.
fn planned(first: &[String], second: &[String], options: &Options) -> Plan {
    let stack = |objects: &[String]| {
        crate::stack::testing::shop("name: shop\nmanifests: [all.yaml]\n", &[("all.yaml", &objects.concat())]).stack()
    };
    let set = desired::desired(&stack(first), &BTreeMap::new()).pop().unwrap();
    let objects = set.objects.iter().map(|object| (object.object.key(), object.object.value.clone())).collect();
    let live = LiveState { live: Live { objects }, ..LiveState::default() };
    let seen = Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, None) };
    let seen = Observed { images: BTreeMap::new(), ..seen };
    plan(&stack(second), options, &seen).unwrap()
}

#[test]
fn what_was_taken_over_and_left_the_stack_is_given_back() {
    let stack =
        crate::stack::testing::shop("name: shop\nmanifests: [all.yaml]\n", &[("all.yaml", &map("new"))]).stack();
    let set = desired::desired(&stack, &BTreeMap::new()).pop().unwrap();
    let old = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "shop",
        "labels": set.labels(), "annotations": {"stackctl.io/adopted": "{\"from\":[\"helm\"]}"}}});
    let live =
        LiveState { live: Live { objects: [(crate::object::json::key(&old), old)].into() }, ..LiveState::default() };
    let seen = Observed { live: Some(live), ..observed(RUNNING, RegistryState::Running { port: 1 }, None) };
    let plan = plan(&stack, &up(), &Observed { images: BTreeMap::new(), ..seen }).unwrap();
    let prune = &plan.steps[position(&plan, "prune:shop")];
    assert!(prune.deletes.is_empty(), "{}", text(&plan));
}

fn position(plan: &Plan, id: &str) -> usize {
    plan.steps.iter().position(|step| &*step.id == id).unwrap_or_else(|| panic!("no {id}:\n{}", text(plan)))
}

#[test]
fn a_renamed_service_gets_the_node_port_of_the_old_one() {
    let plan = planned(&[service("web", 30777), map("old")], &[service("shop", 30777)], &up());
    let first = position(&plan, "prune-first:shop");
    assert!(plan.steps[position(&plan, "apply:Service/shop")].needs.contains(&first), "{}", text(&plan));
    assert!(text(&plan).contains("- shop/Service/web"), "{}", text(&plan));
    let deletes = |id: &str| plan.steps[position(&plan, id)].deletes.iter().map(Key::place).collect::<Vec<_>>();
    assert_eq!(deletes("prune-first:shop"), ["shop/Service/web"]);
    assert_eq!(deletes("prune:shop"), ["shop/ConfigMap/old"]);
}

#[test]
fn what_nobody_needs_goes_after_all_else_unless_it_is_asked_for() {
    let (before, after) = ([service("web", 30777)], [service("shop", 30778)]);
    let plan = planned(&before, &after, &up());
    assert!(!text(&plan).contains("prune-first"), "{}", text(&plan));
    let plan = planned(&before, &after, &Options { prune_first: true, ..up() });
    let first = position(&plan, "prune-first:shop");
    // With the namespace there is an apply before the Service.
    let mut needs = vec![position(&plan, "apply:Service/shop")];
    while let Some(step) = needs.pop().filter(|step| *step != first) {
        needs.extend(&plan.steps[step].needs);
        assert!(!needs.is_empty(), "the Service does not come after it:\n{}", text(&plan));
    }
}

#[test]
fn one_that_stays_gives_up_its_port_before_another_takes_it() {
    let plan = planned(&[service("a", 30001), service("b", 30002)], &[service("b", 30001), service("a", 30003)], &up());
    let gives = position(&plan, "apply:Service/a");
    assert!(plan.steps[position(&plan, "apply:Service/b")].needs.contains(&gives), "{}", text(&plan));
}
