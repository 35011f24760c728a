//! The state folder: caches and files that may be lost at any time. Folders are 0700 and files 0600, for kubeconfigs are secrets.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::error::{Context, Error, Kind, Result};

/// `$XDG_STATE_HOME/stackctl`, by default `~/.local/state/stackctl`.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Finds the folder; makes nothing.
    pub fn from_env() -> Result<State> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let base = base.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                "cannot tell where to keep state: neither XDG_STATE_HOME nor HOME is an absolute path",
            )
            .hint("set HOME, or XDG_STATE_HOME to a folder of yours")
        })?;
        Ok(State::at(base.join("stackctl")))
    }

    pub fn at(root: impl Into<PathBuf>) -> State {
        State { root: root.into() }
    }

    #[cfg(test)]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is kept about one cluster: `clusters/NAME`.
    pub fn cluster(&self, name: &str) -> Folder {
        self.folder(Path::new("clusters").join(name))
    }

    /// One file for each cluster that a process is making or removing. Apart from what is kept about it, for that goes
    /// with the cluster.
    pub fn locks(&self) -> Folder {
        self.folder("locks")
    }

    /// A folder below the root that is not about one cluster.
    pub fn folder(&self, relative: impl AsRef<Path>) -> Folder {
        Folder { path: self.root.join(relative), root: self.root.clone() }
    }
}

/// A folder of the state folder. It need not exist.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    root: PathBuf,
}

impl Folder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder and its parents, 0700 as far as they are ours.
    pub fn make(&self) -> Result<()> {
        in_private(&self.path, || Ok(()))
            .context(Kind::Unexpected, || format!("cannot make the folder {}", self.path.display()))
    }

    /// A file to read and to write, made if there is none. NotFound: the folder went meanwhile.
    pub fn open(&self, name: &str) -> std::io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        in_private(&self.path, || options.open(self.file(name)))
    }

    /// None: there is no such file.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read_if_there(&self.file(name))
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let file = self.file(name);
        let folder = file.parent().unwrap_or(&self.path);
        in_private(folder, || write_atomically(&file, content, 0o600))
            .context(Kind::Unexpected, || format!("cannot write {}", file.display()))
            .map_err(|error| error.hint("make room there, or name another place for stackctl's state: XDG_STATE_HOME"))
    }

    /// Writes the file whole unless there is one, which then stays; true: it was written.
    pub fn create(&self, name: &str, content: &[u8]) -> Result<bool> {
        let file = self.file(name);
        let written = in_private(&self.path, || {
            let mut temporary = NamedTempFile::new_in(&self.path)?;
            temporary.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
            temporary.write_all(content)?;
            temporary.as_file().sync_all()?;
            match temporary.persist_noclobber(&file) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        });
        written.context(Kind::Unexpected, || format!("cannot write {}", file.display()))
    }

    /// Removes one file; true: it was there.
    pub fn remove_file(&self, name: &str) -> Result<bool> {
        let file = self.file(name);
        match fs::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context(Kind::Unexpected, || format!("cannot remove {}", file.display())),
        }
    }

    /// Removes the folder with all in it, then the parents that this leaves empty, the root of the state included.
    /// True: it was there.
    pub fn remove(&self) -> Result<bool> {
        let existed = match fs::remove_dir_all(&self.path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                return Err(error).context(Kind::Unexpected, || format!("cannot remove {}", self.path.display()));
            }
        };
        self.tidy();
        Ok(existed)
    }

    /// Removes the folder if it is empty, then the parents that this leaves empty, the root of the state included.
    pub fn tidy(&self) {
        let mut above = Some(self.path.as_path());
        while let Some(folder) = above.filter(|folder| folder.starts_with(&self.root)) {
            // A folder that something else still uses is not empty: the right moment to stop.
            if fs::remove_dir(folder).is_err_and(|error| error.kind() != ErrorKind::NotFound) {
                break;
            }
            above = folder.parent();
        }
        // Where `~/.local/state` was made for us alone, nothing of it is to be left either.
        if let Some(base) = self.root.parent().filter(|base| base.ends_with(".local/state")) {
            let _ = fs::remove_dir(base).and_then(|()| base.parent().map_or(Ok(()), fs::remove_dir));
        }
    }
}

/// `$XDG_CACHE_HOME/stackctl`, by default `~/.cache/stackctl`: what only saves time. None: there is no place for it.
pub fn cache() -> Option<PathBuf> {
    if cfg!(test) {
        return None;
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("stackctl"))
}

/// Makes a folder, 0700 as far as it is not there.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    in_private(folder, || Ok(()))
}

/// None: there is no such file.
pub fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(Kind::Unexpected, || format!("cannot read {}", file.display())),
    }
}

/// Writes beside the file and renames, so that no reader sees half of it. The folder must exist.
pub fn write_atomically(file: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = NamedTempFile::new_in(folder)?;
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file)?;
    Ok(())
}

/// Does it in this folder, made 0700 if there is none. Another process may tidy the folder away between two steps of
/// ours, which then find it gone, or there and not there: then both are done again.
fn in_private<T>(folder: &Path, mut work: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let mut once = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        work()
    };
    for _ in 0..20 {
        match once() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            done => return done,
        }
    }
    once()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_is_made_even_while_another_process_tidies() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path().join("stackctl")).locks();
        let over = std::sync::atomic::AtomicBool::new(false);
        let made: Result<Vec<()>> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = folder.make();
                    folder.tidy();
                }
            });
            let made = (0..2_000).map(|_| folder.make()).collect();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            made
        });
        made.unwrap();
        // Something else in its place is told.
        fs::write(home.path().join("file"), "").unwrap();
        assert!(State::at(home.path().join("file")).locks().make().is_err());
    }

    #[test]
    fn files_and_folders_are_private() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path().join("stackctl")).cluster("one");
        folder.write("kubeconfig", b"secret").unwrap();
        assert_eq!(mode(&folder.file("kubeconfig")), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&home.path().join("stackctl")), 0o700);
        assert_eq!(folder.read("kubeconfig").unwrap().as_deref(), Some(b"secret".as_slice()));
        assert_eq!(folder.read("other").unwrap(), None);
    }

    #[test]
    fn removal_takes_empty_parents_along_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let state = State::at(home.path().join("stackctl"));
        state.cluster("one").write("a", b"").unwrap();
        state.cluster("two").write("b", b"").unwrap();
        assert!(state.cluster("one").remove().unwrap());
        assert!(!state.cluster("one").remove().unwrap());
        assert!(state.cluster("two").file("b").exists());
        assert!(state.cluster("two").remove().unwrap());
        assert!(!state.root.exists());
        assert!(home.path().exists());
    }

    #[test]
    fn a_home_that_had_no_state_folder_has_none_afterwards() {
        let home = tempfile::tempdir().unwrap();
        let state = State::at(home.path().join(".local/state/stackctl"));
        state.cluster("one").write("a", b"").unwrap();
        fs::create_dir_all(home.path().join(".local/share")).unwrap();
        assert!(state.cluster("one").remove().unwrap());
        assert!(!home.path().join(".local/state").exists());
        assert!(home.path().join(".local/share").exists());
    }

    #[test]
    fn removing_what_was_never_there_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let state = State::at(home.path().join("stackctl"));
        assert!(!state.cluster("one").remove().unwrap());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
