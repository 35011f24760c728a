//! The HTTP API of a registry (OCI distribution), as far as one beside the cluster is needed: no credentials, plain HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::{
    client::{self, Dialer},
    error::{Context as _, Error, Kind, Result},
};

const DEADLINE: Duration = Duration::from_secs(10);
/// Manifests and image configurations are a few kilobytes.
const LARGEST: usize = 8 * 1024 * 1024;
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

#[derive(Clone)]
pub struct Registry {
    pub base: Url,
    client: Client<Dialer, Empty<Bytes>>,
}

/// What `manifest` knows of an image without pulling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    pub digest: String,
    /// When the image was built; None when its configuration does not say.
    pub created: Option<jiff::Timestamp>,
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Registry {
    /// `base` such as `http://127.0.0.1:5001`.
    pub fn new(base: Url) -> Registry {
        Registry { base, client: client::near_plain(Duration::from_secs(2)) }
    }

    /// The digest under a tag; None when the registry has no such tag.
    pub async fn manifest_digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let Some((headers, _)) = self.ask(Method::HEAD, &path).await? else { return Ok(None) };
        self.digest(&headers, &path).map(Some)
    }

    /// All tags of a repository, in no particular order; empty when there is none.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let pages: Vec<Tags> = self.pages(&format!("/v2/{repository}/tags/list")).await?;
        Ok(pages.into_iter().flat_map(|page| page.tags.unwrap_or_default()).collect())
    }

    /// All repositories.
    #[cfg(test)]
    pub async fn catalog(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Catalog {
            repositories: Vec<String>,
        }
        let pages: Vec<Catalog> = self.pages("/v2/_catalog").await?;
        Ok(pages.into_iter().flat_map(|page| page.repositories).collect())
    }

    /// Deletes a manifest and with it all its tags. One that is gone already is fine.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/v2/{repository}/manifests/{digest}")).await.map(|_| ())
    }

    /// The image under a tag, from its manifest and configuration.
    pub async fn facts(&self, repository: &str, tag: &str) -> Result<Option<ImageFacts>> {
        #[derive(Deserialize)]
        struct Manifest {
            config: Option<Descriptor>,
            manifests: Option<Vec<Descriptor>>,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: String,
        }
        #[derive(Deserialize)]
        struct Image {
            created: Option<jiff::Timestamp>,
            config: Option<Config>,
        }
        #[derive(Deserialize, Default)]
        struct Config {
            #[serde(rename = "Labels")]
            labels: Option<std::collections::BTreeMap<String, String>>,
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        let Some((headers, body)) = self.ask(Method::GET, &path).await? else { return Ok(None) };
        let digest = self.digest(&headers, &path)?;
        let mut manifest: Manifest = self.json(&body, &path)?;
        // An index: its images were built together, so any of them tells.
        if let Some(first) = manifest.manifests.take().and_then(|list| list.into_iter().next()) {
            let path = format!("/v2/{repository}/manifests/{}", first.digest);
            let Some((_, body)) = self.ask(Method::GET, &path).await? else { return Ok(None) };
            manifest = self.json(&body, &path)?;
        }
        let mut facts = ImageFacts { digest, created: None, labels: Default::default() };
        if let Some(config) = manifest.config {
            let path = format!("/v2/{repository}/blobs/{}", config.digest);
            if let Some((_, body)) = self.ask(Method::GET, &path).await? {
                let image: Image = self.json(&body, &path)?;
                facts.created = image.created;
                facts.labels = image.config.unwrap_or_default().labels.unwrap_or_default();
            }
        }
        Ok(Some(facts))
    }

    /// Follows `Link: <…>; rel="next"`.
    async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let Some((headers, body)) = self.ask(Method::GET, &path).await? else { break };
            pages.push(self.json(&body, &path)?);
            let link = headers.get(http::header::LINK).and_then(|value| value.to_str().ok());
            next = link.and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
            next = next.filter(|next| *next != path);
        }
        Ok(pages)
    }

    /// None for 404.
    async fn ask(&self, method: Method, path: &str) -> Result<Option<(HeaderMap, Bytes)>> {
        let what = || format!("{method} {path} at the registry {} failed", self.base);
        let url = self.base.join(path).context(Kind::Unexpected, what)?;
        let request = Request::builder().method(&method).uri(url.as_str()).header(http::header::ACCEPT, MANIFESTS);
        let request = request.body(Empty::new()).context(Kind::Unexpected, what)?;
        let exchange = async {
            let response = self.client.request(request).await.context(Kind::Platform, what)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| Error::new(Kind::Platform, what()).cause(error))?.to_bytes();
            Ok((parts, body))
        };
        let answer = tokio::time::timeout(DEADLINE, exchange).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Error::new(Kind::Platform, what()).cause(format!("no answer within {} s", DEADLINE.as_secs())))
        });
        let (parts, body) =
            answer.map_err(|error| error.hint("Check that the registry's container runs: `docker ps --all`"))?;
        match parts.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some((parts.headers, body))),
            status => {
                let said: String = String::from_utf8_lossy(&body).chars().take(300).collect();
                let mut error = Error::new(Kind::Platform, what()).cause(format!("{status} {said}"));
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    error = error.hint("The registry must run with REGISTRY_STORAGE_DELETE_ENABLED=true");
                }
                Err(error)
            }
        }
    }

    fn digest(&self, headers: &HeaderMap, path: &str) -> Result<String> {
        headers.get("docker-content-digest").and_then(|value| value.to_str().ok()).map(str::to_owned).ok_or_else(|| {
            Error::new(Kind::Platform, format!("{} answered {path} without a digest", self.base))
                .hint("Is that a container registry?")
        })
    }

    fn json<T: DeserializeOwned>(&self, body: &[u8], path: &str) -> Result<T> {
        serde_json::from_slice(body)
            .context(Kind::Platform, || format!("{} answered {path} with something unexpected", self.base))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers each request with what the table has for its first line.
    async fn serve(answers: &'static [(&'static str, &'static str)]) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 8192];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                        let line = request.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
                        let found = answers.iter().find(|(asked, _)| *asked == line);
                        let answer = found.map_or("404 Not Found\r\ncontent-length: 0\r\n\r\n", |(_, answer)| answer);
                        stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Registry::new(base.parse().unwrap())
    }

    #[tokio::test]
    async fn tags_and_digests() {
        let registry = serve(&[
            ("HEAD /v2/hello/web/manifests/abc", "200 OK\r\ndocker-content-digest: sha256:1\r\ncontent-length: 7\r\n\r\n"),
            (
                "GET /v2/hello/web/tags/list",
                "200 OK\r\nlink: </v2/hello/web/tags/list?last=a>; rel=\"next\"\r\ncontent-length: 31\r\n\r\n{\"name\":\"hello/web\",\"tags\":[\"a\"]}",
            ),
            ("GET /v2/hello/web/tags/list?last=a", "200 OK\r\ncontent-length: 14\r\n\r\n{\"tags\":[\"b\"]}"),
            ("GET /v2/gone/tags/list", "200 OK\r\ncontent-length: 13\r\n\r\n{\"tags\":null}"),
            ("DELETE /v2/hello/web/manifests/sha256:1", "405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"),
        ])
        .await;
        assert_eq!(registry.manifest_digest("hello/web", "abc").await.unwrap().as_deref(), Some("sha256:1"));
        assert_eq!(registry.manifest_digest("hello/web", "none").await.unwrap(), None);
        assert_eq!(registry.tags("gone").await.unwrap(), Vec::<String>::new());
        assert_eq!(registry.tags("never").await.unwrap(), Vec::<String>::new());
        registry.delete("hello/web", "sha256:2").await.unwrap();
        let refused = registry.delete("hello/web", "sha256:1").await.unwrap_err();
        assert!(refused.hints.iter().any(|hint| hint.contains("DELETE_ENABLED")), "{refused:?}");
    }

    #[tokio::test]
    async fn a_registry_that_is_gone_is_a_platform_error() {
        let registry = Registry::new("http://127.0.0.1:1".parse().unwrap());
        let error = registry.manifest_digest("a", "b").await.unwrap_err();
        assert_eq!(error.kind, Kind::Platform);
        assert!(error.message.contains("http://127.0.0.1:1"));
    }
}
