//! Running minikube: what it says becomes progress, and its failure is told by its own id and advice.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use super::event::{self, Event, Fatal};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
    provider::local::child::{self, Group},
    state::Folder,
};

pub const PROGRAM: &str = "minikube";
/// All that it said when it failed, in the cluster's state folder.
pub const LOG_FILE: &str = "minikube.log";
pub const HOW_TO_GET_MINIKUBE: &str = "install minikube: https://minikube.sigs.k8s.io/docs/start/";
/// For questions that it answers from its files or by one look at a node.
const ASKED_WITHIN: Duration = Duration::from_secs(120);

/// minikube, for one profile.
#[derive(Debug, Clone)]
pub struct Minikube<'a> {
    /// `PROGRAM`, but in tests.
    pub program: &'a str,
    pub profile: &'a str,
    /// Where it writes the profile's context; the user's own kubeconfig is not its business here.
    pub kubeconfig: &'a Path,
    /// As in DOCKER_HOST.
    pub endpoint: &'a str,
    pub folder: &'a Folder,
    /// Hosts that nodes must reach without the proxy that this process was told to use.
    pub unproxied: &'a [String],
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    /// None: it ended well.
    why: Option<String>,
    fatal: Option<Fatal>,
    lines: Vec<String>,
}

impl Minikube<'_> {
    /// Does something that takes its time, such as `start`. `what`: of the failure, such as "minikube cannot make the
    /// cluster one".
    pub async fn work(
        &self,
        verb: &str,
        arguments: &[String],
        within: Duration,
        what: &str,
        progress: &Progress,
    ) -> Result<()> {
        let mut command = self.command(verb);
        command.args(["--output=json"]).args(arguments);
        // A group of its own, so that the engine's clients that it runs end with it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child::tell_of_proxies(&mut command, self.unproxied, progress);
        let ended = self.follow(command, within, progress).await?;
        let Some(why) = ended.why else {
            self.folder.remove_file(LOG_FILE)?;
            return Ok(());
        };
        self.folder.write(LOG_FILE, ended.lines.join("\n").as_bytes())?;
        let error = match &ended.fatal {
            Some(fatal) => fatal.error(what.to_owned()),
            None => {
                let last = ended.lines.iter().rev().filter(|line| event::read(line).is_none()).take(10);
                let last: Vec<String> = last.cloned().collect();
                Error::new(Kind::Platform, what.to_owned()).cause(why).details(last.into_iter().rev())
            }
        };
        Err(error.hint(format!("all that minikube said is in {}", self.folder.file(LOG_FILE).display())))
    }

    /// What it prints on stdout, whatever its exit status: that tells of the cluster more than of the question.
    pub async fn ask(&self, arguments: &[&str]) -> Result<String> {
        let (verb, rest) = arguments.split_first().unwrap_or((&"version", &[]));
        let mut command = self.command(verb);
        command.args(rest).stdin(Stdio::null());
        let run = async { command.output().await.map_err(|error| cannot_run(&error)) };
        let output = tokio::time::timeout(ASKED_WITHIN, run).await.context(Kind::Platform, || {
            format!("`minikube {}` did not end within {} s", arguments.join(" "), ASKED_WITHIN.as_secs())
        })??;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Feeds it a stream, and returns what it complained of although it ended well: some failures it tells its log alone.
    pub async fn feed(
        &self,
        arguments: &[&str],
        stream: impl futures::Stream<Item = Result<bytes::Bytes>>,
        within: Duration,
    ) -> Result<Vec<String>> {
        let (verb, rest) = arguments.split_first().unwrap_or((&"version", &[]));
        let what = || format!("`minikube {}` failed", arguments.join(" "));
        // What it is fed stays in its folder for temporary files.
        let scratch = self.folder.file("tmp");
        std::fs::create_dir_all(&scratch).context(Kind::Unexpected, || format!("cannot make {}", scratch.display()))?;
        let mut command = self.command(verb);
        command.args(rest).arg("--alsologtostderr").env("TMPDIR", &scratch);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
        let (mut stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
        let write = async {
            futures::pin_mut!(stream);
            while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
                let chunk = chunk?;
                let Some(stdin) = &mut stdin else { break };
                // It has ended: its status says why.
                if stdin.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            drop(stdin.take());
            Ok::<_, Error>(())
        };
        let mut said = String::new();
        let read = async {
            if let Some(stderr) = &mut stderr {
                let _ = stderr.read_to_string(&mut said).await;
            }
            child.wait().await.context(Kind::Platform, || "cannot wait for minikube".to_owned())
        };
        let both = async { tokio::try_join!(write, read) };
        let ended = tokio::time::timeout(within, both).await.context(Kind::Platform, what);
        let _ = std::fs::remove_dir_all(&scratch);
        let ((), status) = ended??;
        let complaints = complaints(&said);
        match status.success() {
            true => Ok(complaints),
            false => {
                Err(Error::new(Kind::Platform, what()).cause(format!("it ended with {status}")).details(complaints))
            }
        }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(self.program);
        command
            .args([verb, "--profile", self.profile])
            .env("DOCKER_HOST", self.endpoint)
            .env_remove("DOCKER_CONTEXT")
            .env("KUBECONFIG", self.kubeconfig)
            // Its words are read.
            .env("LC_ALL", "C.UTF-8")
            .env("MINIKUBE_IN_STYLE", "false")
            .env("MINIKUBE_WANTUPDATENOTIFICATION", "false")
            .kill_on_drop(true);
        command
    }

    async fn follow(&self, mut command: Command, within: Duration, progress: &Progress) -> Result<Ended> {
        let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
        let group = Group::remembered(&child, self.folder)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut lines, mut fatal, mut errors) = (Vec::new(), None, String::new());
        let told = async {
            let Some(stdout) = stdout else { return };
            let mut stdout = BufReader::new(stdout).lines();
            // An unreadable pipe ends the story; the exit status tells how.
            while let Ok(Some(line)) = stdout.next_line().await {
                match event::read(&line) {
                    Some(Event::Step(step)) => progress.say(step),
                    Some(Event::Told(text)) => progress.output(text),
                    Some(Event::Fatal(found)) => fatal = Some(found),
                    None => progress.output(line.clone()),
                }
                lines.push(line);
            }
        };
        let erred = async {
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_string(&mut errors).await;
            }
        };
        let work = async {
            tokio::join!(told, erred);
            child.wait().await
        };
        let ended = tokio::time::timeout(within, work).await;
        group.forget(ended.is_ok(), self.folder)?;
        lines.extend(errors.lines().map(str::to_owned));
        let why = match ended {
            Ok(status) => {
                let status = status.context(Kind::Platform, || "cannot wait for minikube".to_owned())?;
                (!status.success()).then(|| format!("minikube ended with {status}"))
            }
            Err(_) => Some(format!("it was still at work after {} minutes", within.as_secs() / 60)),
        };
        Ok(Ended { why, fatal, lines })
    }
}

/// What it said with its log among it, without the lines of the log that only tell of its work.
fn complaints(said: &str) -> Vec<String> {
    let mut complains = true;
    let mut kept = Vec::new();
    for line in said.lines() {
        // `W1130 12:28:29.189423    1407 cache_images.go:254] Failed to load …`, and what follows until the next one.
        let logged = line.split_once("] ").filter(|(head, _)| {
            let head = head.as_bytes();
            matches!(head, [b'I' | b'W' | b'E' | b'F', ..]) && head.iter().skip(1).take(4).all(u8::is_ascii_digit)
        });
        complains = logged.map_or(complains, |_| !line.starts_with('I'));
        let text = logged.map_or(line, |(_, text)| text).trim();
        kept.extend(Some(text.to_owned()).filter(|text| complains && !text.is_empty()));
    }
    kept
}

pub fn cannot_run(error: &std::io::Error) -> Error {
    let failed = Error::new(Kind::Preflight, "cannot run minikube".to_owned());
    if error.kind() == std::io::ErrorKind::NotFound {
        failed.cause("there is no program `minikube` on the PATH").hint(HOW_TO_GET_MINIKUBE)
    } else {
        failed.caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{event::Event as Seen, event::Events, state::State};

    /// Something else in place of minikube, which does as the script says.
    struct Lab {
        home: tempfile::TempDir,
        folder: Folder,
    }

    impl Lab {
        fn new(script: &str) -> Lab {
            let home = tempfile::tempdir().unwrap();
            let program = home.path().join("minikube");
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let folder = State::at(home.path().join("state")).cluster("one");
            folder.make().unwrap();
            Lab { home, folder }
        }

        async fn start(&self, within: Duration) -> (Result<()>, Vec<String>) {
            let (events, mut seen) = Events::channel();
            let progress = events.progress("cluster:create");
            let program = self.home.path().join("minikube").display().to_string();
            let minikube = self.minikube(&program);
            let ended = minikube.work("start", &[], within, "minikube cannot make the cluster one", &progress).await;
            drop((events, progress));
            let mut said = Vec::new();
            while let Some(event) = seen.recv().await {
                if let Seen::Progress { message, .. } = event {
                    said.push(message);
                }
            }
            (ended, said)
        }

        fn minikube<'a>(&'a self, program: &'a str) -> Minikube<'a> {
            let kubeconfig = Path::new("/nonexistent/kubeconfig");
            let endpoint = "unix:///nonexistent";
            Minikube { program, profile: "one", kubeconfig, endpoint, folder: &self.folder, unproxied: &[] }
        }
    }

    fn event(kind: &str, data: &str) -> String {
        format!(r#"echo '{{"type":"io.k8s.sigs.minikube.{kind}","data":{{{data}}}}}'"#)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_it_begins_is_told_and_a_good_end_leaves_no_log() {
        let harmless = event("error", r#""message":"not as root""#);
        let lab = Lab::new(&[event("step", r#""message":"Booting up control plane ...""#), harmless].join("\n"));
        lab.folder.write(LOG_FILE, b"of an earlier run").unwrap();
        let (ended, said) = lab.start(LONG).await;
        ended.unwrap();
        assert_eq!(said, ["booting up control plane"]);
        assert!(!lab.folder.file(LOG_FILE).exists());
    }

    #[tokio::test]
    async fn a_failure_is_its_own_id_and_advice_and_the_rest_is_in_the_log() {
        let fatal =
            r#""name":"GUEST_PROVISION","exitcode":"80","message":"no network","advice":"make one","url":"https://x""#;
        let lab = Lab::new(&format!("{}\necho klog >&2\nexit 80", event("error", fatal)));
        let error = lab.start(LONG).await.0.unwrap_err();
        assert_eq!((error.kind, error.causes[0].as_str()), (Kind::Platform, "GUEST_PROVISION: no network"));
        assert_eq!(error.hints[..2], ["make one", "see https://x"]);
        let log = std::fs::read_to_string(lab.folder.file(LOG_FILE)).unwrap();
        assert!(log.contains("klog") && error.hints[2].contains(LOG_FILE), "{error:?}");
    }

    #[tokio::test]
    async fn without_an_event_the_last_lines_tell() {
        let lab = Lab::new("echo 'panic: runtime error' >&2; exit 2");
        let error = lab.start(LONG).await.0.unwrap_err();
        assert!(error.causes[0].contains("exit status: 2"), "{error:?}");
        assert_eq!(error.details, ["panic: runtime error"]);
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended_with_all_that_it_started() {
        let lab = Lab::new("sleep 1000 & echo $! > \"$(dirname \"$0\")/child\"; wait");
        let error = lab.start(Duration::from_secs(1)).await.0.unwrap_err();
        assert!(error.causes[0].contains("still at work"), "{error:?}");
        let child = std::fs::read_to_string(lab.home.path().join("child")).unwrap();
        let ended =
            || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).map_or(true, |it| it.contains(") Z"));
        for _ in 0..100 {
            if ended() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("its child {} still runs", child.trim());
    }

    #[tokio::test]
    async fn a_stream_reaches_it_whole_and_nothing_is_left_in_the_folder() {
        let lab = Lab::new("cat > \"$(dirname \"$0\")/fed\"; [ -d \"$TMPDIR\" ] || exit 3; touch \"$TMPDIR/left\"");
        let program = lab.home.path().join("minikube").display().to_string();
        let chunks = ["one ", "two"].map(|text| Ok(bytes::Bytes::from(text)));
        let fed = lab.minikube(&program).feed(&["image", "load", "-"], futures::stream::iter(chunks), LONG).await;
        assert_eq!(fed.unwrap(), [] as [&str; 0]);
        assert_eq!(std::fs::read_to_string(lab.home.path().join("fed")).unwrap(), "one two");
        assert!(!lab.folder.file("tmp").exists());
        let failing = Lab::new("echo no space >&2; exit 1");
        let program = failing.home.path().join("minikube").display().to_string();
        let stream = futures::stream::iter([Ok(bytes::Bytes::from("x"))]);
        let error = failing.minikube(&program).feed(&["image", "load", "-"], stream, LONG).await.unwrap_err();
        assert_eq!(error.details, ["no space"]);
    }

    #[test]
    fn of_a_log_the_complaints_are_kept() {
        let said = "I1130 12:28:28.309681    1407 cache_images.go:290] Loading image from: /tmp/build.tar\n\
                    I1130 12:28:28.316005    1407 ssh_runner.go:351] existence check: Process exited with status 1\n\
                    stdout:\n\nstderr:\nstat: cannot statx '/var/lib/minikube/images/build.tar'\n\
                    W1130 12:28:29.189423    1407 cache_images.go:254] Failed to load cached images for \"one\": loading\n\
                    output:   scp: /var/lib/minikube/images/build.tar: No space left on device\n\
                    I1130 12:28:29.189448    1407 cache_images.go:266] failed pushing to: one\n";
        let wanted = [
            "Failed to load cached images for \"one\": loading",
            "output:   scp: /var/lib/minikube/images/build.tar: No space left on device",
        ];
        assert_eq!(complaints(said), wanted);
        assert_eq!(complaints("plain\n\nwords\n"), ["plain", "words"]);
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_told_with_how_to_get_it() {
        let lab = Lab::new("");
        let error = lab.minikube("/nonexistent/minikube").ask(&["status"]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert!(error.hints[0].contains("https://minikube.sigs.k8s.io"), "{error:?}");
    }
}
