//! What minikube keeps of a cluster on this machine: its profile. Read from its file, for asking minikube takes a second.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    error::{Error, Kind, Result},
    state::read_if_there,
};

/// As far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Profile {
    pub driver: String,
    /// The engine network that it was told to use; empty: one of its own.
    pub network: String,
    pub kubernetes_config: KubernetesConfig,
    #[serde(deserialize_with = "or_none")]
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct KubernetesConfig {
    pub kubernetes_version: String,
    pub container_runtime: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    #[serde(rename = "IP")]
    pub ip: String,
    #[serde(rename = "Port")]
    pub port: u16,
}

/// Go writes an empty list as null.
fn or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Node>, D::Error> {
    Ok(Option::<Vec<Node>>::deserialize(deserializer)?.unwrap_or_default())
}

/// Where minikube keeps things, as it decides that itself.
pub fn home(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let named = variable("MINIKUBE_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    match named {
        Some(home) if home.ends_with(".minikube") => home,
        Some(home) => home.join(".minikube"),
        None => PathBuf::from(variable("HOME").unwrap_or_default()).join(".minikube"),
    }
}

/// A profile's folder.
pub fn folder(name: &str) -> PathBuf {
    home(|name| std::env::var(name).ok()).join("profiles").join(name)
}

/// None: there is no profile of that name.
pub fn read(name: &str) -> Result<Option<Profile>> {
    let file = folder(name).join("config.json");
    let Some(content) = read_if_there(&file)? else { return Ok(None) };
    parse(&content, &file).map(Some)
}

fn parse(content: &[u8], file: &Path) -> Result<Profile> {
    serde_json::from_slice(content).map_err(|error| {
        Error::new(Kind::Preflight, format!("cannot read minikube's profile {}", file.display()))
            .caused_by(&error)
            .hint("another version of minikube may have made it: `minikube profile list` tells what yours makes of it")
            .hint("choose another name with --cluster-name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_as_minikube_wrote_it() {
        let profile = parse(include_bytes!("testdata/profile.json"), Path::new("config.json")).unwrap();
        assert_eq!((profile.driver.as_str(), profile.network.as_str()), ("docker", ""));
        assert_eq!(profile.kubernetes_config.container_runtime, "containerd");
        assert_eq!(profile.nodes, [Node { ip: "192.168.49.2".to_owned(), port: 8443 }]);
        let half = parse(br#"{"Driver": "docker", "Nodes": null}"#, Path::new("config.json")).unwrap();
        assert!(half.nodes.is_empty());
    }

    #[test]
    fn one_that_is_broken_is_named_and_not_taken_for_none() {
        let error = parse(b"{\"Driver\": 1}", Path::new("/m/profiles/one/config.json")).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.message.contains("/m/profiles/one/config.json"), "{error:?}");
    }

    #[test]
    fn minikube_is_at_home_where_it_says_itself() {
        let at = |set: &[(&str, &str)]| {
            home(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(at(&[("HOME", "/h")]), Path::new("/h/.minikube"));
        assert_eq!(at(&[("HOME", "/h"), ("MINIKUBE_HOME", "/m")]), Path::new("/m/.minikube"));
        assert_eq!(at(&[("MINIKUBE_HOME", "/m/.minikube")]), Path::new("/m/.minikube"));
    }
}
