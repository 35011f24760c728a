//! Time as all threads of a load count it: ns since its start.

use std::time::{Duration, Instant};

pub const SECOND: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    pub fn new(start: Instant) -> Clock {
        Clock(start)
    }

    /// 0 before the start.
    pub fn now(self) -> u64 {
        nanos(Instant::now().saturating_duration_since(self.0))
    }

    pub fn moment(self, at: u64) -> Instant {
        // Nothing is due in three hundred years.
        self.0.checked_add(Duration::from_nanos(at)).unwrap_or(self.0 + Duration::from_secs(u32::MAX.into()))
    }
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Of ns, rounded.
pub fn micros(nanos: u64) -> u64 {
    nanos.saturating_add(500) / 1000
}
