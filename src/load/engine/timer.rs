//! Waiting for a moment more precisely than the runtime's own timers, which know milliseconds.

use std::{
    io,
    num::NonZeroU64,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Setting a timer and being woken by it takes about this long: shorter waits are waited out.
const SETTING: Duration = Duration::from_micros(20);

/// A timer of the kernel; where it cannot be had, the runtime's.
pub struct Timer(Option<AsyncFd<OwnedFd>>);

impl Timer {
    /// Must be made within the runtime of the thread that waits.
    pub fn new() -> Timer {
        // The kernel may delay timers of a thread by so much, 50 µs by default, to wake up less often.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        #[allow(deprecated, reason = "sound for an OwnedFd, which stays open and itself; its successor is unsafe")]
        Timer(timer.ok().and_then(|timer| AsyncFd::with_interest(timer, Interest::READABLE).ok()))
    }

    pub async fn wait_until(&mut self, moment: Instant) {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if left < SETTING {
                // Others run, and what has come in meanwhile is looked at.
                tokio::task::yield_now().await;
                continue;
            }
            let waited = match &mut self.0 {
                Some(timer) => expire(timer, left).await,
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            if waited.is_err() {
                tokio::time::sleep_until(moment.into()).await;
            }
        }
    }
}

/// Returns when the time has passed, or earlier: what was ready may be an expiry from before.
async fn expire(timer: &mut AsyncFd<OwnedFd>, left: Duration) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let it_value = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value })?;
    timer.readable().await?.clear_ready();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_early_and_again_and_again() {
        let mut timer = Timer::new();
        for micros in [0, 5, 150, 2_000, 30, 12_000] {
            let moment = Instant::now() + Duration::from_micros(micros);
            timer.wait_until(moment).await;
            assert!(Instant::now() >= moment, "{micros}");
        }
        // One that was given up does not disturb the next.
        let _ = tokio::time::timeout(Duration::from_millis(1), timer.wait_until(Instant::now() + SETTING * 1000)).await;
        let moment = Instant::now() + Duration::from_millis(40);
        timer.wait_until(moment).await;
        assert!(Instant::now() >= moment);
    }
}
