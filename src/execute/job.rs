//! A run of a job: its Job is made, waited for, listened to, and removed however it ended.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Done,
    outputs::{JobRun, Output},
    run::Run,
};
use crate::{
    error::{Error, Kind, Result, cause},
    event::{Progress, interrupt::interrupted},
    kube::{
        Kube,
        logs::{LogLine, LogOptions, Logs},
        runs,
        selector::pod_selector,
        wait::WaitOptions,
    },
    object::json,
    provider::Answer,
};

/// For the removal, and for the last lines of a log.
const CLEANUP: Duration = Duration::from_secs(30);
/// The same after an interruption: whoever has pressed Ctrl-C waits for the whole run.
const LEAVING: Duration = Duration::from_secs(3);

pub async fn run(
    run: &Run<'_>,
    job: &Value,
    timeout_seconds: u64,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Done> {
    let kube = run.kube().await?;
    let began = Instant::now();
    let deadline = began + Duration::from_secs(timeout_seconds);
    // A Job that was asked for is awaited for a moment even then: unknown, it would stay until Kubernetes removes it.
    let made = tokio::select! {
        made = kube.begin_run(job, deadline, progress) => made?,
        () = async { cancel.cancelled().await; tokio::time::sleep(LEAVING).await } => return Err(interrupted()),
    };
    let listener = Listener { kube, made: &made, progress, log: Mutex::default() };
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        ended = listener.ended(deadline, run.machine.provider.traits().nodes_may_grow == Answer::Yes) => ended,
    };
    let stopped = cancel.is_cancelled();
    if !stopped {
        listener.rest_of_log().await;
    }
    let limit = if stopped { LEAVING } else { CLEANUP };
    let removed = tokio::time::timeout(limit, kube.end_run(&made, limit, progress)).await;
    if let Err(error) = removed.unwrap_or_else(|_| Err(Error::new(Kind::Platform, "it took too long"))) {
        let key = json::key(&made);
        let remove = format!("kubectl delete {}", key.for_kubectl());
        progress.warn(format!("{key} could not be removed: {error}; the next run or `down` does it, or: {remove}"));
    }
    let log = listener.log.into_inner().unwrap_or_else(PoisonError::into_inner);
    let name = json::label(&made, runs::JOB).unwrap_or_default();
    let failure = ended.err().map(|error| told(error, name));
    Ok(Done { failure, output: Output::Job(JobRun { took: began.elapsed(), log }), ..Done::default() })
}

/// The failure of a run, whose Job is not there any more to be looked at.
fn told(error: Error, job: &str) -> Error {
    if error.kind != Kind::NotReady {
        return error;
    }
    let why = match error.roots.is_empty() {
        true => error.message.clone(),
        false => cause::sentence(error.roots.iter().map(|root| &root.what)),
    };
    // What is waited for is an end, not readiness.
    let why = why.replacen("not ready after", "not done after", 1);
    let looks = |hint: &String| hint.contains("stackctl status");
    let hints = error.hints.iter().filter(|hint| !looks(hint)).cloned().collect();
    Error { message: format!("job {job} failed: {why}"), roots: Vec::new(), hints, ..error }
}

struct Listener<'a> {
    kube: &'a Kube,
    made: &'a Value,
    progress: &'a Progress,
    log: Mutex<Vec<LogLine>>,
}

impl Listener<'_> {
    async fn ended(&self, deadline: Instant, nodes_may_grow: bool) -> Result<()> {
        let options = WaitOptions { deadline, nodes_may_grow, may_come: &|_| false, replace: false };
        let key = json::key(self.made);
        let begun = self.kube.begin_wait();
        tokio::select! {
            ended = Box::pin(self.kube.wait_ready(&key, Some(self.made), options, begun, self.progress)) => ended.map(drop),
            () = self.kube.keep_alive(self.made) => Ok(()),
            error = self.listen() => Err(error),
        }
    }

    fn selector(&self) -> String {
        // The server has chosen it.
        pod_selector(self.made).unwrap_or_else(|| format!("job-name={}", json::name(self.made)))
    }

    async fn logs(&self, options: LogOptions) -> Result<Logs> {
        self.kube.logs(json::namespace(self.made).unwrap_or_default(), &self.selector(), options).await
    }

    /// Tells lines as they come, and ends only with an error.
    async fn listen(&self) -> Error {
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        match self.logs(follow).await {
            Ok(mut logs) => {
                while let Some(line) = logs.next().await {
                    self.tell(line);
                }
                std::future::pending().await
            }
            Err(error) => error,
        }
    }

    fn tell(&self, line: LogLine) {
        self.progress.info(format!("{}: {}", line.container, line.line));
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// What the pods wrote last may not have been heard when they had ended.
    async fn rest_of_log(&self) {
        let read = async {
            let mut logs = self.logs(LogOptions::default()).await?;
            let mut lines = Vec::new();
            while let Some(line) = logs.next().await {
                lines.push(line);
            }
            Ok::<_, Error>(lines)
        };
        let whole = tokio::time::timeout(CLEANUP, read).await;
        let Ok(Ok(whole)) = whole else {
            self.progress.warn("the end of the log could not be read");
            return;
        };
        let heard = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unheard(&heard, whole).into_iter().for_each(|line| self.tell(line));
    }
}

/// The lines of `whole`, which has the last run of each container, that come after all that was heard of it.
fn unheard(heard: &[LogLine], whole: Vec<LogLine>) -> Vec<LogLine> {
    let of = |line: &LogLine| (line.pod.clone(), line.container.clone());
    let mut containers: Vec<(String, String)> = Vec::new();
    for line in &whole {
        if !containers.contains(&of(line)) {
            containers.push(of(line));
        }
    }
    let rest = containers.into_iter().flat_map(|container| {
        let before: Vec<&LogLine> = heard.iter().filter(|line| of(line) == container).collect();
        let lines: Vec<&LogLine> = whole.iter().filter(|line| of(line) == container).collect();
        let known = (0..=lines.len().min(before.len())).rev().find(|&known| before.ends_with(&lines[..known]));
        lines.into_iter().skip(known.unwrap_or(0)).cloned().collect::<Vec<_>>()
    });
    rest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(container: &str, texts: &[&str]) -> Vec<LogLine> {
        let line = |text: &&str| LogLine { pod: "p".into(), container: container.into(), line: (*text).into() };
        texts.iter().map(line).collect()
    }

    #[test]
    fn only_what_was_not_heard_is_told_at_the_end() {
        let texts = |heard: &[LogLine], whole: Vec<LogLine>| {
            unheard(heard, whole).into_iter().map(|line| line.line).collect::<Vec<_>>()
        };
        assert_eq!(texts(&[], lines("a", &["1", "2"])), ["1", "2"]);
        assert_eq!(texts(&lines("a", &["1"]), lines("a", &["1", "2"])), ["2"]);
        assert_eq!(texts(&lines("a", &["1", "2"]), lines("a", &["1", "2"])), [""; 0]);
        let restarted = lines("a", &["start", "crash", "start", "more"]);
        assert_eq!(texts(&restarted, lines("a", &["start", "more", "end"])), ["end"], "of the run after a restart");
        let both = [lines("a", &["1"]), lines("b", &["x"])].concat();
        assert_eq!(texts(&both, [lines("a", &["1", "2"]), lines("b", &["x", "y"])].concat()), ["2", "y"]);
    }

    #[test]
    fn a_failure_says_why_and_sends_nobody_to_look_at_what_is_gone() {
        let mut error =
            Error::new(Kind::NotReady, "Job/run-backup will not become ready: the job failed: BackoffLimitExceeded")
                .detail("main: disk full")
                .hint("look closer with `stackctl status` and `stackctl logs`");
        let what = cause::What::Other("the job failed: BackoffLimitExceeded".to_owned());
        error.roots.push(cause::Root { subject: "Job/run-backup".to_owned(), what });
        let told = told(error, "backup");
        assert_eq!(told.message, "job backup failed: the job failed: BackoffLimitExceeded");
        assert_eq!((told.details.len(), told.hints.len()), (1, 0));
        assert_eq!(super::told(Error::new(Kind::Interrupted, "interrupted"), "x").message, "interrupted");
    }
}
