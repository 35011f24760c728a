//! Walks a source in sorted order: a directory, then all in it, then its next neighbour.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::OnceLock,
};

use include_dir::{Dir, DirEntry};

use super::{
    super::dockerignore::{Above, Matcher},
    Content, Entry, File,
};
use crate::error::{Context as _, Error, Kind, Result};

/// Which file, and which state of it: another content comes with another stamp, as the kernel sets `changed` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970, as `changed`.
    pub modified: i64,
    pub changed: i64,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

pub fn embedded(dir: &Dir<'static>, matcher: Option<&Matcher>) -> Result<Vec<Entry>> {
    let mut walk = Walk { matcher, entries: Vec::new() };
    walk.embedded(dir, dir, &Above::default())?;
    Ok(walk.entries)
}

pub fn folder(root: &Path, matcher: Option<&Matcher>) -> Result<Vec<Entry>> {
    let mut walk = Walk { matcher, entries: Vec::new() };
    walk.folder(root, "", &Above::default())?;
    Ok(walk.entries)
}

struct Walk<'a> {
    matcher: Option<&'a Matcher>,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    /// The verdict on one path, and whether a directory's inside has to be looked at.
    fn judge(&self, path: &str, above: &Above) -> (bool, bool, Above) {
        match self.matcher {
            None => (false, true, Above::default()),
            Some(matcher) => {
                let (excluded, here) = matcher.excludes(path, above);
                (excluded, !excluded || matcher.may_except_beneath(path), here)
            }
        }
    }

    /// An excluded directory stays when something in it is wanted back, as it has to exist for that.
    fn directory(
        &mut self,
        entry: Entry,
        excluded: bool,
        inside: impl FnOnce(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        let at = self.entries.len();
        let path = entry.path.clone();
        self.entries.push(entry);
        inside(self, &path)?;
        if excluded && self.entries.len() == at + 1 {
            self.entries.pop();
        }
        Ok(())
    }

    /// Embedded files carry no modes: scripts are known by their first two bytes.
    fn embedded(&mut self, root: &Dir<'static>, dir: &Dir<'static>, above: &Above) -> Result<()> {
        let modified = time_of_embedded();
        let mut children: Vec<&DirEntry> = dir.entries().iter().collect();
        children.sort_by_key(|child| child.path().file_name());
        for child in children {
            let path = utf8(child.path().strip_prefix(root.path()).unwrap_or(child.path()))?;
            let (excluded, enter, here) = self.judge(&path, above);
            match child {
                DirEntry::Dir(child) if enter => {
                    let entry = Entry { path, mode: 0o755, modified, content: Content::Directory };
                    self.directory(entry, excluded, |walk, _| walk.embedded(root, child, &here))?;
                }
                DirEntry::File(file) if !excluded => {
                    let mode = if file.contents().starts_with(b"#!") { 0o755 } else { 0o644 };
                    let content = Content::File(File::Static(file.contents()));
                    self.entries.push(Entry { path, mode, modified, content });
                }
                DirEntry::Dir(_) | DirEntry::File(_) => {}
            }
        }
        Ok(())
    }

    fn folder(&mut self, root: &Path, prefix: &str, above: &Above) -> Result<()> {
        let folder = root.join(prefix);
        let failed = || format!("cannot read the build context {}", folder.display());
        let children = fs::read_dir(&folder).context(Kind::Usage, failed)?;
        let mut children = children.collect::<std::io::Result<Vec<_>>>().context(Kind::Usage, failed)?;
        children.sort_by_cached_key(fs::DirEntry::file_name);
        for child in children {
            let name = utf8(Path::new(&child.file_name()))?;
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let (excluded, enter, here) = self.judge(&path, above);
            let kind = child.file_type().context(Kind::Usage, failed)?;
            if excluded && !(kind.is_dir() && enter) {
                continue;
            }
            let metadata = child.metadata().context(Kind::Usage, failed)?;
            let stamp = Stamp::of(&metadata);
            let mode = metadata.mode() & 0o7777;
            let entry = |mode, content| Entry { path: path.clone(), mode, modified: stamp.modified, content };
            if kind.is_dir() {
                let entry = entry(mode, Content::Directory);
                self.directory(entry, excluded, |walk, path| walk.folder(root, path, &here))?;
            } else if kind.is_symlink() {
                let target = fs::read_link(child.path()).context(Kind::Usage, failed)?;
                self.entries.push(entry(0o777, Content::Symlink(utf8(&target)?)));
            } else if kind.is_file() {
                self.entries.push(entry(mode, Content::File(File::OnDisk { path: child.path(), stamp })));
            }
            // Sockets, pipes and devices are nothing that an image could be built from.
        }
        Ok(())
    }
}

/// Files that this executable carries are as old as itself: a newer executable's are newer.
fn time_of_embedded() -> i64 {
    static TIME: OnceLock<i64> = OnceLock::new();
    let executable = || fs::metadata(std::env::current_exe().ok()?).ok();
    *TIME.get_or_init(|| executable().map_or(0, |metadata| Stamp::of(&metadata).modified))
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{} in a build context is not a UTF-8 name", path.display()))
            .hint("Rename it, or leave it out with .dockerignore")
    })
}
