//! The configuration that kind is given: ours, with the user's own merged in.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mark::OWNER_FOLDER;
use crate::{
    error::{Context, Error, Kind, Result},
    provider::ClusterSpec,
};

/// Nodes made by kind before 0.27 read no `certs.d` unless told so; for later ones this changes nothing.
const CONFIG_PATH_PATCH: &str = r#"[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
"#;

/// `kind.x-k8s.io/v1alpha4`, as far as we must know it: parts that pass through stay what they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Node>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    networking: Option<Networking>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    feature_gates: BTreeMap<String, bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    runtime_config: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kubeadm_config_patches: Vec<String>,
    #[serde(default, rename = "kubeadmConfigPatchesJSON6902", skip_serializing_if = "Vec::is_empty")]
    kubeadm_config_patches_json: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    containerd_config_patches: Vec<String>,
    #[serde(default, rename = "containerdConfigPatchesJSON6902", skip_serializing_if = "Vec::is_empty")]
    containerd_config_patches_json: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Node {
    #[serde(default)]
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extra_mounts: Vec<ExtraMount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extra_port_mappings: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kubeadm_config_patches: Vec<String>,
    #[serde(default, rename = "kubeadmConfigPatchesJSON6902", skip_serializing_if = "Vec::is_empty")]
    kubeadm_config_patches_json: Vec<Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    #[default]
    ControlPlane,
    Worker,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExtraMount {
    host_path: String,
    container_path: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    selinux_relabel: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    propagation: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Networking {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip_family: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_server_port: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_server_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_subnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_subnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "disableDefaultCNI")]
    disable_default_cni: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kube_proxy_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns_search: Option<Vec<String>>,
}

/// The configuration for `spec`, every node carrying `owner_folder` (a path of the engine's host) as our mark.
pub fn generate(spec: &ClusterSpec, owner_folder: &Path) -> Result<Config> {
    let mut config = match &spec.kind_config {
        Some(file) => read(file, spec)?,
        None => Config::default(),
    };
    config.kind = "Cluster".to_owned();
    config.api_version = "kind.x-k8s.io/v1alpha4".to_owned();
    config.name = None;
    if config.nodes.is_empty() {
        let node = |role, count| std::iter::repeat_with(move || Node { role, ..Default::default() }).take(count);
        config.nodes.extend(node(Role::ControlPlane, spec.control_planes.into()));
        config.nodes.extend(node(Role::Worker, spec.workers.into()));
    }
    let mark = ExtraMount {
        host_path: owner_folder.display().to_string(),
        container_path: OWNER_FOLDER.to_owned(),
        read_only: true,
        ..Default::default()
    };
    for node in &mut config.nodes {
        node.extra_mounts.insert(0, mark.clone());
    }
    // First, so that the user's own patches win.
    config.containerd_config_patches.insert(0, CONFIG_PATH_PATCH.to_owned());
    Ok(config)
}

/// How many nodes the cluster will have: as the user's own configuration says, if it says so.
pub fn node_count(spec: &ClusterSpec) -> Result<usize> {
    let own = spec.kind_config.as_ref().map(|file| read(file, spec)).transpose()?;
    let asked = usize::from(spec.control_planes) + usize::from(spec.workers);
    Ok(own.map(|config| config.nodes.len()).filter(|count| *count > 0).unwrap_or(asked))
}

/// Ports of the host that the user's own configuration publishes.
pub fn host_ports(spec: &ClusterSpec) -> Result<Vec<u16>> {
    let Some(file) = &spec.kind_config else { return Ok(Vec::new()) };
    let config = read(file, spec)?;
    let mappings = config.nodes.iter().flat_map(|node| &node.extra_port_mappings);
    Ok(mappings.filter_map(|mapping| u16::try_from(mapping.get("hostPort")?.as_u64()?).ok()).collect())
}

impl Config {
    pub fn to_yaml(&self) -> Result<String> {
        serde_yaml::to_string(self).context(Kind::Unexpected, || "cannot serialise kind's configuration".to_owned())
    }
}

fn read(file: &Path, spec: &ClusterSpec) -> Result<Config> {
    let invalid = |why: String| {
        Error::new(Kind::Usage, format!("invalid kind configuration {}", file.display()))
            .cause(why)
            .hint("its format: https://kind.sigs.k8s.io/docs/user/configuration/")
    };
    let text = std::fs::read_to_string(file)
        .context(Kind::Usage, || format!("cannot read the kind configuration {}", file.display()))?;
    let config: Config = serde_yaml::from_str(&text).map_err(|error| {
        let place = error.location().map(|at| format!("{}:{}:{}: ", file.display(), at.line(), at.column()));
        invalid(format!("{}{error}", place.unwrap_or_default()))
    })?;
    if !matches!(config.kind.as_str(), "" | "Cluster") {
        return Err(invalid(format!("its kind is {}, not Cluster", config.kind)));
    }
    if !matches!(config.api_version.as_str(), "" | "kind.x-k8s.io/v1alpha4") {
        return Err(invalid(format!("its apiVersion is {}, not kind.x-k8s.io/v1alpha4", config.api_version)));
    }
    if let Some(name) = config.name.as_ref().filter(|name| **name != spec.name) {
        return Err(invalid(format!("it names the cluster {name}, but {} is asked for", spec.name))
            .hint("leave the name out, or use --cluster-name"));
    }
    let taken = |node: &Node| node.extra_mounts.iter().any(|mount| mount.container_path == OWNER_FOLDER);
    if config.nodes.iter().any(taken) {
        return Err(invalid(format!("a node mounts something at {OWNER_FOLDER}, where stackctl keeps its mark")));
    }
    let count = |role| config.nodes.iter().filter(|node| node.role == role).count();
    let found = (count(Role::ControlPlane), count(Role::Worker));
    let asked = (usize::from(spec.control_planes), usize::from(spec.workers));
    // 1+0 is what one gets who asks for nothing.
    if !config.nodes.is_empty() && asked != (1, 0) && asked != found {
        return Err(invalid(format!(
            "it has {}+{} nodes, but {}+{} are asked for",
            found.0, found.1, asked.0, asked.1
        ))
        .hint("leave out either its nodes or --nodes"));
    }
    Ok(config)
}

/// The node image to ask for; None: kind's own default.
pub fn node_image(spec: &ClusterSpec) -> Option<String> {
    let version = |version: &String| format!("kindest/node:v{}", version.trim_start_matches('v'));
    spec.node_image.clone().or_else(|| spec.kubernetes_version.as_ref().map(version))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    pub(super) fn spec() -> ClusterSpec {
        ClusterSpec { workers: 2, ..ClusterSpec::named("one") }
    }

    fn with_file(text: &str) -> (tempfile::NamedTempFile, ClusterSpec) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let spec = ClusterSpec { kind_config: Some(file.path().to_owned()), workers: 0, ..spec() };
        (file, spec)
    }

    #[test]
    fn every_node_carries_the_mark() {
        let yaml = generate(&spec(), Path::new("/state/owner")).unwrap().to_yaml().unwrap();
        insta::assert_snapshot!(yaml, @r#"
        kind: Cluster
        apiVersion: kind.x-k8s.io/v1alpha4
        nodes:
        - role: control-plane
          extraMounts:
          - hostPath: /state/owner
            containerPath: /etc/stackctl
            readOnly: true
        - role: worker
          extraMounts:
          - hostPath: /state/owner
            containerPath: /etc/stackctl
            readOnly: true
        - role: worker
          extraMounts:
          - hostPath: /state/owner
            containerPath: /etc/stackctl
            readOnly: true
        containerdConfigPatches:
        - |
          [plugins."io.containerd.grpc.v1.cri".registry]
            config_path = "/etc/containerd/certs.d"
        "#);
    }

    #[test]
    fn the_users_own_is_kept() {
        let (_file, spec) = with_file(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking:\n  disableDefaultCNI: true\n\
             nodes:\n- role: control-plane\n  extraMounts:\n  - {hostPath: /data, containerPath: /data}\n- role: worker\n\
             kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n",
        );
        let yaml = generate(&spec, Path::new("/state/owner")).unwrap().to_yaml().unwrap();
        insta::assert_snapshot!(yaml, @r#"
        kind: Cluster
        apiVersion: kind.x-k8s.io/v1alpha4
        nodes:
        - role: control-plane
          extraMounts:
          - hostPath: /state/owner
            containerPath: /etc/stackctl
            readOnly: true
          - hostPath: /data
            containerPath: /data
        - role: worker
          extraMounts:
          - hostPath: /state/owner
            containerPath: /etc/stackctl
            readOnly: true
        networking:
          disableDefaultCNI: true
        kubeadmConfigPatches:
        - |
          kind: KubeletConfiguration
        containerdConfigPatches:
        - |
          [plugins."io.containerd.grpc.v1.cri".registry]
            config_path = "/etc/containerd/certs.d"
        "#);
    }

    #[test]
    fn the_users_own_nodes_are_counted_not_those_that_nobody_asked_for() {
        assert_eq!(node_count(&spec()).unwrap(), 3);
        let (_file, with_nodes) = with_file("nodes: [{role: control-plane}, {role: worker}, {role: worker}]\n");
        assert_eq!(node_count(&with_nodes).unwrap(), 3);
        let (_file, without) = with_file("networking: {disableDefaultCNI: true}\n");
        assert_eq!(node_count(&without).unwrap(), 1);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let (_file, spec) = with_file("kind: Cluster\nnodes:\n- role: worker\n  extraMount: []\n");
        let error = generate(&spec, Path::new("/o")).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.causes[0].contains(":4:3") && error.causes[0].contains("extraMount"), "{:?}", error.causes);
    }

    #[test]
    fn another_name_another_count_or_our_place_taken_is_an_error() {
        for text in [
            "name: two\n",
            "kind: Pod\n",
            "apiVersion: v1\n",
            "nodes: [{extraMounts: [{hostPath: /a, containerPath: /etc/stackctl}]}]\n",
        ] {
            let (_file, spec) = with_file(text);
            assert_eq!(generate(&spec, Path::new("/o")).unwrap_err().kind, Kind::Usage, "{text}");
        }
        let (_file, spec) = with_file("nodes: [{role: control-plane}]\n");
        let spec = ClusterSpec { workers: 3, ..spec };
        assert!(generate(&spec, Path::new("/o")).unwrap_err().causes[0].contains("1+0 nodes, but 1+3"));
    }

    #[test]
    fn the_version_names_an_image_unless_one_is_given() {
        assert_eq!(node_image(&spec()), None);
        let versioned = ClusterSpec { kubernetes_version: Some("1.36.3".to_owned()), ..spec() };
        assert_eq!(node_image(&versioned).as_deref(), Some("kindest/node:v1.36.3"));
        let given = ClusterSpec { node_image: Some("mine:1".to_owned()), ..versioned };
        assert_eq!(node_image(&given).as_deref(), Some("mine:1"));
    }
}
