//! Disturbs the stack in one of the ways that a proof can, and brings it back.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{super::run::Run, own::Own, record::Changed};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    kube::{Kube, disrupt::Eviction, selector, wait::WaitOptions},
    object::{Key, json},
    provider::Answer,
    stack::{claims::Disruption, disruption::own_namespaces},
};

const INTERVAL: Duration = Duration::from_millis(500);

/// A disturbance of which it is known what it is done to.
pub struct Act<'a> {
    run: &'a Run<'a>,
    kube: &'a Kube,
    progress: &'a Progress,
    deadline: Instant,
    target: Target,
    /// What must be ready again afterwards.
    pub workloads: BTreeSet<Key>,
}

enum Target {
    /// Deleted, at once with `force`.
    Pods {
        pods: Vec<Value>,
        force: bool,
    },
    Restart,
    Scale {
        key: Key,
        pods: String,
        from: i64,
        to: i64,
    },
    /// `cordon`: not if pods were kept from it before.
    Drain {
        node: String,
        pods: Vec<Value>,
        cordon: bool,
    },
}

/// What stands in the way of a disturbance here.
pub struct Unfit(pub String);

impl<'a> Act<'a> {
    /// Only looks. Errors: what it is to be done to is not there, or not the stack's own.
    pub async fn prepare(
        run: &'a Run<'a>,
        disruption: &Disruption,
        deadline: Instant,
        progress: &'a Progress,
    ) -> Result<std::result::Result<Act<'a>, Unfit>> {
        let kube = run.kube().await?;
        let own = Own::look(kube, run.stack, &run.stack.namespace).await?;
        let of = |pods: &[Value]| pods.iter().filter_map(|pod| own.workload(pod)).collect::<BTreeSet<_>>();
        let (target, workloads) = match disruption {
            Disruption::DeletePods { selector, force } => {
                let pods = own.pods(kube, selector).await?;
                let workloads = of(&pods);
                (Target::Pods { pods, force: *force }, workloads)
            }
            Disruption::Restart(objects) => {
                let keys = objects.iter().map(|object| own.object(object).map(json::key));
                (Target::Restart, keys.collect::<Result<BTreeSet<_>>>()?)
            }
            Disruption::Scale { object, to } => {
                let object = own.object(object)?;
                let key = json::key(object);
                let pods = selector::pod_selector(object)
                    .ok_or_else(|| Error::new(Kind::Unexpected, format!("{key} selects no pods")))?;
                let from = json::int(object, "/spec/replicas").unwrap_or(1);
                (Target::Scale { key: key.clone(), pods, from, to: i64::from(*to) }, BTreeSet::from([key]))
            }
            Disruption::Drain { node_of } => {
                let nodes = kube.nodes().await?;
                let open = nodes.iter().filter(|node| takes_pods(node)).count();
                if open < 2 {
                    let what = if open == 1 { "only one node takes pods" } else { "no node takes pods" };
                    return Ok(Err(Unfit(format!("{what}, so none can be drained"))));
                }
                let selected = own.pods(kube, node_of).await?;
                let node = selected.iter().find_map(|pod| json::text(pod, "/spec/nodeName"));
                let node = node.ok_or_else(|| Error::new(Kind::NotReady, format!("no pod of {node_of} has a node")))?;
                let (pods, workloads) = on_node(run, kube, node).await?;
                let known = nodes.iter().find(|known| json::name(known) == node);
                let cordon = !known.is_some_and(|known| json::flag(known, "/spec/unschedulable"));
                (Target::Drain { node: node.to_owned(), pods, cordon }, workloads)
            }
        };
        Ok(Ok(Act { run, kube, progress, deadline, target, workloads }))
    }

    /// What must be undone, if something must.
    pub fn changes(&self) -> Option<Changed> {
        match &self.target {
            Target::Scale { key, from, to, .. } => Some(Changed::Scaled {
                kind: key.kind.clone(),
                namespace: key.namespace.clone().unwrap_or_default(),
                name: key.name.clone(),
                from: *from,
                to: *to,
            }),
            Target::Drain { node, cordon: true, .. } => Some(Changed::Cordoned { node: node.clone() }),
            _ => None,
        }
    }

    /// Does it, and returns when it is done as far as it is done to what is there: pods have left, new ones may be coming.
    pub async fn disturb(&self) -> Result<()> {
        match &self.target {
            Target::Pods { pods, force } => {
                for pod in pods {
                    self.kube.delete_pod(pod, *force).await?;
                }
                Ok(())
            }
            Target::Restart => {
                for key in &self.workloads {
                    self.kube.restart(key).await?;
                }
                Ok(())
            }
            Target::Scale { key, pods, to, .. } => {
                self.kube.set_replicas(key, *to, None).await?;
                self.scaled(key, pods, *to).await
            }
            Target::Drain { node, pods, cordon } => {
                if *cordon {
                    self.kube.set_schedulable(node, false).await?;
                }
                futures::future::try_join_all(pods.iter().map(|pod| self.evicted(pod, node))).await.map(|_| ())
            }
        }
    }

    async fn scaled(&self, key: &Key, selector: &str, to: i64) -> Result<()> {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        loop {
            let pods = self.kube.selected_pods(namespace, selector).await?;
            let left = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            let ready = pods.iter().filter(|pod| json::condition_status(pod, "Ready") == Some(true)).count();
            if left == to && ready == pods.len() {
                return Ok(());
            }
            self.wait(format!("{key} has {left} pods, {ready} of them ready, and is to have {to}")).await?;
        }
    }

    /// Out of its node, as its budget allows it.
    async fn evicted(&self, pod: &Value, node: &str) -> Result<()> {
        let name = json::name(pod);
        while let Eviction::Blocked(why) = self.kube.evict(pod).await? {
            self.wait(format!("pod {name} stays on {node} for now: {why}")).await?;
        }
        self.gone(pod).await
    }

    async fn gone(&self, pod: &Value) -> Result<()> {
        let key = json::key(pod);
        while let Some(now) = self.kube.get(&key).await? {
            if json::uid(&now) != json::uid(pod) {
                break;
            }
            self.wait(format!("pod {} is ending", key.name)).await?;
        }
        Ok(())
    }

    /// Err once the time has passed.
    async fn wait(&self, what: String) -> Result<()> {
        if Instant::now() + INTERVAL > self.deadline {
            return Err(Error::new(Kind::NotReady, what));
        }
        self.progress.say(what);
        sleep(INTERVAL).await;
        Ok(())
    }

    /// Waits until all that was disturbed is ready again.
    pub async fn recovered(&self) -> Result<()> {
        if let Target::Pods { pods, .. } = &self.target {
            futures::future::try_join_all(pods.iter().map(|pod| self.gone(pod))).await?;
            self.replaced(pods).await?;
        }
        let options = WaitOptions {
            deadline: self.deadline,
            nodes_may_grow: self.run.machine.provider.traits().nodes_may_grow == Answer::Yes,
            may_come: &|_| false,
            replace: false,
        };
        let begun = self.kube.begin_wait();
        let ready = self.workloads.iter().map(|key| self.kube.wait_ready(key, None, options, begun, self.progress));
        futures::future::try_join_all(ready).await.map(|_| ())
    }

    /// A controller may not have seen yet that its pods are gone: as many others must be ready.
    async fn replaced(&self, old: &[Value]) -> Result<()> {
        let uids: BTreeSet<&str> = old.iter().map(json::uid).collect();
        loop {
            let own = Own::look(self.kube, self.run.stack, &self.run.stack.namespace).await?;
            let pods = self.kube.selected_pods(&self.run.stack.namespace, "").await?;
            let is_new = |pod: &&Value| {
                let of_one = own.workload(pod).is_some_and(|key| self.workloads.contains(&key));
                of_one && !uids.contains(json::uid(pod)) && selector::stays(pod)
            };
            let ready = pods.iter().filter(is_new).filter(|pod| json::condition_status(pod, "Ready") == Some(true));
            let ready = ready.count();
            if ready >= old.len() {
                return Ok(());
            }
            self.wait(format!("{ready} pods are ready in place of the {} that were deleted", old.len())).await?;
        }
    }
}

/// The stack's own pods there that a drain moves, and their workloads: those of a DaemonSet stay.
async fn on_node(run: &Run<'_>, kube: &Kube, node: &str) -> Result<(Vec<Value>, BTreeSet<Key>)> {
    let (mut pods, mut workloads) = (Vec::new(), BTreeSet::new());
    for namespace in own_namespaces(run.stack) {
        let own = Own::look(kube, run.stack, &namespace).await?;
        for pod in kube.selected_pods(&namespace, "").await? {
            let here = json::text(&pod, "/spec/nodeName") == Some(node) && selector::stays(&pod);
            if let Some(key) = own.workload(&pod).filter(|key| here && key.kind != "DaemonSet") {
                workloads.insert(key);
                pods.push(pod);
            }
        }
    }
    Ok((pods, workloads))
}

/// Whether pods without tolerations may come to the node.
fn takes_pods(node: &Value) -> bool {
    let keeps_out = |taint: &Value| matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"));
    !json::flag(node, "/spec/unschedulable")
        && json::condition_status(node, "Ready") == Some(true)
        && !json::list(node, "/spec/taints").iter().any(keeps_out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_that_keep_pods_out_do_not_count() {
        let node = |spec: Value, ready: &str| json!({"spec": spec, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        assert!(takes_pods(&node(json!({}), "True")));
        assert!(takes_pods(&node(json!({"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}), "True")));
        assert!(!takes_pods(&node(json!({"taints": [{"key": "x", "effect": "NoSchedule"}]}), "True")));
        assert!(!takes_pods(&node(json!({"unschedulable": true}), "True")));
        assert!(!takes_pods(&node(json!({}), "Unknown")));
    }
}
