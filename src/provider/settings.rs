//! Settings about which cluster is meant and how it is made, whoever makes it. What only one provider has is declared in its
//! own folder and listed here.

use std::path::PathBuf;

pub use super::eks::settings::REGION;
use super::{ClusterSpec, choice::Name, eks, kind, minikube};
use crate::{
    error::Result,
    object::Mirror,
    setting::{Parsed, Section, Setting, Values, parse},
};

/// Of one provider each.
pub static SECTIONS: [&Section; 3] = [&kind::settings::SECTION, &minikube::settings::SECTION, &eks::settings::SECTION];

/// Of one provider each, too: what tells which of its clusters is meant, so that every command needs it.
pub static PLACES: [&Section; 1] = [&eks::settings::PLACE];

/// How a cluster is made.
pub static NEW_CLUSTER: Section = Section {
    heading: Some("New cluster options"),
    provider: None,
    settings: &[&NODES, &KUBERNETES_VERSION, &NODE_IMAGE, &REGISTRY_MIRRORS, &CA_BUNDLE],
};

/// The local cluster, where no other is named.
pub const DEFAULT_CLUSTER: &str = "stackctl";

pub const PROVIDER: Setting<Name> =
    Setting::new("provider", "--provider", "NAME", "kind, minikube, eks or existing", Name::parse).with_default("kind");
pub const CLUSTER_NAME: Setting<String> = Setting::new(
    "clusterName",
    "--cluster-name",
    "NAME",
    "Name of the cluster that holds all stacks; on eks each has its own unless one is named",
    cluster_name,
)
.with_default(DEFAULT_CLUSTER);
pub const CONTEXT: Setting<String> = Setting::new(
    "context",
    "--context",
    "NAME",
    "The kubeconfig context of an existing cluster; implies --provider existing",
    parse::text,
);
/// Control planes and workers.
const NODES: Setting<(u8, u8)> =
    Setting::new("nodes", "--nodes", "N", "CONTROL-PLANES+WORKERS, such as 1+2", nodes).with_default("1");
pub const KUBERNETES_VERSION: Setting<String> = Setting::new(
    "kubernetesVersion",
    "--kubernetes-version",
    "VERSION",
    "Such as v1.36.3; on eks such as 1.36",
    kubernetes_version,
)
.otherwise("the provider's");
const NODE_IMAGE: Setting<String> =
    Setting::new("nodeImage", "--node-image", "IMAGE", "kind's node image, or minikube's base image", parse::text)
        .otherwise("its own");
pub const REGISTRY_MIRRORS: Setting<Mirror> = Setting::new(
    "registryMirrors",
    "--registry-mirror",
    "HOST=URL",
    "Pull images of HOST through URL first; may be repeated",
    parse::mirror,
)
.list();
pub const CA_BUNDLE: Setting<PathBuf> =
    Setting::new("caBundle", "--ca-bundle", "FILE", "PEM certificates that nodes and builds must trust", parse::path);
pub const AGENT_IMAGE: Setting<String> = Setting::new(
    "agentImage",
    "--agent-image",
    "IMAGE",
    "An image of stackctl for the nodes' architecture",
    parse::text,
)
.otherwise("made from this executable");

/// What is asked of whoever makes the cluster.
pub fn cluster_spec(values: &Values) -> Result<ClusterSpec> {
    let (control_planes, workers) = values.required(&NODES)?;
    Ok(ClusterSpec {
        name: values.required(&CLUSTER_NAME)?,
        control_planes,
        workers,
        kubernetes_version: values.optional(&KUBERNETES_VERSION.read_by(full_version))?,
        node_image: values.optional(&NODE_IMAGE)?,
        mirrors: values.list(&REGISTRY_MIRRORS)?,
        ca_bundle: values.optional(&CA_BUNDLE)?,
        kind_config: None,
        agent_image: values.optional(&AGENT_IMAGE)?,
    })
}

/// kind appends `-control-plane2` and the node's name is a DNS label of 63 characters at most.
fn cluster_name(text: &str) -> Parsed<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    match text.len() <= 40 && text.chars().all(fits) && edges(text.chars().next()) && edges(text.chars().last()) {
        true => Ok(text.to_owned()),
        false => Err("a cluster's name has at most 40 lower-case letters, digits and inner hyphens".to_owned()),
    }
}

/// `1`: one node that does everything; `1+2`: one control plane, two workers.
fn nodes(text: &str) -> Parsed<(u8, u8)> {
    let (control_planes, workers) = text.split_once('+').unwrap_or((text, "0"));
    match (control_planes.parse::<u8>(), workers.parse::<u8>()) {
        (Ok(control_planes @ 1..=9), Ok(workers @ 0..=99)) => Ok((control_planes, workers)),
        _ => Err("expected CONTROL-PLANES or CONTROL-PLANES+WORKERS, such as 1 or 1+2".to_owned()),
    }
}

/// With a patch or without one: which of them is meant depends on the provider.
fn kubernetes_version(text: &str) -> Parsed<String> {
    let version = text.strip_prefix('v').unwrap_or(text);
    let parts: Vec<_> = version.split('.').collect();
    match matches!(parts.len(), 2 | 3) && parts.iter().all(|part| part.parse::<u16>().is_ok()) {
        true => Ok(format!("v{version}")),
        false => Err("expected a version, such as v1.36.3".to_owned()),
    }
}

/// There are node images of full versions alone.
fn full_version(text: &str) -> Parsed<String> {
    match kubernetes_version(text)? {
        version if version.matches('.').count() == 2 => Ok(version),
        _ => Err("expected a full version, such as v1.36.3".to_owned()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::setting::Flags;

    static CLUSTER: Section =
        Section { heading: None, provider: None, settings: &[&PROVIDER, &CLUSTER_NAME, &CONTEXT, &AGENT_IMAGE] };

    /// Those of flags and variables.
    pub fn values(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Values> {
        let flags: Flags = flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
        let environment =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let sections: Vec<&'static Section> =
            [&CLUSTER, &NEW_CLUSTER].into_iter().chain(PLACES).chain(SECTIONS).collect();
        Values::resolve(&sections, &flags, &environment, None)
    }

    #[test]
    fn what_cannot_be_a_name_or_a_number_of_nodes_is_refused() {
        for (key, value) in [("clusterName", "-x"), ("nodes", "0+2"), ("kubernetesVersion", "1"), ("provider", "gke")] {
            assert!(values(&[(key, value)], &[]).is_err(), "{key} {value}");
        }
        let error = cluster_spec(&values(&[("kubernetesVersion", "1.36")], &[]).unwrap()).unwrap_err();
        assert_eq!(error.message, "--kubernetes-version: \"1.36\": expected a full version, such as v1.36.3");
        let spec = cluster_spec(&values(&[("nodes", "1+2"), ("kubernetesVersion", "1.36.3")], &[]).unwrap()).unwrap();
        assert_eq!((spec.control_planes, spec.workers, spec.name.as_str()), (1, 2, DEFAULT_CLUSTER));
        assert_eq!(spec.kubernetes_version.as_deref(), Some("v1.36.3"));
    }
}
