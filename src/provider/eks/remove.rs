//! The way back to nothing, part by part: each looks for what there is of it, removes it, and waits until it is gone.

use std::time::Duration;

use aws_sdk_eks::types::{
    BlockStorage, ComputeConfigRequest, ElasticLoadBalancing, KubernetesNetworkConfigRequest, StorageConfigRequest,
    UpdateStatus,
};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look::{self, filter},
    names,
    network::unless,
    seen::Status,
    task::Removal,
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::Removed,
};

const NODES_WITHIN: Duration = Duration::from_secs(1200);
/// What AWS still counts as a dependent, although it is gone.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(120);
pub(super) const GONE: [&str; 13] = [
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

pub(super) fn removed(kind: &str, name: impl Into<String>) -> Removed {
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
        let answer =
            ec2.describe_instances().filters(tagged).filters(look::alive()).send().await.doing("looking for nodes")?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        let instances = reservations.flat_map(|reservation| reservation.instances.unwrap_or_default());
        Ok(instances.filter_map(|instance| instance.instance_id).collect())
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
