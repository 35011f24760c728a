//! The cluster itself: EKS Auto Mode, which brings nodes, volumes and load balancers of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_sdk_eks::types::{
    AuthenticationMode, BlockStorage, ClusterStatus, ComputeConfigRequest, CreateAccessConfigRequest,
    ElasticLoadBalancing, KubernetesNetworkConfigRequest, LogSetup, LogType, Logging, StorageConfigRequest,
    SupportType, UpgradePolicyRequest, VpcConfigRequest,
};
use serde_json::{Value, json};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look,
    make::Tags,
    names,
    task::Role,
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
};

const ACTIVE_WITHIN: Duration = Duration::from_secs(1800);
const GONE_WITHIN: Duration = Duration::from_secs(1800);
/// A role that was just made is not known everywhere yet: so many times is asked again, so long after one another.
const ROLES_ASKED: u32 = 24;
const ROLES_EVERY: Duration = Duration::from_secs(5);
const THERE: [&str; 1] = ["ResourceInUseException"];

impl EksCluster {
    /// Orders it. One that is on its way out is waited for, and one that failed is removed first.
    pub async fn make_cluster(&self, subnets: &[String], version: Option<&str>, progress: &Progress) -> Result<bool> {
        let aws = &self.aws;
        self.clear_way(progress).await?;
        let mut ids = Vec::new();
        for subnet in subnets {
            ids.push(self.id(&format!("subnet-{subnet}")).await?);
        }
        let ids = &ids;
        let find = || async {
            let found = look::cluster(aws, &self.name).await?;
            match found {
                Some(found) if !found.ours => Err(look::not_ours("cluster", &self.name)),
                found => Ok(found.map(|_| self.name.clone())),
            }
        };
        let make = |tags: Tags| async move {
            let compute = ComputeConfigRequest::builder()
                .enabled(true)
                .set_node_pools(Some(names::POOLS.map(str::to_owned).into()))
                .node_role_arn(self.role_arn(Role::Node))
                .build();
            let network = KubernetesNetworkConfigRequest::builder()
                .elastic_load_balancing(ElasticLoadBalancing::builder().enabled(true).build())
                .build();
            let storage =
                StorageConfigRequest::builder().block_storage(BlockStorage::builder().enabled(true).build()).build();
            let access = CreateAccessConfigRequest::builder()
                .authentication_mode(AuthenticationMode::Api)
                .bootstrap_cluster_creator_admin_permissions(true)
                .build();
            let open = self.spec.public_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>();
            let place = VpcConfigRequest::builder()
                .set_subnet_ids(Some(ids.clone()))
                .endpoint_private_access(true)
                .endpoint_public_access(true)
                .set_public_access_cidrs(Some(open).filter(|open| !open.is_empty()))
                .build();
            let logged = LogSetup::builder()
                .set_types(Some(vec![LogType::Api, LogType::Audit, LogType::Authenticator]))
                .enabled(true)
                .build();
            let token = tags.iter().find(|(key, _)| key == names::OPERATION_TAG).map(|(_, value)| value.clone());
            let call = aws
                .eks
                .create_cluster()
                .name(&self.name)
                .set_version(version.map(str::to_owned))
                .role_arn(self.role_arn(Role::Cluster))
                .resources_vpc_config(place)
                .kubernetes_network_config(network)
                .compute_config(compute)
                .storage_config(storage)
                .access_config(access)
                .bootstrap_self_managed_addons(false)
                .upgrade_policy(UpgradePolicyRequest::builder().support_type(SupportType::Standard).build())
                .logging(Logging::builder().cluster_logging(logged).build())
                .set_client_request_token(token)
                .set_tags(Some(tags.into_iter().collect()));
            self.until_roles_are_known(call, progress).await
        };
        Ok(self.ensure("cluster", find, make).await?.new)
    }

    async fn until_roles_are_known(
        &self,
        call: aws_sdk_eks::operation::create_cluster::builders::CreateClusterFluentBuilder,
        progress: &Progress,
    ) -> std::result::Result<String, Failure> {
        let mut asked = 0;
        loop {
            let failure = match call.clone().send().await.map_err(Failure::of) {
                Ok(_) => return Ok(self.name.clone()),
                Err(failure) if failure.is(&THERE) => return Ok(self.name.clone()),
                Err(failure) => failure,
            };
            let of_role = failure.message.to_lowercase().contains("role");
            if !of_role || !failure.is(&["InvalidParameterException"]) || asked == ROLES_ASKED {
                return Err(failure);
            }
            progress.say("waiting until the new roles are known everywhere");
            asked += 1;
            tokio::select! {
                () = self.cancel.cancelled() => return Err(failure),
                () = tokio::time::sleep(ROLES_EVERY / self.pace.times()) => {}
            }
        }
    }

    pub fn role_arn(&self, role: Role) -> String {
        let (partition, account) = (names::partition(&self.aws.region), &self.who.account);
        format!("arn:{partition}:iam::{account}:role/{}", look::role_name(&self.name, role))
    }

    async fn clear_way(&self, progress: &Progress) -> Result<()> {
        let Some(found) = look::cluster(&self.aws, &self.name).await? else { return Ok(()) };
        match found.status {
            super::seen::Status::Failed if found.ours => {
                progress.say("EKS failed to make the cluster; removing it first");
                self.delete_cluster(progress).await.map(drop)
            }
            super::seen::Status::Deleting => self.until_gone(progress).await,
            _ => Ok(()),
        }
    }

    pub async fn await_cluster(&self, progress: &Progress) -> Result<()> {
        let what = format!("the cluster {}", self.name);
        let wait = self.wait(&what, "8 to 12 minutes", ACTIVE_WITHIN, progress);
        let was_seen = AtomicBool::new(false);
        let found = wait.until(|| async {
            let Some(found) = look::described(&self.aws, &self.name).await? else {
                return match was_seen.load(Ordering::Relaxed) {
                    true => Err(removed_meanwhile(&what)),
                    false => Ok(Look::NotYet("not to be seen".to_owned())),
                };
            };
            was_seen.store(true, Ordering::Relaxed);
            match found.status() {
                Some(ClusterStatus::Active | ClusterStatus::Updating) => Ok(Look::Done(found)),
                Some(ClusterStatus::Failed) => Err(failed(&found, &format!("EKS cannot make {what}"))),
                Some(ClusterStatus::Deleting) => Err(removed_meanwhile(&what)),
                status => Ok(Look::NotYet(status.map_or("unknown", ClusterStatus::as_str).to_lowercase())),
            }
        });
        self.write_kubeconfig(&found.await?)
    }

    /// The one that claims mean which name none: Auto Mode brings none.
    pub fn storage_class() -> Value {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "auto-ebs",
                "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
                "labels": { "app.kubernetes.io/managed-by": "stackctl" },
            },
            "provisioner": "ebs.csi.eks.amazonaws.com",
            "volumeBindingMode": "WaitForFirstConsumer",
            "parameters": { "type": "gp3", "encrypted": "true" },
        })
    }

    pub async fn mark_complete(&self) -> Result<()> {
        let (partition, account) = (names::partition(&self.aws.region), &self.who.account);
        let arn = format!("arn:{partition}:eks:{}:{account}:cluster/{}", self.aws.region, self.name);
        let call = self.aws.eks.tag_resource().resource_arn(arn).tags(names::COMPLETE_TAG, "true");
        call.send().await.map(drop).doing("marking the cluster as whole")
    }

    /// Until EKS knows nothing of it any more. False: it was not there.
    pub async fn delete_cluster(&self, progress: &Progress) -> Result<bool> {
        let what = format!("the cluster {}", self.name);
        let wait = self.wait(&what, "3 to 10 minutes", GONE_WITHIN, progress);
        let there = wait.until(|| async {
            let Some(found) = look::cluster(&self.aws, &self.name).await? else { return Ok(Look::Done(false)) };
            if !found.ours {
                return Err(look::not_ours("cluster", &self.name));
            }
            if found.status == super::seen::Status::Deleting {
                return Ok(Look::Done(true));
            }
            match self.aws.eks.delete_cluster().name(&self.name).send().await.map_err(Failure::of) {
                Ok(_) => Ok(Look::Done(true)),
                Err(failure) if failure.is(&look::NO_CLUSTER) => Ok(Look::Done(false)),
                // An update of it goes on, or its creation.
                Err(failure) if failure.is(&THERE) => Ok(Look::NotYet(failure.message)),
                Err(failure) => Err(failure.error(&format!("removing {what}"))),
            }
        });
        let there = there.await?;
        if there {
            self.until_gone(progress).await?;
        }
        Ok(there)
    }

    async fn until_gone(&self, progress: &Progress) -> Result<()> {
        let what = format!("the cluster {}", self.name);
        let wait = self.wait(&what, "3 to 10 minutes", GONE_WITHIN, progress);
        wait.until(|| async {
            match look::described(&self.aws, &self.name).await? {
                None => Ok(Look::Done(())),
                Some(found) if found.status() == Some(&ClusterStatus::Failed) => {
                    Err(failed(&found, &format!("EKS cannot remove {what}")))
                }
                Some(found) => Ok(Look::NotYet(found.status().map_or("there", ClusterStatus::as_str).to_lowercase())),
            }
        })
        .await
    }
}

fn removed_meanwhile(what: &str) -> Error {
    Error::new(Kind::Platform, format!("{what} is being removed by somebody else"))
        .hint("run the same command again once it is gone: it makes a new one")
}

/// `what`: has happened to it.
fn failed(found: &aws_sdk_eks::types::Cluster, what: &str) -> Error {
    let issues = found.health().map(|health| health.issues()).unwrap_or_default();
    let why = issues.iter().map(|issue| {
        let code = issue.code().map_or("", |code| code.as_str());
        format!("{code}: {}", issue.message().unwrap_or_default())
    });
    Error::new(Kind::Platform, what).details(why).hint("run the same command again once the cause is gone")
}
