//! Kubernetes objects as data: what identifies them, where they are declared, and what a removal says of them.

pub mod balancer;
pub mod json;
mod own;
pub mod podspec;
pub mod retired;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use own::ProviderObjects;

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

/// Identifies an object in a cluster, apart from its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Key {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    /// None for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
}

impl Key {
    /// `hello/Deployment/hello-service`: with the namespace, if it has one.
    pub fn place(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.to_string(), |namespace| format!("{namespace}/{self}"))
    }

    /// `Deployment/hello-service in namespace hello`: within a sentence.
    pub fn in_words(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.to_string(), |namespace| format!("{self} in namespace {namespace}"))
    }

    /// `deployment hello-service -n hello`: as arguments of kubectl.
    pub fn for_kubectl(&self) -> String {
        let scope = self.namespace.as_ref().map_or(String::new(), |namespace| format!(" -n {namespace}"));
        format!("{} {}{scope}", self.kind.to_lowercase(), self.name)
    }
}

/// `Deployment/hello-service`: for people and step ids.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
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

/// For objects of kinds that live outside namespaces.
pub fn remove_namespace(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
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

/// What a deletion removed, for the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// `container`, `network`, `volume`, `image`, `file`, `kubeconfig context`.
    pub kind: String,
    pub name: String,
}

/// `docker.io=http://172.17.0.1:5555`: pulls for the host go to the URL first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub host: String,
    pub url: String,
}
