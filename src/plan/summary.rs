//! What carrying out a plan would change, for people who want to know it before: a pure function of the plan and of what
//! was observed.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Action, Plan, Step,
    observed::{LiveState, Observed},
};
pub use crate::provider::step::{ClusterChange, EdgeChange};
use crate::{
    kube::pull_secret,
    object::{Key, json},
    provider::{Bill, step::Change},
    stack::model::SetKind,
};

/// Everything that a plan creates, changes and deletes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Absent where the cluster stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterChange>,
    /// Services whose images are built and pushed.
    pub build: Vec<String>,
    /// Images that get a further tag, as `SERVICE:TAG`.
    pub tag: Vec<String>,
    /// Sets of which something changes, in the order of the plan.
    pub sets: Vec<SetChanges>,
    /// Objects to create, change, adopt and delete, of all sets.
    pub counts: Counts,
    /// Objects that are waited for until they are ready.
    pub wait: Vec<Key>,
    /// The way from this machine to the stack's edge. Absent where it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeChange>,
    /// The stack's proofs run.
    pub prove: bool,
    /// Who pays for a cluster that is made, and how much. Absent where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill: Option<Bill>,
    /// A load is sent from inside the cluster. Absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<PlannedLoad>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLoad {
    /// Scheme, host and port.
    pub url: String,
    /// Pods that share it.
    pub workers: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub create: usize,
    pub change: usize,
    pub adopt: usize,
    pub delete: usize,
    pub unchanged: usize,
}

/// What changes of a stack or a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetChanges {
    pub kind: SetKind,
    pub name: String,
    /// What happens to the set as a whole. Absent where only objects of it change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
    pub create: Vec<Key>,
    pub change: Vec<Key>,
    /// Objects that somebody else made and that become the set's.
    pub adopt: Vec<Key>,
    pub delete: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Removal {
    /// It goes with all its objects, as far as these may go.
    Deleted,
    /// It stays for other stacks; this one does not use it any more.
    Left,
}

impl Summary {
    pub fn of(plan: &Plan, observed: &Observed) -> Summary {
        let mut summary = Summary::default();
        for step in &plan.steps {
            summary.add(plan, step, observed);
        }
        summary.bill = observed.provider.bill().filter(|_| plan.makes_cluster());
        let total = |of: fn(&SetChanges) -> &Vec<Key>| summary.sets.iter().map(|set| of(set).len()).sum();
        summary.counts = Counts {
            create: total(|set| &set.create),
            change: total(|set| &set.change),
            adopt: total(|set| &set.adopt),
            delete: total(|set| &set.delete),
            unchanged: plan.unchanged,
        };
        summary
    }

    /// What several plans, of a stack each, come to.
    pub fn together(all: impl IntoIterator<Item = Summary>) -> Summary {
        let mut whole = Summary::default();
        for one in all {
            whole.cluster = whole.cluster.or(one.cluster);
            whole.edge = whole.edge.or(one.edge);
            whole.build.extend(one.build);
            whole.tag.extend(one.tag);
            whole.sets.extend(one.sets);
            whole.wait.extend(one.wait);
            whole.prove |= one.prove;
            whole.bill = whole.bill.or(one.bill);
            whole.load = whole.load.or(one.load);
            whole.counts.create += one.counts.create;
            whole.counts.change += one.counts.change;
            whole.counts.adopt += one.counts.adopt;
            whole.counts.delete += one.counts.delete;
            whole.counts.unchanged += one.counts.unchanged;
        }
        whole
    }

    fn add(&mut self, plan: &Plan, step: &Step, observed: &Observed) {
        let live = observed.live.as_ref();
        match &step.action {
            Action::Provider(step) => match step.change() {
                Some(Change::Cluster(change)) => {
                    // A cluster that is made or started is configured on the way.
                    let configured = self.cluster.filter(|_| change == ClusterChange::Configure);
                    self.cluster = Some(configured.unwrap_or(change));
                    if change == ClusterChange::Delete {
                        live.into_iter().for_each(|live| self.everything_in(live));
                    }
                }
                Some(Change::Edge(change)) => self.edge = Some(change),
                None => {}
            },
            Action::Build { service } => self.build.push(service.clone()),
            Action::Tag { service, tag } => self.tag.push(format!("{service}:{tag}")),
            Action::Prove => self.prove = true,
            Action::Load { url, workers } => self.load = Some(PlannedLoad { url: url.clone(), workers: *workers }),
            Action::Await { set, object } => self.wait.push(plan.sets[*set].objects[*object].object.key()),
            Action::Apply { set, object } => {
                self.written(plan, *set, [plan.sets[*set].objects[*object].object.key()], live);
            }
            Action::CreateSecret { set, secret } => {
                self.written(plan, *set, [plan.sets[*set].secrets[*secret].key()], live);
            }
            Action::IssueCertificate { set } => {
                let wanted = plan.sets[*set].certificate.iter();
                let keys = wanted.flat_map(|wanted| [wanted.secret_key(), wanted.bundle_key()]).collect::<Vec<_>>();
                self.written(plan, *set, keys, live);
            }
            Action::ProvidePullSecret { set, namespace } => {
                self.written(plan, *set, [pull_secret::key(namespace)], live);
            }
            Action::Prune { set } | Action::PruneFirst { set } if !step.deletes.is_empty() => {
                let set = &plan.sets[*set];
                self.set(set.kind, &set.name).delete.extend(step.deletes.iter().cloned());
            }
            Action::DeleteSet { kind, name } => {
                let set = self.set(*kind, name);
                set.removal = Some(Removal::Deleted);
                set.delete.extend(step.deletes.iter().cloned());
            }
            Action::LeaveComponent { name } => self.set(SetKind::Component, name).removal = Some(Removal::Left),
            _ => {}
        }
    }

    /// Objects that a step writes. What is not among the objects of the stack's own sets is somebody else's or new.
    fn written(&mut self, plan: &Plan, set: usize, keys: impl IntoIterator<Item = Key>, live: Option<&LiveState>) {
        let changes = self.set(plan.sets[set].kind, &plan.sets[set].name);
        for key in keys {
            match live {
                // What is being deleted is made anew once it is gone.
                Some(seen) if seen.live.objects.get(&key).is_some_and(|there| !json::is_being_deleted(there)) => {
                    changes.change.push(key);
                }
                Some(seen) if seen.others.objects.contains_key(&key) => changes.adopt.push(key),
                _ => changes.create.push(key),
            }
        }
    }

    /// The stacks and components that go with the cluster.
    fn everything_in(&mut self, live: &LiveState) {
        for stack in live.stacks() {
            self.set(SetKind::Stack, stack).removal = Some(Removal::Deleted);
        }
        for (component, _) in live.components() {
            self.set(SetKind::Component, component).removal = Some(Removal::Deleted);
        }
    }

    fn set(&mut self, kind: SetKind, name: &str) -> &mut SetChanges {
        let at = self.sets.iter().position(|set| set.kind == kind && set.name == name).unwrap_or_else(|| {
            self.sets.push(SetChanges {
                kind,
                name: name.to_owned(),
                removal: None,
                create: Vec::new(),
                change: Vec::new(),
                adopt: Vec::new(),
                delete: Vec::new(),
            });
            self.sets.len() - 1
        });
        &mut self.sets[at]
    }
}
