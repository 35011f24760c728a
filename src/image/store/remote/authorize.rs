//! The header with which a registry's challenge is answered: name and password, or a token from its own authority.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::{Checked, Door, RemoteRegistry, challenge::Challenge, refusal::Refusal};

impl RemoteRegistry {
    pub(super) async fn authorization_for(&self, door: &Door, repository: &str) -> Checked<Option<HeaderValue>> {
        match &door.challenge {
            None => Ok(None),
            Some(_) if self.credentials.is_none() => Err(Refusal::NoCredentials),
            Some(challenge) => {
                let scope = format!("repository:{repository}:pull,push");
                self.authorization(door, challenge, Some(&scope)).await.map(Some)
            }
        }
    }

    /// The header that answers the challenge.
    pub(super) async fn authorization(
        &self,
        door: &Door,
        challenge: &Challenge,
        scope: Option<&str>,
    ) -> Checked<HeaderValue> {
        match challenge {
            Challenge::Basic => self.basic().ok_or(Refusal::NoCredentials),
            Challenge::Bearer { realm, service } => self.token(door, realm, service.as_deref(), scope).await,
        }
    }

    fn basic(&self) -> Option<HeaderValue> {
        let credentials = self.credentials.as_ref()?;
        let (name, password) = (credentials.username.as_ref()?, credentials.password.as_ref()?);
        let mut value =
            HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A token from the registry's own authority: with name and password, or for an identity token.
    async fn token(
        &self,
        door: &Door,
        realm: &Url,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Checked<HeaderValue> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        if door.base.scheme() == "https" && realm.scheme() != "https" {
            return Err(Refusal::NotARegistry {
                seen: format!("it wants the credentials sent unencrypted, to {realm}"),
            });
        }
        let asked = service.map(|service| ("service", service)).into_iter().chain(scope.map(|scope| ("scope", scope)));
        let identity = self.credentials.as_ref().and_then(|credentials| credentials.identitytoken.as_deref());
        let answer = match identity {
            Some(identity) => {
                let grant = [("grant_type", "refresh_token"), ("client_id", "stackctl"), ("refresh_token", identity)];
                let body = Bytes::from(form(asked.chain(grant)));
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.send(Method::POST, realm.clone(), None, &[(header::CONTENT_TYPE, kind)], body).await?
            }
            None => {
                let mut url = realm.clone();
                let parts: Vec<String> = url.query().map(str::to_owned).into_iter().chain([form(asked)]).collect();
                let query = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
                url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
                self.send(Method::GET, url, self.basic().as_ref(), &[], Bytes::new()).await?
            }
        };
        match answer.status {
            _ if answer.is_html() => return Err(answer.no_registry(realm)),
            status if status.is_success() => {}
            StatusCode::FORBIDDEN if scope.is_some() && !answer.says_expired() => return Err(Refusal::NotAllowed),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.wrong(&answer)),
            // OAuth's answer to a refresh token that no longer counts.
            StatusCode::BAD_REQUEST if identity.is_some() => return Err(Refusal::Expired),
            _ => return Err(answer.unexpected(realm)),
        }
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let Some(mut header) = header else { return Err(answer.no_registry(realm)) };
        header.set_sensitive(true);
        Ok(header)
    }
}

fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
