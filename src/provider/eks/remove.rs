//! The way back to nothing, part by part: each looks for what there is of it, removes it, and waits until it is gone.

use std::time::Duration;

use aws_sdk_ec2::types::{NetworkInterface, SecurityGroup};
use aws_sdk_eks::types::{
    BlockStorage, ComputeConfigRequest, ElasticLoadBalancing, KubernetesNetworkConfigRequest, StorageConfigRequest,
    UpdateStatus,
};

use super::{
    client::{Doing, Failure, unless_absent},
    cluster::EksCluster,
    look::{self, filter},
    names,
    network::unless,
    seen::Status,
    task::{Removal, Role},
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::Removed,
};

const NODES_WITHIN: Duration = Duration::from_secs(1200);
const NAT_WITHIN: Duration = Duration::from_secs(900);
/// Those of a load balancer outlive it by as much.
const INTERFACES_WITHIN: Duration = Duration::from_secs(1500);
/// What AWS still counts as a dependent, although it is gone.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
const GONE: [&str; 13] = [
    "NoSuchEntity",
    "InvalidVpcID.NotFound",
    "InvalidSubnetID.NotFound",
    "InvalidRouteTableID.NotFound",
    "InvalidInternetGatewayID.NotFound",
    "InvalidGroup.NotFound",
    "InvalidAllocationID.NotFound",
    "InvalidNetworkInterfaceID.NotFound",
    "NatGatewayNotFound",
    "Gateway.NotAttached",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
    "InvalidPermission.NotFound",
];
const STILL_USED: [&str; 5] = [
    "DependencyViolation",
    "InvalidIPAddress.InUse",
    "InvalidNetworkInterface.InUse",
    // A target group whose load balancer has just gone.
    "ResourceInUse",
    // An address whose NAT gateway has just gone.
    "AuthFailure",
];

fn removed(kind: &str, name: impl Into<String>) -> Removed {
    Removed { kind: kind.to_owned(), name: name.into() }
}

impl EksCluster {
    pub async fn remove(&self, removal: Removal, progress: &Progress) -> Result<Vec<Removed>> {
        match removal {
            Removal::LoadBalancers => Box::pin(self.remove_load_balancers(progress)).await,
            Removal::Claims => Box::pin(self.remove_claims(progress)).await,
            Removal::Volumes => self.remove_volumes(progress).await,
            Removal::Nodes => Box::pin(self.remove_nodes(progress)).await,
            Removal::Cluster => {
                let was = self.delete_cluster(progress).await?;
                Ok(was.then(|| removed("cluster", &self.name)).into_iter().collect())
            }
            Removal::NatGateways => self.remove_nats(progress).await,
            Removal::Repositories => self.remove_repositories().await,
            Removal::Endpoints => self.remove_endpoints(progress).await,
            Removal::Roles => self.remove_roles().await,
            Removal::Interfaces => {
                // One that a controller has made again since would hold them.
                let gone = self.remove_left_balancers(progress).await?;
                Ok([gone, self.remove_interfaces(progress).await?].concat())
            }
            Removal::SecurityGroups => self.remove_security_groups(progress).await,
            Removal::Subnets => self.remove_subnets(progress).await,
            Removal::RouteTables => self.remove_tables(progress).await,
            Removal::InternetGateway => self.remove_gateway(progress).await,
            Removal::Vpc => self.remove_vpc(progress).await,
            Removal::LogGroup => self.remove_log_group().await,
            Removal::State => self.forget_if_gone(progress).await,
        }
    }

    /// The network that goes, if there is one.
    pub(super) async fn network(&self) -> Result<Option<String>> {
        match self.seen_id("vpc") {
            Some(id) => Ok(Some(id)),
            None => Ok(look::bare_vpc(&self.aws, &self.name).await?.map(|(id, _)| id)),
        }
    }

    /// Once more and again while AWS says that something depends on it: not everything is gone when it says so.
    pub(super) async fn settled<T, Answer>(
        &self,
        what: &str,
        progress: &Progress,
        call: impl Fn() -> Answer,
    ) -> Result<()>
    where
        Answer: Future<Output = std::result::Result<T, Failure>>,
    {
        let wait = self.wait(what, "a few seconds", SETTLES_WITHIN, progress);
        let done = wait.until(|| async {
            match call().await {
                Ok(_) => Ok(Look::Done(())),
                Err(failure) if failure.is(&GONE) => Ok(Look::Done(())),
                Err(failure) if failure.is(&STILL_USED) => {
                    Ok(Look::NotYet(format!("still in use ({})", failure.message)))
                }
                Err(failure) => Err(failure.error(&format!("removing {what}"))),
            }
        });
        done.await.map_err(|error| match error.kind {
            Kind::NotReady => Error { kind: Kind::Platform, ..error },
            _ => error,
        })
    }

    /// No pools and no role for nodes, which EKS takes only together with the other two parts of Auto Mode.
    async fn remove_nodes(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let found = look::described(&self.aws, &self.name).await?;
        let there = found.as_ref().map(|found| look::as_data(found, &self.name));
        let has_pools = found.and_then(|found| found.compute_config).is_some_and(|it| !it.node_pools().is_empty());
        let active = there.as_ref().is_some_and(|cluster| cluster.ours && cluster.status == Status::Active);
        let mut gone = Vec::new();
        if active {
            gone.extend(self.remove_workloads(progress).await?);
            gone.extend(self.remove_own_pools(progress).await?);
        }
        if active && has_pools {
            self.empty_pools(progress).await?;
        }
        let instances = self.instances().await?;
        let abandoned = there.is_none_or(|cluster| cluster.ours && cluster.status == Status::Failed);
        if abandoned && !instances.is_empty() {
            // Nobody else may: they go on running, and cost money. AWS lets only EKS end nodes of Auto Mode.
            let call = self.aws.ec2.terminate_instances().set_instance_ids(Some(instances.clone()));
            match call.send().await.map_err(Failure::of) {
                Err(failure) if failure.is(&["UnauthorizedOperation"]) => {
                    let nodes = instances.join(", ");
                    progress.warn(format!("AWS does not let {nodes} be ended by hand: waiting until EKS ends them"));
                }
                ended => unless(ended, &["InvalidInstanceID.NotFound"], "ending nodes whose cluster is gone")?,
            }
        }
        let wait = self.wait("the nodes", "2 to 5 minutes", NODES_WITHIN, progress);
        let ended = wait.until(|| async {
            Ok(match self.instances().await?.len() {
                0 => Look::Done(()),
                number => Look::NotYet(format!("{number} left")),
            })
        });
        if let Err(error) = ended.await {
            return Err(error.details(self.why_nodes_stay().await));
        }
        gone.extend(instances.into_iter().map(|id| removed("instance", id)));
        Ok(gone)
    }

    async fn empty_pools(&self, progress: &Progress) -> Result<()> {
        let eks = &self.aws.eks;
        let wait = self.wait("the node pools", "1 minute", NODES_WITHIN, progress);
        let update = wait.until(|| async {
            let compute = ComputeConfigRequest::builder().enabled(true).set_node_pools(Some(Vec::new())).build();
            let balancing = ElasticLoadBalancing::builder().enabled(true).build();
            let network = KubernetesNetworkConfigRequest::builder().elastic_load_balancing(balancing).build();
            let storage = StorageConfigRequest::builder();
            let storage = storage.block_storage(BlockStorage::builder().enabled(true).build()).build();
            let call = eks.update_cluster_config().name(&self.name).compute_config(compute);
            let answer = call.kubernetes_network_config(network).storage_config(storage).send().await;
            match answer.map_err(Failure::of) {
                Ok(answer) => Ok(Look::Done(answer.update.and_then(|update| update.id))),
                // One at a time.
                Err(failure) if failure.is(&["ResourceInUseException"]) => Ok(Look::NotYet(failure.message)),
                Err(failure) => Err(failure.error("taking the cluster's node pools away")),
            }
        });
        let Some(id) = update.await? else { return Ok(()) };
        wait.until(|| async {
            let answer = eks.describe_update().name(&self.name).update_id(&id).send().await;
            let update = answer.doing("looking at the update of the node pools")?.update;
            match update.as_ref().and_then(|update| update.status()) {
                Some(UpdateStatus::Successful) | None => Ok(Look::Done(())),
                Some(UpdateStatus::Failed | UpdateStatus::Cancelled) => {
                    let errors = update.iter().flat_map(|update| update.errors());
                    let why = errors.filter_map(|error| error.error_message()).map(str::to_owned).collect::<Vec<_>>();
                    Err(Error::new(Kind::Platform, "EKS did not take the node pools away").details(why))
                }
                Some(status) => Ok(Look::NotYet(status.as_str().to_owned())),
            }
        })
        .await
    }

    pub(super) async fn instances(&self) -> Result<Vec<String>> {
        let ec2 = &self.aws.ec2;
        let tagged = filter(&format!("tag:{}", names::EKS_TAG), [self.name.as_str()]);
        let alive = filter("instance-state-name", ["pending", "running", "shutting-down", "stopping", "stopped"]);
        let answer = ec2.describe_instances().filters(tagged).filters(alive).send().await.doing("looking for nodes")?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        let instances = reservations.flat_map(|reservation| reservation.instances.unwrap_or_default());
        Ok(instances.filter_map(|instance| instance.instance_id).collect())
    }

    /// With their addresses, which are free only once they are gone.
    async fn remove_nats(&self, progress: &Progress) -> Result<Vec<Removed>> {
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

    async fn remove_repositories(&self) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for relative in look::repositories(&self.aws, &self.name).await? {
            let name = names::repository(&self.name, &relative);
            let answer = self.aws.ecr.delete_repository().repository_name(&name).force(true).send().await;
            unless(answer.map_err(Failure::of), &GONE, &format!("removing the repository {name}"))?;
            gone.push(removed("repository", name));
        }
        Ok(gone)
    }

    async fn remove_endpoints(&self, progress: &Progress) -> Result<Vec<Removed>> {
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

    /// The profile that EKS has made for nodes stays when the cluster goes, and holds the role.
    async fn remove_roles(&self) -> Result<Vec<Removed>> {
        let iam = &self.aws.iam;
        let mut gone = Vec::new();
        for role in Role::ALL {
            let name = look::role_name(&self.name, role);
            let Some(found) = look::role(&self.aws, &self.name, role).await? else { continue };
            let doing = format!("removing the role {name}");
            let answer = iam.list_instance_profiles_for_role().role_name(&name).send().await;
            let profiles = unless_absent(answer, &GONE, &doing)?.map(|answer| answer.instance_profiles);
            for profile in profiles.unwrap_or_default() {
                let profile = profile.instance_profile_name;
                if !profile.starts_with("eks") {
                    let error =
                        Error::new(Kind::Refused, format!("the instance profile {profile} holds the role {name}"));
                    return Err(error
                        .cause("neither stackctl nor EKS has made that profile")
                        .hint("take the role out of it yourself, then run the same command again"));
                }
                let call = iam.remove_role_from_instance_profile().instance_profile_name(&profile).role_name(&name);
                unless(call.send().await.map_err(Failure::of), &GONE, &doing)?;
                gone.push(self.remove_profile(profile).await?);
            }
            // Also those that somebody has given to it since.
            for arn in found.attached {
                let answer = iam.detach_role_policy().role_name(&name).policy_arn(arn).send().await;
                unless(answer.map_err(Failure::of), &GONE, &doing)?;
            }
            let delete = || async { iam.delete_role().role_name(&name).send().await.map_err(Failure::of) };
            let mut answer = delete().await;
            if answer.as_ref().is_err_and(|failure| failure.is(&["DeleteConflict"])) {
                self.remove_inline_policies(&name).await?;
                answer = delete().await;
            }
            unless(answer, &GONE, &doing)?;
            gone.push(removed("role", name));
        }
        // One that a removal which was stopped has left without its role.
        for profile in look::profiles(&self.aws, &self.name).await? {
            gone.push(self.remove_profile(profile).await?);
        }
        Ok(gone)
    }

    /// Those that somebody has written into one of our roles: they are nothing without it.
    async fn remove_inline_policies(&self, role: &str) -> Result<()> {
        let iam = &self.aws.iam;
        let doing = format!("removing the policies in the role {role}");
        let answer = iam.list_role_policies().role_name(role).send().await;
        for policy in unless_absent(answer, &GONE, &doing)?.map(|answer| answer.policy_names).unwrap_or_default() {
            let answer = iam.delete_role_policy().role_name(role).policy_name(policy).send().await;
            unless(answer.map_err(Failure::of), &GONE, &doing)?;
        }
        Ok(())
    }

    async fn remove_profile(&self, profile: String) -> Result<Removed> {
        let answer = self.aws.iam.delete_instance_profile().instance_profile_name(&profile).send().await;
        unless(answer.map_err(Failure::of), &GONE, &format!("removing the instance profile {profile}"))?;
        Ok(removed("instance profile", profile))
    }

    /// Those that nobody uses any more are removed, the others are waited for.
    async fn remove_interfaces(&self, progress: &Progress) -> Result<Vec<Removed>> {
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
    async fn remove_security_groups(&self, progress: &Progress) -> Result<Vec<Removed>> {
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

    async fn remove_subnets(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for (name, subnet) in look::subnets(&self.aws, &self.name).await? {
            let call = self.aws.ec2.delete_subnet().subnet_id(&subnet.id);
            let delete = || async { call.clone().send().await.map_err(Failure::of) };
            self.settled(&format!("the subnet {name}"), progress, delete).await?;
            gone.push(removed("subnet", subnet.id));
        }
        Ok(gone)
    }

    async fn remove_tables(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for (name, table) in look::tables(&self.aws, &self.name).await? {
            let call = self.aws.ec2.delete_route_table().route_table_id(&table.id);
            let delete = || async { call.clone().send().await.map_err(Failure::of) };
            self.settled(&format!("the route table {name}"), progress, delete).await?;
            gone.push(removed("route table", table.id));
        }
        Ok(gone)
    }

    async fn remove_gateway(&self, progress: &Progress) -> Result<Vec<Removed>> {
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

    async fn remove_vpc(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let delete = || async { self.aws.ec2.delete_vpc().vpc_id(&vpc).send().await.map_err(Failure::of) };
        self.settled("the VPC", progress, delete).await?;
        Ok(vec![removed("VPC", vpc)])
    }

    pub(super) async fn remove_log_group(&self) -> Result<Vec<Removed>> {
        let name = names::log_group(&self.name);
        if look::log_group(&self.aws, &self.name).await?.is_none() {
            return Ok(Vec::new());
        }
        let answer = self.aws.logs.delete_log_group().log_group_name(&name).send().await.map_err(Failure::of);
        unless(answer, &GONE, "removing the log group")?;
        Ok(vec![removed("log group", name)])
    }
}
