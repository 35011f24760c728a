//! From which state of which tree an image was built.

use std::{path::Path, process::Stdio, time::Duration};

use crate::stack::model::Source;

/// On images: `3f2a91c04b7d`, with ` and changes` where the context differed from that commit; or this program's
/// version, for what is embedded in it.
pub const LABEL_TREE: &str = "io.stackctl.tree";

const TIMEOUT: Duration = Duration::from_secs(5);

/// None: the folder is in no repository, or git is not here to say.
pub async fn of(source: &Source) -> Option<String> {
    match source {
        Source::Embedded(_) => Some(concat!("stackctl ", env!("CARGO_PKG_VERSION")).to_owned()),
        Source::Folder(folder) => {
            let commit = git(folder, &["rev-parse", "--short=12", "HEAD"]).await?;
            let changes = git(folder, &["status", "--porcelain", "--", "."]).await?;
            Some(if changes.is_empty() { commit } else { format!("{commit} and changes") })
        }
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        // A look must not take the index from somebody who commits.
        .arg("--no-optional-locks")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, output).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_context_is_told_from_a_committed_one() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("services/web");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), "FROM scratch\n").unwrap();
        let source = Source::Folder(context.clone());
        let run = |arguments: &'static [&'static str]| {
            let folder = folder.path().to_owned();
            async move {
                let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
                git(&folder, &[&identity, arguments].concat()).await
            }
        };
        if run(&["init", "-q"]).await.is_none() {
            return;
        }
        assert_eq!(of(&source).await, None, "there is no commit yet");
        run(&["add", "."]).await.unwrap();
        run(&["commit", "-q", "-m", "one"]).await.unwrap();
        let clean = of(&source).await.unwrap();
        assert_eq!(clean.len(), 12);
        std::fs::write(folder.path().join("elsewhere"), "").unwrap();
        assert_eq!(of(&source).await.unwrap(), clean, "what is not in the context does not count");
        std::fs::write(context.join("new"), "").unwrap();
        assert_eq!(of(&source).await.unwrap(), format!("{clean} and changes"));
    }
}
