//! Builds: with BuildKit where the engine has it, with the classic builder where nothing needs BuildKit.

pub mod session;
#[cfg(test)]
mod tests;
pub mod trace;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::{
    models::{BuildInfo, BuildInfoAux},
    query_parameters::BuildImageOptionsBuilder,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, BodyStream, Empty};
use hyper::Request;
use tokio::{io::AsyncBufReadExt, sync::mpsc};
use tokio_util::io::StreamReader;
use url::form_urlencoded;

use super::{
    BuildSpec, Engine, base,
    context::{Content, Context, Entry, File},
    dockerfile::{self, Files},
    endpoint::Environment,
    reference::Reference,
};
use crate::image::{
    auth::{credentials, docker_config::DockerConfig},
    build::{session::Session, trace::Trace},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    event::Progress,
};

/// Where Dockerfiles find the CA bundle after `RUN --mount=type=secret,id=ca-bundle`.
const CA_SECRET: &str = "ca-bundle";
const CA_PATH: &str = "/run/secrets/ca-bundle";
const CA_ARGS: [&str; 4] = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE"];
/// No build is silent for so long, not even one that compiles.
const SILENCE: Duration = Duration::from_secs(30 * 60);
/// An archive goes to the engine in pieces of so many bytes, so many of them at a time.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// `sha256:…`
    pub id: String,
    pub took: Duration,
    /// Steps of the Dockerfile that the cache answered.
    pub cached_steps: usize,
    /// What the build took, as BuildKit itself tells it. The classic builder tells nothing.
    pub images: BTreeSet<String>,
    pub files: Files,
}

/// Builds a service's image and gives it all `references`.
pub async fn build(
    engine: &Engine,
    spec: &BuildSpec,
    references: &[String],
    labels: &BTreeMap<String, String>,
    progress: &Progress,
) -> Result<Built> {
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    let context = crate::error::blocking(move || Context::load(&source, &name)).await?;
    build_context(engine, spec, context, references, labels, progress).await
}

/// As `build`, from entries that are no folder; the spec's own source is not looked at.
pub async fn build_context(
    engine: &Engine,
    spec: &BuildSpec,
    context: Context,
    references: &[String],
    labels: &BTreeMap<String, String>,
    progress: &Progress,
) -> Result<Built> {
    let started = Instant::now();
    let context = Arc::new(context);
    let mut secrets = spec.secrets.clone();
    if let Some(bundle) = &spec.ca_bundle {
        secrets.insert(CA_SECRET.to_owned(), bundle.clone());
    }
    for (id, path) in &secrets {
        tokio::fs::metadata(path)
            .await
            .context(Kind::Usage, || format!("the secret {id} cannot be read from {}", path.display()))?;
    }
    let mut args = arguments(spec, &context.dockerfile);
    // Of no identity: BuildKit keeps them out of layers and of its own cache too.
    for (name, value) in proxies(&engine.endpoint).await? {
        args.entry(name).or_insert(value);
    }
    let job = Job { engine, spec, context: &context, references, labels, args: &args, progress };
    progress.say("sending the context");
    let mut outcome = match Session::open(engine, Arc::clone(&context), job.dockerfile(), secrets).await? {
        Some(session) => {
            let outcome = job.with_buildkit(&session).await?;
            BuildOutcome { troubles: session.troubles(), files: session.files_taken(), ..outcome }
        }
        None if dockerfile::needs_buildkit(&context.dockerfile) => {
            return Err(Error::new(
                Kind::Preflight,
                format!("building {} needs BuildKit, which the engine lacks", spec.service),
            )
            .cause(format!("its Dockerfile uses `RUN --mount` or here-documents; the engine is {}", engine.endpoint))
            .hint("Use Docker 20.10 or newer, or another engine with DOCKER_HOST"));
        }
        None => job.classic().await?,
    };
    if let Some(error) = outcome.error.take() {
        return Err(job.failure(&error, &mut outcome));
    }
    // The engine says the id, but not all versions do so on all paths.
    let id = match (outcome.id, references.first()) {
        (Some(id), _) => id,
        (None, Some(reference)) => base::inspect(engine, reference).await?.map(|image| image.id).unwrap_or_default(),
        (None, None) => String::new(),
    };
    let Trace { cached: cached_steps, images, .. } = outcome.trace;
    Ok(Built { id, took: started.elapsed(), cached_steps, images, files: outcome.files })
}

/// The user's arguments, and for a CA bundle those variables that the Dockerfile itself declares.
fn arguments(spec: &BuildSpec, dockerfile: &str) -> BTreeMap<String, String> {
    let mut args = spec.args.clone();
    if spec.ca_bundle.is_some() {
        let declared = dockerfile::declared_args(dockerfile);
        for name in CA_ARGS.into_iter().filter(|name| declared.contains(*name)) {
            args.entry(name.to_owned()).or_insert_with(|| CA_PATH.to_owned());
        }
    }
    args
}

/// The proxies that docker's configuration gives to builds of this engine.
async fn proxies(endpoint: &str) -> Result<BTreeMap<String, String>> {
    let endpoint = endpoint.to_owned();
    crate::error::blocking(move || {
        // Who builds needs an engine, and where this file decides which one, what is wrong with it was said already.
        let config = DockerConfig::read(&Environment::current()).unwrap_or_default();
        Ok(config.proxies_of(&endpoint))
    })
    .await
}

struct Job<'a> {
    engine: &'a Engine,
    spec: &'a BuildSpec,
    context: &'a Arc<Context>,
    references: &'a [String],
    labels: &'a BTreeMap<String, String>,
    args: &'a BTreeMap<String, String>,
    progress: &'a Progress,
}

#[derive(Default)]
struct BuildOutcome {
    id: Option<String>,
    error: Option<String>,
    /// Why registries were asked without credentials.
    troubles: Vec<Error>,
    files: Files,
    trace: Trace,
    /// The classic builder's current step and its output.
    step: String,
    lines: Vec<String>,
}

impl Job<'_> {
    /// Its name alone: where it lies, inside of the context or outside, is no matter to the engine.
    fn dockerfile(&self) -> &str {
        self.spec.dockerfile.rsplit('/').next().unwrap_or_default()
    }

    fn request(&self, session: &Session) -> Result<Request<super::engine::Body>> {
        let json = |map: &BTreeMap<String, String>| serde_json::json!(map).to_string();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("version", "2")
            .append_pair("session", &session.id)
            .append_pair("buildid", &session.id)
            .append_pair("remote", "client-session")
            .append_pair("dockerfile", self.dockerfile())
            .append_pair("platform", &self.spec.platform)
            .append_pair("target", self.spec.target.as_deref().unwrap_or_default())
            .append_pair("buildargs", &json(self.args))
            .append_pair("labels", &json(self.labels))
            .append_pair("nocache", if self.spec.no_cache { "1" } else { "0" })
            .append_pair("rm", "1");
        if self.spec.pull {
            query.append_pair("pull", "1");
        }
        for reference in self.references {
            query.append_pair("t", reference);
        }
        let body = Empty::new().map_err(|never| match never {}).boxed();
        Request::post(format!("/build?{}", query.finish()))
            .header("Content-Type", "application/x-tar")
            .body(body)
            .context(Kind::Unexpected, || "the build request is malformed".into())
    }

    async fn with_buildkit(&self, session: &Session) -> Result<BuildOutcome> {
        let response = self.engine.raw(self.request(session)?).await?;
        let status = response.status();
        let stream = BodyStream::new(response.into_body())
            .try_filter_map(async |frame| Ok(frame.into_data().ok()))
            .map_err(io::Error::other);
        let stream = std::pin::pin!(stream);
        let mut lines = StreamReader::new(stream).lines();
        let mut outcome = BuildOutcome::default();
        let cut = || Error::new(Kind::Platform, format!("the build of {} did not finish", self.spec.service));
        loop {
            let line = tokio::time::timeout(SILENCE, lines.next_line())
                .await
                .map_err(|_| cut().cause(format!("no progress for {} minutes", SILENCE.as_secs() / 60)))?
                .map_err(|error| {
                    cut().cause(error).hint("Did the engine stop? Check `docker version`, then run again")
                })?;
            let Some(line) = line else { break };
            if !status.is_success() {
                let message = serde_json::from_str::<serde_json::Value>(&line).ok();
                let message = message.and_then(|json| Some(json.get("message")?.as_str()?.to_owned())).unwrap_or(line);
                outcome.error = Some(message);
                break;
            }
            match serde_json::from_str::<BuildInfo>(&line) {
                Ok(info) => self.note(info, &mut outcome),
                Err(error) => tracing::debug!(%error, line, "unknown build message"),
            }
        }
        Ok(outcome)
    }

    async fn classic(&self) -> Result<BuildOutcome> {
        self.progress.warn(format!("the engine {} has no BuildKit: using its classic builder", self.engine.endpoint));
        let (context, dockerfile) = with_dockerfile(self.context, &self.spec.dockerfile);
        let hashed = |map: &BTreeMap<String, String>| map.clone().into_iter().collect::<HashMap<_, _>>();
        let (args, labels) = (hashed(self.args), hashed(self.labels));
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&dockerfile)
            .platform(&self.spec.platform)
            .target(self.spec.target.as_deref().unwrap_or_default())
            .nocache(self.spec.no_cache)
            .buildargs(&args)
            .labels(&labels);
        if let Some(reference) = self.references.first() {
            options = options.t(reference);
        }
        if self.spec.pull {
            options = options.pull("1");
        }
        let mut logins = HashMap::new();
        let mut troubles = Vec::new();
        for image in dockerfile::read(&self.context.dockerfile, self.args, &self.spec.platform).images {
            let host = Reference::parse(&image).host;
            let (found, trouble) = credentials::for_pull(&host).await;
            troubles.extend(trouble);
            if let Some(found) = found {
                logins.insert(found.serveraddress.clone().unwrap_or(host), found);
            }
        }
        let body = bollard::body_try_stream(archive(context));
        let stream = self.engine.docker.build_image(options.build(), Some(logins), Some(body));
        let mut outcome = BuildOutcome { troubles, ..self.follow(stream).await? };
        if outcome.error.is_none()
            && let Some((first, others)) = self.references.split_first()
        {
            for other in others {
                let reference = Reference::parse(other);
                let (name, _) = other.rsplit_once(':').unwrap_or((other, ""));
                let options = bollard::query_parameters::TagImageOptionsBuilder::default()
                    .repo(name)
                    .tag(reference.tag.as_deref().unwrap_or("latest"))
                    .build();
                let tagged = self.engine.docker.tag_image(first, Some(options)).await;
                tagged.map_err(|error| self.engine.failed(&format!("tagging {other}"), &error))?;
            }
            outcome.id = None;
        }
        Ok(outcome)
    }

    async fn follow(
        &self,
        stream: impl Stream<Item = std::result::Result<BuildInfo, bollard::errors::Error>>,
    ) -> Result<BuildOutcome> {
        let mut stream = std::pin::pin!(stream);
        let mut outcome = BuildOutcome::default();
        while let Some(info) = stream.next().await {
            match info {
                Ok(info) => self.note(info, &mut outcome),
                Err(bollard::errors::Error::DockerStreamError { error }) => outcome.error = Some(error),
                Err(bollard::errors::Error::DockerResponseServerError { message, .. }) => outcome.error = Some(message),
                Err(error) => return Err(self.engine.failed(&format!("building {}", self.spec.service), &error)),
            }
        }
        Ok(outcome)
    }

    fn note(&self, info: BuildInfo, outcome: &mut BuildOutcome) {
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => outcome.trace.update(status, self.progress),
            Some(BuildInfoAux::Default(image)) => outcome.id = image.id.or(outcome.id.take()),
            None => {}
        }
        for line in info.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
            if line.starts_with("Step ") {
                self.progress.say(line.trim_end());
                outcome.step = line.split_once(" : ").map_or(line, |(_, instruction)| instruction).to_owned();
                outcome.lines.clear();
            } else {
                self.progress.output(line);
                outcome.lines.push(line.to_owned());
            }
        }
        if let Some(error) = info.error_detail.and_then(|detail| detail.message) {
            outcome.error = Some(error);
        }
    }

    /// What the user needs: which service, which instruction on which line, its last output.
    fn failure(&self, error: &str, outcome: &mut BuildOutcome) -> Error {
        let (step, lines) = match outcome.trace.failed(self.progress) {
            Some(failed) => failed,
            None => {
                let kept = outcome.lines.len().saturating_sub(20);
                (outcome.step.clone(), outcome.lines.split_off(kept))
            }
        };
        let service = &self.spec.service;
        let file = &self.spec.dockerfile;
        let message = match trace::instruction(&self.context.dockerfile, &step) {
            Some(found) => {
                format!("building {service} failed at {file}:{}: {} {}", found.line, found.keyword, found.rest)
            }
            None if step.is_empty() => format!("building {service} failed"),
            None => format!("building {service} failed at {step}"),
        };
        let evidence = lines.iter().map(String::as_str).chain([error]).collect::<Vec<_>>().join("\n");
        let mut failure = Error::new(Kind::Build, message).cause(error).details(lines);
        for hint in hints(&evidence) {
            failure = failure.hint(hint);
        }
        outcome.troubles.iter().fold(failure, |failure, trouble| credentials::add_trouble(failure, Some(trouble)))
    }
}

fn hints(evidence: &str) -> Vec<&'static str> {
    let evidence = evidence.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| evidence.contains(&word.to_lowercase()));
    let mut hints = Vec::new();
    if says(&["no space left on device", "ENOSPC"]) {
        hints.push(
            "The engine's disk is full: `docker system df` shows by what, `docker builder prune` frees the build cache",
        );
    }
    if says(&["certificate", "SELF_SIGNED", "UNABLE_TO_GET_ISSUER", "UNABLE_TO_VERIFY", "x509"]) {
        hints.push("A proxy with its own CA? Give its certificate with --ca-bundle FILE and mount it: RUN --mount=type=secret,id=ca-bundle");
    }
    if says(&[
        "EAI_AGAIN",
        "ENOTFOUND",
        "getaddrinfo",
        "Could not resolve",
        "Temporary failure in name resolution",
        "i/o timeout",
        "ETIMEDOUT",
        "dial tcp",
    ]) {
        hints.push("The build had no network to that host: check DNS and proxy of the engine, or use --registry-mirror HOST=URL for base images");
    }
    if says(&["pull access denied", "manifest unknown", "not found: manifest", "failed to resolve source metadata"]) {
        hints.push("Check the base image's name, and `docker login` if its registry is private");
    }
    if evidence.contains("secret") && evidence.contains("not found") {
        hints.push("Give the secret with --secret ID=FILE");
    }
    hints
}

/// The classic builder reads the Dockerfile from the archive, also one that is ignored or lies elsewhere. Returns its
/// path in there.
fn with_dockerfile(context: &Context, name: &str) -> (Context, String) {
    let mut context = context.clone();
    if context.entries.iter().any(|entry| entry.path == name) {
        return (context, name.to_owned());
    }
    let content = Content::File(File::Memory(context.dockerfile.as_bytes().into()));
    // A name that no file of the context has.
    let hash = blake3::hash(context.dockerfile.as_bytes()).to_hex();
    let path = format!(".dockerfile.{}", &hash[..20]);
    context.entries.push(Entry { path: path.clone(), mode: 0o644, modified: 0, content });
    (context, path)
}

/// The context as it is read, piece by piece.
fn archive(context: Context) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let pieces = io::BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = context.write_tar(pieces) {
            // Nobody listens any more where the engine gave up first.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
