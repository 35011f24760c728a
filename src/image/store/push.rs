//! Pushing an image to a registry, through the engine.

use std::time::Duration;

use bollard::{models::PushImageInfo, query_parameters::PushImageOptionsBuilder};
use futures::StreamExt;

use super::{remote::Refusal, tag};
use crate::image::{Engine, auth::credentials, reference::Reference};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
};

const ATTEMPTS: u32 = 3;
/// The engine reports layers as they move; a registry that takes longer over one is gone.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// Pushes `host/path:tag` and gives the manifest's digest, `sha256:…`. What may pass by itself is tried three times.
pub async fn push(engine: &Engine, reference: &str, progress: &Progress) -> Result<String> {
    let mut attempt = 1;
    loop {
        match attempt_push(engine, reference, progress).await {
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                progress.say(format!("push failed, trying again ({attempt} of {ATTEMPTS}): {error}"));
                tokio::time::sleep(Duration::from_millis(500) * 2u32.pow(attempt)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// Pushes an image of the engine under another name, which the engine then forgets; gives the digest.
pub async fn push_as(engine: &Engine, local: &str, remote: &str, progress: &Progress) -> Result<String> {
    if local == remote {
        return push(engine, remote, progress).await;
    }
    tag::add(engine, local, remote).await?;
    let pushed = push(engine, remote, progress).await;
    tag::remove(engine, remote).await?;
    pushed
}

async fn attempt_push(engine: &Engine, reference: &str, progress: &Progress) -> Result<String> {
    let parsed = Reference::parse(reference);
    let tag = parsed.tag.clone().unwrap_or_default();
    let name = reference.strip_suffix(&format!(":{tag}")).unwrap_or(reference);
    let credentials = credentials::find(&parsed.host).await?;
    let options = PushImageOptionsBuilder::default().tag(&tag).build();
    let known = credentials.is_some();
    let mut stream = engine.docker.push_image(name, Some(options), credentials);
    let failed = |cause: &dyn std::fmt::Display| {
        let said = cause.to_string();
        if let Some(refusal) = Refusal::in_words_of_the_engine(&said, known) {
            return refusal.error(&format!("pushing {reference}"), &parsed.host).cause(said);
        }
        Error::new(Kind::Platform, format!("pushing {reference} failed")).cause(cause).hint(format!(
            "Check that the registry {} runs, accepts pushes and has disk left; `stackctl login {0}` if it asks who you are",
            parsed.host
        ))
    };
    let mut digest = None;
    loop {
        let next = tokio::time::timeout(SILENCE, stream.next()).await;
        let next = next.map_err(|_| failed(&format!("no progress for {} minutes", SILENCE.as_secs() / 60)))?;
        match next {
            None => break,
            Some(Ok(info)) => {
                digest = digest_in(&info, &tag).or(digest);
                if let Some(summary) = summary(&info) {
                    progress.say(summary);
                }
            }
            Some(Err(bollard::errors::Error::DockerStreamError { error })) => return Err(failed(&error)),
            Some(Err(error)) => return Err(failed(&error)),
        }
    }
    digest.ok_or_else(|| failed(&"the engine did not say which digest it pushed"))
}

/// The last line of a push: "TAG: digest: sha256:… size: 1234".
fn digest_in(info: &PushImageInfo, tag: &str) -> Option<String> {
    let rest = info.status.as_deref()?.strip_prefix(tag)?.strip_prefix(": digest: ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

fn summary(info: &PushImageInfo) -> Option<String> {
    let status = info.status.as_deref()?;
    let detail = info.progress_detail.as_ref();
    let (current, total) = (detail.and_then(|detail| detail.current), detail.and_then(|detail| detail.total));
    match (status, current, total) {
        ("Pushing", Some(current), Some(total)) if total > 0 => {
            Some(format!("pushing a layer: {} of {} MB", current.min(total) / 1_000_000, total / 1_000_000))
        }
        _ => None,
    }
}

/// Refusals are final; what the network or a starting registry does is not.
fn is_transient(error: &Error) -> bool {
    let final_words =
        ["denied", "unauthorized", "authentication required", "does not exist", "No such image", "no space left"];
    let transient =
        ["connection re", "timeout", "timed out", "EOF", "temporar", "502", "503", "504", "broken pipe", "no progress"];
    let says = |words: &[&str]| error.causes.iter().any(|cause| words.iter().any(|word| cause.contains(word)));
    error.kind == Kind::Platform && !says(&final_words) && says(&transient)
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn status(text: &str) -> PushImageInfo {
        PushImageInfo { status: Some(text.into()), ..Default::default() }
    }

    #[test]
    fn the_last_line_names_the_digest() {
        let last = status("abc123: digest: sha256:0011 size: 1571");
        assert_eq!(digest_in(&last, "abc123").as_deref(), Some("sha256:0011"));
        assert_eq!(digest_in(&last, "abc"), None);
        assert_eq!(digest_in(&status("Preparing"), "abc123"), None);
    }

    #[test]
    fn progress_is_in_megabytes() {
        let mut info = status("Pushing");
        info.progress_detail = Some(ProgressDetail { current: Some(3_000_000), total: Some(9_000_000) });
        assert_eq!(summary(&info).as_deref(), Some("pushing a layer: 3 of 9 MB"));
        assert_eq!(summary(&status("Preparing")), None);
    }

    #[test]
    fn refusals_are_final() {
        let error = |cause: &str| Error::new(Kind::Platform, "pushing x failed").cause(cause);
        assert!(is_transient(&error("dial tcp 127.0.0.1:5001: connect: connection refused")));
        assert!(is_transient(&error("received unexpected HTTP status: 503 Service Unavailable")));
        assert!(!is_transient(&error("denied: requested access to the resource is denied")));
        assert!(!is_transient(&error("An image does not exist locally with the tag: x")));
    }
}
