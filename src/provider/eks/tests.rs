//! Plans of a cluster from what is there, and the way back.

use std::collections::BTreeSet;

use super::{
    plan, price,
    seen::{Cluster, Gateway, Identity, LogGroup, RouteTable, Seen, Status, Subnet, Vpc, Zone},
    spec::{EksSpec, Given, Nat},
    task::{Role, Task},
    teardown,
};
use crate::provider::step::{Planned, Step};

pub fn spec() -> EksSpec {
    EksSpec {
        base: "hello".to_owned(),
        region: None,
        account: None,
        vpc_cidr: "10.0.0.0/16".parse().unwrap(),
        nat: Nat::Single,
        public_cidrs: Vec::new(),
        ttl: None,
        given: Given::default(),
        kubernetes_version: None,
    }
}

fn nothing(spec: EksSpec) -> Seen {
    let who = Identity { account: "1".to_owned(), arn: "arn:aws:iam::1:user/me".to_owned() };
    let zone = |id: &str| Zone { id: id.to_owned(), name: String::new() };
    let zones = ["use1-az1", "use1-az2", "use1-az3", "use1-az4"].map(zone).to_vec();
    Seen { zones, ..Seen::of(&spec, &who, "us-east-1", "stackctl-hello-1a2b3c") }
}

fn planned(seen: &Seen) -> Vec<Planned> {
    plan::up(seen, true, false, &BTreeSet::from(["hello/web".to_owned()])).unwrap()
}

/// What a plan makes, as AWS would show it: each step as if it had been done.
fn done(mut seen: Seen, steps: &[Planned]) -> Seen {
    for step in steps {
        let Step::Cloud(task) = &step.step else { continue };
        match task {
            Task::Vpc { cidr } => {
                seen.vpc = Some(Vpc { id: "vpc".to_owned(), cidr: cidr.clone(), host_names: true });
            }
            Task::InternetGateway => seen.gateway = Some(Gateway { id: "igw".to_owned(), attached: true }),
            Task::Subnet(it) => {
                let subnet = Subnet { id: it.name.clone(), zone: it.zone.clone(), addresses: it.addresses };
                seen.subnets.insert(it.name.clone(), subnet);
            }
            Task::RouteTable(it) => {
                let associated = it.subnets.iter().map(|name| (name.clone(), String::new())).collect();
                let way_out = it.internet.then(|| "igw".to_owned());
                seen.tables.insert(it.name.clone(), RouteTable { id: it.name.clone(), associated, way_out });
            }
            Task::S3Endpoint { .. } => seen.endpoint = Some("vpce".to_owned()),
            Task::NatGateway { name, .. } => {
                let nat = super::seen::Nat { id: format!("nat-{name}"), state: "available".to_owned() };
                seen.nats.insert(name.clone(), nat);
            }
            Task::NatRoute { table, nat } => {
                seen.tables.get_mut(table).unwrap().way_out = Some(format!("nat-{nat}"));
            }
            Task::Role { role } => {
                seen.roles.insert(*role, role.policies().iter().map(|policy| (*policy).to_owned()).collect());
            }
            Task::LogGroup => seen.log_group = Some(LogGroup { retention: Some(7) }),
            Task::Repositories { names } => seen.repositories.extend(names.iter().cloned()),
            Task::Cluster { .. } => {
                seen.cluster = Some(Cluster {
                    status: Status::Creating,
                    ours: true,
                    vpc: Some("vpc".to_owned()),
                    complete: false,
                    version: None,
                    reached_by: None,
                    open_to: vec!["0.0.0.0/0".to_owned()],
                });
            }
            Task::AwaitCluster => seen.cluster.as_mut().unwrap().status = Status::Active,
            Task::Complete => seen.cluster.as_mut().unwrap().complete = true,
            Task::Access { cidrs } => seen.cluster.as_mut().unwrap().open_to = cidrs.clone(),
            Task::StorageClass | Task::Remove { .. } => {}
        }
    }
    seen
}

/// `id < needs`
fn graph(steps: &[Planned]) -> String {
    let known: BTreeSet<&str> = steps.iter().map(|step| &*step.id).collect();
    let line = |step: &Planned| {
        let needs: Vec<&str> = step.needs.iter().map(|need| &**need).filter(|need| known.contains(need)).collect();
        match needs.is_empty() {
            true => step.id.to_string(),
            false => format!("{} < {}", step.id, needs.join(", ")),
        }
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn from_nothing_all_is_made_in_waves() {
    insta::assert_snapshot!(graph(&planned(&nothing(spec()))));
}

#[test]
fn with_a_gateway_in_each_zone_no_zone_needs_another() {
    insta::assert_snapshot!(graph(&planned(&nothing(EksSpec { nat: Nat::PerZone, ..spec() }))));
}

#[test]
fn without_gateways_nodes_stand_in_public_subnets() {
    let steps = planned(&nothing(EksSpec { nat: Nat::None, ..spec() }));
    assert!(!steps.iter().any(|step| step.id.starts_with("nat")));
    let cluster = steps.iter().find_map(|step| match &step.step {
        Step::Cloud(Task::Cluster { subnets, .. }) => Some(subnets.clone()),
        _ => None,
    });
    assert_eq!(cluster.unwrap(), ["public-1", "public-2", "public-3"]);
    let given = steps.iter().filter(|step| matches!(&step.step, Step::Cloud(Task::Subnet(it)) if it.addresses));
    assert_eq!(given.count(), 3);
}

#[test]
fn what_is_whole_needs_nothing() {
    for nat in [Nat::Single, Nat::PerZone, Nat::None] {
        let seen = nothing(EksSpec { nat, ..spec() });
        let steps = planned(&seen);
        assert_eq!(graph(&planned(&done(seen, &steps))), "", "{nat:?}");
    }
}

#[test]
fn whatever_an_interrupted_run_has_made_the_next_one_makes_the_rest() {
    let seen = nothing(spec());
    let steps = planned(&seen);
    for made in 0..=steps.len() {
        let half = done(seen.clone(), &steps[..made]);
        let rest = planned(&half);
        let ids = |steps: &[Planned]| steps.iter().map(|step| step.id.to_string()).collect::<BTreeSet<_>>();
        let already: BTreeSet<String> = steps[..made]
            .iter()
            .filter(|step| !matches!(step.id.as_ref(), "cluster:active" | "storage-class" | "kubeconfig"))
            .map(|step| step.id.to_string())
            .collect();
        assert!(ids(&rest).is_disjoint(&already), "after {made}: {:?}", ids(&rest).intersection(&already));
        let whole = done(half, &rest);
        assert_eq!(graph(&planned(&whole)), "", "after {made}");
    }
}

#[test]
fn the_cluster_waits_neither_for_a_way_out_nor_for_images() {
    let steps = planned(&nothing(spec()));
    let needs = |id: &str| steps.iter().find(|step| step.id == id).unwrap().needs.clone();
    let of_cluster = needs("cluster:create");
    assert!(!of_cluster.iter().any(|need| need.starts_with("nat") || need == "repositories"));
    // But nothing is applied before nodes can pull.
    assert!(needs("cluster:complete").iter().any(|need| need.starts_with("nat-route")));
}

#[test]
fn somebody_elses_cluster_of_that_name_is_refused() {
    let mut seen = nothing(spec());
    let theirs = Cluster {
        status: Status::Active,
        ours: false,
        vpc: None,
        complete: false,
        version: None,
        open_to: Vec::new(),
        reached_by: None,
    };
    seen.cluster = Some(theirs);
    let error = plan::up(&seen, true, false, &BTreeSet::new()).unwrap_err();
    assert_eq!(error.kind, crate::error::Kind::Preflight);
}

/// All that a plan makes from nothing.
fn whole(spec: EksSpec) -> Seen {
    let seen = nothing(spec);
    let steps = planned(&seen);
    done(seen, &steps)
}

#[test]
fn what_nobody_asks_for_stays_as_it_is() {
    for nat in [Nat::Single, Nat::PerZone, Nat::None] {
        let vpc_cidr = "10.7.0.0/16".parse().unwrap();
        let there = whole(EksSpec { nat, vpc_cidr, ..spec() });
        let steps = planned(&Seen { spec: spec(), ..there.clone() });
        assert_eq!(graph(&steps), "", "{nat:?}");
        let gateways = |seen: &Seen| price::of(seen).unwrap().per_hour;
        assert_eq!(gateways(&Seen { spec: spec(), ..there.clone() }), gateways(&there), "{nat:?}");
    }
}

#[test]
fn what_cannot_change_in_place_is_refused_all_at_once_with_what_fits() {
    let mut there = whole(EksSpec { nat: Nat::PerZone, ..spec() });
    there.cluster.as_mut().unwrap().version = Some("1.35".to_owned());
    let given = Given { nat: true, vpc_cidr: true };
    let other = EksSpec {
        given,
        vpc_cidr: "10.7.0.0/16".parse().unwrap(),
        kubernetes_version: Some("1.36".to_owned()),
        ..spec()
    };
    let refused = plan::up(&Seen { spec: other, ..there.clone() }, true, false, &BTreeSet::new()).unwrap_err();
    assert_eq!((refused.kind, refused.details.len()), (crate::error::Kind::Preflight, 3), "{refused:?}");
    assert!(
        refused.hints[0].contains("--nat per-zone --vpc-cidr 10.0.0.0/16 --kubernetes-version 1.35"),
        "{refused:?}"
    );
    let same = EksSpec { given, nat: Nat::PerZone, kubernetes_version: Some("1.35".to_owned()), ..spec() };
    assert_eq!(graph(&planned(&Seen { spec: same, ..there })), "");
}

#[test]
fn who_may_reach_the_api_server_changes_in_place() {
    let there = whole(spec());
    let narrow = EksSpec { public_cidrs: vec!["203.0.113.7/32".parse().unwrap()], ..spec() };
    let seen = Seen { spec: narrow, ..there };
    let steps = planned(&seen);
    assert_eq!(graph(&steps), "cluster:access");
    let narrowed = done(seen, &steps);
    assert_eq!(graph(&planned(&narrowed)), "");
    // Who does not ask again opens nothing.
    assert_eq!(graph(&planned(&Seen { spec: spec(), ..narrowed })), "");
}

#[test]
fn deploy_makes_no_network_and_no_cluster() {
    let seen = nothing(spec());
    assert!(plan::up(&seen, false, false, &BTreeSet::new()).is_err());
    let steps = planned(&seen);
    let whole = done(seen, &steps);
    let some = plan::up(&whole, false, false, &BTreeSet::from(["hello/new".to_owned()])).unwrap();
    assert_eq!(graph(&some), "repositories");
}

#[test]
fn the_way_back_takes_one_thing_after_the_other() {
    insta::assert_snapshot!(graph(&teardown::down(false)));
    let with_data = graph(&teardown::down(true));
    assert!(with_data.contains("delete:nodes < delete:claims"), "{with_data}");
    assert!(with_data.contains("delete:volumes < delete:nodes"), "{with_data}");
}

#[test]
fn roles_have_no_more_than_auto_mode_asks_for() {
    let policies: Vec<&str> = Role::ALL.iter().flat_map(|role| role.policies()).copied().collect();
    assert_eq!(policies.len(), 7);
    assert!(policies.iter().all(|policy| policy.starts_with("AmazonEKS") || policy.ends_with("PullOnly")));
}

#[test]
fn subnets_lie_in_the_network_that_the_vpc_has() {
    let mut seen = nothing(spec());
    seen.vpc = Some(Vpc { id: "vpc".to_owned(), cidr: "10.5.0.0/16".to_owned(), host_names: true });
    for step in planned(&seen) {
        if let Step::Cloud(Task::Subnet(subnet)) = step.step {
            assert!(subnet.cidr.starts_with("10.5."), "{subnet:?}");
        }
    }
}

#[test]
fn what_two_runs_have_made_and_a_role_that_trusts_nobody_stop_the_next_one() {
    let mut twice = nothing(spec());
    let nat = super::seen::Nat { id: "nat-a".to_owned(), state: "available".to_owned() };
    twice.nats.insert("1#2".to_owned(), nat);
    let distrusted = Seen { distrusted: BTreeSet::from([Role::Node]), ..nothing(spec()) };
    for (seen, word) in [(twice, "more than once"), (distrusted, "cannot be taken by ec2.amazonaws.com")] {
        let error = plan::up(&seen, true, false, &BTreeSet::new()).unwrap_err();
        assert!(error.kind == crate::error::Kind::Preflight && error.message.contains(word), "{error:?}");
    }
}
