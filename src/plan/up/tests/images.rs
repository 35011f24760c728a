//! Images in a plan: where they are built, and how they get to the nodes.

use super::*;

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
