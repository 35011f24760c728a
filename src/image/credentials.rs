//! Docker's own credentials for registries: config.json, credential stores and helpers.

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{Error, Kind, Result};

/// Where docker keeps what it knows of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// None when docker has none for this host: the registry is then asked anonymously.
pub async fn find(host: &str) -> Result<Option<DockerCredentials>> {
    let host = host.to_owned();
    // A helper is a child process.
    super::blocking(move || look_up(&host)).await
}

fn look_up(host: &str) -> Result<Option<DockerCredentials>> {
    let is_hub = matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let candidates = if is_hub { vec![HUB.to_owned()] } else { vec![host.to_owned(), format!("https://{host}")] };
    for server in candidates {
        match docker_credential::get_credential(&server) {
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
        .hint(format!("Run `docker login {server}` again, or repair config.json in docker's configuration folder"))
}
