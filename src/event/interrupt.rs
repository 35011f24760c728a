//! Ctrl-C and SIGTERM: once asks to stop cleanly, twice stops at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, Kind, Result},
    event::Events,
};

/// A token that the first signal cancels. The second ends the process. `quiet`: to be stopped is how the command ends.
pub fn watch(events: Events, quiet: Arc<AtomicBool>) -> CancellationToken {
    let cancel = CancellationToken::new();
    let asked = cancel.clone();
    // Without handlers the kernel's default, to die, is what is left; every step survives that.
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return cancel;
    };
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if round == 0 {
                if !quiet.load(Ordering::Relaxed) {
                    events.warn("stopping; press Ctrl-C again to quit now");
                }
                asked.cancel();
            }
        }
        std::process::exit(Kind::Interrupted.exit_code().into());
    });
    cancel
}

/// What is returned by work that was told to stop.
pub fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted")
}

/// For work that can be left at any point, because it only looks or is done again by the next run.
pub async fn until_cancelled<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        done = work => done,
    }
}
