//! Looks at AWS and changes nothing: what bears the cluster's tag, and what bears its names.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, NatGateway, NatGatewayState, Tag};

use aws_sdk_elasticloadbalancingv2::types::TagDescription;
use serde_json::Value;

use super::{
    client::{Aws, Doing, Failure, Outcome, unless_absent},
    names,
    seen::{Cluster, Gateway, Identity, LogGroup, Nat, RouteTable, Seen, Status, Subnet, Vpc, Zone},
    spec::EksSpec,
    task::Role,
};
use crate::error::{Error, Kind, Result};

pub const NO_ROLE: [&str; 1] = ["NoSuchEntity"];
/// So many load balancers have their tags told in one answer.
const TAGS_AT_ONCE: usize = 20;
pub const NO_CLUSTER: [&str; 1] = ["ResourceNotFoundException"];

pub async fn identity(aws: &Aws) -> Result<Identity> {
    let answer = aws.sts.get_caller_identity().send().await.map_err(Failure::of).map_err(|failure| {
        let error = failure.error("asking who you are");
        match failure.code.is_none() && failure.outcome == Outcome::Unknown {
            true => Error { kind: Kind::Preflight, hints: Vec::new(), ..error }.hint(format!(
                "is {} a region of AWS, and does this machine reach it? Another one is named by --region",
                aws.region
            )),
            false => error,
        }
    })?;
    let known = answer.account.zip(answer.arn);
    let (account, arn) = known.ok_or_else(|| Error::new(Kind::Platform, "AWS does not say who you are"))?;
    Ok(Identity { account, arn })
}

/// Who asks. Fails where `--account` allows somebody else alone.
pub async fn caller(aws: &Aws, spec: &EksSpec) -> Result<Identity> {
    let who = identity(aws).await?;
    match spec.account.as_ref().filter(|wanted| **wanted != who.account) {
        Some(wanted) => {
            Err(Error::new(Kind::Preflight, format!("these credentials are of the account {}", who.account))
                .cause(format!("--account allows {wanted} alone"))
                .hint("use the credentials of that account: AWS_PROFILE, or `aws sso login`"))
        }
        None => Ok(who),
    }
}

/// Instances that are not gone.
pub fn alive() -> Filter {
    filter("instance-state-name", ["pending", "running", "shutting-down", "stopping", "stopped"])
}

/// The tags of load balancers and target groups, by their ARNs.
pub async fn balancer_tags(aws: &Aws, arns: &[String]) -> Result<Vec<TagDescription>> {
    let mut found = Vec::new();
    for some in arns.chunks(TAGS_AT_ONCE) {
        let answer = aws.elb.describe_tags().set_resource_arns(Some(some.to_vec())).send().await;
        found.extend(answer.doing("looking at tags of load balancers")?.tag_descriptions.unwrap_or_default());
    }
    Ok(found)
}

/// By the cluster's own tag.
pub fn ours(cluster: &str) -> Filter {
    filter(&format!("tag:{}", names::CLUSTER_TAG), [cluster])
}

pub fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(str::to_owned).collect())).build()
}

pub fn tag<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key))?.value()
}

/// By name. Of several that bear the same one, which two runs at the same time have made, none hides another: a removal takes
/// them all.
fn each<T>(named: impl Iterator<Item = (String, T)>) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    for (name, thing) in named {
        let taken = (2..).map(|nth| format!("{name}{}{nth}", names::TWICE));
        let free = std::iter::once(name.clone()).chain(taken).find(|name| !all.contains_key(name));
        all.extend(free.map(|name| (name, thing)));
    }
    all
}

/// Which of the cluster's things of a kind it is: `subnet-public-1` is `public-1`.
fn part(tags: &[Tag], kind: &str) -> Option<String> {
    let part = tag(tags, names::PART_TAG)?;
    let rest = part.strip_prefix(kind)?;
    Some(rest.trim_start_matches('-').to_owned())
}

/// With the zones, where something has to be put into one.
pub async fn everything(aws: &Aws, spec: &EksSpec, who: &Identity) -> Result<Seen> {
    let seen = parts(aws, spec, who).await?;
    let zones = if seen.subnets.len() < 6 { zones(aws).await? } else { Vec::new() };
    Ok(Seen { zones, ..seen })
}

pub async fn parts(aws: &Aws, spec: &EksSpec, who: &Identity) -> Result<Seen> {
    let name = names::cluster(&who.account, &aws.region, &spec.base);
    let (vpc, gateway, subnets, tables, nats, addresses, endpoint) = Box::pin(async {
        tokio::try_join!(
            vpc(aws, &name),
            gateway(aws, &name),
            subnets(aws, &name),
            tables(aws, &name),
            nats(aws, &name),
            addresses(aws, &name),
            endpoint(aws, &name)
        )
    })
    .await?;
    let (roles, log_group, repositories, cluster) = Box::pin(async {
        tokio::try_join!(roles(aws, &name), log_group(aws, &name), repositories(aws, &name), cluster(aws, &name))
    })
    .await?;
    let nothing = Seen::of(spec, who, &aws.region, &name);
    let distrusted = roles.iter().filter(|(_, found)| !found.is_trusting).map(|(role, _)| *role).collect();
    let roles = roles.into_iter().map(|(role, found)| (role, found.policies)).collect();
    Ok(Seen {
        vpc,
        gateway,
        subnets,
        tables,
        nats,
        addresses,
        endpoint,
        roles,
        distrusted,
        log_group,
        repositories,
        cluster,
        ..nothing
    })
}

/// Whole zones that the account may use, in the order of their names.
pub async fn zones(aws: &Aws) -> Result<Vec<Zone>> {
    let answer = aws.ec2.describe_availability_zones().filters(filter("state", ["available"])).send().await;
    let zones = answer.doing("listing zones")?.availability_zones.unwrap_or_default().into_iter().filter_map(|zone| {
        let whole = zone.zone_type() == Some("availability-zone") || zone.zone_type().is_none();
        let open = zone.opt_in_status().is_none_or(|status| status.as_str() != "not-opted-in");
        (whole && open).then_some(Zone { id: zone.zone_id?, name: zone.zone_name? })
    });
    let mut zones: Vec<Zone> = zones.collect();
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(zones)
}

/// Its id, and its network.
pub async fn bare_vpc(aws: &Aws, cluster: &str) -> Result<Option<(String, String)>> {
    let answer = aws.ec2.describe_vpcs().filters(ours(cluster)).send().await.doing("looking for the VPC")?;
    let found = answer.vpcs.unwrap_or_default().into_iter().next();
    Ok(found.and_then(|found| Some((found.vpc_id?, found.cidr_block.unwrap_or_default()))))
}

pub async fn vpc(aws: &Aws, cluster: &str) -> Result<Option<Vpc>> {
    let Some((id, cidr)) = bare_vpc(aws, cluster).await? else { return Ok(None) };
    let attribute = aws_sdk_ec2::types::VpcAttributeName::EnableDnsHostnames;
    let answer = aws.ec2.describe_vpc_attribute().vpc_id(&id).attribute(attribute).send().await;
    let host_names = answer.doing("looking at the VPC")?.enable_dns_hostnames.and_then(|it| it.value).unwrap_or(false);
    Ok(Some(Vpc { id, cidr, host_names }))
}

pub async fn gateway(aws: &Aws, cluster: &str) -> Result<Option<Gateway>> {
    let answer = aws.ec2.describe_internet_gateways().filters(ours(cluster)).send().await;
    let found = answer.doing("looking for the internet gateway")?.internet_gateways.unwrap_or_default();
    Ok(found.into_iter().next().and_then(|gateway| {
        let attached = gateway.attachments().iter().any(|attachment| attachment.vpc_id().is_some());
        Some(Gateway { id: gateway.internet_gateway_id?, attached })
    }))
}

pub async fn subnets(aws: &Aws, cluster: &str) -> Result<BTreeMap<String, Subnet>> {
    let answer = aws.ec2.describe_subnets().filters(ours(cluster)).send().await.doing("looking for subnets")?;
    let named = answer.subnets.unwrap_or_default().into_iter().filter_map(|subnet| {
        let name = part(subnet.tags(), "subnet")?;
        let addresses = subnet.map_public_ip_on_launch.unwrap_or(false);
        Some((name, Subnet { id: subnet.subnet_id?, zone: subnet.availability_zone_id.unwrap_or_default(), addresses }))
    });
    Ok(each(named))
}

pub async fn tables(aws: &Aws, cluster: &str) -> Result<BTreeMap<String, RouteTable>> {
    let answer = aws.ec2.describe_route_tables().filters(ours(cluster)).send().await;
    let found = answer.doing("looking for route tables")?.route_tables.unwrap_or_default();
    let named = found.into_iter().filter_map(|table| {
        let name = part(table.tags(), "route-table")?;
        let associated = table.associations().iter().filter_map(|association| {
            Some((association.subnet_id()?.to_owned(), association.route_table_association_id()?.to_owned()))
        });
        let associated = associated.collect();
        let out = table.routes().iter().find(|route| route.destination_cidr_block() == Some("0.0.0.0/0"));
        let way_out = out.and_then(|route| route.nat_gateway_id().or(route.gateway_id())).map(str::to_owned);
        Some((name, RouteTable { id: table.route_table_id?, associated, way_out }))
    });
    Ok(each(named))
}

/// Those that are there or come up. AWS goes on listing them for an hour after they are gone.
pub async fn nats(aws: &Aws, cluster: &str) -> Result<BTreeMap<String, Nat>> {
    let mut found = nats_that_are(aws, cluster, &["pending", "available", "deleting"]).await?;
    // Beside one that goes another may have come, which is the one that counts.
    found.sort_by_key(|nat| nat.state() == Some(&NatGatewayState::Deleting));
    let named = found.into_iter().filter_map(|nat| {
        let name = part(nat.tags(), "nat")?;
        let state = nat.state.map(|state| state.as_str().to_owned()).unwrap_or_default();
        Some((name, Nat { id: nat.nat_gateway_id?, state }))
    });
    Ok(each(named))
}

/// In one of these states.
pub async fn nats_that_are(aws: &Aws, cluster: &str, states: &[&str]) -> Result<Vec<NatGateway>> {
    let states = filter("state", states.iter().copied());
    let answer = aws.ec2.describe_nat_gateways().filter(ours(cluster)).filter(states).send().await;
    Ok(answer.doing("looking for NAT gateways")?.nat_gateways.unwrap_or_default())
}

pub async fn addresses(aws: &Aws, cluster: &str) -> Result<BTreeMap<String, String>> {
    let answer = aws.ec2.describe_addresses().filters(ours(cluster)).send().await.doing("looking for addresses")?;
    let found = answer.addresses.unwrap_or_default().into_iter();
    Ok(each(found.filter_map(|address| Some((part(address.tags(), "address")?, address.allocation_id?)))))
}

pub async fn endpoint(aws: &Aws, cluster: &str) -> Result<Option<String>> {
    let states = filter("vpc-endpoint-state", ["pending", "available", "pendingAcceptance", "Available", "Pending"]);
    let answer = aws.ec2.describe_vpc_endpoints().filters(ours(cluster)).filters(states).send().await;
    let found = answer.doing("looking for the endpoint of S3")?.vpc_endpoints.unwrap_or_default();
    Ok(found.into_iter().find_map(|endpoint| endpoint.vpc_endpoint_id))
}

pub fn role_name(cluster: &str, role: Role) -> String {
    format!("{cluster}-{}", role.suffix())
}

/// A role of ours.
#[derive(Debug, Default)]
pub struct FoundRole {
    /// Names of its policies.
    pub policies: BTreeSet<String>,
    /// Their ARNs, which do not follow from the names: AWS has policies with paths, and people have their own.
    pub attached: Vec<String>,
    /// It can be taken by whom it is for.
    pub is_trusting: bool,
}

/// Fails where one of that name is not ours.
pub async fn role(aws: &Aws, cluster: &str, role: Role) -> Result<Option<FoundRole>> {
    let name = role_name(cluster, role);
    let doing = format!("looking for the role {name}");
    let answer = unless_absent(aws.iam.get_role().role_name(&name).send().await, &NO_ROLE, &doing)?;
    let Some(found) = answer.and_then(|answer| answer.role) else { return Ok(None) };
    if !found.tags().iter().any(|tag| tag.key() == names::CLUSTER_TAG && tag.value() == cluster) {
        return Err(not_ours("role", &name));
    }
    let is_trusting = found.assume_role_policy_document().is_some_and(|document| trusts(document, role.service()));
    let mut role = FoundRole { is_trusting, ..FoundRole::default() };
    let mut pages = aws.iam.list_attached_role_policies().role_name(&name).into_paginator().send();
    while let Some(page) = pages.next().await {
        let policies = unless_absent(page, &NO_ROLE, &doing)?;
        for policy in policies.and_then(|answer| answer.attached_policies).unwrap_or_default() {
            role.policies.extend(policy.policy_name);
            role.attached.extend(policy.policy_arn);
        }
    }
    Ok(Some(role))
}

/// Whether a trust policy, which IAM answers encoded as in a URL, lets the service take the role.
fn trusts(document: &str, service: &str) -> bool {
    let encoded = format!("d={document}");
    let decoded = || url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, text)| text.into_owned());
    let policy = serde_json::from_str(document).ok().or_else(|| serde_json::from_str::<Value>(&decoded()?).ok());
    let Some(policy) = policy else { return false };
    let has = |value: &Value, wanted: &[&str]| match value {
        Value::String(one) => wanted.contains(&one.as_str()),
        Value::Array(several) => several.iter().any(|one| one.as_str().is_some_and(|one| wanted.contains(&one))),
        _ => false,
    };
    let statements = match &policy["Statement"] {
        Value::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    statements.iter().any(|statement| {
        statement["Effect"] == "Allow"
            && has(&statement["Principal"]["Service"], &[service])
            && has(&statement["Action"], &["sts:AssumeRole", "sts:*", "*"])
    })
}

pub fn not_ours(what: &str, name: &str) -> Error {
    Error::new(Kind::Preflight, format!("there is a {what} {name} that stackctl did not make"))
        .cause(format!("it does not have the tag {}", names::CLUSTER_TAG))
        .hint("choose another name with --cluster-name, or remove it if nobody needs it")
}

async fn roles(aws: &Aws, cluster: &str) -> Result<BTreeMap<Role, FoundRole>> {
    let (first, second) = tokio::try_join!(role(aws, cluster, Role::Cluster), role(aws, cluster, Role::Node))?;
    let found = [(Role::Cluster, first), (Role::Node, second)].into_iter();
    Ok(found.filter_map(|(role, found)| Some((role, found?))).collect())
}

pub async fn log_group(aws: &Aws, cluster: &str) -> Result<Option<LogGroup>> {
    let name = names::log_group(cluster);
    let answer = aws.logs.describe_log_groups().log_group_name_prefix(&name).send().await;
    let found = answer.doing("looking for the log group")?.log_groups.unwrap_or_default();
    let found = found.into_iter().find(|group| group.log_group_name() == Some(&name));
    Ok(found.map(|group| LogGroup { retention: group.retention_in_days }))
}

/// The cluster's own in the registry, without what the names of all of them begin with.
pub async fn repositories(aws: &Aws, cluster: &str) -> Result<BTreeSet<String>> {
    let prefix = names::repositories(cluster);
    let mut pages = aws.ecr.describe_repositories().into_paginator().send();
    let mut found = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let names = page.doing("listing repositories")?.repositories.unwrap_or_default();
        let names = names.into_iter().filter_map(|repository| repository.repository_name);
        found.extend(names.filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())));
    }
    Ok(found)
}

pub async fn cluster(aws: &Aws, name: &str) -> Result<Option<Cluster>> {
    Ok(described(aws, name).await?.map(|found| as_data(&found, name)))
}

pub fn as_data(found: &aws_sdk_eks::types::Cluster, name: &str) -> Cluster {
    Cluster {
        status: match found.status().map(|status| status.as_str()) {
            Some("CREATING" | "PENDING") => Status::Creating,
            Some("DELETING") => Status::Deleting,
            Some("FAILED") => Status::Failed,
            _ => Status::Active,
        },
        ours: found.tags().is_some_and(|tags| tags.get(names::CLUSTER_TAG).is_some_and(|value| value == name)),
        vpc: found.resources_vpc_config().and_then(|config| config.vpc_id()).map(str::to_owned),
        complete: found.tags().is_some_and(|tags| tags.contains_key(names::COMPLETE_TAG)),
        version: found.version().map(str::to_owned),
        reached_by: reached_by(found).map(|(server, authority)| (server.to_owned(), authority.to_owned())),
        open_to: found.resources_vpc_config().map(|it| it.public_access_cidrs().to_vec()).unwrap_or_default(),
    }
}

/// The URL of its API server, and its authority in base64; None: there is none yet.
pub fn reached_by(cluster: &aws_sdk_eks::types::Cluster) -> Option<(&str, &str)> {
    cluster.endpoint().zip(cluster.certificate_authority().and_then(|authority| authority.data()))
}

pub async fn described(aws: &Aws, name: &str) -> Result<Option<aws_sdk_eks::types::Cluster>> {
    let answer = aws.eks.describe_cluster().name(name).send().await.map_err(Failure::of);
    match answer {
        Ok(answer) => Ok(answer.cluster),
        Err(failure) if failure.is(&NO_CLUSTER) => Ok(None),
        Err(failure) => Err(failure.error(&format!("looking for the cluster {name}"))),
    }
}

/// The instance profiles that EKS has made for the cluster's nodes, which are named after it and bear no tag.
pub async fn profiles(aws: &Aws, cluster: &str) -> Result<Vec<String>> {
    let begin = format!("eks-{}-{cluster}-", aws.region);
    let mut pages = aws.iam.list_instance_profiles().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let profiles = page.doing("looking for instance profiles")?.instance_profiles;
        found.extend(profiles.into_iter().map(|profile| profile.instance_profile_name));
    }
    found.retain(|name| is_profile_of(name, &begin));
    Ok(found)
}

/// What follows is a number: behind a hyphen it would be the rest of another cluster's name.
fn is_profile_of(profile: &str, begin: &str) -> bool {
    profile.strip_prefix(begin).is_some_and(|number| !number.is_empty() && !number.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_hides_nothing() {
        let found = [("1", "nat-a"), ("2", "nat-b"), ("1", "nat-c"), ("1", "nat-d")];
        let all = each(found.into_iter().map(|(name, id)| (name.to_owned(), id)));
        assert_eq!(all.values().copied().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!((all["1"], all["1#2"], all["1#3"]), ("nat-a", "nat-c", "nat-d"));
    }

    #[test]
    fn a_role_trusts_whom_its_policy_names() {
        let policy = |service: &str, action: &str| {
            serde_json::json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Service": [service] }, "Action": action }] })
                .to_string()
        };
        let ec2 = policy("ec2.amazonaws.com", "sts:AssumeRole");
        let encoded: String = url::form_urlencoded::byte_serialize(ec2.as_bytes()).collect();
        assert!(trusts(&ec2, "ec2.amazonaws.com") && trusts(&encoded, "ec2.amazonaws.com"));
        assert!(!trusts(&ec2, "eks.amazonaws.com"));
        assert!(!trusts(&policy("ec2.amazonaws.com", "sts:TagSession"), "ec2.amazonaws.com"));
        assert!(!trusts("nothing", "ec2.amazonaws.com"));
    }

    #[test]
    fn the_profile_of_a_cluster_whose_name_is_longer_is_another() {
        let begin = "eks-us-east-1-stackctl-a-1a2b3c-";
        assert!(is_profile_of("eks-us-east-1-stackctl-a-1a2b3c-4711", begin));
        assert!(!is_profile_of("eks-us-east-1-stackctl-a-1a2b3c-7d8e9f-4711", begin));
        assert!(!is_profile_of("eks-us-east-1-stackctl-b-1a2b3c-4711", begin));
    }
}
