//! Jobs that are made for one run each. The name of such a Job is always the same, so that there is one run at a time; a
//! time in it, which the run keeps renewing, tells the Job of a run that was killed.

use std::time::Duration;

use ::kube::api::{DeleteParams, PostParams};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Kube, MANAGER, PART_OF,
    discovery::{KindRef, Resolved},
    failure::{self, Subject},
    request::Deletion,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    object::json,
};

/// Label of the Job of a run: which of the stack's jobs it is.
pub const JOB: &str = "stackctl.io/job";
/// Annotation: when the run was last known to be at work, by the server's clock.
const ALIVE: &str = "stackctl.io/alive";

const BEAT: Duration = Duration::from_secs(5);
/// A run that has said nothing for so long was killed.
const DEAD: SignedDuration = SignedDuration::from_secs(20);
/// How often another run is looked at that is in the way.
const LOOK: Duration = Duration::from_secs(1);

/// Whether it was made for one run, and is no part of what is declared.
pub fn is_run(object: &Value) -> bool {
    json::kind(object) == "Job" && json::label(object, JOB).is_some()
}

/// What stands in the way of a new run.
#[derive(Debug, PartialEq, Eq)]
enum Other {
    /// Not made for a run of this stack's job.
    Foreign,
    /// The run has ended or was killed.
    Over,
    AtWork,
}

fn judge(there: &Value, wanted: &Value, now: Timestamp) -> Other {
    let same = |label: &str| json::label(there, label) == json::label(wanted, label);
    if !same(JOB) || !same(PART_OF) {
        return Other::Foreign;
    }
    let alive: Option<Timestamp> = json::annotation(there, ALIVE).and_then(|time| time.parse().ok());
    match alive.is_some_and(|alive| now.duration_since(alive) < DEAD) {
        true => Other::AtWork,
        false => Other::Over,
    }
}

impl Kube {
    /// Creates the Job. Waits for another run of it, and removes what is left of one that was killed.
    pub async fn begin_run(&self, job: &Value, deadline: Instant, progress: &Progress) -> Result<Value> {
        let key = json::key(job);
        let subject = Subject { key: &key, origin: None };
        let at = self.resolve(&KindRef::of_value(job)).await?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), dry_run: false };
        loop {
            let mut new = job.clone();
            new["metadata"]["annotations"][ALIVE] = self.clock.now().to_string().into();
            match self.create(&at, key.namespace.as_deref(), &params, &new).await {
                Ok(made) => return Ok(made),
                Err(::kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(failure::refused("create", &subject, &self.server, &error)),
            }
            let there = self.get_opt(&at, key.namespace.as_deref(), &key.name).await;
            let there = there.map_err(|error| failure::refused("look at", &subject, &self.server, &error))?;
            let Some(there) = there else { continue };
            let remove = format!("kubectl delete {}", key.for_kubectl());
            match judge(&there, job, self.clock.now()) {
                Other::Foreign => {
                    return Err(Error::new(Kind::Refused, format!("{} is there, and no run made it", key.in_words()))
                        .hint(format!("a run of the job needs that name; remove it if nobody needs it: {remove}")));
                }
                Other::Over => {
                    progress.say("removing what is left of an earlier run");
                    self.delete_run(&at, &there, deadline.saturating_duration_since(Instant::now()), progress).await?;
                }
                Other::AtWork if Instant::now() >= deadline => {
                    let since = json::text(&there, "/metadata/creationTimestamp").unwrap_or_default();
                    return Err(Error::new(Kind::NotReady, "another run of the job is still at work")
                        .cause(format!("{}, begun at {since}", key.in_words()))
                        .hint(format!("wait for its end, give it longer with --timeout, or end it: {remove}")));
                }
                Other::AtWork => {
                    progress.say("waiting for the end of another run");
                    tokio::time::sleep_until((Instant::now() + LOOK).min(deadline)).await;
                }
            }
        }
    }

    /// Keeps saying that the run is at work. Never returns; a time that could not be written is written the next time.
    pub async fn keep_alive(&self, run: &Value) {
        let key = json::key(run);
        loop {
            tokio::time::sleep(BEAT).await;
            let Ok(at) = self.resolve(&KindRef::of_value(run)).await else { continue };
            let metadata = json!({"uid": json::uid(run), "annotations": {ALIVE: self.clock.now().to_string()}});
            let patch = json!({ "metadata": metadata });
            let _ = self.merge_as(MANAGER, &at, key.namespace.as_deref(), &key.name, &patch).await;
        }
    }

    /// Removes the Job of a run with its pods.
    pub async fn end_run(&self, run: &Value, timeout: Duration, progress: &Progress) -> Result<()> {
        let at = self.resolve(&KindRef::of_value(run)).await?;
        self.delete_run(&at, run, timeout, progress).await
    }

    async fn delete_run(&self, at: &Resolved, run: &Value, timeout: Duration, progress: &Progress) -> Result<()> {
        let deleted = self.delete_seen(at, run, DeleteParams::foreground()).await.map_err(|error| {
            failure::refused("delete", &Subject { key: &json::key(run), origin: None }, &self.server, &error)
        })?;
        match deleted {
            Deletion::Going => self.until_gone(at, run, timeout, Some(progress)).await,
            Deletion::Gone | Deletion::Refused => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Events, kube::testing::Fake};

    const PATH: &str = "/apis/batch/v1/namespaces/n/jobs/run-backup";

    fn job() -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run-backup", "namespace": "n",
            "labels": {JOB: "backup", PART_OF: "a"}, "annotations": {}}, "spec": {}})
    }

    fn alive(job: &mut Value, seconds_ago: i64) {
        let time = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds_ago)).unwrap();
        job["metadata"]["annotations"][ALIVE] = time.to_string().into();
    }

    async fn begin(there: Value, timeout: Duration) -> (Result<Value>, Fake) {
        let fake = Fake::plain().await;
        fake.objects().put(PATH, there);
        let progress = Events::channel().0.progress("test");
        let begun = fake.kube.begin_run(&job(), Instant::now() + timeout, &progress).await;
        (begun, fake)
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_replaced() {
        let mut left = job();
        alive(&mut left, 60);
        let (begun, fake) = begin(left, Duration::from_secs(5)).await;
        let begun = begun.unwrap();
        assert!(json::annotation(&begun, ALIVE).is_some());
        assert_eq!(json::uid(&fake.objects().all[PATH]), json::uid(&begun));
        let posts = fake.requests().iter().filter(|request| request.starts_with("POST")).count();
        assert_eq!(posts, 2, "{:?}", fake.requests());
    }

    #[tokio::test]
    async fn a_run_that_is_at_work_is_waited_for_and_left_alone() {
        let mut other = job();
        alive(&mut other, 3);
        let (begun, fake) = begin(other, Duration::from_millis(50)).await;
        let error = begun.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::NotReady, "another run of the job is still at work"));
        assert!(fake.objects().all.contains_key(PATH));
    }

    #[tokio::test]
    async fn a_job_of_somebody_else_is_refused() {
        for label in [JOB, PART_OF] {
            let mut other = job();
            alive(&mut other, 60);
            other["metadata"]["labels"][label] = "other".into();
            let (begun, fake) = begin(other, Duration::from_secs(5)).await;
            let error = begun.unwrap_err();
            assert_eq!(error.message, "Job/run-backup in namespace n is there, and no run made it");
            assert!(fake.objects().all.contains_key(PATH), "{label}");
        }
    }

    #[tokio::test]
    async fn only_the_job_of_the_run_itself_is_removed() {
        let fake = Fake::plain().await;
        fake.objects().put(PATH, job());
        let seen = fake.objects().all[PATH].clone();
        let progress = Events::channel().0.progress("test");
        let mut before = seen.clone();
        before["metadata"]["uid"] = "another".into();
        fake.kube.end_run(&before, Duration::from_secs(1), &progress).await.unwrap();
        assert!(fake.objects().all.contains_key(PATH));
        fake.kube.end_run(&seen, Duration::from_secs(1), &progress).await.unwrap();
        assert!(!fake.objects().all.contains_key(PATH));
    }
}
