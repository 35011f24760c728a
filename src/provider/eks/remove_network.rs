//! The network on the way back to nothing: gateways and their addresses, interfaces, security groups, subnets, the VPC.

use std::time::Duration;

use aws_sdk_ec2::types::{NetworkInterface, SecurityGroup};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look::{self, filter},
    network::unless,
    remove::{GONE, SETTLES_WITHIN, removed},
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::Removed,
};

const NAT_WITHIN: Duration = Duration::from_secs(900);
/// Those of a load balancer outlive it by as much.
const INTERFACES_WITHIN: Duration = Duration::from_secs(1500);

impl EksCluster {
    /// With their addresses, which are free only once they are gone.
    pub(super) async fn remove_nats(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let ec2 = &self.aws.ec2;
        let mut gone = Vec::new();
        // Those that AWS could not make may hold an address as long as it lists them.
        for nat in look::nats_that_are(&self.aws, &self.name, &["pending", "available", "failed"]).await? {
            let Some(id) = nat.nat_gateway_id else { continue };
            let answer = ec2.delete_nat_gateway().nat_gateway_id(&id).send().await.map_err(Failure::of);
            unless(answer, &GONE, "removing a NAT gateway")?;
            gone.push(removed("NAT gateway", id));
        }
        let wait = self.wait("the NAT gateways", "1 to 2 minutes", NAT_WITHIN, progress);
        wait.until(|| async {
            Ok(match look::nats(&self.aws, &self.name).await?.len() {
                0 => Look::Done(()),
                number => Look::NotYet(format!("{number} left")),
            })
        })
        .await?;
        for id in look::addresses(&self.aws, &self.name).await?.into_values() {
            let release = || async { ec2.release_address().allocation_id(&id).send().await.map_err(Failure::of) };
            self.settled(&format!("the address {id}"), progress, release).await?;
            gone.push(removed("address", id));
        }
        Ok(gone)
    }

    pub(super) async fn remove_endpoints(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let Some(id) = look::endpoint(&self.aws, &self.name).await? else { return Ok(Vec::new()) };
        let answer = self.aws.ec2.delete_vpc_endpoints().vpc_endpoint_ids(&id).send().await;
        let failed = answer.doing("removing the endpoint of S3")?.unsuccessful.unwrap_or_default();
        if let Some(why) = failed.first().and_then(|item| item.error.as_ref()) {
            let why = why.message().unwrap_or_default();
            return Err(Error::new(Kind::Platform, format!("cannot remove the endpoint {id}")).cause(why));
        }
        let wait = self.wait("the endpoint of S3", "1 minute", SETTLES_WITHIN, progress);
        wait.until(|| async {
            let answer = self.aws.ec2.describe_vpc_endpoints().filters(filter("vpc-endpoint-id", [id.as_str()]));
            let found = answer.send().await.doing("looking at the endpoint of S3")?.vpc_endpoints.unwrap_or_default();
            Ok(match found.first().map(|endpoint| endpoint.state().map(|state| state.as_str().to_lowercase())) {
                None => Look::Done(()),
                Some(state) if state.as_deref() == Some("deleted") => Look::Done(()),
                Some(state) => Look::NotYet(state.unwrap_or_default()),
            })
        })
        .await?;
        Ok(vec![removed("endpoint", id)])
    }

    /// Those that nobody uses any more are removed, the others are waited for.
    pub(super) async fn remove_interfaces(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let ec2 = &self.aws.ec2;
        let gone = std::sync::Mutex::new(Vec::new());
        let wait = self.wait("network interfaces in the VPC", "up to 20 minutes", INTERFACES_WITHIN, progress);
        wait.until(|| async {
            let answer = ec2.describe_network_interfaces().filters(filter("vpc-id", [vpc.as_str()])).send().await;
            let found = answer.doing("looking for network interfaces")?.network_interfaces.unwrap_or_default();
            let is_free =
                |interface: &NetworkInterface| interface.status().is_some_and(|status| status.as_str() == "available");
            let groups = if found.iter().any(is_free) { self.security_groups(&vpc).await? } else { Vec::new() };
            let mut used = Vec::new();
            for interface in &found {
                let Some(id) = interface.network_interface_id() else { continue };
                if is_free(interface) && self.is_our_interface(interface, &groups) {
                    let answer =
                        ec2.delete_network_interface().network_interface_id(id).send().await.map_err(Failure::of);
                    if answer.as_ref().is_err_and(|failure| failure.is(&["InvalidParameterValue"])) {
                        used.push(format!("{id} (in use by now)"));
                        continue;
                    }
                    unless(answer, &GONE, &format!("removing the interface {id}"))?;
                    gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(removed("interface", id));
                } else {
                    used.push(format!("{id} ({})", interface.description().unwrap_or_default()));
                }
            }
            Ok(if used.is_empty() { Look::Done(()) } else { Look::NotYet(format!("in use: {}", used.join(", "))) })
        })
        .await?;
        Ok(gone.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// All of the VPC, with its default group.
    async fn all_security_groups(&self, vpc: &str) -> Result<Vec<SecurityGroup>> {
        let answer = self.aws.ec2.describe_security_groups().filters(filter("vpc-id", [vpc])).send().await;
        Ok(answer.doing("looking for security groups")?.security_groups.unwrap_or_default())
    }

    pub(super) async fn security_groups(&self, vpc: &str) -> Result<Vec<SecurityGroup>> {
        let found = self.all_security_groups(vpc).await?;
        Ok(found.into_iter().filter(|group| group.group_name() != Some("default")).collect())
    }

    /// A group that a rule of another one names cannot go: rules that name groups go first, also those of the default group,
    /// which goes with the VPC. What somebody has put there meanwhile is not ours to remove: AWS keeps the VPC for it.
    pub(super) async fn remove_security_groups(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let ec2 = &self.aws.ec2;
        let all = self.all_security_groups(&vpc).await?;
        let with_id = all.iter().filter_map(|group| Some((group.group_id()?, group)));
        let (groups, others): (Vec<_>, Vec<_>) = with_id.partition(|(_, group)| self.is_ours(group.tags()));
        let default = others.into_iter().filter(|(_, group)| group.group_name() == Some("default"));
        let is_ours = |id: &str| groups.iter().any(|(ours, _)| *ours == id);
        for (id, group) in groups.iter().copied().chain(default) {
            let naming = |rules: &[aws_sdk_ec2::types::IpPermission]| {
                let names_ours = |rule: &&aws_sdk_ec2::types::IpPermission| {
                    rule.user_id_group_pairs().iter().any(|pair| pair.group_id().is_some_and(is_ours))
                };
                rules.iter().filter(names_ours).cloned().collect::<Vec<_>>()
            };
            let doing = format!("taking rules of the security group {id} back");
            let (inward, outward) = (naming(group.ip_permissions()), naming(group.ip_permissions_egress()));
            if !inward.is_empty() {
                let call = ec2.revoke_security_group_ingress().group_id(id).set_ip_permissions(Some(inward));
                unless(call.send().await.map_err(Failure::of), &GONE, &doing)?;
            }
            if !outward.is_empty() {
                let call = ec2.revoke_security_group_egress().group_id(id).set_ip_permissions(Some(outward));
                unless(call.send().await.map_err(Failure::of), &GONE, &doing)?;
            }
        }
        let mut gone = Vec::new();
        for (id, _) in groups {
            let delete = || async { ec2.delete_security_group().group_id(id).send().await.map_err(Failure::of) };
            self.settled(&format!("the security group {id}"), progress, delete).await?;
            gone.push(removed("security group", id));
        }
        Ok(gone)
    }

    pub(super) async fn remove_subnets(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for (name, subnet) in look::subnets(&self.aws, &self.name).await? {
            let call = self.aws.ec2.delete_subnet().subnet_id(&subnet.id);
            let delete = || async { call.clone().send().await.map_err(Failure::of) };
            self.settled(&format!("the subnet {name}"), progress, delete).await?;
            gone.push(removed("subnet", subnet.id));
        }
        Ok(gone)
    }

    pub(super) async fn remove_tables(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for (name, table) in look::tables(&self.aws, &self.name).await? {
            let call = self.aws.ec2.delete_route_table().route_table_id(&table.id);
            let delete = || async { call.clone().send().await.map_err(Failure::of) };
            self.settled(&format!("the route table {name}"), progress, delete).await?;
            gone.push(removed("route table", table.id));
        }
        Ok(gone)
    }

    pub(super) async fn remove_gateway(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let ec2 = &self.aws.ec2;
        let Some(gateway) = look::gateway(&self.aws, &self.name).await? else { return Ok(Vec::new()) };
        if let (true, Some(vpc)) = (gateway.attached, self.network().await?) {
            let call = ec2.detach_internet_gateway().internet_gateway_id(&gateway.id).vpc_id(vpc);
            let detach = || async { call.clone().send().await.map_err(Failure::of) };
            self.settled("the internet gateway", progress, detach).await?;
        }
        let call = ec2.delete_internet_gateway().internet_gateway_id(&gateway.id);
        let delete = || async { call.clone().send().await.map_err(Failure::of) };
        self.settled("the internet gateway", progress, delete).await?;
        Ok(vec![removed("internet gateway", gateway.id)])
    }

    pub(super) async fn remove_vpc(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let delete = || async { self.aws.ec2.delete_vpc().vpc_id(&vpc).send().await.map_err(Failure::of) };
        self.settled("the VPC", progress, delete).await?;
        Ok(vec![removed("VPC", vpc)])
    }
}
