//! Running `kind create cluster`: what it says becomes progress, and one that an earlier, killed run left is ended.

use std::{collections::VecDeque, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    time::Instant,
};

use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    provider::local::{
        child::{self, Group},
        said,
    },
    state::Folder,
};

/// For both attempts together.
pub const WITHIN: Duration = Duration::from_secs(900);
/// kubeadm prints some thousand when it fails.
const REMEMBERED_LINES: usize = 50_000;
/// What kind's own error begins with.
pub const ERROR: &str = "ERROR: ";

/// What kind is started with.
#[derive(Debug)]
pub struct Creation<'a> {
    pub cluster: &'a str,
    /// As in DOCKER_HOST.
    pub endpoint: &'a str,
    pub network: &'a str,
    pub config: &'a Path,
    /// The private one; the user's own is not kind's business here.
    pub kubeconfig: &'a Path,
    pub image: Option<&'a str>,
    /// Hosts that nodes must reach without the proxy that this process was told to use.
    pub unproxied: &'a [String],
}

/// How kind failed, with all that it said.
#[derive(Debug)]
pub struct Failed {
    /// `kind ended with exit status: 1`
    pub why: String,
    pub lines: Vec<String>,
}

/// Runs kind to its end. It leaves its nodes behind when it fails, for whoever looks at them next: with its own
/// clean-up it would remove, by name, nodes that a later run has made meanwhile. None: they are made.
pub async fn create(
    creation: &Creation<'_>,
    folder: &Folder,
    deadline: Instant,
    progress: &Progress,
) -> Result<Option<Failed>> {
    let mut command = Command::new("kind");
    command
        .args(["create", "cluster", "--retain", "--name", creation.cluster])
        .arg("--config")
        .arg(creation.config)
        .arg("--kubeconfig")
        .arg(creation.kubeconfig)
        .args(creation.image.iter().flat_map(|image| ["--image", *image]))
        .env("DOCKER_HOST", creation.endpoint)
        .env_remove("DOCKER_CONTEXT")
        .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", creation.network)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A group of its own, so that the engine's clients that kind runs end with it.
        .process_group(0);
    child::tell_of_proxies(&mut command, creation.unproxied, progress);
    let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
    let group = Group::remembered(&child, folder)?;
    let stderr = child.stderr.take();
    let mut lines = VecDeque::new();
    let work = async {
        if let Some(stderr) = stderr {
            follow(stderr, &mut lines, progress).await;
        }
        child.wait().await
    };
    let ended = tokio::select! {
        status = work => Ok(status.context(Kind::Platform, || "cannot wait for kind".to_owned())?),
        () = tokio::time::sleep_until(deadline) => {
            Err(format!("it was still at work after {} minutes", WITHIN.as_secs() / 60))
        }
    };
    group.forget(ended.is_ok(), folder)?;
    let why = match ended {
        Ok(status) if status.success() => return Ok(None),
        Ok(status) => format!("kind ended with {status}"),
        Err(why) => why,
    };
    Ok(Some(Failed { why, lines: lines.into() }))
}

async fn follow(stderr: impl AsyncRead + Unpin, last: &mut VecDeque<String>, progress: &Progress) {
    let mut lines = BufReader::new(stderr).split(b'\n');
    // What comes after its error is the output of whatever it ran, which the error's own words are read from.
    let mut failing = false;
    // An unreadable pipe ends the story; the exit status tells how.
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(step) = step(&line) {
            progress.say(step);
        }
        failing |= line.starts_with(ERROR);
        if !failing {
            progress.output(line.clone());
        }
        if last.len() == REMEMBERED_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

/// ` • Preparing nodes 📦   ...` begins a step: "preparing nodes".
fn step(line: &str) -> Option<String> {
    said::step(line.trim_start().strip_prefix('•')?)
}

pub fn cannot_run(error: &std::io::Error) -> Error {
    let failed = Error::new(Kind::Preflight, "cannot run kind".to_owned());
    if error.kind() == std::io::ErrorKind::NotFound {
        failed.cause("there is no program `kind` on the PATH").hint(HOW_TO_GET_KIND)
    } else {
        failed.caused_by(error)
    }
}

pub const HOW_TO_GET_KIND: &str = "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation (or: go install sigs.k8s.io/kind@latest)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Event, event::Events};

    #[test]
    fn steps_are_read_from_kinds_lines() {
        for (line, wanted) in [
            (
                " • Ensuring node image (kindest/node:v1.36.3) 🖼  ...",
                Some("ensuring node image (kindest/node:v1.36.3)"),
            ),
            (" • Preparing nodes 📦 📦 📦   ...", Some("preparing nodes")),
            (" • Installing CNI 🔌  ...", Some("installing CNI")),
            (" ✓ Preparing nodes 📦 ", None),
            ("Creating cluster \"one\" ...", None),
            ("", None),
        ] {
            assert_eq!(step(line).as_deref(), wanted, "{line}");
        }
    }

    #[tokio::test]
    async fn all_lines_are_remembered_and_those_before_the_error_are_shown() {
        let text: String =
            (0..30).map(|n| format!("line {n}\n")).chain(["ERROR: no\n".into(), "main.go:1".into()]).collect();
        let (events, mut received) = Events::channel();
        let mut lines = VecDeque::new();
        follow(text.as_bytes(), &mut lines, &events.progress("cluster")).await;
        assert_eq!((lines.len(), lines[0].as_str()), (32, "line 0"));
        drop(events);
        let mut shown = 0;
        while let Some(Event::Output { .. }) = received.recv().await {
            shown += 1;
        }
        assert_eq!(shown, 30);
    }
}
