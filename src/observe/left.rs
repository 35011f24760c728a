//! What `down` has left: it believes no state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    error::{Result, words::few},
    kube::ownership::holds::is_namespace,
    machine::Machine,
    object::{Key, Removed, json},
    provider::{
        ClusterState,
        sweep::{Kept, Swept},
    },
    stack::{desired, model::SetKind},
};

/// What an audit found.
#[derive(Debug)]
pub struct Left {
    pub things: Vec<Removed>,
    /// Stays on purpose.
    pub kept: Vec<Kept>,
    /// Bear the stack's label and were never written by stackctl, such as objects that were exported and created again.
    pub copies: Vec<Key>,
    /// Kinds of objects that could not be looked at, and why.
    pub unseen: BTreeMap<String, String>,
}

impl Left {
    /// What to tell about objects that only look like the stack's.
    pub fn lookalikes(&self) -> Option<String> {
        if self.copies.is_empty() {
            return None;
        }
        let places: Vec<String> = self.copies.iter().map(Key::in_words).collect();
        Some(format!(
            "left in place, because they bear the stack's label but were not written by stackctl: {}; \
             `kubectl delete` removes them",
            few(&places)
        ))
    }

    /// What to tell about the kinds that nobody could look at.
    pub fn blind_spot(&self) -> Option<String> {
        let why = self.unseen.values().next()?;
        let mut names: Vec<String> = self.unseen.keys().take(5).cloned().collect();
        let more = self.unseen.len() - names.len();
        names.extend((more > 0).then(|| format!("{more} more")));
        Some(format!("cannot list these kinds, so some of them may be left: {}; {why}", names.join(", ")))
    }
}

/// Where to look for a stack that was removed.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub stack: &'a str,
    /// The sets of the stack's own components.
    pub instances: &'a [String],
    /// Where their objects were.
    pub namespaces: &'a [String],
    /// What the removal has kept on purpose.
    pub kept: &'a [Key],
}

/// What is left of a stack in a cluster that stays.
pub async fn of_stack(machine: &Machine, search: Search<'_>) -> Result<Left> {
    let (mut things, copies, unseen) = objects(machine, search).await?;
    let proxy = machine.provider.observe_proxy(search.stack).await?.container;
    let ours = proxy.filter(|proxy| proxy.foreign.is_none());
    things.extend(ours.map(|proxy| Removed { kind: "container".to_owned(), name: proxy.name }));
    Ok(Left { things, kept: Vec::new(), copies, unseen })
}

/// What is left of the cluster with all that belongs to it. `bases`: images that services are built from.
pub async fn of_cluster(machine: &Machine, bases: &BTreeSet<String>) -> Result<Left> {
    let Swept { left: things, mut kept } = machine.provider.sweep(bases).await?;
    // One that cannot be used any more is told by whatever uses it.
    if let Ok(Some(authority)) = machine.known_authority().await {
        let size = u64::try_from(authority.certificate().len()).unwrap_or_default();
        kept.push(Kept { name: "certificate authority".to_owned(), size, per_month: None });
    }
    Ok(Left { things, kept, copies: Vec::new(), unseen: BTreeMap::new() })
}

/// Objects that still carry a label of the stack or its own components, whatever is on record about it.
async fn objects(machine: &Machine, search: Search<'_>) -> Result<(Vec<Removed>, Vec<Key>, BTreeMap<String, String>)> {
    if !matches!(machine.provider.observe().await?, ClusterState::Ours { stopped: false }) {
        return Ok(Default::default());
    }
    let instances = search.instances.iter().map(|name| desired::applyset_id(SetKind::Component, name));
    let ids: Vec<String> = instances.chain([desired::applyset_id(SetKind::Stack, search.stack)]).collect();
    let found = machine.kube().await?.members(&ids, search.namespaces).await?;
    // One that is ending was looked into before: nothing is left in it that could hold it.
    let ends = |object: &Value| is_namespace(&json::key(object)) && json::is_being_deleted(object);
    let left = found.objects.iter().filter(|object| !search.kept.contains(&json::key(object)) && !ends(object));
    let removed = |object: &Value| Removed { kind: json::kind(object).into(), name: json::name(object).into() };
    Ok((left.map(removed).collect(), found.copies, found.unlisted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_nobody_could_look_at_are_told_in_one_line() {
        let left = |kinds: usize| {
            let unseen = (0..kinds).map(|kind| (format!("kind{kind}"), "not allowed".to_owned())).collect();
            Left { things: Vec::new(), kept: Vec::new(), copies: Vec::new(), unseen }.blind_spot()
        };
        assert_eq!(left(0), None);
        let told = left(7).unwrap();
        assert!(told.contains("kind0, kind1, kind2, kind3, kind4, 2 more; not allowed"), "{told}");
    }
}
