//! Which engine to talk to, decided as docker itself does: DOCKER_HOST, DOCKER_CONTEXT, the current context of
//! config.json, the default socket.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::image::auth::docker_config::DockerConfig;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As a value of DOCKER_HOST: `unix:///var/run/docker.sock`, `tcp://10.0.0.5:2376`.
    pub url: String,
    /// What decided it, for people.
    pub origin: String,
    pub address: Address,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp {
        /// `host:port`
        authority: String,
        tls: Option<Tls>,
    },
}

/// Files that prove who both sides are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The variables that matter, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    pub fn current() -> Environment {
        let names = [
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "DOCKER_TLS_VERIFY",
            "DOCKER_CERT_PATH",
            "HOME",
            "XDG_RUNTIME_DIR",
        ];
        Environment(names.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    #[cfg(test)]
    pub(super) fn of(variables: &[(&str, &str)]) -> Environment {
        Environment(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// Where docker keeps config.json and the contexts.
    pub(super) fn config_dir(&self) -> PathBuf {
        match self.get("DOCKER_CONFIG") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(self.get("HOME").unwrap_or("/")).join(".docker"),
        }
    }
}

/// Reads docker's configuration; connects to nothing. Blocking.
pub fn find(environment: &Environment) -> Result<Endpoint> {
    let config = environment.config_dir();
    if let Some(host) = environment.get("DOCKER_HOST") {
        let dir = environment.get("DOCKER_CERT_PATH").map_or(config, PathBuf::from);
        let tls = environment.get("DOCKER_TLS_VERIFY").is_some() || environment.get("DOCKER_CERT_PATH").is_some();
        return endpoint(host, tls.then(|| Tls::in_dir(&dir)), "DOCKER_HOST".to_owned());
    }
    if let Some(name) = environment.get("DOCKER_CONTEXT") {
        return context(&config, name, format!("DOCKER_CONTEXT={name}"), environment);
    }
    let current = DockerConfig::read(environment)
        .map_err(|error| error.hint("or name the engine with DOCKER_HOST, if nothing but the engine matters"))?
        .current_context;
    match current.filter(|name| !name.is_empty()) {
        Some(name) => context(&config, &name, format!("docker context {name}"), environment),
        None => default_socket(environment),
    }
}

impl Tls {
    fn in_dir(dir: &Path) -> Tls {
        Tls { ca: dir.join("ca.pem"), cert: dir.join("cert.pem"), key: dir.join("key.pem") }
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Preflight, format!("cannot read docker's configuration {}", path.display()))
        .cause(error)
        .hint("Repair the file, or name the engine with DOCKER_HOST")
}

/// A named context: contexts/meta/HASH/meta.json and contexts/tls/HASH/docker/, HASH being SHA-256 of the name.
fn context(config: &Path, name: &str, origin: String, environment: &Environment) -> Result<Endpoint> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "Endpoints")]
        endpoints: BTreeMap<String, Docker>,
    }
    #[derive(Deserialize)]
    struct Docker {
        #[serde(rename = "Host")]
        host: Option<String>,
    }
    if name == "default" {
        return default_socket(environment);
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = config.join("contexts/meta").join(&hash).join("meta.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::Preflight, format!("there is no docker context named `{name}` ({origin})"))
                .hint("List them with `docker context ls`, choose one with `docker context use NAME`, or unset DOCKER_CONTEXT"));
        }
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let meta: Meta = serde_json::from_str(&text).map_err(|error| unreadable(&path, &error))?;
    let host = meta.endpoints.get("docker").and_then(|docker| docker.host.as_deref());
    let host = host.ok_or_else(|| {
        Error::new(Kind::Preflight, format!("the docker context `{name}` names no engine"))
            .hint("Choose another with `docker context use NAME`")
    })?;
    let tls = config.join("contexts/tls").join(&hash).join("docker");
    endpoint(host, tls.is_dir().then(|| Tls::in_dir(&tls)), origin)
}

/// The system's socket, or that of a rootless engine when there is no other.
fn default_socket(environment: &Environment) -> Result<Endpoint> {
    let rootless = environment.get("XDG_RUNTIME_DIR").map(|dir| Path::new(dir).join("docker.sock"));
    match rootless.filter(|socket| socket.exists() && !Path::new(DEFAULT_SOCKET).exists()) {
        Some(socket) => {
            endpoint(&format!("unix://{}", socket.display()), None, "the rootless engine's socket".to_owned())
        }
        None => endpoint(&format!("unix://{DEFAULT_SOCKET}"), None, "the default socket".to_owned()),
    }
}

fn endpoint(host: &str, tls: Option<Tls>, origin: String) -> Result<Endpoint> {
    let host = host.trim();
    let (scheme, rest) = match host.split_once("://") {
        Some(parts) => parts,
        None if is_authority(host) => ("tcp", host),
        None => return Err(no_address(host, &origin)),
    };
    let address = match scheme {
        "unix" if rest.starts_with('/') => Address::Unix(PathBuf::from(rest)),
        "tcp" | "http" | "https" => {
            let authority = rest.trim_end_matches('/');
            let port = if tls.is_some() { 2376 } else { 2375 };
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
            Address::Tcp { authority, tls }
        }
        "ssh" => {
            return Err(Error::new(Kind::Preflight, format!("{host} ({origin}) is reached by SSH, which stackctl does not speak"))
                .hint(format!(
                    "Forward the engine's socket, `ssh -nNT -L $HOME/engine.sock:{DEFAULT_SOCKET} {rest}`, and set DOCKER_HOST=unix://$HOME/engine.sock"
                )));
        }
        _ => return Err(no_address(host, &origin)),
    };
    let url = if host.contains("://") { host.to_owned() } else { format!("tcp://{host}") };
    Ok(Endpoint { url, origin, address })
}

/// `10.0.0.5`, `build.example:2375`, `[::1]:2375`
fn is_authority(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let letter = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
    let is_v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).is_some_and(|name| name.contains(':'));
    is_v6 || (!name.is_empty() && name.chars().all(letter) && !name.ends_with(".sock"))
}

fn no_address(host: &str, origin: &str) -> Error {
    // What was left out of `unix:///path`, or all of it.
    let path = host.trim_start_matches("unix").trim_start_matches(':').trim_start_matches('/');
    let is_socket = host.starts_with(['/', '.', '~']) || host.starts_with("unix") || host.ends_with(".sock");
    let error = Error::new(Kind::Preflight, format!("{host} ({origin}) is no address of an engine"));
    match is_socket && !path.is_empty() {
        true => error.cause("a socket needs unix:// before its absolute path").hint(format!(
            "Set {}",
            if path.starts_with(['.', '~']) || !path.contains('/') {
                "DOCKER_HOST=unix:///path/to/docker.sock".to_owned()
            } else {
                format!("DOCKER_HOST=unix:///{path}")
            }
        )),
        false => error.hint("Use unix:///path/to/docker.sock or tcp://HOST:PORT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A docker configuration with the context `remote` over TLS.
    fn config(current: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), format!(r#"{{"auths": {{}}, "currentContext": "{current}"}}"#))
            .unwrap();
        let hash: String = Sha256::digest(b"remote").iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = dir.path().join("contexts/meta").join(&hash);
        fs::create_dir_all(&meta).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Name":"remote","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://10.0.0.5","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        fs::create_dir_all(dir.path().join("contexts/tls").join(&hash).join("docker")).unwrap();
        dir
    }

    #[test]
    fn docker_host_comes_first() {
        let config = config("remote");
        let dir = config.path().to_str().unwrap();
        let found = find(&Environment::of(&[
            ("DOCKER_HOST", "unix:///run/x.sock"),
            ("DOCKER_CONTEXT", "remote"),
            ("DOCKER_CONFIG", dir),
        ]))
        .unwrap();
        assert_eq!(found.url, "unix:///run/x.sock");
        assert_eq!(found.origin, "DOCKER_HOST");
        assert_eq!(found.address, Address::Unix("/run/x.sock".into()));
    }

    #[test]
    fn contexts_bring_their_certificates() {
        let config = config("remote");
        let dir = config.path().to_str().unwrap();
        let by_config = find(&Environment::of(&[("DOCKER_CONFIG", dir)])).unwrap();
        assert_eq!(by_config.origin, "docker context remote");
        let Address::Tcp { authority, tls: Some(tls) } = by_config.address else { panic!("expected TLS") };
        assert_eq!(authority, "10.0.0.5:2376");
        assert!(tls.ca.starts_with(config.path().join("contexts/tls")) && tls.ca.ends_with("docker/ca.pem"));

        let by_variable = find(&Environment::of(&[("DOCKER_CONFIG", dir), ("DOCKER_CONTEXT", "remote")])).unwrap();
        assert_eq!(by_variable.origin, "DOCKER_CONTEXT=remote");
        let default = find(&Environment::of(&[("DOCKER_CONFIG", dir), ("DOCKER_CONTEXT", "default")])).unwrap();
        assert_eq!(default.origin, "the default socket");
    }

    #[test]
    fn what_cannot_be_is_said_with_its_cure() {
        let config = config("gone");
        let dir = config.path().to_str().unwrap();
        let refused = |variables: &[(&str, &str)], text: &str| {
            let error = find(&Environment::of(variables)).unwrap_err();
            assert_eq!(error.kind, Kind::Preflight);
            assert!(error.message.contains(text), "{error}");
            assert!(!error.hints.is_empty());
        };
        refused(&[("DOCKER_CONFIG", dir)], "no docker context named `gone`");
        refused(&[("DOCKER_HOST", "ssh://me@far")], "SSH");
        refused(&[("DOCKER_HOST", "ftp://x")], "no address of an engine");
        fs::write(config.path().join("config.json"), "{").unwrap();
        refused(&[("DOCKER_CONFIG", dir)], "config.json");
    }

    #[test]
    fn a_socket_without_unix_is_told_from_a_host() {
        let told = |host: &str| {
            let error = endpoint(host, None, "DOCKER_HOST".to_owned()).unwrap_err();
            (error.causes.join(" "), error.hints[0].clone())
        };
        for host in [
            "/var/run/docker.sock",
            "unix:/var/run/docker.sock",
            "unix://var/run/docker.sock",
            "unix:var/run/docker.sock",
        ] {
            let (cause, hint) = told(host);
            assert!(cause.contains("a socket needs unix://"), "{host}: {cause}");
            assert_eq!(hint, "Set DOCKER_HOST=unix:///var/run/docker.sock", "{host}");
        }
        assert_eq!(told("docker.sock").1, "Set DOCKER_HOST=unix:///path/to/docker.sock");
        assert_eq!(told("./docker.sock").1, "Set DOCKER_HOST=unix:///path/to/docker.sock");
        for host in ["unix://", "tcp:10.0.0.5:1", "", "a b"] {
            assert!(told(host).1.contains("tcp://HOST:PORT"), "{host}");
        }
        for host in ["10.0.0.5", "build.example:2375", "[::1]:2375", " unix:///run/x.sock "] {
            endpoint(host, None, String::new()).unwrap_or_else(|error| panic!("{host}: {error:?}"));
        }
    }

    #[test]
    fn nothing_set_means_the_default_socket() {
        let found = find(&Environment::of(&[("HOME", "/nonexistent")])).unwrap();
        assert_eq!(found.url, "unix:///var/run/docker.sock");
        assert_eq!(endpoint("10.1.2.3:99", None, String::new()).unwrap().url, "tcp://10.1.2.3:99");
    }
}
