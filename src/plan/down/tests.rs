use super::*;
use crate::{
    kube::ownership::{foreign::Foreign, inventory::Parent},
    provider::{Observation, RegistryState, existing, kind},
};

fn observed(cluster: ClusterState, parents: &[(&str, &[&str])]) -> Observed {
    let parent =
        |users: &[&str]| Parent { users: users.iter().map(|user| (*user).into()).collect(), ..Parent::default() };
    let parents = parents.iter().map(|(name, users)| ((*name).to_owned(), parent(users))).collect();
    let live = LiveState { parents, ..LiveState::default() };
    let provider = Observation { registry: RegistryState::Absent, ..Observation::of(cluster) };
    Observed { live: Some(live), ..Observed::of(kind::TRAITS, provider) }
}

fn ids(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.id.to_string()).collect()
}

fn options() -> Options {
    Options { stack: "hello".into(), known: true, ..Options::default() }
}

const RUNNING: ClusterState = ClusterState::Ours { stopped: false };

#[test]
fn the_last_stack_takes_the_cluster_with_it() {
    let plan = plan(&options(), &observed(RUNNING, &[("stack-hello", &[])])).unwrap();
    assert_eq!(ids(&plan)[0], "delete:cluster");
}

#[test]
fn other_stacks_keep_the_cluster_and_the_components_they_use() {
    let parents: &[(&str, &[&str])] = &[
        ("stack-hello", &[]),
        ("stack-counter", &[]),
        ("component-shared", &["hello", "counter"]),
        ("component-own", &["hello"]),
    ];
    let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
    assert_eq!(ids(&plan), ["delete:hello", "delete:own", "leave:shared", "delete:inventory"]);
    assert_eq!(plan.steps[1].needs, [0]);
}

#[test]
fn what_a_proof_left_changed_is_brought_back_before_its_record_goes() {
    let mut observed = observed(RUNNING, &[("stack-hello", &[]), ("stack-counter", &[])]);
    let parents = &mut observed.live.as_mut().unwrap().parents;
    parents.get_mut("stack-hello").unwrap().disrupted = Some("{}".into());
    let plan = plan(&options(), &observed).unwrap();
    assert_eq!(ids(&plan), ["restore", "delete:hello", "delete:inventory"]);
    assert_eq!(plan.steps[1].needs, [0]);
}

#[test]
fn a_component_whose_removal_was_stopped_goes_with_the_next_stack() {
    let parents: &[(&str, &[&str])] = &[("stack-hello", &[]), ("stack-counter", &[]), ("component-half", &[])];
    let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
    assert_eq!(ids(&plan), ["delete:hello", "delete:half", "delete:inventory"]);
}

#[test]
fn data_that_an_earlier_removal_kept_does_not_go_with_another_stack() {
    let parents: &[(&str, &[&str])] = &[
        ("stack-hello", &[]),
        ("stack-b", &[]),
        ("component-b.db", &[]),
        ("component-hello.db", &[]),
        ("component-db", &[]),
    ];
    let plan = plan(&Options { prune_data: true, ..options() }, &observed(RUNNING, parents)).unwrap();
    assert_eq!(ids(&plan), ["delete:hello", "delete:hello.db", "delete:inventory"]);
}

#[test]
fn the_instances_of_a_stack_go_with_it_and_those_of_others_stay() {
    let parents: &[(&str, &[&str])] = &[
        ("stack-hello", &[]),
        ("stack-counter", &[]),
        ("component-hello.collector", &["hello"]),
        ("component-counter.collector", &["counter"]),
    ];
    let plan = plan(&options(), &observed(RUNNING, parents)).unwrap();
    assert_eq!(ids(&plan), ["delete:hello", "delete:hello.collector", "delete:inventory"]);
}

#[test]
fn a_cluster_of_somebody_else_stays_and_keeps_no_inventory() {
    let seen = Observed { traits: existing::TRAITS, ..observed(RUNNING, &[("stack-hello", &[])]) };
    let plan = plan(&options(), &seen).unwrap();
    assert_eq!(ids(&plan), ["delete:hello", "delete:inventory"]);
}

#[test]
fn a_cluster_of_somebody_else_is_not_removed_when_that_is_asked_for() {
    let seen = Observed { traits: existing::TRAITS, ..observed(RUNNING, &[("stack-hello", &[])]) };
    let error = plan(&Options { cluster: true, ..options() }, &seen).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
}

#[test]
fn a_foreign_cluster_is_refused() {
    let foreign = ClusterState::Foreign { why: "made by somebody else".into() };
    let error = plan(&Options { cluster: true, ..options() }, &observed(foreign, &[])).unwrap_err();
    assert_eq!(error.kind, Kind::Preflight);
    assert_eq!(error.causes, ["made by somebody else"]);
}

#[test]
fn a_cluster_that_does_not_answer_is_removed_only_as_a_whole() {
    let silent = || Observed { live: None, ..observed(RUNNING, &[]) };
    assert_eq!(plan(&options(), &silent()).unwrap_err().kind, Kind::Platform);
    assert!(is_blind(&silent()));
    assert_eq!(ids(&plan(&Options { cluster: true, ..options() }, &silent()).unwrap())[0], "delete:cluster");
}

#[test]
fn a_stopped_cluster_is_removed_only_as_a_whole() {
    let stopped = || observed(ClusterState::Ours { stopped: true }, &[]);
    assert_eq!(plan(&options(), &stopped()).unwrap_err().kind, Kind::Preflight);
    assert!(plan(&Options { cluster: true, ..options() }, &stopped()).is_ok());
}

fn in_the_cluster(foreign: Foreign) -> Observed {
    let mut observed = observed(RUNNING, &[("stack-hello", &[])]);
    observed.live.as_mut().unwrap().foreign = foreign;
    observed
}

#[test]
fn the_cluster_stays_while_something_else_lives_in_it() {
    let team = || in_the_cluster(Foreign { namespaces: [("team".to_owned(), 3)].into(), ..Foreign::default() });
    assert_eq!(ids(&plan(&options(), &team()).unwrap()), ["delete:hello", "delete:inventory"]);
    assert_eq!(stays(&options(), &team()), ["namespace team with 3 objects"]);
    let all = Options { cluster: true, ..options() };
    assert_eq!(ids(&plan(&all, &team()).unwrap())[0], "delete:cluster");
    assert_eq!(others(&all, &team()), ["namespace team with 3 objects"]);
    assert!(stays(&all, &team()).is_empty(), "it goes");
}

#[test]
fn the_cluster_stays_with_volumes_unless_they_may_go() {
    let claim = Key {
        group: String::new(),
        kind: "PersistentVolumeClaim".into(),
        namespace: Some("db".into()),
        name: "data".into(),
    };
    let seen = || in_the_cluster(Foreign { data: vec![claim.clone()], ..Foreign::default() });
    assert_eq!(ids(&plan(&options(), &seen()).unwrap())[0], "delete:hello");
    let data = Options { prune_data: true, ..options() };
    assert_eq!(ids(&plan(&data, &seen()).unwrap())[0], "delete:cluster");
}

fn unknown_stack(stack: &str) -> Options {
    Options { stack: stack.into(), known: false, ..options() }
}

#[test]
fn a_stack_that_nobody_knows_is_refused() {
    let seen = observed(RUNNING, &[("stack-hello", &[]), ("stack-shop", &[])]);
    for cluster in [false, true] {
        let error = plan(&Options { cluster, ..unknown_stack("shp") }, &seen).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "no stack named shp"));
        assert!(error.hints.contains(&"did you mean shop?".to_owned()), "{error:?}");
    }
    let nothing = observed(ClusterState::Absent, &[]);
    assert_eq!(plan(&unknown_stack("helo"), &nothing).unwrap_err().kind, Kind::Usage);
    assert!(plan(&unknown_stack("shop"), &seen).is_ok(), "it is on record");
}

#[test]
fn what_carries_the_label_of_a_lost_record_goes() {
    let member = |kind: SetKind, name: &str| {
        let id = desired::applyset_id(kind, name);
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "n", "labels": {crate::kube::PART_OF: id}}})
    };
    let objects = [member(SetKind::Stack, "lost"), member(SetKind::Component, "lost.collector")];
    let mut seen = observed(RUNNING, &[("stack-hello", &[])]);
    let live = seen.live.as_mut().unwrap();
    live.live.objects = objects.into_iter().map(|object| (json::key(&object), object)).collect();
    let options = Options { instances: vec!["lost.collector".into()], ..unknown_stack("lost") };
    let plan = plan(&options, &seen).unwrap();
    assert_eq!(ids(&plan), ["delete:lost", "delete:lost.collector", "delete:inventory"]);
    assert_eq!(plan.steps[0].deletes.iter().map(Key::place).collect::<Vec<_>>(), ["n/ConfigMap/lost"]);
}

#[test]
fn all_stacks_take_the_cluster_with_them_unless_something_else_lives_in_it() {
    let all = Options { all: true, stack: String::new(), ..options() };
    let parents: &[(&str, &[&str])] = &[("stack-hello", &[]), ("stack-counter", &[])];
    assert_eq!(ids(&plan(&all, &observed(RUNNING, parents)).unwrap()), ["delete:cluster", "delete:images"]);
    let team = in_the_cluster(Foreign { namespaces: [("team".to_owned(), 3)].into(), ..Foreign::default() });
    assert!(!plan(&all, &team).unwrap().removes_cluster());
    assert_eq!(stays(&all, &team), ["namespace team with 3 objects"]);
}
