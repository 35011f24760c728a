//! Docker's own credentials for registries: config.json, credential stores and helpers.

use std::{fs::File, io};

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::endpoint::Environment;
use crate::error::{Error, Kind, Result};

/// Where docker keeps what it knows of Docker Hub.
pub(super) const HUB: &str = "https://index.docker.io/v1/";

/// None when docker has none for this host: the registry is then asked anonymously.
pub async fn find(host: &str) -> Result<Option<DockerCredentials>> {
    let host = host.to_owned();
    // A helper is a child process.
    super::blocking(move || look_up(&Environment::current(), &host)).await
}

fn look_up(environment: &Environment, host: &str) -> Result<Option<DockerCredentials>> {
    let is_hub = matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let candidates = if is_hub { vec![HUB.to_owned()] } else { vec![host.to_owned(), format!("https://{host}")] };
    for server in candidates {
        let config = match File::open(environment.config_dir().join("config.json")) {
            Ok(config) => config,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(_) => return Err(broken(&server, &CredentialRetrievalError::ConfigReadError)),
        };
        match docker_credential::get_credential_from_reader(config, &server) {
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
            Err(error) => return Err(broken(&server, &error)),
        }
    }
    Ok(None)
}

/// What a helper printed may hold a secret and is left out.
fn broken(server: &str, error: &CredentialRetrievalError) -> Error {
    let cause = match error {
        CredentialRetrievalError::HelperFailure { helper, .. } => format!("docker-credential-{helper} failed"),
        other => other.to_string(),
    };
    Error::new(Kind::Preflight, format!("docker's credentials for {server} cannot be read"))
        .cause(cause)
        .hint(format!("Run `stackctl login {server}` again, or repair config.json in docker's configuration folder"))
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
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}, "r.example:5000": {"auth": "eW91Om90aGVy"}},
                "credHelpers": {"broken.example": "stackctl-test-none"}}"#,
        );
        let name = |host: &str| look_up(&environment, host).unwrap().and_then(|found| found.username);
        assert_eq!(name("docker.io").as_deref(), Some("me"));
        assert_eq!(name("registry-1.docker.io").as_deref(), Some("me"));
        assert_eq!(name("r.example:5000").as_deref(), Some("you"));
        assert_eq!(name("127.0.0.1:5000"), None);
        let error = look_up(&environment, "broken.example").unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        write("{");
        assert!(look_up(&environment, "docker.io").is_err());
    }
}
