//! The user's own kubeconfig: our context goes in when a cluster is made, and comes out when it is removed.
//!
//! YAML that is parsed and written again loses its comments. So what the file was before is kept in the state folder,
//! and comes back byte by byte if nobody else has written to it since; else only our entries are taken out.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::Removed;
use crate::{
    error::{Context, Error, Kind, Result},
    state::{self, Folder},
};

/// In the cluster's state folder: what the user's file was.
const BACKUP_FILE: &str = "user-kubeconfig.json";
const LOCK_WITHIN: Duration = Duration::from_secs(10);
const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

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

#[derive(Debug, Serialize, Deserialize)]
struct Backup {
    path: PathBuf,
    /// base64; None: there was no file.
    before: Option<String>,
    /// The folder of the file was made by us.
    made_folder: bool,
    /// Of what we wrote.
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

    /// Where a new entry goes: the first file that exists, else the last.
    fn for_merge(&self) -> Result<&Path> {
        let first = self.paths.iter().find(|path| path.is_file()).or_else(|| self.paths.last());
        first.map(PathBuf::as_path).ok_or_else(|| Error::new(Kind::Unexpected, "no kubeconfig to merge into"))
    }

    /// Puts the entries of a one-cluster kubeconfig into the user's file and makes its context the current one.
    /// Nothing is written if all of that is so already.
    pub fn merge(&self, private: &[u8], folder: &Folder) -> Result<Merged> {
        let ours = parse(private, Path::new("kind's kubeconfig"))?;
        let context = text(&ours, "current-context").unwrap_or_default().to_owned();
        let path = resolve(self.for_merge()?);
        let made_folder = make_parent(&path)?;
        let _lock = Lock::take(&path)?;
        let before = state::read_if_there(&path)?;
        let mut config = parse(before.as_deref().unwrap_or_default(), &path)?;
        let unchanged = config.clone();
        let previous = text(&config, "current-context").filter(|name| !name.is_empty()).map(str::to_owned);
        for list in LISTS {
            put_entries(&mut config, list, &ours, &path)?;
        }
        for (key, value) in &ours {
            if !config.contains_key(key) {
                config.insert(key.clone(), value.clone());
            }
        }
        config.insert("current-context".into(), context.clone().into());
        let switched = previous.as_deref() != Some(&context);
        let merged = Merged { file: path.clone(), switched_from: previous.filter(|_| switched), switched };
        if config == unchanged {
            return Ok(merged);
        }
        let content = serialise(&config)?;
        remember(folder, &path, before, made_folder, &content)?;
        write(&path, &content)?;
        Ok(merged)
    }

    /// Takes the context out of all files, or puts the file back as it was before the merge if it was not written to
    /// since.
    pub fn remove(&self, context: &str, folder: &Folder) -> Result<Vec<Removed>> {
        let backup: Option<Backup> =
            folder.read(BACKUP_FILE)?.and_then(|content| serde_json::from_slice(&content).ok());
        let mut paths: Vec<PathBuf> = self.paths.iter().map(|path| resolve(path)).collect();
        // KUBECONFIG may have been another list when the cluster was made.
        paths.extend(backup.iter().map(|backup| backup.path.clone()));
        paths.sort();
        paths.dedup();
        let mut removed = Vec::new();
        for path in paths {
            if !path.is_file() {
                continue;
            }
            let lock = Lock::take(&path)?;
            let Some(content) = state::read_if_there(&path)? else { continue };
            let restorable = backup.as_ref().filter(|backup| backup.path == path && backup.written == hash(&content));
            let changed = match restorable {
                Some(backup) => restore(backup)?,
                None => take_out(&path, &content, context)?,
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
            if changed {
                removed.push(Removed {
                    kind: "kubeconfig context".to_owned(),
                    name: format!("{context} in {}", path.display()),
                });
            }
        }
        folder.remove_file(BACKUP_FILE)?;
        Ok(removed)
    }

    /// The files that hold an entry of that name. One that cannot be read holds none that kubectl could use.
    pub fn files_with(&self, context: &str) -> Vec<PathBuf> {
        let holds = |path: &&PathBuf| {
            let config = fs::read(path).ok().and_then(|content| parse(&content, path).ok());
            config.is_some_and(|config| LISTS.iter().any(|list| names(&config, list).any(|name| name == context)))
        };
        self.paths.iter().filter(holds).cloned().collect()
    }
}

/// Keeps what the file was, unless what it is was itself written by us: then the first backup still holds.
fn remember(folder: &Folder, path: &Path, before: Option<Vec<u8>>, made_folder: bool, written: &[u8]) -> Result<()> {
    let kept: Option<Backup> = folder.read(BACKUP_FILE)?.and_then(|content| serde_json::from_slice(&content).ok());
    let kept = kept.filter(|kept| kept.path == path && before.as_deref().map(hash).as_ref() == Some(&kept.written));
    let backup = match kept {
        Some(kept) => Backup { written: hash(written), ..kept },
        None => Backup {
            path: path.to_owned(),
            before: before.map(|before| BASE64_STANDARD.encode(before)),
            made_folder,
            written: hash(written),
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

/// Whether nothing of anybody is left in it: a file that only we had a use for goes.
fn is_bare(config: &Mapping) -> bool {
    config.iter().all(|(key, value)| match key.as_str() {
        Some("apiVersion" | "kind") => true,
        _ => match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Sequence(entries) => entries.is_empty(),
            Value::Mapping(fields) => fields.is_empty(),
            _ => false,
        },
    })
}

fn put_entries(config: &mut Mapping, list: &str, ours: &Mapping, path: &Path) -> Result<()> {
    let Some(Value::Sequence(new)) = ours.get(list) else { return Ok(()) };
    let slot = config.entry(list.into()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Sequence(Vec::new());
    }
    let Value::Sequence(entries) = slot else {
        return Err(broken(path).cause(format!("its `{list}` is not a list")));
    };
    for entry in new {
        match entries.iter_mut().find(|known| known.get("name") == entry.get("name")) {
            Some(known) => *known = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    Ok(())
}

fn names<'a>(config: &'a Mapping, list: &str) -> impl Iterator<Item = &'a str> {
    let entries = config.get(list).and_then(Value::as_sequence).into_iter().flatten();
    entries.filter_map(|entry| entry.get("name").and_then(Value::as_str))
}

fn text<'a>(config: &'a Mapping, key: &str) -> Option<&'a str> {
    config.get(key).and_then(Value::as_str)
}

fn parse(content: &[u8], path: &Path) -> Result<Mapping> {
    match serde_yaml::from_slice(content) {
        Ok(Value::Null) => Ok(Mapping::new()),
        Ok(Value::Mapping(mapping)) => Ok(mapping),
        Ok(_) => Err(broken(path).cause("it is not a mapping")),
        Err(error) => Err(broken(path).caused_by(&error)),
    }
}

fn broken(path: &Path) -> Error {
    Error::new(Kind::Usage, format!("the kubeconfig {} is broken", path.display()))
        .hint("repair it, or set KUBECONFIG to another file")
}

fn serialise(config: &Mapping) -> Result<Vec<u8>> {
    let text =
        serde_yaml::to_string(config).context(Kind::Unexpected, || "cannot serialise the kubeconfig".to_owned())?;
    Ok(text.into_bytes())
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

/// `config.lock`, made exclusively, as kubectl and kind do.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let deadline = std::time::Instant::now() + LOCK_WITHIN;
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Lock(lock)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && std::time::Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::new(Kind::Unexpected, format!("cannot lock the kubeconfig {}", path.display()))
                        .cause(format!("{} has been there for {} s", lock.display(), LOCK_WITHIN.as_secs()))
                        .hint(format!("if no kubectl or kind is at work: rm {}", lock.display())));
                }
                Err(error) => {
                    return Err(error)
                        .context(Kind::Unexpected, || format!("cannot lock the kubeconfig {}", path.display()));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is ours and was there; if somebody removed it there is nothing left to do.
        let _ = fs::remove_file(&self.0);
    }
}

/// Sets the port of the first cluster's server in a kubeconfig; None: it has that port already.
pub fn with_port(content: &[u8], port: u16) -> Result<Option<Vec<u8>>> {
    let path = Path::new("of the cluster");
    let mut config = parse(content, path)?;
    let server = config.get_mut("clusters").and_then(|list| list.get_mut(0)).and_then(|entry| entry.get_mut("cluster"));
    let server =
        server.and_then(|cluster| cluster.get_mut("server")).ok_or_else(|| broken(path).cause("it names no server"))?;
    let mut url = url::Url::parse(server.as_str().unwrap_or_default())
        .context(Kind::Unexpected, || "the kubeconfig's server is not a URL".to_owned())?;
    if url.port_or_known_default() == Some(port) || url.set_port(Some(port)).is_err() {
        return Ok(None);
    }
    *server = url.as_str().trim_end_matches('/').into();
    serialise(&config).map(Some)
}

#[cfg(test)]
mod tests;
