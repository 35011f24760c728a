//! What others have put into the network of a cluster: it stops a removal before anything is removed.

use aws_sdk_ec2::types::{NetworkInterface, SecurityGroup, Tag};

use super::{client::Doing, cluster::EksCluster, look, names};
use crate::error::{Error, Kind, Result};

/// What EKS puts on the security group of a cluster.
const GROUP_TAG: &str = "aws:eks:cluster-name";
const DOING: &str = "looking at what is in the VPC";

impl EksCluster {
    /// By our tag, or by those that AWS puts on what it makes for the cluster.
    pub(super) fn is_ours(&self, tags: &[Tag]) -> bool {
        [names::CLUSTER_TAG, names::EKS_TAG, GROUP_TAG]
            .iter()
            .any(|key| look::tag(tags, key) == Some(self.name.as_str()))
    }

    /// AWS tags few interfaces: whose an interface is follows from its security groups, which bear a tag. Those without any
    /// belong to gateways and load balancers, which are looked at themselves.
    pub(super) fn is_our_interface(&self, interface: &NetworkInterface, groups: &[SecurityGroup]) -> bool {
        let is_our_group = |id: &str| {
            let group = groups.iter().find(|group| group.group_id() == Some(id));
            group.is_some_and(|group| self.is_ours(group.tags()))
        };
        self.is_ours(interface.tag_set())
            || interface.groups().iter().all(|group| group.group_id().is_some_and(is_our_group))
    }

    /// Fails where the network that is about to go holds what is not the cluster's.
    pub(super) async fn refuse_strangers(&self) -> Result<()> {
        let Some(vpc) = self.network().await? else { return Ok(()) };
        let strangers = self.strangers(&vpc).await?;
        if strangers.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("the VPC {vpc} holds what stackctl and EKS did not make"))
            .details(strangers)
            .hint("move or remove it yourself, then run the same command again: nothing was removed yet"))
    }

    async fn strangers(&self, vpc: &str) -> Result<Vec<String>> {
        let ec2 = &self.aws.ec2;
        let in_vpc = || look::filter("vpc-id", [vpc]);
        let (instances, subnets, groups, interfaces) = Box::pin(async {
            tokio::try_join!(
                async { ec2.describe_instances().filters(in_vpc()).send().await.doing(DOING) },
                async { ec2.describe_subnets().filters(in_vpc()).send().await.doing(DOING) },
                self.security_groups(vpc),
                async { ec2.describe_network_interfaces().filters(in_vpc()).send().await.doing(DOING) }
            )
        })
        .await?;
        let (tables, lists, gateways, endpoints) = Box::pin(async {
            tokio::try_join!(
                async { ec2.describe_route_tables().filters(in_vpc()).send().await.doing(DOING) },
                async { ec2.describe_network_acls().filters(in_vpc()).send().await.doing(DOING) },
                async { ec2.describe_nat_gateways().filter(in_vpc()).send().await.doing(DOING) },
                async { ec2.describe_vpc_endpoints().filters(in_vpc()).send().await.doing(DOING) }
            )
        })
        .await?;
        let mut found = Found { cluster: self, found: Vec::new() };
        for instance in instances.reservations.iter().flatten().flat_map(|all| all.instances()) {
            let state = instance.state().and_then(|state| state.name());
            if state.is_none_or(|state| state.as_str() != "terminated") {
                found.unless_ours("instance", instance.instance_id(), instance.tags());
            }
        }
        for subnet in subnets.subnets.iter().flatten() {
            found.unless_ours("subnet", subnet.subnet_id(), subnet.tags());
        }
        for group in &groups {
            found.unless_ours("security group", group.group_id(), group.tags());
        }
        for gateway in gateways.nat_gateways.iter().flatten() {
            if !matches!(gateway.state().map(|state| state.as_str()), Some("deleted" | "failed")) {
                found.unless_ours("NAT gateway", gateway.nat_gateway_id(), gateway.tags());
            }
        }
        for endpoint in endpoints.vpc_endpoints.iter().flatten() {
            if endpoint.state().is_none_or(|state| !state.as_str().eq_ignore_ascii_case("deleted")) {
                found.unless_ours("endpoint", endpoint.vpc_endpoint_id(), endpoint.tags());
            }
        }
        for table in tables.route_tables.iter().flatten() {
            if !table.associations().iter().any(|association| association.main() == Some(true)) {
                found.unless_ours("route table", table.route_table_id(), table.tags());
            }
        }
        for list in lists.network_acls.iter().flatten().filter(|list| list.is_default() != Some(true)) {
            found.unless_ours("network ACL", list.network_acl_id(), list.tags());
        }
        for interface in interfaces.network_interfaces.iter().flatten() {
            let described = interface.description().filter(|described| !described.is_empty());
            let named = described.map_or(String::new(), |described| format!(" ({described})"));
            if !self.is_our_interface(interface, &groups) {
                let id = interface.network_interface_id().unwrap_or_default();
                found.found.push(format!("network interface {id}{named}"));
            }
        }
        Ok(found.found)
    }
}

struct Found<'a> {
    cluster: &'a EksCluster,
    found: Vec<String>,
}

impl Found<'_> {
    fn unless_ours(&mut self, kind: &str, id: Option<&str>, tags: &[Tag]) {
        if !self.cluster.is_ours(tags) {
            self.found.push(format!("{kind} {}", id.unwrap_or_default()));
        }
    }
}
