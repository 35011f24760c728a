//! The build context: the files of a service after `.dockerignore`, in one fixed order.

mod archive;
pub mod select;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

pub use self::walk::Stamp;
use super::dockerignore::Matcher;
use crate::{
    error::{Context as _, Error, Kind, Result},
    stack::model::Source,
};

/// What a build is given, in the order of a sorted walk, a directory before what is in it.
#[derive(Debug, Clone)]
pub struct Context {
    pub entries: Vec<Entry>,
    /// The text of the Dockerfile, which may lie outside of the context, or be left out of it by `.dockerignore`.
    pub dockerfile: String,
}

#[derive(Debug, Clone)]
pub struct Entry {
    /// Relative, with `/`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Nanoseconds since 1970. Sent with the file and part of no hash: make, cargo and web servers compare times.
    pub modified: i64,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Directory,
    Symlink(String),
    File(File),
}

/// A file's bytes, read only when they are needed.
#[derive(Debug, Clone)]
pub enum File {
    Static(&'static [u8]),
    Memory(Arc<[u8]>),
    OnDisk { path: PathBuf, stamp: Stamp },
}

impl File {
    pub fn size(&self) -> u64 {
        match self {
            File::Static(bytes) => bytes.len() as u64,
            File::Memory(bytes) => bytes.len() as u64,
            File::OnDisk { stamp, .. } => stamp.size,
        }
    }

    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            File::Static(bytes) => Box::new(*bytes),
            File::Memory(bytes) => Box::new(&**bytes),
            File::OnDisk { path, .. } => Box::new(fs::File::open(path)?),
        })
    }

    pub fn hash(&self) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self.open()?)?;
        Ok(hasher.finalize())
    }
}

impl Context {
    /// Walks the source. Blocking.
    pub fn load(source: &Source, dockerfile: &str) -> Result<Context> {
        let tree = Tree { source };
        let text = tree.text(dockerfile)?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("there is no {}", tree.display(dockerfile)))
                .hint("Name the Dockerfile with `dockerfile:` in stack.yaml, relative to `context:`")
        })?;
        let own = format!("{dockerfile}.dockerignore");
        let ignore = match tree.text(&own)? {
            Some(text) => Some((own, text)),
            None => tree.text(".dockerignore")?.map(|text| (".dockerignore".to_owned(), text)),
        };
        let matcher = ignore.map(|(name, text)| Matcher::parse(&text, &tree.display(&name))).transpose()?;
        let entries = match source {
            Source::Embedded(dir) => walk::embedded(dir, matcher.as_ref())?,
            Source::Folder(root) => walk::folder(root, matcher.as_ref())?,
        };
        Ok(Context { entries, dockerfile: text })
    }

    /// One line of JSON for each entry: path, type, mode in octal, size or target. Blocking.
    pub fn describe(&self) -> Result<Vec<String>> {
        self.entries
            .iter()
            .map(|entry| {
                let mode = format!("{:04o}", entry.mode);
                let line = match &entry.content {
                    Content::Directory => serde_json::json!({"path": entry.path, "type": "directory", "mode": mode}),
                    Content::Symlink(target) => {
                        serde_json::json!({"path": entry.path, "type": "symlink", "target": target})
                    }
                    Content::File(file) => {
                        let hash = file.hash().context(Kind::Usage, || format!("cannot read {}", entry.path))?;
                        let (size, hash) = (file.size(), hash.to_hex().to_string());
                        serde_json::json!({"path": entry.path, "type": "file", "mode": mode, "size": size, "blake3": hash})
                    }
                };
                Ok(line.to_string())
            })
            .collect()
    }
}

struct Tree<'a> {
    source: &'a Source,
}

impl Tree<'_> {
    /// A file of the source, whether or not it is ignored.
    fn text(&self, name: &str) -> Result<Option<String>> {
        let bytes = match self.source {
            Source::Embedded(dir) => dir.get_file(dir.path().join(name)).map(|file| file.contents().to_vec()),
            Source::Folder(root) => match fs::read(root.join(name)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(Error::new(Kind::Usage, format!("cannot read {}", self.display(name))).cause(error));
                }
            },
        };
        bytes.map(String::from_utf8).transpose().context(Kind::Usage, || format!("{} is not text", self.display(name)))
    }

    fn display(&self, name: &str) -> String {
        match self.source {
            Source::Embedded(dir) => dir.path().join(name).display().to_string(),
            Source::Folder(root) => root.join(name).display().to_string(),
        }
    }
}
