//! The build context: the files of a service after `.dockerignore`, in one fixed order.

use std::{
    borrow::Cow,
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use include_dir::{Dir, DirEntry};

use super::dockerignore::{Above, Matcher};
use crate::{
    error::{Context as _, Error, Kind, Result},
    stack::model::Source,
};

/// What a build is given, in the order of a sorted walk, a directory before what is in it.
#[derive(Debug, Clone)]
pub struct Context {
    pub entries: Vec<Entry>,
    /// The text of the Dockerfile, which `.dockerignore` may have left out of `entries`.
    pub dockerfile: String,
}

#[derive(Debug, Clone)]
pub struct Entry {
    /// Relative, with `/`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
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
    OnDisk(PathBuf),
}

impl File {
    pub fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            File::Static(bytes) => Ok(Cow::Borrowed(bytes)),
            File::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            File::OnDisk(path) => fs::read(path).map(Cow::Owned),
        }
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
        let mut entries = match source {
            Source::Embedded(dir) => {
                let mut entries = Vec::new();
                walk_embedded(dir, dir, matcher.as_ref(), &Above::default(), &mut entries)?;
                entries
            }
            Source::Folder(root) => {
                let mut entries = Vec::new();
                walk_folder(root, "", matcher.as_ref(), &Above::default(), &mut entries)?;
                entries
            }
        };
        // As a walk meets them: all of `a/` before `a-b`.
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        Ok(Context { entries, dockerfile: text })
    }

    /// Writes an archive that depends on nothing but the entries: owner root, time 0. Blocking.
    pub fn write_tar(&self, output: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(output);
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match &entry.content {
                Content::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
                }
                Content::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, &entry.path, target)?;
                }
                Content::File(file) => {
                    let bytes = file.read()?;
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, &entry.path, &*bytes)?;
                }
            }
        }
        archive.into_inner()?.flush()
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
                        let bytes = file.read().context(Kind::Usage, || format!("cannot read {}", entry.path))?;
                        let hash = blake3::hash(&bytes).to_hex().to_string();
                        let size = bytes.len();
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

/// The verdict on one path, and whether a directory's inside has to be looked at.
fn judge(matcher: Option<&Matcher>, path: &str, above: &Above) -> (bool, bool, Above) {
    match matcher {
        None => (false, true, Above::default()),
        Some(matcher) => {
            let (excluded, here) = matcher.excludes(path, above);
            (excluded, !excluded || matcher.may_except_beneath(path), here)
        }
    }
}

/// An excluded directory stays when something in it is wanted back, as it has to exist for that.
fn keep_directory(entries: &mut Vec<Entry>, at: usize, excluded: bool, path: String, mode: u32) {
    if !excluded || entries.len() > at {
        entries.insert(at, Entry { path, mode, content: Content::Directory });
    }
}

/// Embedded files carry no modes: scripts are known by their first two bytes.
fn walk_embedded(
    root: &Dir<'static>,
    dir: &Dir<'static>,
    matcher: Option<&Matcher>,
    above: &Above,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    for entry in dir.entries() {
        let relative = entry.path().strip_prefix(root.path()).unwrap_or(entry.path());
        let path = utf8(relative)?;
        let (excluded, enter, here) = judge(matcher, &path, above);
        match entry {
            DirEntry::Dir(child) => {
                let at = entries.len();
                if enter {
                    walk_embedded(root, child, matcher, &here, entries)?;
                }
                keep_directory(entries, at, excluded, path, 0o755);
            }
            DirEntry::File(file) if !excluded => {
                let bytes = File::Static(file.contents());
                let mode = if file.contents().starts_with(b"#!") { 0o755 } else { 0o644 };
                entries.push(Entry { path, mode, content: Content::File(bytes) });
            }
            DirEntry::File(_) => {}
        }
    }
    Ok(())
}

fn walk_folder(
    root: &Path,
    prefix: &str,
    matcher: Option<&Matcher>,
    above: &Above,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let folder = root.join(prefix);
    let failed = || format!("cannot read the build context {}", folder.display());
    for child in fs::read_dir(&folder).context(Kind::Usage, failed)? {
        let child = child.context(Kind::Usage, failed)?;
        let name = utf8(Path::new(&child.file_name()))?;
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let (excluded, enter, here) = judge(matcher, &path, above);
        let kind = child.file_type().context(Kind::Usage, failed)?;
        if excluded && !(kind.is_dir() && enter) {
            continue;
        }
        let metadata = child.metadata().context(Kind::Usage, failed)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if kind.is_dir() {
            let at = entries.len();
            walk_folder(root, &path, matcher, &here, entries)?;
            keep_directory(entries, at, excluded, path, mode);
        } else if kind.is_symlink() {
            let target = fs::read_link(child.path()).context(Kind::Usage, failed)?;
            entries.push(Entry { path, mode: 0o777, content: Content::Symlink(utf8(&target)?) });
        } else if kind.is_file() {
            entries.push(Entry { path, mode, content: Content::File(File::OnDisk(child.path())) });
        }
        // Sockets, pipes and devices are nothing that an image could be built from.
    }
    Ok(())
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{} in a build context is not a UTF-8 name", path.display()))
            .hint("Rename it, or leave it out with .dockerignore")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn paths(root: &Path) -> Vec<String> {
        let context = Context::load(&Source::Folder(root.to_owned()), "Dockerfile").unwrap();
        context.entries.into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn ignored_files_are_out_and_exceptions_keep_their_directories() {
        let root = tree(&[
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "node_modules\n*.md\n!node_modules/kept/file\nDockerfile\n.dockerignore"),
            ("README.md", ""),
            ("src/a.js", ""),
            ("node_modules/left/out", ""),
            ("node_modules/kept/file", ""),
            ("node_modules/kept/other", ""),
        ]);
        let expected = ["node_modules", "node_modules/kept", "node_modules/kept/file", "src", "src/a.js"];
        assert_eq!(paths(root.path()), expected);
    }

    #[test]
    fn the_dockerfiles_own_ignore_file_wins() {
        let root = tree(&[
            ("Dockerfile", "FROM scratch"),
            ("Dockerfile.dockerignore", "b\n*ockerfile*"),
            (".dockerignore", "a"),
            ("a", ""),
            ("b", ""),
        ]);
        assert_eq!(paths(root.path()), [".dockerignore", "a"]);
    }

    #[test]
    fn the_archive_depends_on_the_entries_alone() {
        let root = tree(&[("Dockerfile", "FROM scratch"), ("src/run", "#!/bin/sh\n")]);
        fs::set_permissions(root.path().join("src/run"), fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("run", root.path().join("src/link")).unwrap();
        let source = Source::Folder(root.path().to_owned());
        let pack = || {
            let mut bytes = Vec::new();
            Context::load(&source, "Dockerfile").unwrap().write_tar(&mut bytes).unwrap();
            bytes
        };
        let first = pack();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1000);
        fs::File::open(root.path().join("src/run")).unwrap().set_modified(later).unwrap();
        assert_eq!(first, pack());

        let mut archive = tar::Archive::new(&first[..]);
        let listed: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let link = entry.link_name().unwrap().map(|link| link.display().to_string());
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), link)
            })
            .collect();
        let mode = |path: &str| listed.iter().find(|(listed, _, _)| listed == path).unwrap().clone();
        assert_eq!(mode("src/run").1, 0o750);
        assert_eq!(mode("src/link").2.as_deref(), Some("run"));
        assert_eq!(listed.len(), 4);
    }

    #[test]
    fn a_missing_dockerfile_is_named() {
        let root = tree(&[("a", "")]);
        let error = Context::load(&Source::Folder(root.path().to_owned()), "Dockerfile").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains("Dockerfile"), "{error}");
    }
}
