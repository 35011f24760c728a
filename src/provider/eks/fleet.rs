//! All that bears our mark in an account and region, for whoever has lost all state, or wants to know what it costs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ec2::types::{Filter, Tag};
use jiff::Timestamp;

use super::{
    client::{Aws, Doing},
    look::{self, filter},
    names,
    price::{Costs, Prices},
    seen::Identity,
    spec::EksSpec,
    traces::{self, Place, Trace},
};
use crate::{
    error::{Error, Result},
    provider::fleet::Fleet,
};

pub async fn fleet(spec: &EksSpec) -> Result<Fleet> {
    let aws = &Aws::open(spec.region.as_deref()).await?;
    let Identity { account, arn } = look::caller(aws, spec).await?;
    let ((planes, theirs), network, machines, named) = tokio::try_join!(
        Box::pin(control_planes(aws)),
        Box::pin(network(aws)),
        Box::pin(machines(aws)),
        Box::pin(named(aws))
    )?;
    let prices = Prices::of(&aws.region)?;
    let place = Place { account: &account, region: &aws.region, now: Timestamp::now() };
    let all = [planes, network, machines, named].concat();
    let clusters = traces::clusters(all, &theirs, place, &prices);
    Ok(Fleet { clusters, region: aws.region.clone(), identity: arn, as_of: prices.as_of, account })
}

/// Those that are ours, and the names of those that only are called so.
async fn control_planes(aws: &Aws) -> Result<(Vec<Trace>, BTreeSet<String>)> {
    let mut pages = aws.eks.list_clusters().into_paginator().send();
    let (mut ours, mut theirs) = (Vec::new(), BTreeSet::new());
    while let Some(page) = pages.next().await {
        let found = page.doing("listing clusters")?.clusters.unwrap_or_default();
        for name in found.into_iter().filter(|name| names::base(name).is_some()) {
            let Some(cluster) = look::described(aws, &name).await? else { continue };
            let tags: BTreeMap<String, String> = cluster.tags.unwrap_or_default().into_iter().collect();
            match tags.get(names::CLUSTER_TAG) == Some(&name) {
                true => ours.push(Trace::of_control_plane(name, tags)),
                false => _ = theirs.insert(name),
            }
        }
    }
    Ok((ours, theirs))
}

/// What we tag ourselves. Subnets, route tables and endpoints are in a VPC, and cost nothing.
async fn network(aws: &Aws) -> Result<Vec<Trace>> {
    let ec2 = &aws.ec2;
    let ours = || tagged(names::CLUSTER_TAG);
    let states = filter("state", ["pending", "available", "deleting"]);
    let (vpcs, gateways, nats, addresses) = tokio::try_join!(
        async { ec2.describe_vpcs().filters(ours()).send().await.doing("looking for VPCs") },
        async {
            let answer = ec2.describe_internet_gateways().filters(ours()).send().await;
            answer.doing("looking for internet gateways")
        },
        async {
            let answer = ec2.describe_nat_gateways().filter(ours()).filter(states).send().await;
            answer.doing("looking for NAT gateways")
        },
        async { ec2.describe_addresses().filters(ours()).send().await.doing("looking for addresses") },
    )?;
    let mut found = Vec::new();
    let mut add = |kind, tags: Option<Vec<Tag>>, costs| found.extend(of_ec2(kind, tags, costs));
    for vpc in vpcs.vpcs.unwrap_or_default() {
        add("VPC", vpc.tags, vec![]);
    }
    for gateway in gateways.internet_gateways.unwrap_or_default() {
        add("internet gateway", gateway.tags, vec![]);
    }
    for nat in nats.nat_gateways.unwrap_or_default() {
        add("NAT gateway", nat.tags, vec![Costs::NatGateway]);
    }
    for address in addresses.addresses.unwrap_or_default() {
        add("address", address.tags, vec![Costs::PublicAddress]);
    }
    Ok(found)
}

/// What EKS makes for a cluster, and tags itself.
async fn machines(aws: &Aws) -> Result<Vec<Trace>> {
    let ec2 = &aws.ec2;
    let of_eks = || tagged(names::EKS_TAG);
    let (instances, volumes, groups) = tokio::try_join!(
        async {
            let answer = ec2.describe_instances().filters(of_eks()).filters(look::alive()).send().await;
            answer.doing("looking for nodes")
        },
        async { ec2.describe_volumes().filters(of_eks()).send().await.doing("looking for volumes") },
        async { ec2.describe_security_groups().filters(of_eks()).send().await.doing("looking for security groups") },
    )?;
    let mut found = Vec::new();
    for instance in
        instances.reservations.unwrap_or_default().into_iter().flat_map(|it| it.instances.unwrap_or_default())
    {
        let address = instance.public_ip_address.map(|_| Costs::PublicAddress);
        let kind = instance.instance_type.map(|kind| Costs::Node(kind.as_str().to_owned()));
        found.extend(of_ec2("instance", instance.tags, kind.into_iter().chain(address).collect()));
    }
    for volume in volumes.volumes.unwrap_or_default() {
        let size = u32::try_from(volume.size.unwrap_or_default()).unwrap_or_default();
        let id = volume.volume_id.unwrap_or_default();
        let trace = of_ec2("volume", volume.tags, vec![Costs::Volume(size)]);
        // One that a node has goes with it.
        let stays = volume.attachments.is_none_or(|all| all.is_empty()).then(|| format!("volume {id} ({size} GiB)"));
        found.extend(trace.map(|trace| Trace { stays, ..trace }));
    }
    for group in groups.security_groups.unwrap_or_default() {
        found.extend(of_ec2("security group", group.tags, vec![]));
    }
    found.extend(balancers(aws).await?);
    Ok(found)
}

async fn balancers(aws: &Aws) -> Result<Vec<Trace>> {
    let mut pages = aws.elb.describe_load_balancers().into_paginator().send();
    let mut costs: HashMap<String, Vec<Costs>> = HashMap::new();
    while let Some(page) = pages.next().await {
        for balancer in page.doing("looking for load balancers")?.load_balancers.unwrap_or_default() {
            let faces = balancer.scheme().is_some_and(|scheme| scheme.as_str() == "internet-facing");
            let zones = if faces { balancer.availability_zones().len() } else { 0 };
            let addresses = (0..zones).map(|_| Costs::PublicAddress);
            let all = std::iter::once(Costs::LoadBalancer).chain(addresses).collect();
            costs.extend(balancer.load_balancer_arn.map(|arn| (arn, all)));
        }
    }
    let arns: Vec<String> = costs.keys().cloned().collect();
    let mut found = Vec::new();
    for described in look::balancer_tags(aws, &arns).await? {
        let costs = described.resource_arn.and_then(|arn| costs.remove(&arn)).unwrap_or_default();
        let pairs = described.tags.unwrap_or_default().into_iter();
        let tags = pairs.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
        found.extend(marked("load balancer", tags, costs));
    }
    Ok(found)
}

/// What is known by its name.
async fn named(aws: &Aws) -> Result<Vec<Trace>> {
    let roles = async {
        let mut pages = aws.iam.list_roles().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let names = page.doing("listing roles")?.roles.into_iter().map(|role| role.role_name);
            found.extend(names.filter_map(|name| Some(Trace::new(names::of_role(&name)?, "role"))));
        }
        Ok::<_, Error>(found)
    };
    let profiles = async {
        let mut pages = aws.iam.list_instance_profiles().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let all = page.doing("looking for instance profiles")?.instance_profiles;
            let names = all.into_iter().map(|profile| profile.instance_profile_name);
            let traces =
                names.filter_map(|name| Some(Trace::new(names::of_profile(&name, &aws.region)?, "instance profile")));
            found.extend(traces);
        }
        Ok::<_, Error>(found)
    };
    let groups = async {
        let prefix = names::log_group(names::PREFIX);
        let prefix = prefix.trim_end_matches("/cluster");
        let mut pages = aws.logs.describe_log_groups().log_group_name_prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let all = page.doing("looking for log groups")?.log_groups.unwrap_or_default();
            let names = all.into_iter().filter_map(|group| group.log_group_name);
            found.extend(names.filter_map(|name| Some(Trace::new(names::of_log_group(&name)?, "log group"))));
        }
        Ok::<_, Error>(found)
    };
    let repositories = async {
        let mut pages = aws.ecr.describe_repositories().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let all = page.doing("listing repositories")?.repositories.unwrap_or_default();
            let names = all.into_iter().filter_map(|repository| repository.repository_name);
            found.extend(names.filter_map(|name| Some(Trace::new(names::of_repository(&name)?, "repository"))));
        }
        Ok::<_, Error>(found)
    };
    let (roles, profiles, groups, repositories) = tokio::try_join!(roles, profiles, groups, repositories)?;
    Ok([roles, profiles, groups, repositories].concat())
}

fn tagged(key: &str) -> Filter {
    filter("tag-key", [key])
}

fn of_ec2(kind: &'static str, tags: Option<Vec<Tag>>, costs: Vec<Costs>) -> Option<Trace> {
    let pairs = tags.unwrap_or_default().into_iter();
    marked(kind, pairs.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(), costs)
}

/// By our tag, or by that of EKS.
fn marked(kind: &'static str, tags: BTreeMap<String, String>, costs: Vec<Costs>) -> Option<Trace> {
    let cluster = tags.get(names::CLUSTER_TAG).or_else(|| tags.get(names::EKS_TAG))?.clone();
    Some(Trace::new(cluster, kind).tagged(tags).costs(costs))
}
