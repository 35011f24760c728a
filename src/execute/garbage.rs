//! Images that nothing needs any more: which of them go.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use crate::{
    error::Result,
    image::{
        self,
        store::{Store, gc},
    },
    kube::{Kube, discovery::KindRef},
    machine::Machine,
    object::{Removed, json},
    observe,
    stack::model::Stack,
};

/// What makes pods, or is one.
const WORKLOADS: [(&str, &str); 9] = [
    ("", "Pod"),
    ("", "PodTemplate"),
    ("", "ReplicationController"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
];

/// Removes all but the `keep` newest tags of each service, and those that something in the cluster may run. Returns
/// what went.
pub async fn collect(machine: &Machine, stack: &Stack, store: &dyn Store, keep: usize) -> Result<Vec<Removed>> {
    let in_use = tags_in_use(machine.kube().await?).await?;
    let mut removed = gc::engine(machine.engine().await?, Some(&stack.name), &in_use, keep).await?;
    for service in stack.services.keys().map(String::as_str).chain([image::agent::SERVICE]) {
        removed.extend(store.collect(&image::repository(&stack.name, service), &in_use, keep).await?);
    }
    Ok(removed)
}

async fn tags_in_use(kube: &Kube) -> Result<BTreeSet<String>> {
    let kinds = WORKLOADS.map(|(group, kind)| KindRef::any_version(group, kind));
    let listed = try_join_all(kinds.iter().map(|kind| kube.list_all(kind, None)));
    // Custom resources have templates too.
    let (listed, recorded) = tokio::try_join!(listed, observe::recorded_objects(kube, None))?;
    // Of what a Deployment was before, the newest tags stay anyway.
    let is_history = |object: &&Value| {
        json::kind(object) == "ReplicaSet"
            && object.pointer("/spec/replicas").and_then(Value::as_u64) == Some(0)
            && object.pointer("/metadata/ownerReferences/0").is_some()
    };
    let objects = listed.iter().flatten().chain(recorded.live.objects.values());
    Ok(gc::tags_in(objects.filter(|object| !is_history(object))))
}
