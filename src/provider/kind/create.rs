//! Running `kind create cluster`: what it says becomes progress, and one that an earlier, killed run left is ended.

use std::{collections::VecDeque, path::Path, process::Stdio, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    time::Instant,
};

use crate::{
    client,
    error::{Context, Error, Kind, Result},
    event::Progress,
    state::Folder,
};

/// For both attempts together.
pub const WITHIN: Duration = Duration::from_secs(900);
/// kubeadm prints some thousand when it fails.
const REMEMBERED_LINES: usize = 50_000;
/// What kind's own error begins with.
pub const ERROR: &str = "ERROR: ";
/// In the cluster's state folder: the kind that is at work.
const CHILD_FILE: &str = "creating.json";

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

/// A child that may outlive us, so that the next run can tell it from a stranger with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Child {
    id: i32,
    /// In clock ticks since boot: ids are used again, this is not.
    started: u64,
}

/// A process group that ends with this value.
struct Group(Option<i32>);

impl Group {
    /// It ended by itself, and its id may soon be another's.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(rustix::process::Pid::from_raw) {
            // It may have ended just before: then there is nobody to signal.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
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
    // kind hands on to its nodes what it is told about proxies.
    if let Some(told) = client::for_nodes(creation.unproxied, |name| std::env::var(name).ok()) {
        for (name, value) in &told.variables {
            for name in [name.to_string(), name.to_lowercase()] {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        }
        if let Some(proxy) = told.out_of_reach {
            progress.info(format!(
                "the cluster's nodes pull without the proxy {proxy}: they cannot reach this machine's loopback"
            ));
        }
    }
    let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id);
    if let Some(remembered) = id.and_then(|id| Some(Child { id, started: started(id)? })) {
        let text = serde_json::to_vec(&remembered).unwrap_or_default();
        folder.write(CHILD_FILE, &text)?;
    }
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
    match ended {
        Ok(_) => group.ended(),
        // Ends it, where it stands.
        Err(_) => drop(group),
    }
    folder.remove_file(CHILD_FILE)?;
    let why = match ended {
        Ok(status) if status.success() => return Ok(None),
        Ok(status) => format!("kind ended with {status}"),
        Err(why) => why,
    };
    Ok(Some(Failed { why, lines: lines.into() }))
}

/// Ends a `kind create` that an earlier run of ours left at work. Only under the cluster's lock: the kind of a run that
/// lives is no leftover.
pub fn end_leftover(folder: &Folder) -> Result<()> {
    let Some(content) = folder.read(CHILD_FILE)? else { return Ok(()) };
    let child: Option<Child> = serde_json::from_slice(&content).ok();
    if let Some(child) = child.filter(|child| started(child.id) == Some(child.started)) {
        drop(Group(Some(child.id)));
    }
    folder.remove_file(CHILD_FILE)?;
    Ok(())
}

/// When a process that runs was started: field 22 of `/proc/ID/stat`. None where there is no such process (or no /proc).
fn started(id: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may itself hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
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
    let text = line.trim_start().strip_prefix('•')?.trim_end().trim_end_matches("...");
    let words: Vec<&str> =
        text.split_whitespace().filter(|word| word.chars().any(|c| c.is_ascii_alphanumeric())).collect();
    let text = words.join(" ");
    let mut chars = text.chars();
    let first = chars.next()?;
    // "CNI" and the like stay as they are.
    let second_is_small = chars.clone().next().is_some_and(char::is_lowercase);
    Some(if second_is_small { first.to_lowercase().chain(chars).collect() } else { text })
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
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use super::*;
    use crate::{event::Event, event::Events, state::State};

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

    #[test]
    fn a_leftover_child_is_ended_and_a_stranger_is_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path()).cluster("one");
        let mut sleeper = std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let id = i32::try_from(sleeper.id()).unwrap();
        let real = Child { id, started: started(id).unwrap() };

        let stranger = Child { started: real.started + 1, ..real.clone() };
        folder.write(CHILD_FILE, &serde_json::to_vec(&stranger).unwrap()).unwrap();
        end_leftover(&folder).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none(), "a stranger was killed");

        folder.write(CHILD_FILE, &serde_json::to_vec(&real).unwrap()).unwrap();
        end_leftover(&folder).unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        assert!(!folder.file(CHILD_FILE).exists());
    }
}
