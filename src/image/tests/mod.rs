//! Against a real Docker engine: `cargo test engine_ -- --include-ignored`. They fail, and do not pass silently, where
//! none is reachable. What they make is labelled `io.stackctl.world=test` and removed again.

mod dockerfile;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    context::Context,
    store::{gc, push, registry},
    *,
};
use crate::{
    error::Kind,
    event::{Event, Events},
    stack::model::Source,
};

/// On every machine that runs these tests: the hello service is built from it.
const BASE: &str = "node:22-slim";

fn docker(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).env("DOCKER_BUILDKIT", "0").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {}{stderr}", String::from_utf8_lossy(&output.stdout));
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn spec(root: &Path) -> BuildSpec {
    BuildSpec::of_folder(root, &text(docker(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])))
}

fn labels(service: &str, created: i64) -> BTreeMap<String, String> {
    [
        (LABEL_SERVICE, service.to_owned()),
        (LABEL_STACK, "engine-test".to_owned()),
        (LABEL_CREATED, created.to_string()),
        ("io.stackctl.world", "test".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Removed with all its names when it goes out of scope, also after a failed assertion.
struct Image(Vec<String>);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force"]).args(&self.0).output();
    }
}

fn unique(name: &str) -> String {
    format!("stackctl-test/{name}:{:016x}", rand::random::<u64>())
}

async fn build_it(
    engine: &Engine,
    spec: &BuildSpec,
    references: &[String],
) -> (crate::error::Result<build::Built>, Vec<String>) {
    let (events, mut receiver) = Events::channel();
    let built = build::build(engine, spec, references, &labels("hello", 1), &events.progress("build:hello")).await;
    let mut said = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        match event {
            Event::Progress { message, .. } => said.push(message),
            Event::Output { line, .. } => said.push(format!("| {line}")),
            _ => {}
        }
    }
    (built, said)
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_builds_with_secrets_and_remembers_none() {
    let dockerfile = format!(
        "FROM {BASE}\nARG NODE_EXTRA_CA_CERTS\nARG GREETING\nWORKDIR /app\nCOPY . .\n\
         RUN --mount=type=secret,id=token --mount=type=secret,id=ca-bundle \
         grep -qx 'h.dd.n' /run/secrets/token && test \"$(cat $NODE_EXTRA_CA_CERTS)\" = bundle && \
         echo greeting=$GREETING && echo \"$GREETING\" > greeting\n"
    );
    let root = folder(&[("Dockerfile", &dockerfile), (".dockerignore", "Dockerfile\nout"), ("in", "1"), ("out", "2")]);
    let outside = folder(&[("token", "hidden"), ("ca", "bundle")]);
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(root.path().join("in")).unwrap().set_modified(time).unwrap();
    let engine = engine::connect(None).await.unwrap();
    let mut spec = spec(root.path());
    spec.no_cache = true;
    spec.args.insert("GREETING".into(), "good day".into());
    spec.secrets.insert("token".into(), outside.path().join("token"));
    spec.ca_bundle = Some(outside.path().join("ca"));
    let image = Image(vec![unique("secret"), unique("alias")]);
    let (built, said) = build_it(&engine, &spec, &image.0).await;
    let built = built.unwrap();
    assert!(built.id.starts_with("sha256:"), "{built:?}");
    assert!(said.iter().any(|line| line.contains("[4/4] RUN")), "{said:?}");
    assert!(said.contains(&"| greeting=good day".to_owned()), "{said:?}");

    let inspected = |format: &str| text(docker(&["image", "inspect", "--format", format, &image.0[1]]));
    assert_eq!(inspected("{{.Id}}"), built.id);
    assert_eq!(inspected(&format!("{{{{index .Config.Labels \"{LABEL_SERVICE}\"}}}}")), "hello");
    let history = text(docker(&["history", "--no-trunc", &image.0[0]])) + &inspected("{{json .}}");
    assert!(!history.contains("hidden"), "the secret is in the image's history");
    let files = text(docker(&["run", "--rm", "--entrypoint", "ls", &image.0[0], "-a", "/app"]));
    assert_eq!(files.split_whitespace().collect::<Vec<_>>(), [".", "..", ".dockerignore", "greeting", "in"]);
    let time = text(docker(&["run", "--rm", "--entrypoint", "stat", &image.0[0], "-c", "%Y", "/app/in"]));
    assert_eq!(time, "1700000000", "a file keeps its own time");

    spec.no_cache = false;
    let (again, _) = build_it(&engine, &spec, &image.0).await;
    let again = again.unwrap();
    assert_eq!((again.id, again.cached_steps >= 3), (built.id, true));

    // A change that keeps the size must still arrive.
    fs::write(root.path().join("in"), "9").unwrap();
    let (changed, _) = build_it(&engine, &spec, &image.0).await;
    changed.unwrap();
    assert_eq!(text(docker(&["run", "--rm", "--entrypoint", "cat", &image.0[0], "/app/in"])), "9");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_names_the_instruction_that_failed() {
    let dockerfile =
        format!("FROM {BASE} AS build\nWORKDIR /x\n# why\nRUN echo to be seen; \\\n    exit 7\nFROM build\n");
    let root = folder(&[("Dockerfile", &dockerfile)]);
    let engine = engine::connect(None).await.unwrap();
    let (built, _) = build_it(&engine, &spec(root.path()), &[unique("failing")]).await;
    let error = built.unwrap_err();
    assert_eq!(error.kind, Kind::Build);
    assert!(error.message.starts_with("building hello failed at Dockerfile:4: RUN echo to be seen;"), "{error:?}");
    assert_eq!(error.details, ["to be seen"]);
    assert!(error.causes[0].contains("exit code: 7"), "{error:?}");

    fs::write(root.path().join("Dockerfile"), format!("FROM {BASE}\nCOPY missing /\n")).unwrap();
    let (built, _) = build_it(&engine, &spec(root.path()), &[unique("failing")]).await;
    let error = built.unwrap_err();
    assert!(error.message.contains("Dockerfile:2: COPY missing /"), "{error:?}");

    fs::write(root.path().join("Dockerfile"), format!("FROM {BASE}\nNONSENSE x\n")).unwrap();
    let (built, _) = build_it(&engine, &spec(root.path()), &[unique("failing")]).await;
    let error = built.unwrap_err();
    assert_eq!(error.kind, Kind::Build);
    assert!(error.causes[0].to_lowercase().contains("unknown instruction"), "{error:?}");

    fs::write(
        root.path().join("Dockerfile"),
        format!("FROM {BASE}\nRUN --mount=type=secret,id=absent,required cat /run/secrets/absent\n"),
    )
    .unwrap();
    let (built, _) = build_it(&engine, &spec(root.path()), &[unique("failing")]).await;
    let error = built.unwrap_err();
    assert!(error.hints.iter().any(|hint| hint.contains("--secret")), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_pushes_and_collects_garbage() {
    let container = text(docker(&[
        "run",
        "--detach",
        "--rm",
        "--label",
        "io.stackctl.world=test",
        "--env",
        "REGISTRY_STORAGE_DELETE_ENABLED=true",
        "--publish",
        "127.0.0.1::5000",
        "registry:2",
    ]));
    let container = Container(container);
    let port = text(docker(&["port", &container.0, "5000/tcp"])).rsplit_once(':').unwrap().1.to_owned();
    let registry = registry::Registry::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while registry.catalog().await.is_err() {
        assert!(Instant::now() < deadline, "the registry does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let engine = engine::connect(None).await.unwrap();
    let (events, _receiver) = Events::channel();
    let progress = events.progress("push:hello");
    let service = format!("gc-{:08x}", rand::random::<u32>());
    let repository = format!("engine-test/{service}");
    let mut image = Image(Vec::new());
    let mut digests = Vec::new();
    for number in 0..5 {
        let root = folder(&[("Dockerfile", "FROM scratch\nCOPY . /"), ("file", &number.to_string())]);
        let reference = format!("127.0.0.1:{port}/{repository}:tag{number}");
        image.0.push(reference.clone());
        let labels = labels(&service, 1_700_000_000 - number);
        build::build(&engine, &spec(root.path()), std::slice::from_ref(&reference), &labels, &progress).await.unwrap();
        digests.push(push::push(&engine, &reference, &progress).await.unwrap());
    }
    let asked = Instant::now();
    let found = registry.manifest_digest(&repository, "tag4").await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(200), "HEAD took {:?}", asked.elapsed());
    assert_eq!(found.as_ref(), Some(&digests[4]));
    assert_eq!(registry.manifest_digest(&repository, "none").await.unwrap(), None);
    assert_eq!(registry.catalog().await.unwrap(), std::slice::from_ref(&repository));
    let facts = registry.facts(&repository, "tag0").await.unwrap().unwrap();
    assert_eq!((facts.digest, facts.labels[LABEL_SERVICE].clone()), (digests[0].clone(), service.clone()));

    // By their labels, tag4 is the oldest and runs, tag3 is the oldest that does not.
    let in_use = BTreeSet::from(["tag4".to_owned()]);
    let removed = gc::registry(&registry, &repository, &in_use, 3).await.unwrap();
    assert_eq!(removed.iter().map(|removed| removed.name.clone()).collect::<Vec<_>>(), [format!("{repository}:tag3")]);
    let tags: BTreeSet<_> = registry.tags(&repository).await.unwrap().into_iter().collect();
    for (tag, there) in [("tag0", true), ("tag1", true), ("tag2", true), ("tag3", false), ("tag4", true)] {
        assert_eq!(registry.manifest_digest(&repository, tag).await.unwrap().is_some(), there, "{tag} of {tags:?}");
    }
    assert!(gc::registry(&registry, &repository, &in_use, 3).await.unwrap().is_empty());

    let removed = gc::engine(&engine, Some("engine-test"), &in_use, 3).await.unwrap();
    let removed: Vec<_> =
        removed.into_iter().map(|removed| removed.name).filter(|name| name.contains(&service)).collect();
    assert_eq!(removed, [image.0[3].clone()]);

    let refused = push::push(&engine, &format!("127.0.0.1:{port}/{repository}:never"), &progress).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Platform);
}

struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output();
    }
}

/// Path to (type, mode or target, hash of the content); of directories only that they are there.
type Listing = BTreeMap<String, (&'static str, String, String)>;

fn listing_of_context(context: &Context) -> Listing {
    let describe = context.describe().unwrap();
    let entries = describe.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries
        .map(|entry| {
            let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let facts = match entry["type"].as_str().unwrap() {
                "directory" => ("directory", String::new(), String::new()),
                "symlink" => ("symlink", field("target"), String::new()),
                _ => ("file", field("mode"), field("blake3")),
            };
            (field("path"), facts)
        })
        .collect()
}

/// What an image has in /context.
fn listing_of_image(image: &str) -> Listing {
    let container = Container(text(docker(&["create", "--label", "io.stackctl.world=test", image, "none"])));
    let exported = docker(&["export", &container.0]).stdout;
    let mut listing = Listing::new();
    for entry in tar::Archive::new(&exported[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let Some(path) = path.strip_prefix("context/").filter(|path| !path.is_empty()) else { continue };
        let path = path.trim_end_matches('/').to_owned();
        let kind = entry.header().entry_type();
        let facts = if kind.is_dir() {
            ("directory", String::new(), String::new())
        } else if kind.is_symlink() {
            ("symlink", entry.link_name().unwrap().unwrap().display().to_string(), String::new())
        } else {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            let mode = format!("{:04o}", entry.header().mode().unwrap() & 0o7777);
            ("file", mode, blake3::hash(&bytes).to_hex().to_string())
        };
        listing.insert(path, facts);
    }
    listing
}

fn grow(random: &mut StdRng, folder: &Path, depth: usize) {
    let names = ["a", "b", "ab", "a.md", "README.md", "x.js", "node_modules", ".git", "with space", "é", "a-b", "src"];
    for name in names.choose_multiple(random, 5) {
        let path = folder.join(name);
        match random.random_range(0..10) {
            0..=3 if depth < 3 => {
                fs::create_dir(&path).unwrap();
                grow(random, &path, depth + 1);
            }
            4 => std::os::unix::fs::symlink("../a/nowhere", &path).unwrap(),
            other => {
                fs::write(&path, format!("{name} {other} {depth}")).unwrap();
                let mode = [0o644, 0o755, 0o600, 0o640][random.random_range(0..4)];
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

/// Exceptions have no wildcards but at their end: there the classic builder, unlike BuildKit, looks into no directory
/// that the exception doesn't begin with.
fn rules(random: &mut StdRng) -> String {
    let patterns = [
        "a",
        "*.md",
        "**/*.md",
        "node_modules",
        "**/node_modules",
        "src/*",
        "src/**",
        "*/b",
        "**/b",
        ".git",
        "a*",
        "?",
        "[ab]",
        "[^a]b",
        "*",
        "**",
        "/src/a/",
        "./ab/../b",
        "with space",
        "# comment",
        "",
        "é",
        "*/*/a",
        "a/**/x.js",
        "Dockerfile",
        ".dockerignore",
        "**/a-b",
        "src/**/a",
        "\\a",
    ];
    let exceptions =
        ["!a", "!README.md", "!src/a", "!src", "!node_modules/a", "!src/b/**", "!a/b/*", "! ab", "!Dockerfile"];
    let count = random.random_range(1..6);
    let lines: Vec<_> = (0..count)
        .map(|_| *(if random.random_bool(0.35) { exceptions.choose(random) } else { patterns.choose(random) }).unwrap())
        .collect();
    lines.join("\n")
}

/// `docker build` itself, with moby's own code, is the reference; then our build of the same tree.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_sends_what_docker_build_sends() {
    let engine = engine::connect(None).await.unwrap();
    let mut random = StdRng::seed_from_u64(20);
    let mut kept = 0;
    for round in 0..30 {
        let root = tempfile::tempdir().unwrap();
        grow(&mut random, root.path(), 0);
        let rules = rules(&mut random);
        fs::write(root.path().join("Dockerfile"), "FROM scratch\nCOPY . /context/\n").unwrap();
        fs::write(root.path().join(".dockerignore"), &rules).unwrap();
        let path = root.path().to_str().unwrap();

        let ours = listing_of_context(&Context::load(&Source::Folder(root.path().to_owned()), "Dockerfile").unwrap());
        kept += ours.len();
        let reference = Image(vec![unique("reference")]);
        docker(&["build", "--quiet", "--label", "io.stackctl.world=test", "--tag", &reference.0[0], path]);
        assert_eq!(ours, listing_of_image(&reference.0[0]), "round {round}, .dockerignore:\n{rules}");

        let image = Image(vec![unique("ours")]);
        let (built, _) = build_it(&engine, &spec(root.path()), &image.0).await;
        built.unwrap();
        assert_eq!(ours, listing_of_image(&image.0[0]), "built by us, round {round}, .dockerignore:\n{rules}");
    }
    assert!(kept > 200, "the trees were nearly empty: {kept} entries in all");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_runs_the_agent_image() {
    let engine = engine::connect(None).await.unwrap();
    let platform = spec(Path::new("/")).platform;
    let agent = agent::agent_image(&platform).unwrap();
    let image = Image(vec![unique("agent")]);
    let (events, _receiver) = Events::channel();
    let progress = events.progress("build:agent");
    build::build_context(&engine, &agent.spec(), agent.context.clone(), &image.0, &labels("agent", 1), &progress)
        .await
        .unwrap();
    // The running executable is this test binary.
    let listed = text(docker(&["run", "--rm", "--read-only", &image.0[0], "--list", "fields_are_framed"]));
    assert!(listed.contains("fields_are_framed: test"), "{listed}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_fingerprint_is_fast_and_stable() {
    let engine = engine::connect(None).await.unwrap();
    let root = folder(&[("Dockerfile", &format!("FROM {BASE}\nCOPY . .")), ("a", "1")]);
    let spec = spec(root.path());
    let first = fingerprint::fingerprint(&spec, Some(&engine), None).await.unwrap().tag;
    let asked = Instant::now();
    assert_eq!(first, fingerprint::fingerprint(&spec, Some(&engine), None).await.unwrap().tag);
    assert!(asked.elapsed() < Duration::from_millis(250), "{:?}", asked.elapsed());
    assert_eq!(base::inspect(&engine, &unique("nowhere")).await.unwrap(), None);
}

/// What a base image makes of the context is part of the tag too.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_tags_follow_the_triggers_of_a_base() {
    let engine = engine::connect(None).await.unwrap();
    let base = Image(vec![unique("onbuild")]);
    let trigger = folder(&[("Dockerfile", "FROM scratch\nONBUILD COPY app.js /\n")]);
    docker(&["build", "--quiet", "--tag", &base.0[0], trigger.path().to_str().unwrap()]);
    let root = folder(&[("Dockerfile", &format!("FROM {}\n", base.0[0])), ("app.js", "1"), ("README.md", "1")]);
    let spec = spec(root.path());
    let tag = async || fingerprint::fingerprint(&spec, Some(&engine), None).await.unwrap().tag;
    let first = tag().await;
    fs::write(root.path().join("README.md"), "2").unwrap();
    assert_eq!(first, tag().await);
    fs::write(root.path().join("app.js"), "2").unwrap();
    assert_ne!(first, tag().await);
}
