//! The commit that an image was built from, as a tag.

use std::{path::Path, process::Stdio, time::Duration};

use crate::stack::model::Source;

const ANSWER: Duration = Duration::from_secs(10);

/// The short hash of the commit that is checked out, with `-dirty` where the folder differs from it. None: not a
/// checkout of git, or no commit yet, or no git.
pub async fn of(source: &Source) -> Option<String> {
    let Source::Folder(folder) = source else { return None };
    let hash = git(folder, &["rev-parse", "--short", "HEAD"]).await?;
    let changes = git(folder, &["status", "--porcelain", "--untracked-files=normal", "--", "."]).await?;
    let hash = hash.trim();
    match hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && !hash.is_empty() {
        true if changes.trim().is_empty() => Some(hash.to_owned()),
        true => Some(format!("{hash}-dirty")),
        false => None,
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("git");
    command.arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // To look must not write: not even the index.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    let output = tokio::time::timeout(ANSWER, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    fn run(folder: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let status = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).output().unwrap().status;
        assert!(status.success(), "git {arguments:?}");
    }

    #[tokio::test]
    async fn the_services_own_tree_decides() {
        if Command::new("git").arg("version").output().is_err() {
            eprintln!("skipped: there is no git");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("services/web");
        fs::create_dir_all(&service).unwrap();
        let source = Source::Folder(service.clone());
        assert_eq!(of(&source).await, None);
        run(folder.path(), &["init", "--quiet"]);
        assert_eq!(of(&source).await, None);
        fs::write(service.join("Dockerfile"), "FROM scratch\n").unwrap();
        run(folder.path(), &["add", "."]);
        run(folder.path(), &["commit", "--quiet", "-m", "first"]);
        let clean = of(&source).await.unwrap();
        assert!(clean.len() >= 7 && clean.bytes().all(|byte| byte.is_ascii_hexdigit()), "{clean}");
        fs::write(folder.path().join("README"), "elsewhere").unwrap();
        assert_eq!(of(&source).await.as_ref(), Some(&clean));
        fs::write(service.join("new"), "here").unwrap();
        assert_eq!(of(&source).await, Some(format!("{clean}-dirty")));
    }
}
