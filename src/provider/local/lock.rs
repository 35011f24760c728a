//! One process at a time makes or removes a cluster. The system gives a lock back when its process ends, however that
//! happens; the file goes with the lock, so that nothing is left to tidy up.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Context, Error, Kind, Result},
    event::{Progress, interrupt::interrupted},
    state::Folder,
};

const NO_LOCKS: &str = "set XDG_STATE_HOME to a folder of yours on a file system that has locks";
const PAUSE: Duration = Duration::from_millis(100);

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    folder: Folder,
    name: String,
}

/// Who waits for a lock, and how long.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// What this process wants it for, for those who wait in turn: `making`.
    pub doing: &'a str,
    pub within: Duration,
    pub cancel: &'a CancellationToken,
    pub progress: &'a Progress,
}

enum Attempt {
    Taken(Lock),
    /// With what its holder says of itself.
    Held(String),
    /// The file went while it was looked at.
    Gone,
}

impl Lock {
    /// The lock of the cluster `name`, in the folder of all locks.
    pub async fn take(folder: &Folder, name: &str, waiting: &Waiting<'_>) -> Result<Lock> {
        let deadline = Instant::now() + waiting.within;
        let mut said = String::new();
        loop {
            let attempt = attempt(folder, name, waiting.doing);
            let attempt = attempt.context(Kind::Unexpected, || format!("cannot lock {}", folder.file(name).display()));
            let holder = match attempt.map_err(|error| error.hint(NO_LOCKS))? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Held(holder) => holder,
                Attempt::Gone => said.clone(),
            };
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::Platform, format!("another stackctl still works on the cluster {name}"))
                    .cause(format!("{holder}; waited for {} minutes", waiting.within.as_secs() / 60))
                    .hint("let it end, or end it; then run the same command again"));
            }
            if holder != said {
                waiting.progress.say(format!("waiting: {holder} the cluster"));
                said = holder;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = waiting.cancel.cancelled() => return Err(interrupted()),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let path = self.folder.file(&self.name);
        // Before it is given back: whoever gets it next sees that the file has gone, and makes another.
        if is_at(&self.file, &path).unwrap_or(false) {
            let _ = fs::remove_file(&path);
        }
        self.folder.tidy();
    }
}

fn attempt(folder: &Folder, name: &str, doing: &str) -> io::Result<Attempt> {
    let path = folder.file(name);
    let mut file = match folder.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Attempt::Gone),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // It may have the lock and not have written yet.
            let _ = file.read_to_string(&mut holder);
            let known = if holder.is_empty() { "another stackctl is at work on".to_owned() } else { holder };
            return Ok(Attempt::Held(known));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !is_at(&file, &path)? {
        return Ok(Attempt::Gone);
    }
    file.set_len(0)?;
    file.write_all(format!("process {} is {doing}", std::process::id()).as_bytes())?;
    Ok(Attempt::Taken(Lock { file, folder: folder.clone(), name: name.to_owned() }))
}

/// Whether the path still leads to this file: the holder before may have removed it.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{
        event::{Event, Events},
        state::State,
    };

    const NAME: &str = "one";

    async fn take(folder: &Folder, within: Duration, cancel: &CancellationToken, events: &Events) -> Result<Lock> {
        let progress = events.progress("cluster");
        Lock::take(folder, NAME, &Waiting { doing: "making", within, cancel, progress: &progress }).await
    }

    #[tokio::test]
    async fn a_second_waits_for_the_first_and_says_so() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path().join("stackctl")).locks();
        let (events, mut said) = Events::channel();
        let (cancel, long) = (CancellationToken::new(), Duration::from_secs(60));
        let first = take(&folder, long, &cancel, &events).await.unwrap();

        let error = take(&folder, Duration::ZERO, &cancel, &events).await.unwrap_err();
        assert_eq!(error.kind, Kind::Platform);
        assert!(error.causes[0].contains(&format!("process {} is making", std::process::id())), "{error:?}");

        let second = take(&folder, long, &cancel, &events);
        let (second, ()) = tokio::join!(second, async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        });
        let Event::Progress { message, .. } = said.recv().await.unwrap() else { panic!("no progress") };
        assert_eq!(message, format!("waiting: process {} is making the cluster", std::process::id()));
        drop(second.unwrap());
        assert!(!home.path().join("stackctl").exists(), "something is left");
    }

    #[tokio::test]
    async fn waiting_ends_with_an_interruption() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path()).locks();
        let (events, _said) = Events::channel();
        let cancel = CancellationToken::new();
        let _first = take(&folder, Duration::ZERO, &cancel, &events).await.unwrap();
        cancel.cancel();
        let second = take(&folder, Duration::from_secs(60), &cancel, &events).await;
        assert_eq!(second.unwrap_err().kind, Kind::Interrupted);
    }

    #[tokio::test]
    async fn the_file_of_one_that_was_killed_holds_nothing_up() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path()).locks();
        folder.write(NAME, b"process 1 is making, so it says").unwrap();
        let (events, _said) = Events::channel();
        drop(take(&folder, Duration::ZERO, &CancellationToken::new(), &events).await.unwrap());
        assert!(!folder.file(NAME).exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_two_hold_it_though_each_removes_the_file() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path().join("stackctl")).locks();
        let (events, _said) = Events::channel();
        static HOLDING: AtomicU32 = AtomicU32::new(0);
        let one = |_| {
            let (folder, events) = (folder.clone(), events.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    let cancel = CancellationToken::new();
                    let lock = take(&folder, Duration::from_secs(60), &cancel, &events).await.unwrap();
                    assert_eq!(HOLDING.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    HOLDING.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            })
        };
        futures::future::try_join_all((0..8).map(one)).await.unwrap();
        assert!(!home.path().join("stackctl").exists(), "something is left");
    }
}
