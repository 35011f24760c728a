//! Docker's own credentials for registries: config.json, credential stores and helpers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::docker_config::{self, DockerConfig};
use crate::error::{Error, Kind, Result};
use crate::image::{
    endpoint::Environment,
    store::remote::{Greeting, RemoteRegistry},
};

/// Where docker keeps what it knows of Docker Hub.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// What somebody has given this process for a host: no file has it.
static GRANTED: Mutex<BTreeMap<String, (String, String)>> = Mutex::new(BTreeMap::new());

/// From now on this process shows these to a host, whatever docker has for it.
pub fn grant(host: &str, username: &str, password: &str) {
    let granted = (username.to_owned(), password.to_owned());
    GRANTED.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), granted);
}

fn granted(host: &str) -> Option<DockerCredentials> {
    let granted = GRANTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (username, password) = granted.get(host).cloned()?;
    Some(DockerCredentials {
        username: Some(username),
        password: Some(password),
        serveraddress: Some(host.to_owned()),
        ..Default::default()
    })
}

/// None when docker has none for this host, or the host asks nobody: a helper is started, and a broken file is an error,
/// only where a login is needed.
pub async fn find(host: &str) -> Result<Option<DockerCredentials>> {
    if let Some(granted) = granted(host) {
        return Ok(Some(granted));
    }
    if !needs_help(&Environment::current(), host) {
        return look_up_apart(host).await;
    }
    let greeting = RemoteRegistry::new(host, None)?.greet().await;
    if matches!(greeting, Ok(Greeting::Open)) {
        return Ok(None);
    }
    look_up_apart(host).await
}

/// For pulls, which mostly need no login: the credentials, or why there are none, for the error of a pull that fails.
pub async fn for_pull(host: &str) -> (Option<DockerCredentials>, Option<Error>) {
    match look_up_apart(host).await {
        Ok(found) => (found, None),
        Err(trouble) => (None, Some(trouble)),
    }
}

/// The error of a pull, with what kept the credentials from it where that may be why.
pub fn add_trouble(failed: Error, trouble: Option<&Error>) -> Error {
    const WORDS: [&str; 6] =
        ["access denied", "unauthorized", "authoriz", "authentication required", "no basic auth", "403 forbidden"];
    let refused = |cause: &String| {
        let cause = cause.to_lowercase();
        WORDS.iter().any(|word| cause.contains(word))
    };
    match trouble {
        Some(trouble) if failed.causes.iter().any(refused) => {
            let causes = std::iter::once(&trouble.message).chain(&trouble.causes);
            let failed = causes.fold(failed, |failed, cause| failed.cause(cause));
            trouble.hints.iter().fold(failed, |failed, hint| failed.hint(hint))
        }
        _ => failed,
    }
}

async fn look_up_apart(host: &str) -> Result<Option<DockerCredentials>> {
    let host = host.to_owned();
    // A helper is a child process.
    crate::error::blocking(move || look_up(&Environment::current(), &host)).await
}

/// As docker may name a host's server.
fn servers(host: &str) -> Vec<String> {
    match matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        true => vec![HUB.to_owned()],
        false => vec![host.to_owned(), format!("https://{host}")],
    }
}

/// Whether it takes more than reading a file that can be read.
fn needs_help(environment: &Environment, host: &str) -> bool {
    match DockerConfig::read(environment) {
        Ok(config) => servers(host).iter().any(|server| config.helper(server).is_some()),
        Err(_) => true,
    }
}

fn look_up(environment: &Environment, host: &str) -> Result<Option<DockerCredentials>> {
    let path = docker_config::path(environment);
    let Some(text) = docker_config::text(&path)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let config = DockerConfig::parse(&path, &text)?;
    for server in servers(host) {
        match docker_credential::get_credential_from_reader(text.as_bytes(), &server) {
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(DockerCredentials {
                    identitytoken: Some(token),
                    serveraddress: Some(server),
                    ..Default::default()
                }));
            }
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Some(DockerCredentials {
                    username: Some(username),
                    password: Some(password),
                    serveraddress: Some(server),
                    ..Default::default()
                }));
            }
            // A helper that does not know the server fails just as one that is broken, but says so in these words.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            }
            Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {}
            Err(error) => return Err(broken(&path, &config, &server, &error)),
        }
    }
    Ok(None)
}

/// What a helper printed may hold a secret and is left out.
fn broken(path: &std::path::Path, config: &DockerConfig, server: &str, error: &CredentialRetrievalError) -> Error {
    let file = path.display();
    let what = Error::new(Kind::Preflight, format!("docker's credentials for {server} cannot be read"));
    let Some(helper) = config.helper(server) else {
        return what
            .cause(format!("{file}: {error}"))
            .hint(format!("Run `stackctl login {server}` again, or repair {file}"));
    };
    let program = format!("docker-credential-{}", helper.name);
    let why = match error {
        CredentialRetrievalError::HelperCommunicationError => "cannot be started: is it on the PATH?".to_owned(),
        CredentialRetrievalError::HelperFailure { .. } => "failed".to_owned(),
        other => format!("gave no credentials: {other}"),
    };
    what.cause(format!("{program}, which {file} names in `{}`, {why}", helper.key)).hint(format!(
        "Install or repair {program}, or take it out of `{}` in {file} and run `stackctl login {server}`",
        helper.key
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn found_as_docker_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::of(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())]);
        assert_eq!(look_up(&environment, "docker.io").unwrap(), None);
        let write = |text: &str| fs::write(dir.path().join("config.json"), text).unwrap();
        // "me:secret" and "you:other"
        write(
            "\u{feff}{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": \"bWU6c2VjcmV0\"},
                \"r.example:5000\": {\"auth\": \"eW91Om90aGVy\"}},
                \"credHelpers\": {\"broken.example\": \"stackctl-test-none\"}}",
        );
        let name = |host: &str| look_up(&environment, host).unwrap().and_then(|found| found.username);
        assert_eq!(name("docker.io").as_deref(), Some("me"));
        assert_eq!(name("registry-1.docker.io").as_deref(), Some("me"));
        assert_eq!(name("r.example:5000").as_deref(), Some("you"));
        assert_eq!(name("127.0.0.1:5000"), None);
        assert!(!needs_help(&environment, "docker.io") && needs_help(&environment, "broken.example"));
        for empty in ["", " "] {
            write(empty);
            assert_eq!(look_up(&environment, "docker.io").unwrap(), None);
        }
        write("{");
        assert!(look_up(&environment, "docker.io").is_err() && needs_help(&environment, "docker.io"));
    }

    #[test]
    fn a_helper_that_is_missing_is_named_with_the_file_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::of(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())]);
        fs::write(dir.path().join("config.json"), r#"{"credsStore": "stackctl-test-none"}"#).unwrap();
        let error = look_up(&environment, "r.example").unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        let file = dir.path().join("config.json").display().to_string();
        let cause =
            format!("docker-credential-stackctl-test-none, which {file} names in `credsStore`, cannot be started");
        assert!(error.causes[0].starts_with(&cause), "{error:?}");
        // A pull that failed for another reason has nothing to do with it.
        let failed = |cause: &str| add_trouble(Error::new(Kind::Build, "x").cause(cause), Some(&error));
        assert_eq!(failed("no space left on device").causes.len(), 1);
        assert!(failed("pull access denied").causes.join(" ").contains("stackctl-test-none"));
    }
}
