//! A registry of somebody else: whether it asks who we are, whether it takes our credentials, what they allow.
//!
//! Asked directly and not through the engine, whose words for all of this are much the same.

mod answer;
mod authorize;
mod challenge;
mod refusal;
mod store;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, time::Duration};

use bollard::auth::DockerCredentials;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use url::Url;

use self::{answer::Answer, challenge::Challenge};
pub use self::{
    refusal::{Refusal, is_ecr},
    store::{Remote, RemoteStore},
};
use crate::image::reference::Reference;
use crate::{client, error::Result, tls};

const CONNECT: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(10);
/// Manifests are a few kilobytes.
const LARGEST: usize = 8 * 1024 * 1024;
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

type Checked<T> = std::result::Result<T, Refusal>;

/// A registry as this machine reaches it, and what we have to show there.
#[derive(Clone)]
pub struct RemoteRegistry {
    /// As images name it: `ghcr.io`, `127.0.0.1:5000`.
    pub host: String,
    credentials: Option<DockerCredentials>,
    client: client::Client<Full<Bytes>>,
}

/// What a registry answers to whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// It asks nobody.
    Open,
    /// It asks, and nothing was shown.
    Asks,
    /// It asks, and takes what was shown.
    Welcome,
}

/// How the registry wants to be asked.
struct Door {
    base: Url,
    /// None: no questions.
    challenge: Option<Challenge>,
}

/// `ghcr.io` of `ghcr.io/ORG`, which is how `--registry` and `login` are told.
pub fn host_of(prefix: &str) -> String {
    Reference::parse(&format!("{prefix}/image")).host
}

/// `ORG/hello/web` for the prefix `ghcr.io/ORG` and `hello/web`.
pub fn path_below(prefix: &str, repository: &str) -> String {
    Reference::parse(&format!("{prefix}/{repository}")).path
}

impl RemoteRegistry {
    pub fn new(host: &str, credentials: Option<DockerCredentials>) -> Result<RemoteRegistry> {
        let client = client::outward(tls::client::config(None)?, CONNECT);
        Ok(RemoteRegistry { host: host.to_owned(), credentials, client })
    }

    /// With docker's own credentials for that host.
    pub async fn of(host: &str) -> Result<RemoteRegistry> {
        RemoteRegistry::new(host, crate::image::auth::credentials::find(host).await?)
    }

    pub fn credentials(&self) -> Option<&DockerCredentials> {
        self.credentials.as_ref()
    }

    /// Whether it asks who we are and takes what we show.
    pub async fn greet(&self) -> Checked<Greeting> {
        let door = self.door().await?;
        let Some(challenge) = &door.challenge else { return Ok(Greeting::Open) };
        if self.credentials.is_none() {
            return Ok(Greeting::Asks);
        }
        let authorization = self.authorization(&door, challenge, None).await?;
        let answer = self.send(Method::GET, self.url(&door, "/v2/")?, Some(&authorization), &[], Bytes::new()).await?;
        match answer.status {
            _ if answer.is_html() => Err(answer.no_registry(&door.base)),
            status if status.is_success() => Ok(Greeting::Welcome),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.wrong(&answer)),
            _ => Err(answer.unexpected(&door.base)),
        }
    }

    /// Whether an image could be pushed to `ORG/hello/web`: an upload is begun and given up.
    pub async fn may_push(&self, repository: &str) -> Checked<()> {
        let door = self.door().await?;
        let authorization = self.authorization_for(&door, repository).await?;
        let url = self.url(&door, &format!("/v2/{repository}/blobs/uploads/"))?;
        let answer = self.send(Method::POST, url, authorization.as_ref(), &[], Bytes::new()).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refused(&answer, &door.base, repository));
        }
        let upload = answer.header(header::LOCATION).and_then(|location| door.base.join(location).ok());
        // Only where the credentials belong. One that stays behind is the registry's to tidy away.
        if let Some(upload) = upload.filter(|upload| upload.origin() == door.base.origin()) {
            let _ = self.send(Method::DELETE, upload, authorization.as_ref(), &[], Bytes::new()).await;
        }
        Ok(())
    }

    /// Gives the manifest of that digest a further tag.
    pub async fn tag(&self, repository: &str, digest: &str, tag: &str) -> Checked<()> {
        let door = self.door().await?;
        let authorization = self.authorization_for(&door, repository).await?;
        let url = |name: &str| self.url(&door, &format!("/v2/{repository}/manifests/{name}"));
        let accept = [(header::ACCEPT, HeaderValue::from_static(MANIFESTS))];
        let found = self.send(Method::GET, url(digest)?, authorization.as_ref(), &accept, Bytes::new()).await?;
        if !found.status.is_success() || found.is_html() {
            return Err(self.refused(&found, &door.base, repository));
        }
        let kind = found.headers.get(header::CONTENT_TYPE).cloned();
        let kind: Vec<_> = kind.into_iter().map(|kind| (header::CONTENT_TYPE, kind)).collect();
        let put = self.send(Method::PUT, url(tag)?, authorization.as_ref(), &kind, found.body).await?;
        match put.status.is_success() {
            true => Ok(()),
            false => Err(self.refused(&put, &door.base, repository)),
        }
    }

    /// Knocks without showing anything. A registry on this machine may speak plain HTTP, as docker allows it too.
    async fn door(&self) -> Checked<Door> {
        let host = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        let base = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/"))
                .map_err(|error| Refusal::NotARegistry { seen: format!("{host} is not a host: {error}") })
        };
        let secure = base("https")?;
        let answer = self.send(Method::GET, self.at(&secure, "/v2/")?, None, &[], Bytes::new()).await;
        let (base, answer) = match answer {
            Err(_) if is_loopback(host) => {
                let plain = base("http")?;
                let answer = self.send(Method::GET, self.at(&plain, "/v2/")?, None, &[], Bytes::new()).await?;
                (plain, answer)
            }
            answer => (secure, answer?),
        };
        let challenge = match answer.status {
            StatusCode::UNAUTHORIZED => match Challenge::of(&answer.headers) {
                Some(challenge) => Some(challenge),
                None => return Err(answer.no_registry(&base)),
            },
            _ if answer.is_html() => return Err(answer.no_registry(&base)),
            status if status.is_success() => None,
            StatusCode::NOT_FOUND => return Err(answer.no_registry(&base)),
            _ => return Err(answer.unexpected(&base)),
        };
        Ok(Door { base, challenge })
    }

    /// A refusal of the credentials themselves.
    fn wrong(&self, answer: &Answer) -> Refusal {
        let Some(credentials) = &self.credentials else { return Refusal::NoCredentials };
        let secret = credentials.identitytoken.as_ref().or(credentials.password.as_ref());
        let over = secret.is_some_and(|secret| refusal::is_over(secret, jiff::Timestamp::now()));
        if over || answer.says_expired() { Refusal::Expired } else { Refusal::WrongCredentials }
    }

    /// A refusal of what was asked for in a repository, after the credentials were shown.
    fn refused(&self, answer: &Answer, at: &Url, repository: &str) -> Refusal {
        match answer.status {
            _ if answer.is_html() => answer.no_registry(at),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if answer.says_expired() => Refusal::Expired,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.credentials.is_none() => Refusal::NoCredentials,
            // To Basic there is one answer for both; a token was given before, so it is the permission that lacks.
            StatusCode::UNAUTHORIZED if matches!(Challenge::of(&answer.headers), Some(Challenge::Basic)) => {
                self.wrong(answer)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Refusal::NotAllowed,
            StatusCode::NOT_FOUND => Refusal::NoRepository { repository: repository.to_owned() },
            _ => answer.unexpected(at),
        }
    }

    fn url(&self, door: &Door, path: &str) -> Checked<Url> {
        self.at(&door.base, path)
    }

    fn at(&self, base: &Url, path: &str) -> Checked<Url> {
        base.join(path).map_err(|error| Refusal::NotARegistry { seen: format!("{base}{path}: {error}") })
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        authorization: Option<&HeaderValue>,
        headers: &[(header::HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Checked<Answer> {
        let unreachable = |why: String| Refusal::Unreachable { why };
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::USER_AGENT, concat!("stackctl/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| unreachable(format!("{url}: {error}")))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| unreachable(root_cause(&error)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| unreachable(format!("its answer ended early: {error}")))?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        let answer = tokio::time::timeout(ANSWER, exchange).await;
        answer.unwrap_or_else(|_| Err(unreachable(format!("no answer within {} s", ANSWER.as_secs()))))
    }
}

/// hyper's own words are only that it failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    name == "localhost" || address.is_some_and(|address| address.is_loopback())
}
