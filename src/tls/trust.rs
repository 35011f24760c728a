//! The system's trust in the authority: an anchor in the system's store, put there and taken away by its own program.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::authority::Anchor;
use crate::{
    error::{Context, Error, Kind, Result},
    state,
};

/// How long a store's program may take.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEYCHAIN: &str = "/Library/Keychains/System.keychain";

/// A way in which systems keep anchors: a folder, and the program that reads it.
struct Kept {
    program: &'static str,
    folder: &'static str,
    added: &'static [&'static str],
    removed: &'static [&'static str],
}

impl Kept {
    /// What somebody without our rights would type.
    fn removal(&self, anchor: &Path) -> String {
        format!("sudo rm {} && sudo {}", quoted(&anchor.display().to_string()), line(self.program, self.removed))
    }
}

/// Debian and Alpine, openSUSE, Fedora, Arch.
const KNOWN: [Kept; 4] = [
    Kept {
        program: "update-ca-certificates",
        folder: "usr/local/share/ca-certificates",
        added: &[],
        removed: &["--fresh"],
    },
    Kept { program: "update-ca-certificates", folder: "etc/pki/trust/anchors", added: &[], removed: &[] },
    Kept {
        program: "update-ca-trust",
        folder: "etc/pki/ca-trust/source/anchors",
        added: &["extract"],
        removed: &["extract"],
    },
    Kept {
        program: "update-ca-trust",
        folder: "etc/ca-certificates/trust-source/anchors",
        added: &["extract"],
        removed: &["extract"],
    },
];

/// Where programs and folders are looked for.
#[derive(Debug, Clone)]
pub struct System {
    root: PathBuf,
    /// As the variable PATH.
    path: OsString,
    privileged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustChange {
    Changed,
    Unchanged,
}

enum Store {
    /// Our file in the folder.
    Folder {
        kept: &'static Kept,
        program: PathBuf,
        anchor: PathBuf,
    },
    Keychain {
        program: PathBuf,
    },
}

impl System {
    /// This one.
    pub fn here() -> System {
        let mut path = env::var_os("PATH").unwrap_or_default();
        // Where the programs are, and where only root looks.
        path.push(":/usr/local/sbin:/usr/sbin:/sbin");
        System { root: PathBuf::from("/"), path, privileged: rustix::process::geteuid().is_root() }
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        env::split_paths(&self.path).map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    fn store(&self, authority: &Anchor) -> Result<Store> {
        for kept in &KNOWN {
            let folder = self.root.join(kept.folder);
            if let Some(program) = self.program(kept.program).filter(|_| folder.is_dir()) {
                return Ok(Store::Folder { kept, program, anchor: folder.join(anchor_name(authority)) });
            }
        }
        if let Some(program) = self.program("security") {
            return Ok(Store::Keychain { program });
        }
        Err(Error::new(Kind::Preflight, "this system keeps its certificates in a way that stackctl does not know")
            .cause("found neither update-ca-certificates nor update-ca-trust with its folder, nor security")
            .hint(format!("trust {} by hand", authority.file.display())))
    }

    /// Lets every program that uses the system's store accept what the authority signs.
    pub async fn trust(&self, authority: &Anchor) -> Result<TrustChange> {
        let store = self.store(authority)?;
        let certificate = authority.file.display().to_string();
        match &store {
            Store::Folder { kept, program, anchor } => {
                let there = state::read_if_there(anchor)?;
                if there.as_deref() == Some(authority.certificate.as_bytes()) {
                    return Ok(TrustChange::Unchanged);
                }
                let target = anchor.display().to_string();
                let update = line(kept.program, kept.added);
                self.need_root(&format!(
                    "sudo install -m 644 {} {} && sudo {update}",
                    quoted(&certificate),
                    quoted(&target)
                ))?;
                state::write_atomically(anchor, authority.certificate.as_bytes(), 0o644)
                    .context(Kind::Unexpected, || format!("cannot write {target}"))?;
                if let Err(error) = self.run(program, kept.added).await {
                    // Half trusted is not trusted: the next run begins anew.
                    let _ = fs::remove_file(anchor);
                    return Err(error);
                }
            }
            Store::Keychain { program } => {
                let arguments = ["add-trusted-cert", "-d", "-r", "trustRoot", "-k", KEYCHAIN, &certificate];
                self.need_root(&format!("sudo {}", line("security", &arguments)))?;
                self.run(program, &arguments).await?;
            }
        }
        Ok(TrustChange::Changed)
    }

    /// Takes `trust` back.
    pub async fn untrust(&self, authority: &Anchor) -> Result<TrustChange> {
        match self.store(authority)? {
            Store::Folder { kept, program, anchor } => {
                if state::read_if_there(&anchor)?.is_none() {
                    return Ok(TrustChange::Unchanged);
                }
                let target = anchor.display().to_string();
                self.need_root(&kept.removal(&anchor))?;
                fs::remove_file(&anchor).context(Kind::Unexpected, || format!("cannot remove {target}"))?;
                self.run(&program, kept.removed).await?;
            }
            Store::Keychain { program } => {
                let certificate = authority.file.display().to_string();
                let arguments = ["remove-trusted-cert", "-d", &certificate];
                self.need_root(&format!("sudo {}", line("security", &arguments)))?;
                self.run(&program, &arguments).await?;
            }
        }
        Ok(TrustChange::Changed)
    }

    /// Anchors in the store that some stackctl put there, by name, each with the command that removes it.
    pub fn anchors(&self) -> Vec<(PathBuf, String)> {
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("stackctl-") && name.ends_with(".crt")
        };
        let mut found = Vec::new();
        for kept in &KNOWN {
            let files = fs::read_dir(self.root.join(kept.folder)).into_iter().flatten().flatten();
            let anchors = files.map(|entry| entry.path()).filter(ours);
            found.extend(anchors.map(|anchor| {
                let command = kept.removal(&anchor);
                (anchor, command)
            }));
        }
        found.sort();
        found
    }

    fn need_root(&self, command: &str) -> Result<()> {
        match self.privileged {
            true => Ok(()),
            false => Err(Error::new(Kind::Preflight, "the system's certificates are root's to change")
                .hint(format!("run `{command}`"))),
        }
    }

    async fn run(&self, program: &Path, arguments: &[&str]) -> Result<()> {
        let shown = line(&program.display().to_string(), arguments);
        let child = Command::new(program).args(arguments).env("PATH", &self.path).kill_on_drop(true).output();
        let output = tokio::time::timeout(TIMEOUT, child)
            .await
            .map_err(|_| Error::new(Kind::Unexpected, format!("{shown} did not end in {} s", TIMEOUT.as_secs())))?
            .context(Kind::Unexpected, || format!("cannot run {shown}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::new(Kind::Unexpected, format!("{shown} failed: {}", output.status)).details(said.lines()))
    }
}

/// Authorities of several users of one machine can stand side by side.
fn anchor_name(authority: &Anchor) -> String {
    let hash = blake3::hash(authority.certificate.as_bytes()).to_hex();
    format!("stackctl-{}.crt", &hash[..12])
}

fn line(program: &str, arguments: &[&str]) -> String {
    let words: Vec<String> = [program].iter().chain(arguments).map(|word| quoted(word)).collect();
    words.join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:=+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        state::State,
        tls::authority::{self, Authority},
    };

    /// A system with such a program, which writes down how it was called and then ends so.
    fn system(folder: &str, program: &str, status: u8) -> (tempfile::TempDir, System, Anchor) {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        if !folder.is_empty() {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let file = bin.join(program);
        let log = root.path().join("log");
        let text =
            format!("#!/bin/sh\necho \"$(basename $0) $*\" >> {}\necho broken >&2\nexit {status}\n", log.display());
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = bin.into_os_string();
        path.push(":/usr/bin:/bin");
        let system = System { root: root.path().to_owned(), path, privileged: true };
        let state = State::at(root.path().join("my state"));
        let authority = Authority::ensure(&state, authority::now()).unwrap();
        (root, system, authority.anchor())
    }

    fn log(root: &tempfile::TempDir) -> String {
        fs::read_to_string(root.path().join("log")).unwrap_or_default()
    }

    #[tokio::test]
    async fn anchors_come_and_go_on_every_linux() {
        let systems = [
            ("usr/local/share/ca-certificates", "update-ca-certificates", "", "--fresh"),
            ("etc/pki/trust/anchors", "update-ca-certificates", "", ""),
            ("etc/pki/ca-trust/source/anchors", "update-ca-trust", "extract", "extract"),
            ("etc/ca-certificates/trust-source/anchors", "update-ca-trust", "extract", "extract"),
        ];
        for (folder, program, added, removed) in systems {
            let (root, system, authority) = system(folder, program, 0);
            let anchor = root.path().join(folder).join(anchor_name(&authority));
            assert_eq!(system.untrust(&authority).await.unwrap(), TrustChange::Unchanged);
            assert_eq!(system.trust(&authority).await.unwrap(), TrustChange::Changed);
            assert_eq!(fs::read_to_string(&anchor).unwrap(), authority.certificate);
            assert_eq!(fs::metadata(&anchor).unwrap().permissions().mode() & 0o777, 0o644);
            assert_eq!(system.trust(&authority).await.unwrap(), TrustChange::Unchanged);
            let removal = format!("sudo rm {} && sudo {}", anchor.display(), format!("{program} {removed}").trim_end());
            assert_eq!(system.anchors(), [(anchor.clone(), removal)]);
            assert_eq!(system.untrust(&authority).await.unwrap(), TrustChange::Changed);
            assert!(!anchor.exists());
            assert_eq!(log(&root), format!("{program} {added}\n{program} {removed}\n"), "{folder}");
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_leaves_no_anchor() {
        let (root, system, authority) = system("usr/local/share/ca-certificates", "update-ca-certificates", 3);
        let error = system.trust(&authority).await.unwrap_err();
        assert!(error.message.ends_with("failed: exit status: 3"), "{error}");
        assert_eq!(error.details, ["broken"]);
        let anchors = fs::read_dir(root.path().join("usr/local/share/ca-certificates")).unwrap();
        assert_eq!(anchors.count(), 0);
    }

    #[tokio::test]
    async fn without_rights_it_says_the_command() {
        let (root, mut system, authority) = system("etc/pki/ca-trust/source/anchors", "update-ca-trust", 0);
        system.privileged = false;
        let error = system.trust(&authority).await.unwrap_err();
        let root_path = root.path().display();
        let anchor = format!("{root_path}/etc/pki/ca-trust/source/anchors/{}", anchor_name(&authority));
        let command = format!(
            "run `sudo install -m 644 '{root_path}/my state/ca/ca.crt' {anchor} && sudo update-ca-trust extract`"
        );
        assert_eq!(error.hints, [command]);
        assert_eq!(log(&root), "");
        fs::write(&anchor, "").unwrap();
        let error = system.untrust(&authority).await.unwrap_err();
        assert_eq!(error.hints, [format!("run `sudo rm {anchor} && sudo update-ca-trust extract`")]);
    }

    #[tokio::test]
    async fn macos_has_a_keychain_and_others_a_sentence() {
        let (root, system, authority) = system("", "security", 0);
        assert_eq!(system.trust(&authority).await.unwrap(), TrustChange::Changed);
        assert_eq!(system.untrust(&authority).await.unwrap(), TrustChange::Changed);
        let file = authority.file.display();
        assert_eq!(
            log(&root),
            format!(
                "security add-trusted-cert -d -r trustRoot -k {KEYCHAIN} {file}\nsecurity remove-trusted-cert -d {file}\n"
            )
        );
        let (_root, system, authority) = self::system("", "unknown", 0);
        let error = system.trust(&authority).await.unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.hints[0].contains("by hand"));
    }
}
