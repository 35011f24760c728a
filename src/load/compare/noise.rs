//! How far two equal runs may lie apart, from the seconds of two runs: a bootstrap of blocks of seconds.
//!
//! Seconds that follow each other are alike (a slow wander, a pause, a scale-up), so whole blocks are drawn, of both
//! runs at the same times: what both have in common cancels out. Blocks that are still alike widen the interval by the
//! correlation of their differences, few blocks by Student's factor. Percentiles of drawn blocks are those of their
//! answers together, not means of percentiles; a rare stall that one run has and the other has not is thereby drawn
//! not at all, once or twice, and is no news. Seeded: equal documents give equal intervals.

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::event::load::Second;

const DRAWS: usize = 600;
/// Left out at each end. Five metrics are judged at once, and all of them together may be wrong once in 20 pairs.
const OUTSIDE: f64 = 0.005;
/// The normal quantile of it.
const DEVIATIONS: f64 = 2.576;
/// Longer runs are merged to this many points first.
const POINTS: usize = 600;
/// Standard deviation from run to run that no second shows, relative.
const BETWEEN: f64 = 0.005;
/// Steps of the grid on which distributions are added up, as a logarithm.
const STEP: f64 = 0.02;
/// From this percentile on a few stalls decide, and few of them make a bootstrap too narrow.
const TAIL: f64 = 0.95;
const TAIL_WIDER: f64 = 1.6;

/// The seconds of one run; how their latencies are distributed is put together again from their percentiles.
pub struct Run {
    requests: Vec<f64>,
    succeeded: Vec<f64>,
    /// Per point and grid value, how many answers took at most that long.
    counts: Vec<Vec<f64>>,
    seconds: Vec<Second>,
}

impl Run {
    pub fn new(seconds: &[Second]) -> Run {
        Run {
            requests: seconds.iter().map(|second| second.requests as f64).collect(),
            succeeded: seconds.iter().map(|second| second.succeeded as f64).collect(),
            counts: Vec::new(),
            seconds: seconds.to_vec(),
        }
    }

    fn range(&self) -> Option<(f64, f64)> {
        let answered = || self.seconds.iter().filter(|second| second.succeeded > 0);
        let low = answered().map(|second| second.latency.p50).fold(f64::INFINITY, f64::min);
        let high = answered().map(|second| second.latency.max).fold(0.0, f64::max);
        (low > 0.0 && high > 0.0).then_some((low / 4.0, high * 1.01))
    }
}

/// How many of a second's answers took at most each value of the grid, given as logarithms: between the percentiles
/// that the second tells, by logarithm.
fn counts(second: &Second, grid: &[f64]) -> Vec<f64> {
    if second.succeeded == 0 {
        return vec![0.0; grid.len()];
    }
    let latency = &second.latency;
    let fastest = latency.p50 * (latency.p50 / latency.p90).min(0.98);
    let knots = [
        (fastest.ln(), 0.1),
        (latency.p50.ln(), 0.5),
        (latency.p90.ln(), 0.9),
        (latency.p99.ln(), 0.99),
        (latency.p999.ln(), 0.999),
        (latency.max.ln(), 1.0),
    ];
    let share = |value: f64| {
        if value < knots[0].0 {
            return 0.1 * (4.0 * (value - knots[0].0)).exp();
        }
        let within = knots.windows(2).find(|pair| value < pair[1].0);
        within.map_or(1.0, |pair| {
            let ((from, low), (to, high)) = (pair[0], pair[1]);
            low + (value - from) / (to - from) * (high - low)
        })
    };
    grid.iter().map(|&value| share(value) * second.succeeded as f64).collect()
}

/// How far below and above its measured value a ratio may lie, as logarithms.
pub struct Spread {
    low: f64,
    high: f64,
}

impl Spread {
    /// The interval around a measured relative difference.
    pub fn around(&self, difference: f64) -> (f64, f64) {
        let middle = difference.ln_1p();
        ((middle + self.low).exp_m1(), (middle + self.high).exp_m1())
    }
}

pub struct Noise {
    /// Logarithms of latencies.
    grid: Vec<f64>,
    previous: Sums,
    current: Sums,
    /// Starts of the drawn blocks.
    draws: Vec<Vec<usize>>,
    length: usize,
    blocks: usize,
}

/// Sums from the first point to each one, so that a block is a difference.
struct Sums {
    requests: Vec<f64>,
    succeeded: Vec<f64>,
    counts: Vec<Vec<f64>>,
}

impl Noise {
    pub fn new(mut previous: Run, mut current: Run) -> Noise {
        let seconds = previous.requests.len().min(current.requests.len());
        let merged = seconds.div_ceil(POINTS).max(1);
        let range = match (previous.range(), current.range()) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, other) => one.or(other),
        };
        let grid = range.map_or_else(Vec::new, |(low, high)| {
            let steps = ((high / low).ln() / STEP).ceil().clamp(1.0, 2000.0);
            (0..=steps as usize).map(|n| low.ln() + (high / low).ln() * n as f64 / steps).collect()
        });
        let points = seconds / merged;
        for run in [&mut previous, &mut current] {
            run.counts = run.seconds.iter().map(|second| counts(second, &grid)).collect();
        }
        let blocks = (points / 2).clamp(6, 20);
        let length = (points / blocks).max(1);
        let mut random = StdRng::seed_from_u64(0x6c6f_6164);
        let draws = (0..DRAWS).map(|_| (0..blocks).map(|_| random.random_range(0..points)).collect()).collect();
        Noise {
            grid,
            previous: Sums::new(&previous, merged, points),
            current: Sums::new(&current, merged, points),
            draws,
            length,
            blocks,
        }
    }

    pub fn throughput(&self) -> Spread {
        self.ratio(|run, starts| run.sum(&run.succeeded, starts, self.length), 1.0)
    }

    pub fn quantile(&self, part: f64) -> Spread {
        self.ratio(
            move |run, starts| run.quantile(&self.grid, part, starts, self.length),
            if part > TAIL { TAIL_WIDER } else { 1.0 },
        )
    }

    /// The interval around a measured difference of error rates.
    pub fn errors(&self, difference: f64) -> (f64, f64) {
        let rate = |run: &Sums, starts: &[usize]| {
            let requests = run.sum(&run.requests, starts, self.length);
            1.0 - run.sum(&run.succeeded, starts, self.length) / requests.max(1.0)
        };
        let of = |starts: &[usize]| rate(&self.current, starts) - rate(&self.previous, starts);
        let (low, high) = self.deviations(of);
        (difference + low, difference + high)
    }

    fn ratio(&self, statistic: impl Fn(&Sums, &[usize]) -> f64, wider: f64) -> Spread {
        let of = |starts: &[usize]| {
            let (old, new) = (statistic(&self.previous, starts), statistic(&self.current, starts));
            (new.max(1e-9) / old.max(1e-9)).ln()
        };
        let (low, high) = self.deviations(of);
        // Two runs, each with its own level.
        let between = DEVIATIONS * BETWEEN * std::f64::consts::SQRT_2;
        Spread { low: -(low * wider).hypot(between), high: (high * wider).hypot(between) }
    }

    /// How far below and above its middle the statistic may lie.
    fn deviations(&self, of: impl Fn(&[usize]) -> f64) -> (f64, f64) {
        let all: Vec<usize> = (0..self.blocks).map(|n| n * self.length).collect();
        let middle = of(&all);
        let mut drawn: Vec<f64> = self.draws.iter().map(|starts| of(starts) - middle).collect();
        drawn.sort_by(f64::total_cmp);
        let at = |part: f64| drawn[((drawn.len() - 1) as f64 * part).round() as usize];
        let series: Vec<f64> = all.iter().map(|&start| of(&[start])).collect();
        let wider = student(self.blocks) * inflation(&series);
        ((at(OUTSIDE) * wider).min(0.0), (at(1.0 - OUTSIDE) * wider).max(0.0))
    }
}

/// Bootstraps of few blocks are too narrow: by the degree of freedom and by not knowing the deviation.
fn student(blocks: usize) -> f64 {
    let free = blocks.saturating_sub(1).max(1) as f64;
    // Cornish-Fisher: Student's quantile over the normal one.
    let z = DEVIATIONS;
    let factor = 1.0 + (z * z + 1.0) / (4.0 * free) + (5.0 * z.powi(4) + 16.0 * z * z + 3.0) / (96.0 * free * free);
    factor * ((free + 1.0) / free).sqrt()
}

/// How much wider the correlation of neighbouring blocks makes an interval.
fn inflation(series: &[f64]) -> f64 {
    let count = series.len() as f64;
    let mean = series.iter().sum::<f64>() / count;
    let variance: f64 = series.iter().map(|value| (value - mean).powi(2)).sum();
    if variance <= 0.0 || series.len() < 4 {
        return 1.0;
    }
    let lagged: f64 = series.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    // The estimate is too low in short series.
    let correlation = (lagged / variance + 1.0 / count).clamp(0.0, 0.6);
    ((1.0 + correlation) / (1.0 - correlation)).sqrt()
}

impl Sums {
    fn new(run: &Run, merged: usize, points: usize) -> Sums {
        let cumulated = |values: &[f64]| {
            let mut sums = vec![0.0];
            for chunk in values.chunks(merged).take(points) {
                sums.push(sums[sums.len() - 1] + chunk.iter().sum::<f64>());
            }
            sums
        };
        let mut counts = vec![vec![0.0; run.counts.first().map_or(0, Vec::len)]];
        for chunk in run.counts.chunks(merged).take(points) {
            let mut next = counts[counts.len() - 1].clone();
            for second in chunk {
                next.iter_mut().zip(second).for_each(|(sum, count)| *sum += count);
            }
            counts.push(next);
        }
        Sums { requests: cumulated(&run.requests), succeeded: cumulated(&run.succeeded), counts }
    }

    /// Of the blocks that start there; a block goes on at the beginning when the run ends within it.
    fn sum(&self, sums: &[f64], starts: &[usize], length: usize) -> f64 {
        starts
            .iter()
            .map(|&start| pieces(start, length, sums.len() - 1).map(|(a, b)| sums[b] - sums[a]))
            .map(|[a, b]| a + b)
            .sum()
    }

    fn quantile(&self, grid: &[f64], part: f64, starts: &[usize], length: usize) -> f64 {
        let at = |n: usize| -> f64 {
            let of = |(a, b): (usize, usize)| self.counts[b][n] - self.counts[a][n];
            starts.iter().map(|&start| pieces(start, length, self.counts.len() - 1).map(of)).map(|[a, b]| a + b).sum()
        };
        let (mut low, mut high) = (0, grid.len().saturating_sub(1));
        if grid.is_empty() {
            return 0.0;
        }
        let wanted = part * at(high);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if at(middle) < wanted { low = middle } else { high = middle }
        }
        let (below, above) = (at(low), at(high));
        let share = if above > below { ((wanted - below) / (above - below)).clamp(0.0, 1.0) } else { 1.0 };
        (grid[low] + (grid[high] - grid[low]) * share).exp()
    }
}

/// A block as at most two ranges of points.
fn pieces(start: usize, length: usize, points: usize) -> [(usize, usize); 2] {
    let end = start + length;
    if end <= points { [(start, end), (0, 0)] } else { [(start, points), (0, end - points)] }
}
