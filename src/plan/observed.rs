//! What was seen before planning, as plain data.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    image::fingerprint::Sources,
    kube::{
        live::Live,
        noop::known::Known,
        ownership::{foreign::Foreign, holds, holds::Holding, inventory::Parent},
    },
    provider::{Observation, Traits},
    stack::{
        desired,
        facts::Facts,
        model::{SetKind, instance_name},
    },
    tls::Seen,
};
use crate::{object::Key, tls::wanted::Certificate};

#[derive(Debug)]
pub struct Observed {
    /// What the provider's clusters are like.
    pub traits: Traits,
    /// And what it has seen of the cluster and of what belongs to it.
    pub provider: Observation,
    /// By service.
    pub images: BTreeMap<String, ImageState>,
    /// What each service's image was found to be made of.
    pub sources: BTreeMap<String, Sources>,
    /// Nodes pull from a private registry, for which they need a Secret.
    pub pull_secret: bool,
    /// None where no API server answers yet.
    pub live: Option<LiveState>,
}

impl Observed {
    /// Nothing but the provider was looked at.
    pub fn of(traits: Traits, provider: Observation) -> Observed {
        Observed { traits, provider, images: BTreeMap::new(), sources: BTreeMap::new(), pull_secret: false, live: None }
    }

    /// None: its Secret is not there.
    pub fn certificate(&self, wanted: &Certificate) -> Option<&Seen> {
        self.live.as_ref()?.certificates.get(&wanted.secret_key())
    }
}

/// The image that a service's sources amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageState {
    /// `registry.stackctl.internal/hello/hello:HASH`
    pub reference: String,
    /// Of the manifest, if the registry has that tag.
    pub digest: Option<String>,
    /// The nodes' own stores have it, where images are put there.
    pub loaded: bool,
    /// Further tags that an external registry has not, or has elsewhere.
    pub tags: Vec<String>,
    /// Why the reference may not stand for all that the image is made of.
    pub doubt: Option<String>,
}

impl ImageState {
    /// Whether the registry, or the nodes, have what the sources amount to, for certain.
    pub fn is_current(&self) -> bool {
        (self.digest.is_some() || self.loaded) && self.doubt.is_none()
    }

    /// How pods name the image: pinned once its digest is known.
    pub fn pinned(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.reference),
            None => self.reference.clone(),
        }
    }
}

/// Objects of our sets, and the sets' own records.
#[derive(Debug, Default)]
pub struct LiveState {
    pub live: Live,
    /// What the stack's files alone do not tell.
    pub facts: Facts,
    /// Pairs of desired and live objects whose difference was found to be only apparent.
    pub known: Option<Arc<Known>>,
    /// By the name of the parent, such as `stack-hello`.
    pub parents: BTreeMap<String, Parent>,
    /// Objects that were ready as they were read.
    pub ready: HashSet<Key>,
    /// The port that the KEP-1755 ConfigMap names.
    pub published_port: Option<u16>,
    /// By the key of its Secret.
    pub certificates: BTreeMap<Key, Seen>,
    /// Namespaces that were there before us: used, never changed, never removed.
    pub foreign_namespaces: BTreeSet<String>,
    /// Of namespaces that we made, the id of the ApplySet that each is part of.
    pub namespace_owners: BTreeMap<String, String>,
    /// What the stack declares and none of its sets has: another ApplySet's, or without one.
    pub others: Live,
    /// The keys of all that the stack's sets declare, whichever set has it now.
    pub declared: BTreeSet<Key>,
    /// Namespaces whose Secret for a private registry is as it should be, in all accounts that need it.
    pub pull_secrets: BTreeSet<String>,
    /// What would go along with definitions and namespaces that are to go.
    pub holdings: BTreeMap<Key, Holding>,
    /// What else lives in a cluster that may go as a whole.
    pub foreign: Foreign,
}

/// The parent of another set that has objects in this namespace, if there is one. `set` is a parent's name.
pub fn other_user<'a>(parents: &'a BTreeMap<String, Parent>, set: &str, namespace: &str) -> Option<&'a Parent> {
    new_owner(parents, set, namespace, "")
}

/// As `other_user`, of those that stay when this stack goes. A stack before a component: it declares the namespace.
pub fn new_owner<'a>(
    parents: &'a BTreeMap<String, Parent>,
    set: &str,
    namespace: &str,
    leaving: &str,
) -> Option<&'a Parent> {
    let goes =
        |parent: &Parent| parent.name.starts_with("component-") && parent.users.iter().all(|user| user == leaving);
    let others = parents.values().filter(|parent| !desired::are_of_one_stack(&parent.name, set) && !goes(parent));
    others
        .filter(|parent| parent.namespaces.contains(namespace))
        .min_by_key(|parent| (!parent.name.starts_with("stack-"), &parent.name))
}

/// The ids of the sets that go with a stack: its own one, its instances of components, and the components that it alone
/// uses. `instances`: components of its own that may be on record no more.
pub fn leaving(parents: &BTreeMap<String, Parent>, stack: &str, instances: &[String]) -> Vec<String> {
    let own = desired::parent_name(SetKind::Stack, stack);
    let goes = |parent: &&Parent| {
        let unused = parent.name.starts_with("component-") && parent.users.iter().all(|user| user == stack);
        unused || desired::are_of_one_stack(&parent.name, &own)
    };
    let recorded = parents.values().filter(goes).map(|parent| parent.id.clone());
    let known = instances.iter().map(|name| desired::applyset_id(SetKind::Component, name));
    let mut ids: Vec<String> = recorded.chain(known).chain([desired::applyset_id(SetKind::Stack, stack)]).collect();
    ids.sort();
    ids.dedup();
    ids
}

impl LiveState {
    /// Whether a proof that was stopped has left something of the stack changed.
    pub fn is_disrupted(&self, stack: &str) -> bool {
        let parent = self.parents.get(&desired::parent_name(SetKind::Stack, stack));
        parent.is_some_and(|parent| parent.disrupted.is_some())
    }

    /// Whether anything carries the label of this set, on record or not.
    pub fn has_members(&self, kind: SetKind, name: &str) -> bool {
        self.live.of_set(&desired::applyset_id(kind, name)).next().is_some()
    }

    /// Whether the set with this id uses the namespace as it is: it was there before us, or another set of ours has it.
    pub fn leaves_alone(&self, id: &str, key: &Key) -> bool {
        let is_recorded = |owner: &String| self.parents.values().any(|parent| parent.id == *owner);
        let owner = self.namespace_owners.get(&key.name).filter(|owner| *owner != id && is_recorded(owner));
        holds::is_namespace(key) && (self.foreign_namespaces.contains(&key.name) || owner.is_some())
    }

    /// Names of the stacks that are in the cluster.
    pub fn stacks(&self) -> impl Iterator<Item = &str> {
        self.parents.keys().filter_map(|parent| parent.strip_prefix("stack-"))
    }

    /// Names of the sets of components that are the stack's alone.
    pub fn instances(&self, stack: &str) -> impl Iterator<Item = &str> {
        let prefix = instance_name(stack, "");
        self.components().map(|(name, _)| name).filter(move |name| name.starts_with(&prefix))
    }

    /// Where the stack and the components that are its alone have objects.
    pub fn namespaces(&self, stack: &str) -> impl Iterator<Item = &str> {
        let own = desired::parent_name(SetKind::Stack, stack);
        let parents = self.parents.iter().filter(move |(name, _)| desired::are_of_one_stack(name, &own));
        parents.flat_map(|(_, parent)| &parent.namespaces).map(String::as_str)
    }

    /// The object and what goes along with it, where it is a definition or a namespace.
    pub fn with_all_that_goes(&self, key: Key) -> Vec<Key> {
        let along = self.holdings.get(&key).map(|holding| holding.objects.clone()).unwrap_or_default();
        [vec![key], along].concat()
    }

    pub fn components(&self) -> impl Iterator<Item = (&str, &Parent)> {
        self.parents.iter().filter_map(|(name, parent)| Some((name.strip_prefix("component-")?, parent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parents(all: &[(&str, &[&str])]) -> BTreeMap<String, Parent> {
        let parent = |(name, users): &(&str, &[&str])| {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            let (name, namespaces) = ((*name).to_owned(), ["dev".to_owned()].into());
            (name.clone(), Parent { id: name.clone(), name, users, namespaces, ..Parent::default() })
        };
        all.iter().map(parent).collect()
    }

    #[test]
    fn a_namespace_is_left_to_a_set_that_stays_and_to_a_stack_first() {
        let all = parents(&[
            ("stack-a", &[]),
            ("component-a.metrics", &["a"]),
            ("component-own", &["a"]),
            ("component-shared", &["a", "c"]),
            ("component-b.metrics", &["b"]),
            ("stack-b", &[]),
        ]);
        let new_owner = |all: &BTreeMap<String, Parent>| {
            new_owner(all, "stack-a", "dev", "a").map(|new_owner| new_owner.name.clone())
        };
        assert_eq!(new_owner(&all).as_deref(), Some("stack-b"));
        let without_b: BTreeMap<_, _> = all.clone().into_iter().filter(|(name, _)| !name.contains("b")).collect();
        assert_eq!(new_owner(&without_b).as_deref(), Some("component-shared"), "c still uses it");
        let alone = parents(&[("stack-a", &[]), ("component-a.metrics", &["a"]), ("component-own", &["a"])]);
        assert_eq!(new_owner(&alone), None);
        assert_eq!(super::new_owner(&all, "stack-a", "elsewhere", "a"), None);
    }

    #[test]
    fn a_namespace_of_a_set_on_record_is_left_alone_by_others() {
        let mut live = LiveState { parents: parents(&[("stack-a", &[])]), ..LiveState::default() };
        let key = Key { group: String::new(), kind: "Namespace".into(), namespace: None, name: "dev".into() };
        assert!(!live.leaves_alone("stack-b", &key));
        live.namespace_owners.insert("dev".into(), "stack-a".into());
        assert!(live.leaves_alone("stack-b", &key) && !live.leaves_alone("stack-a", &key));
        live.namespace_owners.insert("dev".into(), "forgotten".into());
        assert!(!live.leaves_alone("stack-b", &key), "nobody has it");
    }
}
