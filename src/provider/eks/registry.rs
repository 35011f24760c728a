//! The account's own registry: nodes pull from it by their role, and who pushes shows a token that AWS gives for a while.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{client::Doing, cluster::EksCluster, names};
use crate::{
    error::{Error, Kind, Result},
    provider::OwnRegistry,
};

impl EksCluster {
    pub async fn own_registry(&self) -> Result<OwnRegistry> {
        let answer = self.aws.ecr.get_authorization_token().send().await.doing("asking for a way into the registry")?;
        let data = answer.authorization_data.unwrap_or_default().into_iter().next();
        let known = data.and_then(|data| Some((data.authorization_token?, data.proxy_endpoint?)));
        let missing = || Error::new(Kind::Platform, "AWS gives no token for its registry");
        let (token, endpoint) = known.ok_or_else(missing)?;
        let (username, password) = user(&token).ok_or_else(missing)?;
        let host = endpoint.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let repositories = names::repositories(&self.name);
        Ok(OwnRegistry { prefix: format!("{host}/{}", repositories.trim_end_matches('/')), username, password })
    }
}

/// `AWS` and a password, in base64.
fn user(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_user_and_a_password() {
        assert_eq!(user("QVdTOnNlY3JldDp4"), Some(("AWS".to_owned(), "secret:x".to_owned())));
        assert_eq!(user("?"), None);
    }
}
