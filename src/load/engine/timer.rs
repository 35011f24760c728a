//! Waiting for a moment more precisely than the runtime's own timers, which know milliseconds.

use std::{
    num::NonZeroU64,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// A timer of the kernel; where it can't be had, the runtime's.
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
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if let Some(timer) = &mut self.0
            && expire(timer, left).await.is_ok()
        {
            return;
        }
        tokio::time::sleep_until(moment.into()).await;
    }
}

async fn expire(timer: &mut AsyncFd<OwnedFd>, left: Duration) -> std::io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let it_value = Timespec::try_from(left).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value })?;
    loop {
        // Setting it forgot what had expired before; the readiness of that is older than this expiry.
        timer.readable().await?.clear_ready();
        let left = rustix::time::timerfd_gettime(timer.get_ref())?.it_value;
        if left.tv_sec == 0 && left.tv_nsec == 0 {
            return Ok(());
        }
    }
}
