//! What nodes need to pull from a registry that asks who they are: the content of an image pull Secret.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bollard::auth::DockerCredentials;
use serde_json::json;

use crate::image::auth::login;

/// `.dockerconfigjson`: for one registry alone, whatever else docker's own configuration holds.
#[derive(Clone, PartialEq, Eq)]
pub struct PullSecret(String);

impl PullSecret {
    /// None: an identity token, which the kubelet does not know how to use.
    pub fn of(host: &str, credentials: &DockerCredentials) -> Option<PullSecret> {
        let (username, password) = (credentials.username.as_ref()?, credentials.password.as_ref()?);
        let auth = BASE64_STANDARD.encode(format!("{username}:{password}"));
        let entry = json!({"username": username, "password": password, "auth": auth});
        Some(PullSecret(json!({"auths": {login::server(host): entry}}).to_string()))
    }

    /// As `data` of a Secret has it.
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }
}

/// Never printed, not even by accident.
impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_one_registry_and_does_not_show_it() {
        let credentials = DockerCredentials {
            username: Some("me".to_owned()),
            password: Some("s3cret".to_owned()),
            ..Default::default()
        };
        let secret = PullSecret::of("ghcr.io", &credentials).unwrap();
        assert_eq!(secret, PullSecret::of("ghcr.io", &credentials).unwrap());
        let text = String::from_utf8(BASE64_STANDARD.decode(secret.base64()).unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["auths"]["ghcr.io"]["auth"], BASE64_STANDARD.encode("me:s3cret"));
        assert!(!format!("{secret:?}").contains(&secret.base64()[..8]) && !format!("{secret:?}").contains("s3cret"));
        assert_eq!(
            PullSecret::of("ghcr.io", &DockerCredentials { identitytoken: Some("x".into()), ..Default::default() }),
            None
        );
    }
}
