//! What an image will be, as a hash: its tag. Equal inputs give equal tags on every machine.

use std::{collections::BTreeMap, io};

use super::{
    BuildSpec, Engine, base,
    context::{Content, Context, Entry},
    dockerfile,
};
use crate::error::{Error, Kind, Result};

/// Changes whenever what is hashed changes, so that old tags are never taken for new ones.
const SCHEME: &str = "stackctl image 1";

/// 20 hexadecimal digits over the context after `.dockerignore`, the Dockerfile, target, args, platform and the
/// identities of the base images. `lock` is the text of a user's own images.lock; the embedded one applies beneath it.
/// Reads files and asks the local engine; never goes online.
pub async fn fingerprint(spec: &BuildSpec, engine: Option<&Engine>, lock: Option<&str>) -> Result<String> {
    let lock = base::Lock::parse(&format!("{}\n{}", base::EMBEDDED_LOCK, lock.unwrap_or_default()), "images.lock")?;
    let (source, name) = (spec.context.clone(), spec.dockerfile.clone());
    let (dockerfile, files) = super::blocking(move || {
        let context = Context::load(&source, &name)?;
        let hash = hash_entries(&context.entries)
            .map_err(|error| Error::new(Kind::Usage, "cannot read the build context").cause(error))?;
        Ok((context.dockerfile, hash))
    })
    .await?;
    let images = dockerfile::base_images(&dockerfile, &spec.args, &spec.platform);
    let bases = base::identities(images, &lock, engine).await?;
    Ok(combine(spec, &dockerfile, &files, &bases))
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
    let mut fields = Fields::new();
    for entry in entries {
        fields.add(&entry.path);
        match &entry.content {
            Content::Directory => fields.add("directory"),
            Content::Symlink(target) => {
                fields.add("symlink");
                fields.add(target);
            }
            Content::File(file) => {
                fields.add(if entry.mode & 0o111 == 0 { "file" } else { "executable" });
                fields.add(&file.read()?);
            }
        }
    }
    Ok(fields.finish())
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
        fingerprint(spec, None, None).await.unwrap()
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
        differs(fingerprint(&base, None, Some(&lock)).await.unwrap());
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
