//! What `down` has left: it believes no state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Session;
use crate::object::{Key, Removed};
use crate::{
    error::{Result, words::few},
    kube::ownership::holds::is_namespace,
    object::json,
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

impl Session {
    /// What is left of the cluster, or of the stack where the cluster stays. Believes no state. `instances`: the sets of
    /// the stack's own components. `namespaces`: where their objects were. `bases`: images that services are built from.
    pub async fn audit(
        &self,
        whole_cluster: bool,
        instances: &[String],
        namespaces: &[String],
        bases: &BTreeSet<String>,
    ) -> Result<Left> {
        if !whole_cluster {
            let (mut things, copies, unseen) = self.objects_left(instances, namespaces).await?;
            let proxy = self.provider.observe_proxy(&self.stack.name).await?.container;
            let ours = proxy.filter(|proxy| proxy.foreign.is_none());
            things.extend(ours.map(|proxy| Removed { kind: "container".to_owned(), name: proxy.name }));
            return Ok(Left { things, kept: Vec::new(), copies, unseen });
        }
        let Swept { left: things, mut kept } = self.provider.sweep(bases).await?;
        // One that cannot be used any more is told by whatever uses it.
        if let Ok(Some(authority)) = self.known_authority().await {
            let size = u64::try_from(authority.certificate().len()).unwrap_or_default();
            kept.push(Kept { name: "certificate authority".to_owned(), size });
        }
        Ok(Left { things, kept, copies: Vec::new(), unseen: BTreeMap::new() })
    }

    /// Objects that still carry a label of the stack or its own components, whatever is on record about it.
    async fn objects_left(
        &self,
        instances: &[String],
        namespaces: &[String],
    ) -> Result<(Vec<Removed>, Vec<Key>, BTreeMap<String, String>)> {
        if !matches!(self.provider.observe().await?, ClusterState::Ours { stopped: false }) {
            return Ok(Default::default());
        }
        let instances = instances.iter().map(|name| desired::applyset_id(SetKind::Component, name));
        let ids: Vec<String> = instances.chain([desired::applyset_id(SetKind::Stack, &self.stack.name)]).collect();
        let found = self.kube().await?.members(&ids, namespaces).await?;
        let kept = self.learn(|learned| learned.kept.clone());
        // One that is ending was looked into before: nothing is left in it that could hold it.
        let ends = |object: &Value| is_namespace(&json::key(object)) && json::is_being_deleted(object);
        let left = found.objects.iter().filter(|object| !kept.contains(&json::key(object)) && !ends(object));
        let removed = |object: &Value| Removed { kind: json::kind(object).into(), name: json::name(object).into() };
        Ok((left.map(removed).collect(), found.copies, found.unlisted))
    }
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
