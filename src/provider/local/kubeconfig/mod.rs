//! The user's own kubeconfig: our context goes in when a cluster is made, and comes out when it is removed. In between
//! it is put right where it means another cluster of that name than the one that is there.
//!
//! YAML that is parsed and written again loses its comments. So what the file was before is kept in the state folder,
//! and comes back byte by byte if nobody else has written to it since; else only our entries are taken out.

mod document;
mod lock;
#[cfg(test)]
mod tests;
mod users;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

pub use document::{authority, is_whole, server, with_port};

use crate::object::Removed;
use crate::{
    error::{Context, Error, Kind, Result},
    state::{self, Folder},
};
use document::{LISTS, is_bare, parse, put_entries, serialise, text};
use lock::Lock;

/// In the cluster's state folder: what the user's file was.
const BACKUP_FILE: &str = "user-kubeconfig.json";
/// In the cluster's state folder: its context was once put into the user's file. Who takes it out then wants it so.
const MERGED_FILE: &str = "user-kubeconfig.merged";

/// The files that kubectl would read, in its order.
#[derive(Debug, Clone)]
pub struct UserKubeconfig {
    paths: Vec<PathBuf>,
}

/// What a merge did to the user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub file: PathBuf,
    /// The current context before, if it is another one now.
    pub switched_from: Option<String>,
    pub switched: bool,
}

/// What a removal did to the user's files.
#[derive(Debug)]
pub struct TakenOut {
    pub removed: Vec<Removed>,
    /// Files that still hold the context, and why.
    pub failures: Vec<Error>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Backup {
    path: PathBuf,
    /// base64; None: there was no file.
    before: Option<String>,
    /// The folder of the file was made by us.
    made_folder: bool,
    /// Of what we wrote. Empty: what it was before held our context already, so it must not come back.
    written: String,
}

impl UserKubeconfig {
    /// KUBECONFIG's list, else `~/.kube/config`.
    pub fn from_env() -> Result<Self> {
        let list = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).ok_or_else(|| {
                Error::new(Kind::Usage, "cannot tell where your kubeconfig is").hint("set KUBECONFIG or HOME")
            })?;
            paths.push(PathBuf::from(home).join(".kube/config"));
        }
        Ok(UserKubeconfig { paths })
    }

    #[cfg(test)]
    pub fn at(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        UserKubeconfig { paths: paths.into_iter().collect() }
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Where an entry goes: the file that has one of that name, else the first kubeconfig that can be written, else the
    /// last of the list.
    fn for_merge(&self, context: &str) -> Result<PathBuf> {
        let holding = self.files_with(context).into_iter().next();
        let writable = |path: &&PathBuf| {
            path.is_file() && read_whole(path).is_some() && fs::OpenOptions::new().append(true).open(path).is_ok()
        };
        let first = || self.paths.iter().find(writable).or_else(|| self.paths.last()).cloned();
        holding.or_else(first).ok_or_else(|| Error::new(Kind::Unexpected, "no kubeconfig to merge into"))
    }

    /// Whether the cluster's context is missing although nobody took it out, or leads to another cluster.
    pub fn is_outdated(&self, private: &[u8], folder: &Folder) -> bool {
        let ours = parse(private, Path::new("of the cluster")).ok().filter(|_| is_whole(private));
        let Some(ours) = ours else { return false };
        let files: Vec<Mapping> = self.paths.iter().filter_map(|path| read_whole(path)).collect();
        let agrees = |list: &str| {
            document::entries(&ours, list).all(|entry| {
                // As kubectl does: of entries with the same name the first file's counts.
                let known = files.iter().find_map(|file| document::find(file, list, entry));
                known.is_some_and(|known| document::agrees(known, entry))
            })
        };
        let context = text(&ours, "current-context").unwrap_or_default();
        match files.iter().any(|file| document::has(file, "contexts", context)) {
            true => !LISTS.iter().all(|list| agrees(list)),
            false => !folder.file(MERGED_FILE).exists(),
        }
    }

    /// A new cluster's context was not put into the user's file yet.
    pub fn forget_merge(folder: &Folder) -> Result<()> {
        folder.remove_file(MERGED_FILE).map(drop)
    }

    /// Puts the entries of a one-cluster kubeconfig into the user's file and makes its context the current one, where
    /// it is new or `make_current` asks for that. Nothing is written if all of that is so already.
    pub fn merge(&self, private: &[u8], make_current: bool, folder: &Folder) -> Result<Merged> {
        let ours = parse(private, Path::new("of the cluster"))?;
        let context = text(&ours, "current-context").unwrap_or_default().to_owned();
        let path = resolve(&self.for_merge(&context)?);
        let made_folder = make_parent(&path)?;
        let _lock = Lock::take(&path)?;
        let before = state::read_if_there(&path)?;
        let mut config = parse(before.as_deref().unwrap_or_default(), &path)?;
        let unchanged = config.clone();
        let held = document::holds(&config, &context);
        let previous = text(&config, "current-context").filter(|name| !name.is_empty()).map(str::to_owned);
        for list in LISTS {
            put_entries(&mut config, list, &ours, &path)?;
        }
        for (key, value) in &ours {
            if !config.contains_key(key) {
                config.insert(key.clone(), value.clone());
            }
        }
        if make_current || !held {
            config.insert("current-context".into(), context.clone().into());
        }
        let switched = text(&config, "current-context") != previous.as_deref();
        let merged = Merged { file: path.clone(), switched_from: previous.filter(|_| switched), switched };
        if config != unchanged {
            let content = serialise(&config)?;
            remember(folder, &path, before, held, made_folder, &content)?;
            write(&path, &content)?;
        }
        folder.write(MERGED_FILE, &[])?;
        Ok(merged)
    }

    /// Takes the context out of all files, or puts the file back as it was before the merge if it was not written to
    /// since. A file that does not hold the context is not touched, nor is it asked whether it could be.
    pub fn remove(&self, context: &str, folder: &Folder) -> Result<TakenOut> {
        let backup: Option<Backup> =
            folder.read(BACKUP_FILE)?.and_then(|content| serde_json::from_slice(&content).ok());
        let mut paths: Vec<PathBuf> = self.paths.iter().map(|path| resolve(path)).collect();
        // KUBECONFIG may have been another list when the cluster was made.
        paths.extend(backup.iter().map(|backup| backup.path.clone()));
        paths.sort();
        paths.dedup();
        let mut taken = TakenOut { removed: Vec::new(), failures: Vec::new() };
        for path in paths.iter().filter(|path| holds(path, context)) {
            match take_out_of(path, context, backup.as_ref()) {
                Ok(true) => taken.removed.push(Removed {
                    kind: "kubeconfig context".to_owned(),
                    name: format!("{context} in {}", path.display()),
                }),
                Ok(false) => {}
                Err(error) => taken.failures.push(error),
            }
        }
        if taken.failures.is_empty() {
            folder.remove_file(BACKUP_FILE)?;
        }
        Ok(taken)
    }

    /// The files that hold an entry of that name. One that cannot be read holds none that kubectl could use.
    pub fn files_with(&self, context: &str) -> Vec<PathBuf> {
        self.paths.iter().filter(|path| holds(path, context)).cloned().collect()
    }
}

/// None: it cannot be read, or not as a kubeconfig.
fn read_whole(path: &Path) -> Option<Mapping> {
    fs::read(path).ok().and_then(|content| parse(&content, path).ok())
}

fn holds(path: &Path, context: &str) -> bool {
    read_whole(path).is_some_and(|config| document::holds(&config, context))
}

fn take_out_of(path: &Path, context: &str, backup: Option<&Backup>) -> Result<bool> {
    let lock = Lock::take(path)?;
    let Some(content) = state::read_if_there(path)? else { return Ok(false) };
    let restorable = backup.filter(|backup| backup.path == path && backup.written == hash(&content));
    let changed = match restorable {
        Some(backup) => restore(backup)?,
        None => take_out(path, &content, context)?,
    };
    drop(lock);
    // Without a record of it, kubectl's usual folder counts as ours once our file was all that it held.
    let made_folder = match restorable {
        Some(backup) => backup.made_folder,
        None => !path.exists() && path.parent().is_some_and(|parent| parent.ends_with(".kube")),
    };
    if let Some(parent) = path.parent().filter(|_| made_folder) {
        // Others may have put something there meanwhile (kubectl's cache): then it stays.
        let _ = fs::remove_dir(parent);
    }
    Ok(changed)
}

/// Keeps what the file was, unless what it is was itself written by us: then the first backup still holds. `held`: it
/// had our context before, so that it can only be taken out of it.
fn remember(
    folder: &Folder,
    path: &Path,
    before: Option<Vec<u8>>,
    held: bool,
    made_folder: bool,
    written: &[u8],
) -> Result<()> {
    let kept: Option<Backup> = folder.read(BACKUP_FILE)?.and_then(|content| serde_json::from_slice(&content).ok());
    let kept = kept.filter(|kept| kept.path == path && before.as_deref().map(hash).as_ref() == Some(&kept.written));
    let backup = match kept {
        Some(kept) => Backup { written: hash(written), ..kept },
        None => Backup {
            path: path.to_owned(),
            before: before.map(|before| BASE64_STANDARD.encode(before)),
            made_folder,
            written: if held { String::new() } else { hash(written) },
        },
    };
    let text = serde_json::to_vec(&backup)
        .context(Kind::Unexpected, || "cannot serialise the backup of the kubeconfig".to_owned())?;
    folder.write(BACKUP_FILE, &text)
}

fn restore(backup: &Backup) -> Result<bool> {
    match &backup.before {
        None => fs::remove_file(&backup.path)
            .context(Kind::Unexpected, || format!("cannot remove the kubeconfig {}", backup.path.display()))?,
        Some(before) => {
            let before = BASE64_STANDARD
                .decode(before)
                .context(Kind::Unexpected, || "cannot read the backup of the kubeconfig".to_owned())?;
            write(&backup.path, &before)?;
        }
    }
    Ok(true)
}

fn take_out(path: &Path, content: &[u8], context: &str) -> Result<bool> {
    let mut config = parse(content, path)?;
    let mut changed = false;
    for list in LISTS {
        if let Some(Value::Sequence(entries)) = config.get_mut(list) {
            let before = entries.len();
            entries.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(context));
            changed |= entries.len() != before;
        }
    }
    if text(&config, "current-context") == Some(context) {
        config.insert("current-context".into(), "".into());
        changed = true;
    }
    if changed && is_bare(&config) {
        fs::remove_file(path).context(Kind::Platform, || format!("cannot remove {}", path.display()))?;
    } else if changed {
        write(path, &serialise(&config)?)?;
    }
    Ok(changed)
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// A kubeconfig that is a link stays one: what it points to is written.
fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

fn make_parent(path: &Path) -> Result<bool> {
    let Some(parent) = path.parent().filter(|parent| !parent.exists()) else { return Ok(false) };
    fs::create_dir_all(parent).context(Kind::Unexpected, || format!("cannot make the folder {}", parent.display()))?;
    Ok(true)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mode = fs::metadata(path).map_or(0o600, |known| known.permissions().mode() & 0o777);
    state::write_atomically(path, content, mode)
        .context(Kind::Unexpected, || format!("cannot write the kubeconfig {}", path.display()))
}
