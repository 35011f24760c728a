//! What an image will be, as a hash: its tag. Equal inputs give equal tags on every machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    BuildSpec, Engine, base,
    context::{Content, Context, Entry},
    dockerfile,
};
use crate::error::{Error, Kind, Result};

/// Changes whenever what is hashed changes, so that old tags are never taken for new ones.
const SCHEME: &str = "stackctl image 1";
/// Of the files that changed, so many are named.
const SHOWN: usize = 5;

/// What was read of a service's sources: path to hash, the Dockerfile included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(BTreeMap<String, blake3::Hash>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub tag: String,
    /// What the tag stands for.
    pub sources: Sources,
}

/// 20 hexadecimal digits over the context after `.dockerignore`, the Dockerfile, target, args, platform and the
/// identities of the base images. `lock` is the text of a user's own images.lock; the embedded one applies beneath it.
/// Reads files and asks the local engine; never goes online.
pub async fn fingerprint(spec: &BuildSpec, engine: Option<&Engine>, lock: Option<&str>) -> Result<Fingerprint> {
    let lock = base::Lock::parse(&format!("{}\n{}", base::EMBEDDED_LOCK, lock.unwrap_or_default()), "images.lock")?;
    let read = read(spec).await?;
    let images = dockerfile::base_images(&read.dockerfile, &spec.args, &spec.platform);
    let bases = base::identities(images, &lock, engine).await?;
    Ok(Fingerprint { tag: combine(spec, &read.dockerfile, &read.files, &bases), sources: read.sources })
}

/// Fails where the sources are no longer those of the fingerprint: an image of them would have another's tag, and run
/// under it later.
pub async fn require_unchanged(spec: &BuildSpec, sources: &Sources) -> Result<()> {
    let now = read(spec).await?.sources;
    if now == *sources {
        return Ok(());
    }
    let paths = now.0.keys().chain(sources.0.keys()).collect::<BTreeSet<_>>();
    let changed: Vec<_> = paths.into_iter().filter(|path| now.0.get(*path) != sources.0.get(*path)).collect();
    let more = changed.len().saturating_sub(SHOWN);
    let named = changed.iter().take(SHOWN).map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
    let named = if more > 0 { format!("{named} and {more} more") } else { named };
    Err(Error::new(Kind::Build, format!("the files of {} changed while it was built", spec.service))
        .cause(named)
        .hint("run it again")
        .hint("if these files always change and the image needs none of them, name them in .dockerignore"))
}

struct Read {
    dockerfile: String,
    files: blake3::Hash,
    sources: Sources,
}

async fn read(spec: &BuildSpec) -> Result<Read> {
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    super::blocking(move || {
        let context = Context::load(&source, &name)?;
        let (files, mut each) = hash_each(&context.entries)
            .map_err(|error| Error::new(Kind::Usage, "cannot read the build context").cause(error))?;
        // It may be outside of what `.dockerignore` leaves.
        each.insert(name, blake3::hash(context.dockerfile.as_bytes()));
        Ok(Read { dockerfile: context.dockerfile, files, sources: Sources(each) })
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

/// Of modes only the executable bit counts: the rest differs with each checkout's umask.
pub fn hash_entries(entries: &[Entry]) -> io::Result<blake3::Hash> {
    hash_each(entries).map(|(all, _)| all)
}

fn hash_each(entries: &[Entry]) -> io::Result<(blake3::Hash, BTreeMap<String, blake3::Hash>)> {
    let (mut all, mut each) = (Fields::new(), BTreeMap::new());
    for entry in entries {
        let mut one = Fields::new();
        all.add(&entry.path);
        let mut add = |field: &[u8]| {
            all.add(field);
            one.add(field);
        };
        match &entry.content {
            Content::Directory => add(b"directory"),
            Content::Symlink(target) => {
                add(b"symlink");
                add(target.as_bytes());
            }
            Content::File(file) => {
                add(if entry.mode & 0o111 == 0 { b"file" } else { b"executable" });
                add(&file.read()?);
            }
        }
        each.insert(entry.path.clone(), one.finish());
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
    use crate::stack::model::Source;

    fn spec(root: &Path) -> BuildSpec {
        BuildSpec {
            service: "hello".into(),
            context: Source::Folder(root.to_owned()),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ca_bundle: None,
            platform: "linux/amd64".into(),
            no_cache: false,
            pull: false,
        }
    }

    async fn tag(spec: &BuildSpec) -> String {
        fingerprint(spec, None, None).await.unwrap().tag
    }

    #[tokio::test]
    async fn what_shapes_the_image_changes_the_tag_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("Dockerfile", "FROM node:22-slim");
        write(".dockerignore", "ignored");
        write("a", "1");
        let base = spec(root.path());
        let first = tag(&base).await;
        assert_eq!(first.len(), 20);

        write("ignored", "anything");
        fs::set_permissions(root.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(first, tag(&base).await);
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
        fs::set_permissions(root.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
        differs(tag(&base).await);
        fs::remove_file(root.path().join("a")).unwrap();
        differs(tag(&base).await);
        std::os::unix::fs::symlink("x", root.path().join("a")).unwrap();
        differs(tag(&base).await);
        fs::create_dir(root.path().join("empty")).unwrap();
        differs(tag(&base).await);
        write("Dockerfile", "FROM node:22-slim\nCMD x");
        differs(tag(&base).await);
    }

    #[tokio::test]
    async fn files_that_change_while_they_are_built_are_named() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("Dockerfile", "FROM node:22-slim");
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
