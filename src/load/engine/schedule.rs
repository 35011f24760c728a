//! When requests are due in an open loop. Pure; times are in ns.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{clock::nanos, share::Share};
use crate::load::spec::{Arrivals, Limit, LoadSpec, Stage};

const SECOND: f64 = 1e9;

/// The due times of one thread, ascending, counted from the start of the warm-up.
#[derive(Debug)]
pub struct Schedule {
    warmup: Option<Phase>,
    measured: Phase,
    from: u64,
}

impl Schedule {
    /// None for a closed loop, which has no schedule. Of a load with a limit of requests, `share` decides which are
    /// this thread's.
    pub fn new(spec: &LoadSpec, share: Share) -> Option<Schedule> {
        let from = nanos(spec.warmup);
        let arrivals = Gaps::new(&spec.arrivals, share, spec.seed)?;
        let measured = match spec.limit {
            Limit::Duration { duration } => Phase { gaps: arrivals, end: nanos(duration), last: u64::MAX },
            Limit::Requests { requests } => Phase { gaps: arrivals, end: u64::MAX, last: requests },
        };
        let warmup = (from > 0).then(|| {
            // Stages begin with no load at all: that would warm up nothing.
            let steady = match &spec.arrivals {
                Arrivals::Stages { stages } => {
                    Arrivals::Constant { rate: stages.iter().map(|stage| stage.rate).find(|rate| *rate > 0.0)? }
                }
                other => other.clone(),
            };
            let gaps = Gaps::new(&steady, share, !spec.seed)?;
            Some(Phase { gaps, end: from, last: u64::MAX })
        });
        Some(Schedule { warmup: warmup.flatten(), measured, from })
    }

    /// Where the measurement begins.
    pub fn from(&self) -> u64 {
        self.from
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if let Some(warmup) = &mut self.warmup {
            if let Some(due) = warmup.next() {
                return Some(due);
            }
            self.warmup = None;
        }
        Some(self.measured.next()?.saturating_add(self.from))
    }
}

#[derive(Debug)]
struct Phase {
    gaps: Gaps,
    /// No request is due then or later.
    end: u64,
    /// The number of the first request that is not sent, over all shares.
    last: u64,
}

impl Iterator for Phase {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (number, due) = self.gaps.next()?;
        (number < self.last && due < self.end).then_some(due)
    }
}

/// The number of each request over all shares, and when it is due. After the first that is out of bounds it is not asked
/// again, so that it may be endless.
#[derive(Debug)]
enum Gaps {
    /// Of all requests, at R per second, each n-th is one share's.
    Constant { numbers: Numbers, rate: f64 },
    /// Each share draws its own: together they are such arrivals again.
    Poisson { numbers: Numbers, mean: f64, at: f64, random: Box<SmallRng> },
    /// `before`: how many requests were due in the stages that have ended, and how long those took.
    Stages { numbers: Numbers, stages: Vec<Stage>, stage: usize, before: f64, elapsed: f64 },
}

impl Gaps {
    fn new(arrivals: &Arrivals, share: Share, seed: u64) -> Option<Gaps> {
        let numbers = Numbers { next: u64::from(share.index), step: u64::from(share.of) };
        match arrivals {
            Arrivals::Closed => None,
            Arrivals::Constant { rate } => Some(Gaps::Constant { numbers, rate: *rate }),
            Arrivals::Poisson { rate } => {
                let random = SmallRng::seed_from_u64(seed.wrapping_add(u64::from(share.index)));
                let mean = SECOND * f64::from(share.of) / rate;
                Some(Gaps::Poisson { numbers, mean, at: 0.0, random: Box::new(random) })
            }
            Arrivals::Stages { stages } => {
                Some(Gaps::Stages { numbers, stages: stages.clone(), stage: 0, before: 0.0, elapsed: 0.0 })
            }
        }
    }

    fn next(&mut self) -> Option<(u64, u64)> {
        match self {
            Gaps::Constant { numbers, rate } => {
                let number = numbers.take();
                Some((number, (number as f64 * SECOND / *rate) as u64))
            }
            Gaps::Poisson { numbers, mean, at, random } => {
                // In (0, 1], so that the logarithm is finite.
                let uniform: f64 = 1.0 - random.random::<f64>();
                *at -= uniform.ln() * *mean;
                Some((numbers.take(), *at as u64))
            }
            Gaps::Stages { numbers, stages, stage, before, elapsed } => {
                let number = numbers.take();
                loop {
                    let current = stages.get(*stage)?;
                    let from = stage.checked_sub(1).map_or(0.0, |previous| stages[previous].rate);
                    let length = current.duration.as_secs_f64();
                    let due_in_stage = (from + current.rate) / 2.0 * length;
                    let rest = number as f64 - *before;
                    if rest < due_in_stage {
                        let within = ramp(from, (current.rate - from) / length, rest);
                        return Some((number, ((*elapsed + within.min(length)) * SECOND) as u64));
                    }
                    *before += due_in_stage;
                    *elapsed += length;
                    *stage += 1;
                }
            }
        }
    }
}

/// After how many seconds `count` requests were due, of a rate that starts and grows like this.
fn ramp(rate: f64, growth: f64, count: f64) -> f64 {
    if count <= 0.0 {
        return 0.0;
    }
    2.0 * count / (rate + (rate * rate + 2.0 * growth * count).max(0.0).sqrt())
}

#[derive(Debug)]
struct Numbers {
    next: u64,
    step: u64,
}

impl Numbers {
    fn take(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(self.step);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::spec::fixture;

    fn spec(arrivals: Arrivals, seconds: u64) -> LoadSpec {
        LoadSpec { arrivals, limit: Limit::Duration { duration: Duration::from_secs(seconds) }, ..fixture(&["/"]) }
    }

    fn dues(spec: &LoadSpec, of: u32) -> Vec<u64> {
        let share = |index| Schedule::new(spec, Share { index, of }).unwrap();
        let mut dues: Vec<u64> = (0..of).flat_map(share).collect();
        dues.sort_unstable();
        dues
    }

    #[test]
    fn a_constant_rate_is_exact_however_it_is_shared() {
        let spec = spec(Arrivals::Constant { rate: 333.0 }, 30);
        let alone = dues(&spec, 1);
        assert_eq!(alone.len(), 9990);
        assert_eq!((alone[0], alone[333], alone[9989]), (0, 1_000_000_000, 29_996_996_996));
        for of in [2, 3, 7] {
            assert_eq!(dues(&spec, of), alone);
        }
    }

    #[test]
    fn the_measurement_has_its_own_schedule_after_the_warm_up() {
        let mut spec = spec(Arrivals::Constant { rate: 10.0 }, 1);
        spec.warmup = Duration::from_millis(250);
        assert_eq!(dues(&spec, 1).len(), 3 + 10);
        assert_eq!(dues(&spec, 2)[3], 250_000_000);
        spec.limit = Limit::Requests { requests: 25 };
        assert_eq!(dues(&spec, 2).len(), 3 + 25);
    }

    #[test]
    fn poisson_arrivals_have_their_rate_and_exponential_gaps() {
        let spec = spec(Arrivals::Poisson { rate: 1000.0 }, 100);
        let seen = dues(&spec, 4);
        let count = seen.len() as f64;
        // 100,000 with a standard deviation of 316.
        assert!((count - 100_000.0).abs() < 1500.0, "{count}");
        let long = seen.windows(2).filter(|pair| pair[1] - pair[0] > 1_000_000).count() as f64;
        assert!((long / count - (-1_f64).exp()).abs() < 0.01, "{long}");
        assert_eq!(seen, dues(&spec, 4));
        assert_ne!(seen, dues(&LoadSpec { seed: spec.seed + 100, ..spec }, 4));
    }

    #[test]
    fn stages_ramp() {
        let stage = |seconds, rate| Stage { duration: Duration::from_secs(seconds), rate };
        let stages = vec![stage(10, 100.0), stage(5, 100.0), stage(5, 0.0), stage(2, 0.0), stage(10, 20.0)];
        let spec = spec(Arrivals::Stages { stages }, 32);
        let seen = dues(&spec, 1);
        let between = |from: u64, to: u64| {
            let range = from * 1_000_000_000..to * 1_000_000_000;
            seen.iter().filter(|due| range.contains(due)).count()
        };
        for (from, to, expected) in
            [(0, 5, 125), (5, 10, 375), (10, 15, 500), (15, 20, 250), (20, 22, 0), (22, 32, 100)]
        {
            assert!(between(from, to).abs_diff(expected) <= 1, "{from}..{to}: {}", between(from, to));
        }
        assert!(seen.is_sorted() && seen.len() == 1350);
        assert_eq!(dues(&spec, 3), seen);
    }
}
