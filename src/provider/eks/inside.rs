//! What runs inside of a cluster that is about to go, as its API server shows it. Nodes are drained when their pools go, and
//! a drain respects every budget: a pod whose successor finds no node would keep its node for a day. So workloads go first.

use std::time::Duration;

use ::kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, PartialObjectMeta},
};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use serde_json::Value;

use super::{cluster::EksCluster, look, names, seen::Status, wait::Look};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    object::{Removed, json},
    provider::{Provider, api},
};

const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Pods get the time that they ask for; what does not end by then ends with its node.
const ENDED_WITHIN: Duration = Duration::from_secs(600);
/// What the cluster's driver has not removed by then is removed through AWS.
const VOLUMES_WITHIN: Duration = Duration::from_secs(300);
const AT_ONCE: usize = 16;
/// What Kubernetes itself needs, and add-ons such as drivers: it goes with the nodes.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// The driver of volumes that Auto Mode brings, and the one that can be added.
const DRIVERS: [&str; 2] = ["ebs.csi.eks.amazonaws.com", "ebs.csi.aws.com"];

/// Whoever makes pods goes before the pods.
const WORKLOADS: [(&str, &str, &str); 6] = [
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "statefulsets"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "ReplicaSet", "replicasets"),
];

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

impl EksCluster {
    async fn inside(&self) -> Result<Client> {
        let access = Provider::access(self).await?;
        api::client(&access, ANSWER_WITHIN).await
    }

    /// Does it through the API server, or says why nobody could, and goes on without.
    pub(super) async fn unless_blind<T: Default>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T>>,
        progress: &Progress,
    ) -> Result<T> {
        match work.await {
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => {
                progress.warn(format!("{what}: the API server could not be used, so AWS alone is asked: {error}"));
                Ok(T::default())
            }
            done => done,
        }
    }

    /// All that runs in namespaces of users, and the budgets that would keep it running.
    pub(super) async fn remove_workloads(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let work = Box::pin(self.end_workloads(progress));
        self.unless_blind("workloads are not removed before the nodes", work, progress).await
    }

    async fn end_workloads(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let client = self.inside().await?;
        let budgets = resource("policy", "PodDisruptionBudget", "poddisruptionbudgets");
        let all = list(&client, &budgets).await?;
        delete_all(&client, &budgets, &all).await?;
        let mut gone = Vec::new();
        for (group, kind, plural) in WORKLOADS {
            let kind = resource(group, kind, plural);
            // What belongs to another one goes with it.
            let mut found = list(&client, &kind).await?;
            found.retain(|object| is_users(&object.metadata) && object.owner_references().is_empty());
            delete_all(&client, &kind, &found).await?;
            gone.extend(found.iter().map(|object| named(&kind.kind, &object.metadata)));
        }
        let pods: Api<Pod> = Api::all(client.clone());
        let wait = self.wait("pods", "half a minute", ENDED_WITHIN, progress);
        let ended = wait.until(|| async {
            let found = pods.list(&ListParams::default()).await;
            let found = found.context(Kind::Platform, || "cannot list pods".to_owned())?.items;
            let left: Vec<&Pod> = found.iter().filter(|pod| is_users(&pod.metadata) && !has_ended(pod)).collect();
            // Those of nobody, or of somebody whom stackctl does not know.
            let bare: Vec<PartialObjectMeta<DynamicObject>> = left.iter().map(|pod| of(&pod.metadata)).collect();
            let going = bare.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
            delete_all(&client, &resource("", "Pod", "pods"), &going.cloned().collect::<Vec<_>>()).await?;
            Ok(match left.first() {
                None => Look::Done(()),
                Some(first) => Look::NotYet(format!("{} left, such as {}", left.len(), place(&first.metadata))),
            })
        });
        match ended.await {
            Err(error) if error.kind == Kind::NotReady => progress.warn(format!("{error}; they end with their nodes")),
            ended => ended?,
        }
        Ok(gone)
    }

    /// Claims, and with them the volumes that were made for them: the cluster's driver detaches and removes these.
    pub(super) async fn remove_claims(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let there = look::cluster(&self.aws, &self.name).await?;
        if !there.is_some_and(|cluster| cluster.ours && cluster.status == Status::Active) {
            return Ok(Vec::new());
        }
        let gone = self.remove_workloads(progress).await?;
        let work = Box::pin(self.end_claims(progress));
        let claims = self.unless_blind("volumes are not removed by the cluster's driver", work, progress).await?;
        Ok([gone, claims].concat())
    }

    async fn end_claims(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let client = self.inside().await?;
        let claims = resource("", "PersistentVolumeClaim", "persistentvolumeclaims");
        let found = list(&client, &claims).await?;
        delete_all(&client, &claims, &found).await?;
        let volumes: Api<PersistentVolume> = Api::all(client);
        let wait = self.wait("volumes of the cluster", "1 minute", VOLUMES_WITHIN, progress);
        let removed = wait.until(|| async {
            let found = volumes.list(&ListParams::default()).await;
            let found = found.context(Kind::Platform, || "cannot list volumes".to_owned())?.items;
            Ok(match found.iter().filter(|volume| goes_with_its_claim(volume)).count() {
                0 => Look::Done(()),
                number => Look::NotYet(format!("{number} left")),
            })
        });
        match removed.await {
            Err(error) if error.kind == Kind::NotReady => {
                progress.warn(format!("{error}; they are removed once their nodes are gone"));
            }
            removed => removed?,
        }
        Ok(found.iter().map(|claim| named("PersistentVolumeClaim", &claim.metadata)).collect())
    }

    /// Pools that users have made: their nodes would take over the pods of the others.
    pub(super) async fn remove_own_pools(&self, progress: &Progress) -> Result<Vec<Removed>> {
        let work = Box::pin(self.end_own_pools());
        self.unless_blind("node pools that users have made are not removed", work, progress).await
    }

    async fn end_own_pools(&self) -> Result<Vec<Removed>> {
        let client = self.inside().await?;
        let pools = resource("karpenter.sh", "NodePool", "nodepools");
        let mut found = list(&client, &pools).await?;
        found.retain(|pool| !names::POOLS.contains(&pool.name_any().as_str()));
        delete_all(&client, &pools, &found).await?;
        Ok(found.iter().map(|pool| named("NodePool", &pool.metadata)).collect())
    }

    /// Why nodes are still there, as the cluster tells it: nothing where it tells nothing.
    pub(super) async fn why_nodes_stay(&self) -> Vec<String> {
        let told = async {
            let client = self.inside().await?;
            let claims = resource("karpenter.sh", "NodeClaim", "nodeclaims");
            let found = Api::<DynamicObject>::all_with(client, &claims).list(&ListParams::default()).await;
            let found = found.context(Kind::Platform, || "cannot list node claims".to_owned())?.items;
            Ok::<_, Error>(found.iter().flat_map(|claim| conditions(&claim.name_any(), &claim.data)).collect())
        };
        told.await.unwrap_or_default()
    }
}

fn conditions(name: &str, claim: &Value) -> Vec<String> {
    let bad = json::list(claim, "/status/conditions").iter().filter(|condition| condition["status"] != "True");
    bad.map(|condition| {
        let kind = condition["type"].as_str().unwrap_or_default();
        format!("NodeClaim/{name}: {kind}: {}", json::reason(condition))
    })
    .collect()
}

fn goes_with_its_claim(volume: &PersistentVolume) -> bool {
    let Some(spec) = &volume.spec else { return false };
    let driver = spec.csi.as_ref().map(|csi| csi.driver.as_str());
    driver.is_some_and(|driver| DRIVERS.contains(&driver))
        && spec.persistent_volume_reclaim_policy.as_deref() != Some("Retain")
}

fn is_users(object: &ObjectMeta) -> bool {
    object.namespace.as_deref().is_some_and(|namespace| !SYSTEM.contains(&namespace))
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn of(metadata: &ObjectMeta) -> PartialObjectMeta<DynamicObject> {
    PartialObjectMeta { types: None, metadata: metadata.clone(), _phantom: std::marker::PhantomData }
}

fn place(object: &ObjectMeta) -> String {
    let name = object.name.as_deref().unwrap_or_default();
    object.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

fn named(kind: &str, object: &ObjectMeta) -> Removed {
    Removed { kind: kind.to_owned(), name: place(object) }
}

/// Nothing where the cluster does not know the kind.
async fn list(client: &Client, kind: &ApiResource) -> Result<Vec<PartialObjectMeta<DynamicObject>>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    match api.list_metadata(&ListParams::default()).await {
        Ok(found) => Ok(found.items),
        Err(::kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error).context(Kind::Platform, || format!("cannot list {}", kind.plural)),
    }
}

async fn delete_all(client: &Client, kind: &ApiResource, objects: &[PartialObjectMeta<DynamicObject>]) -> Result<()> {
    let delete = |object: &PartialObjectMeta<DynamicObject>| {
        let (name, client) = (object.name_any(), client.clone());
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client, &namespace, kind),
            None => Api::all_with(client, kind),
        };
        async move {
            match api.delete(&name, &DeleteParams::background()).await {
                Ok(_) => Ok(()),
                Err(::kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                Err(error) => Err(error).context(Kind::Platform, || format!("cannot delete {} {name}", kind.kind)),
            }
        }
    };
    let all: Vec<_> = objects.iter().map(delete).collect();
    stream::iter(all).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_volumes_that_a_driver_made_for_a_claim_are_waited_for() {
        let volume = |driver: &str, policy: &str| -> PersistentVolume {
            serde_json::from_value(json!({
                "metadata": { "name": "v" },
                "spec": { "persistentVolumeReclaimPolicy": policy, "csi": { "driver": driver, "volumeHandle": "vol-1" } },
            }))
            .unwrap()
        };
        assert!(goes_with_its_claim(&volume("ebs.csi.eks.amazonaws.com", "Delete")));
        assert!(!goes_with_its_claim(&volume("ebs.csi.eks.amazonaws.com", "Retain")));
        assert!(!goes_with_its_claim(&volume("efs.csi.aws.com", "Delete")));
    }

    #[test]
    fn what_keeps_a_node_is_told_by_its_claim() {
        let claim = json!({ "status": { "conditions": [
            { "type": "Drained", "status": "False", "reason": "Draining", "message": "evicting 2 pods" },
            { "type": "Ready", "status": "True" },
        ] } });
        let told = conditions("general-purpose-x", &claim);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("NodeClaim/general-purpose-x: Drained: "), "{told:?}");
        assert!(told[0].contains("evicting 2 pods"), "{told:?}");
    }
}
