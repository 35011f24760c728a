//! Waiting for AWS: few questions, and a line that says for what and how long that usually takes.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, Kind, Result},
    event::{Progress, interrupt::interrupted},
};

/// Between two looks at the same thing.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A call that was made may show as late as this.
const SHOWS_WITHIN: Duration = Duration::from_secs(60);
/// For emulators of AWS, where nothing takes minutes: how many times faster than usual things are looked at.
const PACE: &str = "STACKCTL_EKS_PACE";

/// What leads to one.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// How fast things go on the other side.
#[derive(Debug, Clone, Copy)]
pub struct Pace(u32);

impl Pace {
    pub fn from_env() -> Result<Pace> {
        let Ok(text) = std::env::var(PACE) else { return Ok(Pace(1)) };
        if std::env::var_os(ENDPOINT).is_none() {
            return Err(Error::new(Kind::Usage, format!("{PACE} is set, and {ENDPOINT} is not"))
                .cause("AWS itself takes its time: what was made would be taken for lost, and be made twice")
                .hint(format!("unset {PACE}")));
        }
        match text.parse() {
            Ok(times) if (1..=1000).contains(&times) => Ok(Pace(times)),
            _ => Err(Error::new(Kind::Usage, format!("{PACE} is {text:?}, and not a number from 1 to 1000"))
                .hint("it is for emulators of AWS only: unset it")),
        }
    }

    pub fn shows_within(self) -> Duration {
        SHOWS_WITHIN / self.0
    }

    pub fn times(self) -> u32 {
        self.0
    }

    fn look_every(self) -> Duration {
        LOOK_EVERY / self.0
    }
}

/// What is waited for.
pub struct Wait<'a> {
    /// "the NAT gateway 1"
    pub what: &'a str,
    /// "2 minutes"
    pub usually: &'a str,
    /// Of AWS' own time.
    pub within: Duration,
    pub pace: Pace,
    pub cancel: &'a CancellationToken,
    pub progress: &'a Progress,
}

/// How far it has come.
pub enum Look<T> {
    Done(T),
    /// With the state that AWS tells.
    NotYet(String),
}

impl Wait<'_> {
    /// Looks at once, and then every ten seconds.
    pub async fn until<T, F>(&self, look: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Look<T>>>,
    {
        let begun = Instant::now();
        loop {
            let state = match look().await? {
                Look::Done(done) => return Ok(done),
                Look::NotYet(state) => state,
            };
            let waited = begun.elapsed();
            if waited > self.within / self.pace.0 {
                return Err(Error::new(
                    Kind::NotReady,
                    format!("{} is {state}, after {} s", self.what, waited.as_secs()),
                )
                .cause(format!("that usually takes {}", self.usually))
                .hint("run the same command again: it goes on from here"));
            }
            let waited = waited.as_secs();
            self.progress.say(format!("{}: {state}, {waited} s so far, usually {}", self.what, self.usually));
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(interrupted()),
                () = tokio::time::sleep(self.pace.look_every()) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::event::{Event, Events};

    /// At the pace of AWS itself that is one call in ten seconds; here a hundred times as many.
    #[tokio::test]
    async fn calls_are_few_and_a_line_says_how_long_it_usually_takes() {
        assert_eq!(Pace(1).look_every(), Duration::from_secs(10));
        let pace = Pace(100);
        let (events, mut said) = Events::channel();
        let (asked, cancel, progress) = (AtomicU32::new(0), CancellationToken::new(), events.progress("nat"));
        let wait = |within| Wait {
            what: "the NAT gateway 1",
            usually: "2 minutes",
            within,
            pace,
            cancel: &cancel,
            progress: &progress,
        };
        let begun = Instant::now();
        let look = || async {
            let times = asked.fetch_add(1, Ordering::Relaxed);
            Ok(if times == 3 { Look::Done(()) } else { Look::NotYet("pending".to_owned()) })
        };
        wait(Duration::from_secs(600)).until(look).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert!(begun.elapsed() >= 3 * pace.look_every(), "{:?}", begun.elapsed());
        let never = wait(Duration::ZERO).until(|| async { Ok(Look::<()>::NotYet("pending".to_owned())) }).await;
        assert_eq!(never.unwrap_err().kind, Kind::NotReady);
        let Event::Progress { message, .. } = said.recv().await.unwrap() else { panic!("no progress") };
        assert_eq!(message, "the NAT gateway 1: pending, 0 s so far, usually 2 minutes");
    }
}
