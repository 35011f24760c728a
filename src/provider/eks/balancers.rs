//! Load balancers, which AWS makes for Services and Ingresses, and which outlive the cluster unless they go before it.

use std::{collections::BTreeSet, time::Duration};

use ::kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams},
};
use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look, names,
    network::unless,
    seen::Status,
    wait::Look,
};
use crate::{
    error::{Context, Kind, Result},
    event::Progress,
    object::Removed,
    provider::api,
};

/// Until the cluster has taken a load balancer of a Service away.
const TAKEN_AWAY_WITHIN: Duration = Duration::from_secs(600);
const GONE_WITHIN: Duration = Duration::from_secs(300);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const GONE: [&str; 2] = ["LoadBalancerNotFound", "TargetGroupNotFound"];

impl EksCluster {
    /// Through the cluster, which cleans up behind them; and what is left then, by AWS itself.
    pub async fn remove_load_balancers(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let there = look::cluster(&self.aws, &self.name).await?;
        self.refuse_elsewhere(there.is_some() || self.network().await?.is_some())?;
        self.until_all_shows(progress).await?;
        self.refuse_strangers().await?;
        let mut gone = Vec::new();
        if there.is_some_and(|cluster| cluster.ours && cluster.status == Status::Active) {
            let work = Box::pin(self.remove_exposed(progress));
            gone = self.unless_blind("Services and Ingresses are not removed first", work, progress).await?;
        }
        if !gone.is_empty() {
            let wait = self.wait("the load balancers", "1 to 3 minutes", GONE_WITHIN, progress);
            let left = wait.until(|| async {
                Ok(match self.balancers().await?.len() {
                    0 => Look::Done(()),
                    number => Look::NotYet(format!("{number} left")),
                })
            });
            match left.await {
                Err(error) if error.kind != Kind::NotReady => return Err(error),
                _ => {}
            }
        }
        gone.extend(self.remove_left_balancers(progress).await?);
        Ok(gone)
    }

    /// Those that the cluster itself has not taken away.
    pub(super) async fn remove_left_balancers(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        for arn in self.balancers().await? {
            let answer = self.aws.elb.delete_load_balancer().load_balancer_arn(&arn).send().await;
            unless(answer.map_err(Failure::of), &GONE, "removing a load balancer that the cluster has left")?;
            gone.push(Removed { kind: "load balancer".to_owned(), name: short(&arn) });
        }
        for arn in self.target_groups().await? {
            let call = self.aws.elb.delete_target_group().target_group_arn(&arn);
            let delete = || async {
                match call.clone().send().await.map_err(Failure::of) {
                    Err(failure) if failure.is(&GONE) => Ok(()),
                    answer => answer.map(drop),
                }
            };
            self.settled(&format!("the target group {}", short(&arn)), progress, delete).await?;
            gone.push(Removed { kind: "target group".to_owned(), name: short(&arn) });
        }
        Ok(gone)
    }

    /// Objects in the cluster to which a load balancer belongs. Their finalizers keep them until theirs is gone.
    async fn remove_exposed(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let access = crate::provider::Provider::access(self).await?;
        let client = api::client(&access, ANSWER_WITHIN).await?;
        let all = ListParams::default();
        let services = Api::<Service>::all(client.clone()).list(&all).await;
        let services = services.context(Kind::Platform, || "cannot list Services".to_owned())?.items;
        let is_exposed =
            |service: &Service| service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        let services: Vec<Service> = services.into_iter().filter(is_exposed).collect();
        let ingresses = Api::<Ingress>::all(client.clone()).list(&all).await;
        let ingresses = ingresses.context(Kind::Platform, || "cannot list Ingresses".to_owned())?.items;
        let mut gone = Vec::new();
        for service in &services {
            let namespace = service.namespace().unwrap_or_default();
            delete(&Api::<Service>::namespaced(client.clone(), &namespace), &service.name_any()).await?;
            gone.push(of_object("Service", &namespace, &service.name_any()));
        }
        for ingress in &ingresses {
            let namespace = ingress.namespace().unwrap_or_default();
            delete(&Api::<Ingress>::namespaced(client.clone(), &namespace), &ingress.name_any()).await?;
            gone.push(of_object("Ingress", &namespace, &ingress.name_any()));
        }
        let wait =
            self.wait("Services and Ingresses with a load balancer", "1 to 3 minutes", TAKEN_AWAY_WITHIN, progress);
        wait.until(|| async {
            let left = still_there(&client, &services).await? + still_there(&client, &ingresses).await?;
            Ok(if left == 0 { Look::Done(()) } else { Look::NotYet(format!("{left} left")) })
        })
        .await?;
        Ok(gone)
    }

    /// Those that AWS has made for the cluster.
    pub(super) async fn balancers(&self) -> Result<Vec<String>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let mut pages = self.aws.elb.describe_load_balancers().into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let found = page.doing("looking for load balancers")?.load_balancers.unwrap_or_default().into_iter();
            let in_it = found.filter(|balancer| balancer.vpc_id() == Some(&vpc));
            arns.extend(in_it.filter_map(|balancer| balancer.load_balancer_arn));
        }
        self.of_the_cluster(arns).await
    }

    pub(super) async fn target_groups(&self) -> Result<Vec<String>> {
        let Some(vpc) = self.network().await? else { return Ok(Vec::new()) };
        let mut pages = self.aws.elb.describe_target_groups().into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let found = page.doing("looking for target groups")?.target_groups.unwrap_or_default().into_iter();
            arns.extend(found.filter(|group| group.vpc_id() == Some(&vpc)).filter_map(|group| group.target_group_arn));
        }
        self.of_the_cluster(arns).await
    }

    async fn of_the_cluster(&self, arns: Vec<String>) -> Result<Vec<String>> {
        let mut ours = BTreeSet::new();
        for described in look::balancer_tags(&self.aws, &arns).await? {
            let tagged = described.tags().iter().any(|tag| {
                matches!(tag.key(), Some(names::EKS_TAG | names::CLUSTER_TAG)) && tag.value() == Some(&self.name)
            });
            ours.extend(described.resource_arn.filter(|_| tagged));
        }
        Ok(ours.into_iter().collect())
    }
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(::kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error).context(Kind::Platform, || format!("cannot delete {name}")),
    }
}

async fn still_there<K>(client: &Client, objects: &[K]) -> Result<usize>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let mut number = 0;
    for object in objects {
        let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        let there = api.get_metadata_opt(&object.name_any()).await;
        let there = there.context(Kind::Platform, || format!("cannot look at {}", object.name_any()))?;
        number += usize::from(there.is_some_and(|there| there.uid() == object.uid()));
    }
    Ok(number)
}

/// The end of an ARN, which tells one from another.
fn short(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or(arn).to_owned()
}

fn of_object(kind: &str, namespace: &str, name: &str) -> Removed {
    Removed { kind: kind.to_owned(), name: format!("{namespace}/{name}") }
}
