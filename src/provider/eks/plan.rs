//! From what there is on AWS to what is missing, as steps. Pure.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    asked,
    layout::Layout,
    seen::{Seen, Status},
    task::{Role, Task},
};
use crate::{
    error::{Error, Kind, Result},
    provider::{
        ClusterState,
        step::{Gives, Planned, Step},
    },
};

const VPC: &str = "vpc";
const GATEWAY: &str = "internet-gateway";
const LOG_GROUP: &str = "log-group";
const REPOSITORIES: &str = "repositories";
const CLUSTER: &str = "cluster:create";
const ACTIVE: &str = "cluster:active";
const ACCESS: &str = "cluster:access";
const STORAGE: &str = "storage-class";
const KUBECONFIG: &str = "kubeconfig";
const COMPLETE: &str = "cluster:complete";

/// Steps so far; each needs others by their ids, of which those that are not in the plan are done.
#[derive(Default)]
struct Steps(Vec<Planned>);

impl Steps {
    fn add(&mut self, id: impl Into<Cow<'static, str>>, needs: &[String], task: Task) -> &mut Planned {
        let planned = Planned {
            id: id.into(),
            needs: needs.iter().cloned().map(Cow::from).collect(),
            step: Step::Cloud(task),
            gives: None,
        };
        self.0.push(planned);
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().map(|step| step.id.to_string()).collect()
    }
}

fn subnet(name: &str) -> String {
    format!("subnet:{name}")
}

fn table(name: &str) -> String {
    format!("route-table:{name}")
}

fn nat(name: &str) -> String {
    format!("nat:{name}")
}

fn role(role: Role) -> String {
    format!("role:{}", role.suffix())
}

/// What is missing. `kubeconfig`: the cluster's context is. `repositories`: of the images that are going to be pushed.
pub fn up(seen: &Seen, make_cluster: bool, kubeconfig: bool, repositories: &BTreeSet<String>) -> Result<Vec<Planned>> {
    let state = seen.state();
    if let ClusterState::Foreign { why } = &state {
        return Err(Error::new(Kind::Preflight, why.clone())
            .hint("it may be somebody else's: choose another name with --cluster-name"));
    }
    refuse_unusable(seen)?;
    let is_there = matches!(state, ClusterState::Ours { .. });
    if !is_there && !make_cluster {
        return Err(
            Error::new(Kind::Preflight, "there is no running cluster to deploy to").hint("`stackctl up` makes one")
        );
    }
    if make_cluster {
        asked::check(seen)?;
    }
    let seen = &asked::settled(seen);
    let mut steps = Steps::default();
    if make_cluster {
        network(&mut steps, seen)?;
        identities(&mut steps, seen);
    }
    let names: Vec<String> = repositories.difference(&seen.repositories).cloned().collect();
    if !names.is_empty() {
        steps.add(REPOSITORIES, &[], Task::Repositories { names }).gives = Some(Gives::Registry);
    }
    if make_cluster {
        cluster(&mut steps, seen, kubeconfig)?;
    }
    Ok(steps.0)
}

fn refuse_unusable(seen: &Seen) -> Result<()> {
    let twice = seen.twice();
    if !twice.is_empty() {
        return Err(Error::new(Kind::Preflight, format!("the cluster {} has some things more than once", seen.name))
            .cause("two runs at the same time have made them")
            .details(twice)
            .hint("`stackctl down` removes all of them; then `stackctl up` makes the cluster anew"));
    }
    if let Some(role) = seen.distrusted.first() {
        let (name, service) = (format!("{}-{}", seen.name, role.suffix()), role.service());
        return Err(Error::new(Kind::Preflight, format!("the role {name} cannot be taken by {service}"))
            .cause("its trust policy does not allow sts:AssumeRole to it")
            .hint(format!("remove the role, and it is made anew: aws iam delete-role --role-name {name}; or let it trust {service} again")));
    }
    Ok(())
}

fn network(steps: &mut Steps, seen: &Seen) -> Result<()> {
    let layout = Layout::of(seen)?;
    if !seen.vpc.as_ref().is_some_and(|vpc| vpc.host_names) {
        steps.add(VPC, &[], Task::Vpc { cidr: seen.spec.vpc_cidr.to_string() });
    }
    let vpc = [VPC.to_owned()];
    if !seen.gateway.as_ref().is_some_and(|gateway| gateway.attached) {
        steps.add(GATEWAY, &vpc, Task::InternetGateway);
    }
    for wanted in &layout.subnets {
        if !seen.subnets.get(&wanted.name).is_some_and(|there| there.addresses || !wanted.addresses) {
            steps.add(subnet(&wanted.name), &vpc, Task::Subnet(wanted.clone()));
        }
    }
    for wanted in &layout.tables {
        let there = seen.tables.get(&wanted.name).is_some_and(|there| {
            let ids = wanted.subnets.iter().map(|name| seen.subnets.get(name).map(|subnet| &subnet.id));
            let associated = ids.into_iter().all(|id| id.is_some_and(|id| there.associated.contains_key(id)));
            let gateway = seen.gateway.as_ref().map(|gateway| &gateway.id);
            associated && (!wanted.internet || there.way_out.is_some() && there.way_out.as_ref() == gateway)
        });
        if !there {
            let mut needs: Vec<String> = wanted.subnets.iter().map(|name| subnet(name)).collect();
            needs.push(VPC.to_owned());
            needs.extend(wanted.internet.then(|| GATEWAY.to_owned()));
            steps.add(table(&wanted.name), &needs, Task::RouteTable(wanted.clone()));
        }
    }
    if seen.endpoint.is_none() {
        let tables: Vec<String> = layout.tables.iter().map(|table| table.name.clone()).collect();
        let needs: Vec<String> = tables.iter().map(|name| table(name)).collect();
        steps.add("s3-endpoint", &needs, Task::S3Endpoint { tables });
    }
    for (name, stands_in) in &layout.nats {
        if seen.nats.get(name).is_none_or(|nat| nat.state != "available") {
            // It comes up only where the way out is there.
            let needs = [subnet(stands_in), GATEWAY.to_owned(), table("public")];
            steps.add(nat(name), &needs, Task::NatGateway { name: name.clone(), subnet: stands_in.clone() });
        }
    }
    for private in layout.tables.iter().filter(|table| !table.internet && !layout.nats.is_empty()) {
        let number = private.name.trim_start_matches("private-");
        let leads = seen.tables.get(&private.name).and_then(|table| table.way_out.as_ref());
        let gateway = seen.nats.get(number).map(|nat| &nat.id);
        if leads.is_none() || leads != gateway {
            let task = Task::NatRoute { table: private.name.clone(), nat: number.to_owned() };
            steps.add(format!("nat-route:{}", private.name), &[table(&private.name), nat(number)], task);
        }
    }
    Ok(())
}

fn identities(steps: &mut Steps, seen: &Seen) {
    for wanted in Role::ALL {
        let has = seen.roles.get(&wanted);
        if !has.is_some_and(|has| wanted.policies().iter().all(|policy| has.contains(*policy))) {
            steps.add(role(wanted), &[], Task::Role { role: wanted });
        }
    }
    if seen.log_group.as_ref().is_none_or(|group| group.retention.is_none()) {
        steps.add(LOG_GROUP, &[], Task::LogGroup);
    }
}

fn cluster(steps: &mut Steps, seen: &Seen, kubeconfig: bool) -> Result<()> {
    let there = seen.cluster.as_ref();
    if let Some(cidrs) = asked::opening(seen) {
        steps.add(ACCESS, &[], Task::Access { cidrs });
    }
    if there.is_some_and(|cluster| cluster.status == Status::Active && cluster.complete) {
        steps.0.extend(kubeconfig.then(|| Planned::new(KUBECONFIG, &[], Step::MergeKubeconfig)));
        return Ok(());
    }
    let layout = Layout::of(seen)?;
    let subnets = layout.of_nodes();
    // It needs subnets and roles, and neither a way out nor images.
    let mut needs: Vec<String> = subnets.iter().map(|name| subnet(name)).collect();
    needs.extend(Role::ALL.map(role));
    needs.push(LOG_GROUP.to_owned());
    if !there.is_some_and(|cluster| matches!(cluster.status, Status::Active | Status::Creating)) {
        let task = Task::Cluster { subnets, version: seen.spec.kubernetes_version.clone() };
        steps.add(CLUSTER, &needs, task);
    }
    let network = steps.ids();
    steps.add(ACTIVE, &[CLUSTER.to_owned()], Task::AwaitCluster).gives = Some(Gives::Cluster);
    steps.add(STORAGE, &[ACTIVE.to_owned()], Task::StorageClass);
    steps.0.push(Planned::new(KUBECONFIG, &[ACTIVE], Step::MergeKubeconfig));
    let mut needs: Vec<String> = network.into_iter().filter(|id| id != REPOSITORIES).collect();
    needs.extend([ACTIVE, STORAGE, KUBECONFIG].map(str::to_owned));
    steps.add(COMPLETE, &needs, Task::Complete).gives = Some(Gives::Nodes);
    Ok(())
}
