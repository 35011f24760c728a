//! The agent's image: this very executable with its loader and libraries, from scratch.

pub mod elf;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    BuildSpec,
    context::{Content, Context, Entry, File, Stamp},
    fingerprint,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    stack::model::Source,
};

pub const SERVICE: &str = "agent";
const DOCKERFILE: &str = "FROM scratch\nCOPY rootfs/ /\nUSER 65532:65532\nENTRYPOINT [\"/stackctl\"]\n";
/// Where the loader looks when nothing else is said, by Debian's, Red Hat's and Arch's habits.
const LIBRARY_FOLDERS: [&str; 10] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];
/// glibc loads these by name when it resolves hosts; since 2.34 they are part of libc itself.
const RESOLVER: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

#[derive(Debug, Clone)]
pub struct AgentImage {
    pub context: Context,
    /// 20 hexadecimal digits over all files.
    pub tag: String,
    pub platform: String,
}

/// Collects the running executable and what it is linked with. Blocking; fails where the host is not Linux of
/// `platform`'s architecture.
pub fn agent_image(platform: &str) -> Result<AgentImage> {
    let executable = std::env::current_exe().context(Kind::Unexpected, || "cannot find this executable".into())?;
    image_of(&executable, platform)
}

fn image_of(executable: &Path, platform: &str) -> Result<AgentImage> {
    let bytes = read(executable)?;
    let needs = elf::needs(&bytes)?;
    let architecture = platform.split('/').nth(1).unwrap_or_default();
    if needs.architecture != architecture {
        return Err(Error::new(
            Kind::Preflight,
            format!("the cluster's nodes are {platform}, this executable is for {}", needs.architecture),
        )
        .hint("Name an image of stackctl for the nodes with --agent-image"));
    }
    let mut files = BTreeMap::from([("/stackctl".to_owned(), bytes)]);
    if let Some(loader) = &needs.loader {
        files.insert(loader.clone(), read(Path::new(loader))?);
        collect_libraries(needs.clone(), &mut files)?;
    }
    let modified = fs::metadata(executable).map_or(0, |metadata| Stamp::of(&metadata).modified);
    let entries = entries(files, modified);
    let hash = fingerprint::hash_entries(&entries).context(Kind::Unexpected, || "cannot hash the agent".into())?;
    let tag = blake3::hash(&[hash.as_bytes(), DOCKERFILE.as_bytes()].concat()).to_hex()[..20].to_owned();
    let context = Context { entries, dockerfile: DOCKERFILE.to_owned() };
    Ok(AgentImage { context, tag, platform: platform.to_owned() })
}

impl AgentImage {
    /// For `build::build_context`.
    pub fn spec(&self) -> BuildSpec {
        BuildSpec {
            service: SERVICE.to_owned(),
            context: Source::Folder(PathBuf::new()),
            dockerfile: "Dockerfile".to_owned(),
            target: None,
            args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ca_bundle: None,
            platform: self.platform.clone(),
            no_cache: false,
            pull: false,
        }
    }
}

/// Adds the libraries of an executable and theirs, each under the path at which it was found.
fn collect_libraries(executable: elf::Needs, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let architecture = executable.architecture;
    let search: Vec<_> = executable.search.iter().filter(|folder| folder.starts_with('/')).cloned().collect();
    let mut seen: BTreeSet<String> =
        files.keys().filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect();
    let mut queue: VecDeque<(String, bool)> = executable.libraries.into_iter().map(|name| (name, true)).collect();
    queue.extend(RESOLVER.map(|name| (name.to_owned(), false)));
    while let Some((name, required)) = queue.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let folders = search.iter().map(String::as_str).chain(LIBRARY_FOLDERS);
        let found = folders
            .map(|folder| format!("{folder}/{name}"))
            .filter_map(|path| Some((fs::read(&path).ok()?, path)))
            .find_map(|(bytes, path)| {
                let needs = elf::needs(&bytes).ok().filter(|needs| needs.architecture == architecture)?;
                Some((path, bytes, needs))
            });
        match found {
            Some((path, bytes, needs)) => {
                queue.extend(needs.libraries.into_iter().map(|name| (name, true)));
                files.insert(path, bytes);
            }
            None if required => {
                return Err(Error::new(
                    Kind::Preflight,
                    format!("the library {name} that stackctl is linked with was not found"),
                )
                .cause(format!("looked in {}", LIBRARY_FOLDERS.join(", ")))
                .hint("Name an image of stackctl with --agent-image"));
            }
            None => {}
        }
    }
    Ok(())
}

fn entries(files: BTreeMap<String, Vec<u8>>, modified: i64) -> Vec<Entry> {
    let mut entries: BTreeMap<Vec<String>, Entry> = BTreeMap::new();
    for (path, bytes) in files {
        let path = format!("rootfs{path}");
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        for depth in 1..parts.len() {
            let path = parts[..depth].join("/");
            let directory = Entry { path, mode: 0o755, modified, content: Content::Directory };
            entries.entry(parts[..depth].to_vec()).or_insert(directory);
        }
        let content = Content::File(File::Memory(Arc::from(bytes)));
        entries.insert(parts, Entry { path, mode: 0o755, modified, content });
    }
    entries.into_values().collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let read: io::Result<Vec<u8>> = fs::read(path);
    read.context(Kind::Preflight, || format!("cannot read {} for the agent's image", path.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn platform() -> String {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        format!("linux/{architecture}")
    }

    #[test]
    fn the_other_architecture_is_refused() {
        let other = if cfg!(target_arch = "aarch64") { "linux/amd64" } else { "linux/arm64" };
        let error = agent_image(other).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.hints[0].contains("--agent-image"));
    }

    #[test]
    fn equal_files_give_equal_tags() {
        let of = |path: &str| image_of(Path::new(path), &platform()).unwrap().tag;
        assert_eq!(of("/bin/sh"), of("/bin/sh"));
        assert_eq!(of("/bin/sh").len(), 20);
        assert_ne!(of("/bin/sh"), of("/bin/cat"));
    }

    /// Only what was collected, and the collected loader, run the program: all libraries are there.
    #[test]
    fn the_collected_loader_finds_all_libraries() {
        let image = image_of(Path::new("/bin/sh"), &platform()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let mut folders = BTreeSet::new();
        let mut loader = None;
        for entry in &image.context.entries {
            let path = root.path().join(&entry.path);
            match &entry.content {
                Content::Directory => fs::create_dir_all(&path).unwrap(),
                Content::File(file) => {
                    io::copy(&mut file.open().unwrap(), &mut fs::File::create(&path).unwrap()).unwrap();
                    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
                    folders.insert(path.parent().unwrap().display().to_string());
                    if entry.path.contains("/ld-linux") {
                        loader = Some(path);
                    }
                }
                Content::Symlink(_) => panic!("libraries are copied, not linked"),
            }
        }
        let output = Command::new(loader.unwrap())
            .args(["--inhibit-cache", "--library-path"])
            .arg(folders.into_iter().collect::<Vec<_>>().join(":"))
            .arg(root.path().join("rootfs/stackctl"))
            .args(["-c", "echo it runs"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"it runs\n");
    }
}
