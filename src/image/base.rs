//! Base images: which exact image a name in FROM stands for, without going online unless told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::{StreamExt, future::try_join_all};

use super::{BuildSpec, Engine, context::Context, dockerfile, reference::Reference};
use crate::image::auth::credentials;
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    stack::model::Service,
};

/// How long a pull may say nothing before it is given up.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// The lock file of the embedded stacks.
pub const EMBEDDED_LOCK: &str = include_str!("../../images.lock");

/// Upstream digests by `repository:tag`, both written out in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(BTreeMap<String, String>);

impl Lock {
    /// Lines `node:22-slim sha256:…`, and comments. `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Lock> {
        let mut images = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
            if line.is_empty() {
                continue;
            }
            let mut words = line.split_whitespace();
            let entry = match (words.next(), words.next(), words.next()) {
                (Some(image), Some(digest), None) if is_digest(digest) => Some((image, digest)),
                _ => None,
            };
            let (image, digest) = entry.ok_or_else(|| {
                Error::new(Kind::Usage, format!("{file}:{}:1: expected an image and its digest", index + 1))
                    .hint("For example: node:22-slim sha256:<64 hexadecimal digits>")
            })?;
            images.insert(key(&Reference::parse(image)), digest.to_owned());
        }
        Ok(Lock(images))
    }

    fn digest(&self, reference: &Reference) -> Option<&str> {
        self.0.get(&key(reference)).map(String::as_str)
    }
}

fn key(reference: &Reference) -> String {
    format!("{}:{}", reference.repository(), reference.tag.as_deref().unwrap_or_default())
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The base images of a service, as its Dockerfile names them for this platform.
pub fn of(service: &Service) -> Result<BTreeSet<String>> {
    let context = Context::load(&service.context, &service.dockerfile)?;
    Ok(dockerfile::read(&context.dockerfile, &service.args, "").images)
}

/// What the engine has under a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalImage {
    pub id: String,
    /// `node@sha256:…` for each registry it came from.
    pub repo_digests: Vec<String>,
    /// Its ONBUILD instructions.
    pub triggers: Vec<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    /// What runs where a build begins with it; None: not known, for the image is not here.
    pub triggers: Option<Vec<String>>,
}

/// By name, for all base images of a Dockerfile.
pub async fn identities(
    images: impl IntoIterator<Item = &String>,
    lock: &Lock,
    engine: Option<&Engine>,
) -> Result<BTreeMap<String, Identity>> {
    let resolved = images.into_iter().map(|image| async move {
        let local = match engine {
            Some(engine) => inspect(engine, image).await?,
            None => None,
        };
        let id = identity(image, lock, local.as_ref());
        // The lock names no images with triggers.
        let locked = lock.digest(&Reference::parse(image)) == Some(&id);
        let triggers = local.map(|local| local.triggers).or(locked.then(Vec::new));
        Ok::<_, Error>((image.clone(), Identity { id, triggers }))
    });
    Ok(try_join_all(resolved).await?.into_iter().collect())
}

/// The digest that the name itself or the lock gives, unless a different image is there locally under that name.
fn identity(image: &str, lock: &Lock, local: Option<&LocalImage>) -> String {
    let reference = Reference::parse(image);
    if let Some(digest) = reference.digest {
        return digest;
    }
    match (lock.digest(&reference), local) {
        (Some(locked), None) => locked.to_owned(),
        (Some(locked), Some(local)) if came_from(local, &reference, locked) => locked.to_owned(),
        (_, Some(local)) => local.id.clone(),
        // Neither known nor there: whatever the name means when the engine pulls it.
        (None, None) => key(&reference),
    }
}

fn came_from(local: &LocalImage, reference: &Reference, digest: &str) -> bool {
    local
        .repo_digests
        .iter()
        .map(|text| Reference::parse(text))
        .any(|pulled| pulled.repository() == reference.repository() && pulled.digest.as_deref() == Some(digest))
}

/// None when the engine has no such image.
pub async fn inspect(engine: &Engine, image: &str) -> Result<Option<LocalImage>> {
    match engine.docker.inspect_image(image).await {
        Ok(found) => {
            let config = found.config.unwrap_or_default();
            Ok(Some(LocalImage {
                id: found.id.unwrap_or_default(),
                repo_digests: found.repo_digests.unwrap_or_default(),
                triggers: config.on_build.unwrap_or_default(),
                labels: config.labels.unwrap_or_default().into_iter().collect(),
            }))
        }
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(engine.failed(&format!("inspecting image {image}"), &error)),
    }
}

/// `--pull`: brings the base images of a service up to date, before its fingerprint is taken.
pub async fn pull(engine: &Engine, spec: &BuildSpec, progress: &Progress) -> Result<()> {
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    let context = crate::error::blocking(move || Context::load(&source, &name)).await?;
    for image in dockerfile::read(&context.dockerfile, &spec.args, &spec.platform).images {
        progress.say(format!("pulling {image}"));
        pull_image(engine, &image, &spec.platform).await?;
    }
    Ok(())
}

/// Pulls one image with docker's own credentials.
pub async fn pull_image(engine: &Engine, image: &str, platform: &str) -> Result<()> {
    let reference = Reference::parse(image);
    let (credentials, trouble) = credentials::for_pull(&reference.host).await;
    let options = CreateImageOptionsBuilder::default().from_image(image).platform(platform).build();
    let mut stream = engine.docker.create_image(Some(options), None, credentials);
    loop {
        let next = tokio::time::timeout(SILENCE, stream.next()).await;
        let next = next.map_err(|_| {
            Error::new(Kind::Platform, format!("pulling {image}: no progress for {} minutes", SILENCE.as_secs() / 60))
                .hint(format!("check that the registry {} can be reached, then run this again", reference.host))
        })?;
        let Some(status) = next else { return Ok(()) };
        status.map_err(|error| {
            let failed = engine.failed(&format!("pulling {image}"), &error).hint(format!(
                "Check the name, and that the registry {} can be reached; see --registry-mirror",
                reference.host
            ));
            credentials::add_trouble(failed, trouble.as_ref())
        })?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn local(repo_digests: &[String]) -> LocalImage {
        LocalImage { id: "sha256:local".into(), repo_digests: repo_digests.to_vec(), ..LocalImage::default() }
    }

    #[test]
    fn the_lock_counts_unless_another_image_is_there() {
        let lock = Lock::parse(&format!("# why\nnode:22-slim {A} # comment\n"), "images.lock").unwrap();
        assert_eq!(identity("node:22-slim", &lock, None), A);
        assert_eq!(identity("docker.io/library/node:22-slim", &lock, None), A);
        assert_eq!(identity("node:22-slim", &lock, Some(&local(&[format!("node@{A}")]))), A);
        assert_eq!(identity("node:22-slim", &lock, Some(&local(&[format!("node@{B}")]))), "sha256:local");
        assert_eq!(identity("node:22-slim", &lock, Some(&local(&[format!("other@{A}")]))), "sha256:local");
        assert_eq!(identity("node:22-slim", &lock, Some(&local(&[]))), "sha256:local");
        assert_eq!(identity("redis", &lock, Some(&local(&[]))), "sha256:local");
        assert_eq!(identity("redis", &lock, None), "docker.io/library/redis:latest");
        assert_eq!(identity(&format!("node:22-slim@{B}"), &lock, Some(&local(&[]))), B);
    }

    #[test]
    fn a_bad_lock_names_its_line() {
        for bad in ["node", "node sha256:12", &format!("node {A} more")] {
            let error = Lock::parse(&format!("\n{bad}"), "images.lock").unwrap_err();
            assert!(error.message.starts_with("images.lock:2:1: "), "{error}");
        }
    }

    #[test]
    fn the_embedded_lock_is_valid() {
        assert!(!Lock::parse(EMBEDDED_LOCK, "images.lock").unwrap().0.is_empty());
    }
}
