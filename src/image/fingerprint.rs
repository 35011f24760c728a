//! What an image will be, as a hash: its tag. Equal inputs give equal tags on every machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    BuildSpec, Engine, base,
    build::Built,
    context::{Content, Context, Entry},
    dockerfile::{self, Files},
    hashes::Hashes,
    misread,
    reference::Reference,
};
use crate::{
    error::{Error, Kind, Result},
    stack::model::Source,
};

/// Changes whenever what is hashed changes, so that old tags are never taken for new ones.
const SCHEME: &str = "stackctl image 2";
/// Of the files that changed, so many are named.
const SHOWN: usize = 5;

/// What was read of a service's sources: path to hash, the Dockerfile included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    each: BTreeMap<String, blake3::Hash>,
    /// Which files of the context count, and which images.
    files: Files,
    images: BTreeSet<String>,
}

impl Sources {
    /// Whether the hash covers all that a build took. Blocking.
    fn cover(&self, spec: &BuildSpec, built: &Built) -> Result<bool> {
        let known: Vec<Reference> = self.images.iter().map(|image| Reference::parse(image)).collect();
        let is_known = |image: &String| {
            let image = Reference::parse(image);
            known.iter().any(|known| known.is_same(&image))
        };
        if !built.images.iter().all(is_known) {
            return Ok(false);
        }
        if self.files == Files::All {
            return Ok(true);
        }
        let entries = Context::load(&spec.context, &spec.dockerfile)?.entries;
        let ours: BTreeSet<usize> = self.files.select(&entries).into_iter().collect();
        Ok(built.files.select(&entries).iter().all(|index| ours.contains(index)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub tag: String,
    /// What the tag stands for.
    pub sources: Sources,
    /// Why the tag may not stand for all that the image is made of: then only a build can tell.
    pub doubt: Option<String>,
}

/// 20 hexadecimal digits over those files of the context that the Dockerfile takes, the Dockerfile, target, args, platform and the
/// identities of the base images. `lock` is the text of a user's own images.lock; the embedded one applies beneath it.
/// Reads files and asks the local engine; never goes online.
pub async fn fingerprint(spec: &BuildSpec, engine: Option<&Engine>, lock: Option<&str>) -> Result<Fingerprint> {
    let lock = base::Lock::parse(&format!("{}\n{}", base::EMBEDDED_LOCK, lock.unwrap_or_default()), "images.lock")?;
    let context = load(spec).await?;
    let mut reading = dockerfile::read(&context.dockerfile, &spec.args, &spec.platform);
    let mut identities = base::identities(&reading.images, &lock, engine).await?;
    for base in std::mem::take(&mut reading.bases) {
        match identities.get(&base).and_then(|base| base.triggers.as_ref()) {
            Some(triggers) => reading.add_triggers(triggers),
            // It may have some: then they take whatever they want.
            None => reading.files = Files::All,
        }
    }
    let more: Vec<&String> = reading.images.iter().filter(|image| !identities.contains_key(*image)).collect();
    let more = base::identities(more, &lock, engine).await?;
    identities.extend(more);
    let images = identities.keys().cloned().collect();
    let bases = identities.into_iter().map(|(name, identity)| (name, identity.id)).collect();
    let doubt = reading.doubt.map(|doubt| doubt.to_string());
    let doubt =
        doubt.or_else(|| misread::is_known(&context.dockerfile).then(|| "BuildKit read it otherwise".to_owned()));
    let doubt = doubt.map(|doubt| format!("{} cannot be read for certain, {doubt}", spec.dockerfile));
    let dockerfile = context.dockerfile.clone();
    let (files, sources) = hash(spec, context, reading.files, images).await?;
    Ok(Fingerprint { tag: combine(spec, &dockerfile, &files, &bases), sources, doubt })
}

/// Fails where the sources are no longer those of the fingerprint: an image of them would have another's tag, and run
/// under it later.
pub async fn require_unchanged(spec: &BuildSpec, sources: &Sources) -> Result<()> {
    let context = load(spec).await?;
    let (_, now) = hash(spec, context, sources.files.clone(), BTreeSet::new()).await?;
    if now.each == sources.each {
        return Ok(());
    }
    let paths = now.each.keys().chain(sources.each.keys()).collect::<BTreeSet<_>>();
    let changed: Vec<_> = paths.into_iter().filter(|path| now.each.get(*path) != sources.each.get(*path)).collect();
    let more = changed.len().saturating_sub(SHOWN);
    let named = changed.iter().take(SHOWN).map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
    let named = if more > 0 { format!("{named} and {more} more") } else { named };
    Err(Error::new(Kind::Build, format!("the files of {} changed while it was built", spec.service))
        .cause(named)
        .hint("run it again")
        .hint("if these files always change and the image needs none of them, name them in .dockerignore"))
}

/// Remembers a Dockerfile of which the build took more than the fingerprint covers. Blocking.
pub fn note_misreading(spec: &BuildSpec, sources: &Sources, built: &Built) -> Result<()> {
    if !sources.cover(spec, built)? {
        let dockerfile = Context::load(&spec.context, &spec.dockerfile)?.dockerfile;
        tracing::debug!(images = ?built.images, files = ?built.files, "more than was read in {}", spec.dockerfile);
        misread::remember(&dockerfile);
    }
    Ok(())
}

async fn load(spec: &BuildSpec) -> Result<Context> {
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    crate::error::blocking(move || Context::load(&source, &name)).await
}

/// Over the files that count, all together and each.
async fn hash(
    spec: &BuildSpec,
    context: Context,
    files: Files,
    images: BTreeSet<String>,
) -> Result<(blake3::Hash, Sources)> {
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    crate::error::blocking(move || {
        let mut hashes = match &source {
            Source::Folder(root) => Hashes::load(root, &files),
            Source::Embedded(_) => Hashes::default(),
        };
        let chosen = files.select(&context.entries);
        let entries = chosen.iter().filter_map(|index| context.entries.get(*index));
        let (all, mut each) = hash_each(entries, &mut hashes)
            .map_err(|error| Error::new(Kind::Usage, "cannot read the build context").cause(error))?;
        hashes.save();
        // It may be outside of the context, or of what counts of it.
        each.insert(name, blake3::hash(context.dockerfile.as_bytes()));
        Ok((all, Sources { each, files, images }))
    })
    .await
}

fn combine(spec: &BuildSpec, dockerfile: &str, files: &blake3::Hash, bases: &BTreeMap<String, String>) -> String {
    let mut fields = Fields::new();
    fields.add(SCHEME);
    fields.add(files.as_bytes());
    fields.add(&spec.dockerfile);
    fields.add(dockerfile);
    fields.add(spec.target.as_deref().unwrap_or_default());
    fields.add(&spec.platform);
    fields.map(&spec.args);
    fields.map(bases);
    fields.finish().to_hex()[..20].to_owned()
}

/// Over all that is sent but times.
pub fn hash_entries(entries: &[Entry]) -> io::Result<blake3::Hash> {
    hash_each(entries, &mut Hashes::default()).map(|(all, _)| all)
}

fn hash_each<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    hashes: &mut Hashes,
) -> io::Result<(blake3::Hash, BTreeMap<String, blake3::Hash>)> {
    let (mut all, mut each) = (Fields::new(), BTreeMap::new());
    for entry in entries {
        let mut one = Fields::new();
        match &entry.content {
            Content::Directory => one.add(b"directory"),
            Content::Symlink(target) => {
                one.add(b"symlink");
                one.add(target);
            }
            Content::File(file) => {
                let hash = hashes.of(file).map_err(|error| io::Error::other(format!("{}: {error}", entry.path)))?;
                one.add(b"file");
                one.add(hash.as_bytes());
            }
        }
        one.add(entry.mode.to_le_bytes());
        let one = one.finish();
        all.add(&entry.path);
        all.add(one.as_bytes());
        each.insert(entry.path.clone(), one);
    }
    Ok((all.finish(), each))
}

/// A hash over fields that cannot run into each other: each is preceded by its length.
struct Fields(blake3::Hasher);

impl Fields {
    fn new() -> Self {
        Fields(blake3::Hasher::new())
    }

    fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn map(&mut self, map: &BTreeMap<String, String>) {
        self.add((map.len() as u64).to_le_bytes());
        for (key, value) in map {
            self.add(key);
            self.add(value);
        }
    }

    fn finish(&self) -> blake3::Hash {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use proptest::prelude::*;

    use super::*;

    fn spec(root: &Path) -> BuildSpec {
        BuildSpec::of_folder(root, "linux/amd64")
    }

    async fn tag(spec: &BuildSpec) -> String {
        fingerprint(spec, None, None).await.unwrap().tag
    }

    #[tokio::test]
    async fn what_shapes_the_image_changes_the_tag_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("Dockerfile", "FROM node:22-slim\nCOPY . .");
        write(".dockerignore", "ignored");
        write("a", "1");
        let base = spec(root.path());
        let first = tag(&base).await;
        assert_eq!(first.len(), 20);

        write("ignored", "anything");
        fs::File::open(root.path().join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(first, tag(&base).await, "times are no content");
        let mut other = spec(root.path());
        other.service = "renamed".into();
        other.secrets.insert("token".into(), "/secret".into());
        other.ca_bundle = Some("/ca.pem".into());
        other.no_cache = true;
        other.pull = true;
        assert_eq!(first, tag(&other).await);

        let mut seen = vec![first.clone()];
        let mut differs = |tag: String| {
            assert!(!seen.contains(&tag), "{tag} was seen before");
            seen.push(tag);
        };
        differs(tag(&BuildSpec { target: Some("x".into()), ..spec(root.path()) }).await);
        differs(tag(&BuildSpec { platform: "linux/arm64".into(), ..spec(root.path()) }).await);
        differs(tag(&BuildSpec { args: [("A".into(), "1".into())].into(), ..spec(root.path()) }).await);
        let lock = format!("node:22-slim sha256:{}", "a".repeat(64));
        differs(fingerprint(&base, None, Some(&lock)).await.unwrap().tag);
        let mode = |name: &str, mode| {
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        for bits in [0o600, 0o755, 0o4755, 0o2755] {
            mode("a", bits);
            differs(tag(&base).await);
        }
        fs::remove_file(root.path().join("a")).unwrap();
        differs(tag(&base).await);
        std::os::unix::fs::symlink("x", root.path().join("a")).unwrap();
        differs(tag(&base).await);
        fs::remove_file(root.path().join("a")).unwrap();
        std::os::unix::fs::symlink("y", root.path().join("a")).unwrap();
        differs(tag(&base).await);
        fs::create_dir(root.path().join("empty")).unwrap();
        for bits in [0o755, 0o700, 0o1755] {
            mode("empty", bits);
            differs(tag(&base).await);
        }
        write("Dockerfile", "FROM node:22-slim\nCOPY . .\nCMD x");
        differs(tag(&base).await);
    }

    #[tokio::test]
    async fn only_files_that_the_dockerfile_takes_count() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("app.js", "1");
        write("README.md", "1");
        let spec = spec(root.path());
        let changes = async |dockerfile: &str, file: &str| {
            write("Dockerfile", dockerfile);
            write(file, "1");
            let before = tag(&spec).await;
            write(file, "2");
            before != tag(&spec).await
        };
        assert!(!changes("FROM scratch\nCOPY app.js /\n", "README.md").await);
        assert!(changes("FROM scratch\nCOPY app.js /\n", "app.js").await);
        assert!(changes("FROM scratch\nCOPY *.md /\n", "README.md").await);
        assert!(changes("FROM scratch\nADD $X /\n", "README.md").await);
        // What ONBUILD instructions an image has that is not here, nobody knows.
        assert!(changes("FROM base.example/x\nCOPY app.js /\n", "README.md").await);
        assert!(!changes("FROM node:22-slim\nCOPY app.js /\n", "README.md").await, "the lock's images have none");
        write("Dockerfile", "FROM $BASE\nCOPY app.js /\n");
        let doubt = fingerprint(&spec, None, None).await.unwrap().doubt.unwrap();
        assert!(doubt.starts_with("Dockerfile cannot be read for certain, line 1: "), "{doubt}");
    }

    #[tokio::test]
    async fn files_that_change_while_they_are_built_are_named() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("Dockerfile", "FROM node:22-slim\nCOPY . .");
        write(".dockerignore", "ignored\nDockerfile");
        write("main.js", "1");
        let spec = spec(root.path());
        let sources = fingerprint(&spec, None, None).await.unwrap().sources;
        write("ignored", "log");
        require_unchanged(&spec, &sources).await.unwrap();

        write("main.js", "2");
        write("new.js", "");
        let error = require_unchanged(&spec, &sources).await.unwrap_err();
        assert_eq!((error.kind, error.causes[0].as_str()), (Kind::Build, "main.js, new.js"));
        assert_eq!(error.message, "the files of hello changed while it was built");
        assert_eq!(error.hints[0], "run it again");

        write("main.js", "1");
        fs::remove_file(root.path().join("new.js")).unwrap();
        require_unchanged(&spec, &sources).await.unwrap();
        write("Dockerfile", "FROM node:24-slim");
        assert_eq!(require_unchanged(&spec, &sources).await.unwrap_err().causes[0], "Dockerfile");
    }

    proptest! {
        /// Fields never run into each other: only equal lists of fields hash alike.
        #[test]
        fn fields_are_framed(a in prop::collection::vec("[ab]{0,3}", 0..4), b in prop::collection::vec("[ab]{0,3}", 0..4)) {
            let hash = |list: &[String]| {
                let mut fields = Fields::new();
                list.iter().for_each(|field| fields.add(field));
                fields.finish()
            };
            prop_assert_eq!(a == b, hash(&a) == hash(&b));
        }
    }
}
