//! Where a stack comes from, so that another of the same name is not taken for it: the repository and the folder in it,
//! which stay the same wherever it is cloned to; else the folder. Nothing that could be a password is part of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::stack::{files::Folder, model::Source};

const PATH: &str = "path:";
const EMBEDDED: &str = "embedded:";

/// How many clones of clones on this machine are followed to the repository that they come from.
const CLONES: usize = 8;

/// The text by which a stack's place is recorded.
pub fn of(folder: &Folder) -> String {
    match folder.source() {
        Some(Source::Folder(path)) => of_path(&path),
        Some(Source::Embedded(dir)) => format!("{EMBEDDED}{}", dir.path().display()),
        None => String::new(),
    }
}

/// For people.
pub fn describe(origin: &str) -> String {
    if let Some(name) = origin.strip_prefix(EMBEDDED) {
        return format!("the stack {name} that stackctl brings along");
    }
    match origin.strip_prefix(PATH) {
        Some(hash) => format!("a folder without a remote repository, recorded only as the hash {hash} of its path"),
        None => match origin.rsplit_once(':') {
            Some((repository, ".")) => format!("the repository {repository}"),
            Some((repository, folder)) => format!("the folder {folder} of the repository {repository}"),
            None => origin.to_owned(),
        },
    }
}

fn of_path(folder: &Path) -> String {
    let Some(root) = folder.ancestors().find(|path| path.join(".git").exists()) else { return hashed(folder) };
    let within = folder.strip_prefix(root).unwrap_or(Path::new(""));
    match remote_of(root, CLONES) {
        Found::Remote(url) => {
            let within = if within.as_os_str().is_empty() { ".".to_owned() } else { within.display().to_string() };
            format!("{url}:{within}")
        }
        Found::Local(root) => hashed(&root.join(within)),
    }
}

fn hashed(path: &Path) -> String {
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    format!("{PATH}{}", &hash[..16])
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// `github.com/org/shop`
    Remote(String),
    /// A repository of this machine that comes from nowhere.
    Local(PathBuf),
}

/// Where a repository was cloned from.
fn remote_of(root: &Path, clones: usize) -> Found {
    let here = || Found::Local(root.to_owned());
    let Some(url) = config(root).as_deref().and_then(remote_url) else { return here() };
    if let Some(url) = shortened(&url) {
        return Found::Remote(url);
    }
    // A clone of a folder.
    let path = root.join(url.strip_prefix("file://").unwrap_or(&url));
    match path.canonicalize() {
        Ok(path) if clones > 0 && path != root => remote_of(&path, clones - 1),
        _ => here(),
    }
}

/// The text of the repository's configuration: a bare one's, a usual one's, a worktree's or a submodule's.
fn config(root: &Path) -> Option<String> {
    let git = root.join(".git");
    let folder = if git.is_dir() {
        git
    } else if let Ok(link) = fs::read_to_string(&git) {
        let folder = root.join(link.strip_prefix("gitdir:")?.trim());
        match fs::read_to_string(folder.join("commondir")) {
            Ok(common) => folder.join(common.trim()),
            Err(_) => folder,
        }
    } else {
        root.to_owned()
    };
    fs::read_to_string(folder.join("config")).ok()
}

/// The URL of `origin`, or of the first remote by name where there is none of that name.
fn remote_url(config: &str) -> Option<String> {
    let mut remote: Option<&str> = None;
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            remote = line.strip_prefix("[remote \"").and_then(|rest| rest.split('"').next());
        } else if let (Some(name), Some((key, value))) = (remote, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("url")
        {
            found.push((name, value.trim().trim_matches('"').to_owned()));
        }
    }
    found.sort_by_key(|(name, _)| (*name != "origin", *name));
    found.into_iter().next().map(|(_, url)| url)
}

/// Host and path alone, which are the same however the repository is reached. None: a path of this machine.
fn shortened(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            // Ports of SSH and of HTTPS are different for the same server.
            let host = if scheme.contains("ssh") { host.split(':').next().unwrap_or(host) } else { host };
            (host, path)
        }
        // git@github.com:org/shop.git
        None => {
            let (host, path) = url.split_once(':').filter(|(host, _)| !host.contains('/') && host.len() > 1)?;
            (host.rsplit_once('@').map_or(host, |(_, host)| host), path)
        }
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    Some(format!("{}/{path}", host.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_the_same_however_it_is_reached_and_no_password_is_told() {
        for url in [
            "git@github.com:org/shop.git",
            "ssh://git@github.com:22/org/shop",
            "https://github.com/org/shop.git",
            "https://user:secret@GitHub.com/org/shop/?token=secret",
        ] {
            assert_eq!(shortened(url).as_deref(), Some("github.com/org/shop"), "{url}");
        }
        for path in ["/srv/shop.git", "../shop", "file:///srv/shop", "C:\\shop"] {
            assert_eq!(shortened(path), None, "{path}");
        }
        let config = "[core]\n\turl = no\n[remote \"backup\"]\n\turl = a\n[remote \"origin\"]\n\tURL = b\n";
        assert_eq!(remote_url(config).as_deref(), Some("b"));
    }

    #[test]
    fn clones_and_worktrees_are_the_same_origin_and_other_folders_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let repository = |name: &str, config: &str| {
            fs::create_dir_all(root.join(name).join(".git")).unwrap();
            fs::create_dir_all(root.join(name).join("deploy/shop")).unwrap();
            fs::write(root.join(name).join(".git/config"), config).unwrap();
            root.join(name)
        };
        let remote = "[remote \"origin\"]\n  url = https://me:secret@example.com/org/shop.git\n";
        let one = of_path(&repository("one", remote).join("deploy/shop"));
        assert_eq!(one, "example.com/org/shop:deploy/shop");
        assert_eq!(of_path(&repository("two", remote).join("deploy/shop")), one);
        assert_ne!(of_path(&root.join("two")), one);

        // A repository of this machine, its clone, and a worktree of it.
        let alone = of_path(&repository("alone", "").join("deploy/shop"));
        assert!(alone.starts_with(PATH), "{alone}");
        let clone = repository("clone", "[remote \"origin\"]\n  url = ../alone\n");
        assert_eq!(of_path(&clone.join("deploy/shop")), alone);
        fs::create_dir_all(root.join("one/.git/worktrees/x")).unwrap();
        fs::write(root.join("one/.git/worktrees/x/commondir"), "../..\n").unwrap();
        fs::create_dir_all(root.join("tree/deploy/shop")).unwrap();
        fs::write(root.join("tree/.git"), format!("gitdir: {}\n", root.join("one/.git/worktrees/x").display()))
            .unwrap();
        assert_eq!(of_path(&root.join("tree/deploy/shop")), one);

        fs::create_dir_all(root.join("left/shop")).unwrap();
        fs::create_dir_all(root.join("right/shop")).unwrap();
        assert_ne!(of_path(&root.join("left/shop")), of_path(&root.join("right/shop")));
        assert!(!of_path(&root.join("left/shop")).contains("left"), "a path may tell a name");
    }

    #[test]
    fn an_origin_reads_as_a_place() {
        assert_eq!(
            describe("github.com/org/shop:deploy/a"),
            "the folder deploy/a of the repository github.com/org/shop"
        );
        assert_eq!(describe("github.com/org/shop:."), "the repository github.com/org/shop");
        assert!(describe("embedded:hello").contains("hello"));
        assert!(describe("path:0123").contains("0123"));
    }
}
