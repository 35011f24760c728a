//! What a stack is once it was read and found valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use include_dir::Dir;
use serde_json::Value;

/// A stack: variants chosen, values set, every cross-reference checked.
#[derive(Debug, Clone)]
pub struct Stack {
    pub name: String,
    pub namespace: String,
    pub services: BTreeMap<String, Service>,
    /// Components in the order in which they need each other, the stack's own set last.
    pub sets: Vec<Set>,
    pub proofs: Vec<Proof>,
    /// Proofs of the stack that need a component which is left out.
    pub skipped_proofs: Vec<SkippedProof>,
    /// Load profiles by name.
    #[cfg_attr(not(test), expect(dead_code, reason = "declared and validated with the stack; a load run reads it"))]
    pub load: BTreeMap<String, LoadProfile>,
    /// By namespace, the ServiceAccounts that need the Secret of a private registry. Empty: none is needed.
    pub pull_accounts: BTreeMap<String, BTreeSet<String>>,
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

/// A proof that can't hold without a component that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedProof {
    pub name: String,
    pub component: String,
}

/// Where files come from: the binary itself or a folder.
#[derive(Debug, Clone)]
pub enum Source {
    /// The paths of its entries begin with the folder's own path (`hello/Dockerfile`).
    Embedded(&'static Dir<'static>),
    Folder(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// `await: background`: `up` does not wait for it, `test` does.
    pub background: bool,
    /// Names of the sets of components that must be ready first.
    pub needs: Vec<String>,
    /// Labels of the namespace that is made for it.
    pub namespace_labels: BTreeMap<String, String>,
}

/// A Kubernetes object and the place in a file that declares it.
#[derive(Debug, Clone)]
pub struct Object {
    pub value: Value,
    pub origin: Origin,
}

/// file:line:column, 1-based; the file as the user would name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A Secret made in the cluster if absent; its values are never in a plan, a render or a log.
#[derive(Debug, Clone)]
pub struct GeneratedSecret {
    pub name: String,
    pub namespace: String,
    /// Key to the number of random characters (letters and digits).
    pub keys: BTreeMap<String, usize>,
    /// Further keys with fixed values, such as a user name.
    pub fixed: BTreeMap<String, String>,
}

/// Identifies an object in a cluster, apart from its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    /// None for cluster-scoped objects.
    pub namespace: Option<String>,
    pub name: String,
}

/// `Deployment/hello-service`: for people and step ids.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
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
            namespace: name.to_owned(),
            services: BTreeMap::new(),
            sets: Vec::new(),
            proofs: Vec::new(),
            skipped_proofs: Vec::new(),
            load: BTreeMap::new(),
            pull_accounts: BTreeMap::new(),
        }
    }
}

impl GeneratedSecret {
    pub fn key(&self) -> Key {
        Key {
            group: String::new(),
            kind: "Secret".to_owned(),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
        }
    }
}

impl Object {
    /// Loading guarantees `apiVersion`, `kind` and `metadata.name`.
    pub fn key(&self) -> Key {
        let text = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str);
        let api_version = text("/apiVersion").unwrap_or_default();
        Key {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text("/kind").unwrap_or_default().to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name").unwrap_or_default().to_owned(),
        }
    }

    /// `v1`, `v1beta1`, …
    pub fn version(&self) -> &str {
        let api_version = self.value.pointer("/apiVersion").and_then(Value::as_str).unwrap_or_default();
        api_version.rsplit_once('/').map_or(api_version, |(_, version)| version)
    }
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

#[derive(Debug, Clone)]
pub enum Check {
    Http(HttpCheck),
    Autoscaler(AutoscalerCheck),
}

/// One HTTP request and what must come back.
#[derive(Debug, Clone)]
pub struct HttpCheck {
    pub method: String,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    /// Default 200.
    pub status: u16,
    /// The body, parsed, must equal this.
    pub json: Option<Value>,
    /// The body must contain this text.
    pub contains: Option<String>,
    /// Per attempt; default 10 s.
    pub timeout: Duration,
}

/// The named HorizontalPodAutoscaler reports a current value for a resource metric.
#[derive(Debug, Clone)]
pub struct AutoscalerCheck {
    pub name: String,
    pub namespace: String,
    pub metric: String,
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
