//! The certificate that an edge is to have.

use std::collections::BTreeSet;

use crate::object::{Key, Origin};

/// A certificate of the local authority: a Secret with it and its key, and a ConfigMap with the authority's own, for
/// clients in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub secret: String,
    /// The ConfigMap; the certificate is under `ca.crt`.
    pub bundle: String,
    pub namespace: String,
    /// Host names and IP addresses.
    pub names: BTreeSet<String>,
    /// The Service whose load balancer's name belongs to them, once it has one.
    pub service: Option<Key>,
    pub origin: Origin,
}

impl Certificate {
    pub fn secret_key(&self) -> Key {
        self.key("Secret", &self.secret)
    }

    pub fn bundle_key(&self) -> Key {
        self.key("ConfigMap", &self.bundle)
    }

    fn key(&self, kind: &str, name: &str) -> Key {
        let namespace = Some(self.namespace.clone());
        Key { group: String::new(), kind: kind.to_owned(), namespace, name: name.to_owned() }
    }
}
