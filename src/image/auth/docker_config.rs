//! What docker's own config.json says, as far as it matters here.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::image::endpoint::Environment;

/// Go writes `null` for what is empty, so nothing is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DockerConfig {
    pub current_context: Option<String>,
    pub creds_store: Option<String>,
    pub cred_helpers: Option<BTreeMap<String, String>>,
    proxies: Option<BTreeMap<String, Proxies>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Proxies {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
    ftp_proxy: Option<String>,
    all_proxy: Option<String>,
}

/// The key under which docker names the program that it asks for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper<'a> {
    /// Without `docker-credential-`.
    pub name: &'a str,
    pub key: &'static str,
}

pub fn path(environment: &Environment) -> PathBuf {
    environment.config_dir().join("config.json")
}

/// The text, without a byte order mark. None: there is no such file.
pub fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// What is wrong with the file, and where.
pub fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Preflight, format!("docker's configuration {} cannot be read", path.display()))
        .cause(error)
        .hint("repair the file, or move it away and log in again")
}

impl DockerConfig {
    pub fn read(environment: &Environment) -> Result<DockerConfig> {
        let path = path(environment);
        DockerConfig::parse(&path, &text(&path)?.unwrap_or_default())
    }

    /// An empty file says nothing, as docker has it.
    pub fn parse(path: &Path, text: &str) -> Result<DockerConfig> {
        if text.trim().is_empty() {
            return Ok(DockerConfig::default());
        }
        serde_json::from_str(text).map_err(|error| {
            let at = format!("{}:{}:{}", path.display(), error.line(), error.column());
            unreadable(Path::new(&at), &error)
        })
    }

    /// The one that is asked for a server.
    pub fn helper(&self, server: &str) -> Option<Helper<'_>> {
        let named = |name: &&String| !name.is_empty();
        let own = self.cred_helpers.as_ref().and_then(|helpers| helpers.get(server)).filter(named);
        let own = own.map(|name| Helper { name, key: "credHelpers" });
        own.or(self.creds_store.as_ref().filter(named).map(|name| Helper { name, key: "credsStore" }))
    }

    /// The build arguments by which docker passes proxies on: those of this engine, else the default ones.
    pub fn proxies_of(&self, endpoint: &str) -> BTreeMap<String, String> {
        let Some(all) = &self.proxies else { return BTreeMap::new() };
        let Some(proxies) = all.get(endpoint).or(all.get("default")) else { return BTreeMap::new() };
        let named = [
            ("HTTP_PROXY", &proxies.http_proxy),
            ("HTTPS_PROXY", &proxies.https_proxy),
            ("NO_PROXY", &proxies.no_proxy),
            ("FTP_PROXY", &proxies.ftp_proxy),
            ("ALL_PROXY", &proxies.all_proxy),
        ];
        let set = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        set.filter(|(_, value)| !value.is_empty())
            .flat_map(|(name, value)| [name.to_owned(), name.to_lowercase()].map(|name| (name, value.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DockerConfig> {
        DockerConfig::parse(Path::new("/home/me/.docker/config.json"), text)
    }

    #[test]
    fn what_docker_accepts_is_accepted() {
        for empty in
            ["", " \n", "{}", "{\"auths\":{}}", "{\"credHelpers\": null, \"proxies\": null, \"credsStore\": \"\"}"]
        {
            let config = parse(empty).unwrap_or_else(|error| panic!("{empty}: {error:?}"));
            assert_eq!((config.helper("x"), config.proxies_of("y").len()), (None, 0), "{empty}");
        }
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::of(&[("DOCKER_CONFIG", folder.path().to_str().unwrap())]);
        assert_eq!(DockerConfig::read(&environment).unwrap(), DockerConfig::default());
        fs::write(path(&environment), "\u{feff}{\"currentContext\": \"far\"}").unwrap();
        assert_eq!(DockerConfig::read(&environment).unwrap().current_context.as_deref(), Some("far"));
    }

    #[test]
    fn what_is_broken_is_named_with_its_place() {
        let error = parse("{\n\"auths\":{},}").unwrap_err();
        assert_eq!(error.message, "docker's configuration /home/me/.docker/config.json:2:12 cannot be read");
        assert!(error.causes[0].contains("trailing comma"), "{error:?}");
        assert!(!error.hints.is_empty());
    }

    #[test]
    fn a_server_has_its_own_helper_or_that_of_all() {
        let config = parse(r#"{"credsStore": "desktop", "credHelpers": {"gcr.io": "gcloud", "x": ""}}"#).unwrap();
        assert_eq!(config.helper("gcr.io"), Some(Helper { name: "gcloud", key: "credHelpers" }));
        assert_eq!(config.helper("x"), Some(Helper { name: "desktop", key: "credsStore" }));
    }

    #[test]
    fn proxies_are_those_of_the_engine() {
        let config = parse(
            r#"{"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b", "httpsProxy": ""},
                "tcp://far:2376": {"allProxy": "socks5://q"}}}"#,
        )
        .unwrap();
        let names = |endpoint| config.proxies_of(endpoint).into_keys().collect::<Vec<_>>();
        assert_eq!(names("unix:///var/run/docker.sock"), ["HTTP_PROXY", "NO_PROXY", "http_proxy", "no_proxy"]);
        assert_eq!(names("tcp://far:2376"), ["ALL_PROXY", "all_proxy"]);
        assert_eq!(config.proxies_of("x")["no_proxy"], "a,b");
    }
}
