//! What was seen before planning, as plain data.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    cluster::{ClusterState, proxy::ProxyState},
    kube::{inventory::Parent, known::Known, live::Live},
    stack::{
        desired,
        model::{Certificate, Key, SetKind, instance_name},
    },
    tls::Seen,
};

#[derive(Debug)]
pub struct Observed {
    pub cluster: ClusterState,
    /// Mirrors, registry or CA bundle of the nodes differ from what is asked for.
    pub nodes_outdated: bool,
    pub registry: RegistryState,
    /// By service.
    pub images: BTreeMap<String, ImageState>,
    /// None where no API server answers yet.
    pub live: Option<LiveState>,
    /// The container that leads to the stack's edge.
    pub proxy: ProxyState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryState {
    /// Somebody else's, named by `--registry`.
    External,
    Absent,
    Stopped,
    /// Published on this port of loopback.
    Running {
        port: u16,
    },
}

impl Observed {
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
    /// Further tags that an external registry has not, or has elsewhere.
    pub tags: Vec<String>,
}

impl ImageState {
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
    /// Namespaces whose Secret for a private registry is as it should be, in all accounts that need it.
    pub pull_secrets: BTreeSet<String>,
}

/// The parent of another set that has objects in this namespace, if there is one. `set` is a parent's name.
pub fn other_user<'a>(parents: &'a BTreeMap<String, Parent>, set: &str, namespace: &str) -> Option<&'a Parent> {
    let mut others = parents.iter().filter(|(name, _)| !desired::are_of_one_stack(name, set));
    others.find(|(_, parent)| parent.namespaces.contains(namespace)).map(|(_, parent)| parent)
}

impl LiveState {
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

    pub fn components(&self) -> impl Iterator<Item = (&str, &Parent)> {
        self.parents.iter().filter_map(|(name, parent)| Some((name.strip_prefix("component-")?, parent)))
    }
}
