//! What a stack is once it was read and found valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use include_dir::Dir;
use schemars::JsonSchema;
use serde::Serialize;

pub use crate::stack::{
    claims::{AutoscalerCheck, Check},
    jobs::{Job, Template},
};
use crate::{
    error::{Context, Error, Kind, Result},
    object::{GeneratedSecret, Key, Object, Origin},
    stack::{
        references::{self, Reference},
        setter::Setter,
        yields::Yielded,
    },
    tls::wanted::Certificate,
};

/// A stack: variants chosen, values set, every cross-reference checked.
#[derive(Debug, Clone)]
pub struct Stack {
    pub name: String,
    /// Where it comes from, as `origin::of` writes it.
    pub origin: String,
    pub namespace: String,
    pub services: BTreeMap<String, Service>,
    /// Components in the order in which they need each other, the stack's own set last.
    pub sets: Vec<Set>,
    pub proofs: Vec<Proof>,
    /// Proofs that cannot hold as the stack is.
    pub skipped_proofs: Vec<SkippedProof>,
    /// None: no routes, or left out.
    pub edge: Option<Edge>,
    /// Load profiles by name.
    pub load: BTreeMap<String, LoadProfile>,
    /// What a person may run, by name.
    pub jobs: BTreeMap<String, Job>,
    /// Fields that are written once the images are known.
    pub image_hashes: Vec<ImageHash>,
    /// What `$(values.NAME)` stands for in proofs, by that name.
    pub references: BTreeMap<String, Reference>,
    /// Values that were set for several stacks and that this one does not have.
    pub ignored_values: BTreeSet<String>,
    /// What is not done as it is written, each with its place.
    pub notes: Vec<String>,
}

/// An image built from a folder. `image: NAME` in a manifest means this one.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub context: Source,
    /// Relative to the context.
    pub dockerfile: String,
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
}

/// A field of the stack's own objects that holds the content hash of a service's image.
#[derive(Debug, Clone)]
pub struct ImageHash {
    pub service: String,
    pub setter: Setter,
}

/// A proof that cannot hold as the stack is, without a component for instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedProof {
    pub name: String,
    /// Of its check, as `Check::kind`.
    pub kind: &'static str,
    /// Such as `grafana is left out`.
    pub reason: String,
}

/// Where files come from: the binary itself or a folder.
#[derive(Debug, Clone)]
pub enum Source {
    /// The paths of its entries begin with the folder's own path (`hello/Dockerfile`).
    Embedded(&'static Dir<'static>),
    Folder(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SetKind {
    Component,
    Stack,
}

/// Who has an instance of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The cluster: one instance, which all stacks that name the component share.
    #[default]
    Cluster,
    /// Each stack that names it, in that stack's namespace.
    Stack,
}

/// The objects applied and pruned together: one ApplySet.
#[derive(Debug, Clone)]
pub struct Set {
    pub kind: SetKind,
    /// Of a component.
    pub scope: Scope,
    /// A component's with the scope of a stack is `STACK.COMPONENT`.
    pub name: String,
    pub namespace: String,
    /// In the order of the files.
    pub objects: Vec<Object>,
    pub secrets: Vec<GeneratedSecret>,
    /// Fields of its objects that controllers take over.
    pub yields: Vec<(Key, Yielded)>,
    /// Of an edge.
    pub certificate: Option<Certificate>,
    /// `await: background`: `up` does not wait for it, `test` does.
    pub background: bool,
    /// `foreign: use`: where somebody else's objects are there already, those are used.
    pub steps_aside: bool,
    /// Names of the sets of components that must be ready first.
    pub needs: Vec<String>,
    /// Labels of the namespace that is made for it.
    pub namespace_labels: BTreeMap<String, String>,
}

/// The edge of a stack: where requests from outside come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub kind: EdgeKind,
    /// Names under which it is reached, besides those that it always has.
    pub hosts: Vec<String>,
    /// Of an Ingress or a Gateway.
    pub class: Option<String>,
    pub namespace: String,
    /// In the order of the file.
    pub routes: Vec<Route>,
    pub skipped: Vec<SkippedRoute>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// An nginx of the stack's own.
    Nginx,
    /// Ingress objects for a controller that the cluster has.
    Ingress,
    /// A Gateway with its HTTPRoutes for a controller that the cluster has.
    Gateway,
    /// Routes are known, and served by nothing.
    None,
}

impl EdgeKind {
    pub const ALL: [EdgeKind; 4] = [EdgeKind::Nginx, EdgeKind::Ingress, EdgeKind::Gateway, EdgeKind::None];
    pub const NAMES: [&'static str; 4] =
        [EdgeKind::Nginx.name(), EdgeKind::Ingress.name(), EdgeKind::Gateway.name(), EdgeKind::None.name()];

    pub const fn name(self) -> &'static str {
        match self {
            EdgeKind::Nginx => "nginx",
            EdgeKind::Ingress => "ingress",
            EdgeKind::Gateway => "gateway",
            EdgeKind::None => "none",
        }
    }
}

/// Requests to a path and all below it go to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `/hello`, without a slash at the end; `/` for all that no other route takes.
    pub path: String,
    pub service: String,
    /// Of the service.
    pub namespace: String,
    pub port: u16,
    /// The service sees `/write` where `/hello/write` was asked for.
    pub strip: bool,
    /// How long the service may take to answer.
    pub timeout: Duration,
    pub origin: Origin,
}

/// A route to a component that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRoute {
    pub path: String,
    pub component: String,
}

/// The set's name of a component that has an instance for each stack. Names of stacks hold no dot.
pub fn instance_name(stack: &str, component: &str) -> String {
    format!("{stack}.{component}")
}

impl Stack {
    /// A stack of which only the name is known: enough to remove it.
    pub fn named(name: &str) -> Stack {
        Stack {
            name: name.to_owned(),
            origin: String::new(),
            namespace: name.to_owned(),
            services: BTreeMap::new(),
            sets: Vec::new(),
            proofs: Vec::new(),
            skipped_proofs: Vec::new(),
            edge: None,
            load: BTreeMap::new(),
            jobs: BTreeMap::new(),
            image_hashes: Vec::new(),
            references: BTreeMap::new(),
            ignored_values: BTreeSet::new(),
            notes: Vec::new(),
        }
    }
}

impl Stack {
    /// Leaves only the proofs of these names or kinds; none named: all. Err: a name that fits no proof.
    pub fn choose_proofs(&mut self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let known = self.proofs.iter().any(|proof| fits(name, &proof.name, proof.check.kind()));
            if !known && !self.skipped_proofs.iter().any(|proof| fits(name, &proof.name, proof.kind)) {
                let all = self.proofs.iter().map(|proof| format!("{} ({})", proof.name, proof.check.kind()));
                return Err(Error::new(Kind::Usage, format!("--proof {name}: stack {} has no such proof", self.name))
                    .hint(format!("its proofs: {}", all.collect::<Vec<_>>().join(", "))));
            }
        }
        let chosen = |name: &str, kind: &str| names.iter().any(|wanted| fits(wanted, name, kind));
        self.proofs.retain(|proof| chosen(&proof.name, proof.check.kind()));
        self.skipped_proofs.retain(|proof| chosen(&proof.name, proof.kind));
        Ok(())
    }
}

impl Stack {
    /// Leaves out the proofs that disturb it.
    pub fn skip_disruptive_proofs(&mut self) {
        let is_calm = |proof: &Proof| !proof.check.is_disruptive();
        let reason = format!("it disturbs the stack: `stackctl test {} --disruptive` runs it", self.name);
        let skipped = self.proofs.iter().filter(|proof| !is_calm(proof)).map(|proof| SkippedProof {
            name: proof.name.clone(),
            kind: proof.check.kind(),
            reason: reason.clone(),
        });
        self.skipped_proofs.extend(skipped);
        self.proofs.retain(is_calm);
    }

    /// The values that its proofs refer to.
    pub fn referred(&self) -> BTreeSet<String> {
        self.proofs.iter().flat_map(|proof| references::names(&proof.check)).collect()
    }

    /// Its proofs, saying what the values are that they refer to.
    pub fn proofs_with(&self, values: &BTreeMap<String, String>) -> Result<Vec<Proof>> {
        let proof = |proof: &Proof| {
            let check = references::replaced(&proof.check, &|name| values.get(name).cloned());
            let check = check.context(Kind::Usage, || format!("proof `{}` is none with its values", proof.name))?;
            Ok(Proof { check, ..proof.clone() })
        };
        match values.is_empty() {
            true => Ok(self.proofs.clone()),
            false => self.proofs.iter().map(proof).collect(),
        }
    }
}

fn fits(wanted: &str, name: &str, kind: &str) -> bool {
    wanted.eq_ignore_ascii_case(name) || wanted == kind
}

/// A claim about the running stack that `stackctl test` checks from inside the cluster.
#[derive(Debug, Clone)]
pub struct Proof {
    pub name: String,
    pub check: Check,
    /// How long a failed attempt may be repeated; None: the first attempt decides.
    pub eventually: Option<Duration>,
    pub origin: Origin,
}

/// Requests to send and what must hold while they are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadProfile {
    pub url: String,
    /// Requests per second, over all connections.
    pub rate: f64,
    pub connections: u32,
    pub duration: Duration,
    pub verdict: Verdict,
}

/// None and false: not judged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// A fraction: 0.001 for `0.1%`.
    pub max_error_rate: Option<f64>,
    pub max_p99: Option<Duration>,
    /// Requests per second that were answered.
    pub min_rate: Option<f64>,
    pub scale_up: Option<ScaleUp>,
    /// The workload must be back at its minimum after the load.
    pub scale_down: bool,
    pub no_restarts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleUp {
    /// To more replicas than at the start.
    Any,
    /// To at least this many.
    To(u32),
}
