//! From values to coordinates.

/// Maps `from..=to` to pixels, linearly or by logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub from: f64,
    pub to: f64,
    /// Pixels at `from` and at `to`.
    pub start: f64,
    pub end: f64,
    pub log: bool,
}

impl Scale {
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.start + share * (self.end - self.start)
    }

    /// `LINEAR|LOG FROM TO START END`, so that a reader of the page can turn coordinates into values.
    pub fn describe(&self) -> String {
        let kind = if self.log { "log" } else { "linear" };
        format!("{kind} {} {} {} {}", self.from, self.to, self.start, self.end)
    }

    /// Round values within, about `count` of them.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        if self.log {
            let all = decades(self.from, self.to, &[1.0, 2.0, 5.0]);
            let few = decades(self.from, self.to, &[1.0]);
            return if all.len() > count + 3 && few.len() > 1 { few } else { all };
        }
        let step = step((self.to - self.from) / count.max(1) as f64);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

fn decades(from: f64, to: f64, factors: &[f64]) -> Vec<f64> {
    let (first, last) = (from.log10().floor() as i32, to.log10().ceil() as i32);
    let values = (first..=last).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
    values.filter(|value| *value >= from * 0.999 && *value <= to * 1.001).collect()
}

/// The next of 1, 2, 5 times a power of ten.
fn step(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= value * 0.999).unwrap_or(value)
}

/// The end of a linear axis from 0 that holds `value` and is a tick itself.
pub fn top(value: f64, count: usize) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let step = step(value / count as f64);
    (value / step - 1e-9).ceil().max(1.0) * step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round() {
        let linear = Scale { from: 0.0, to: 300.0, start: 0.0, end: 900.0, log: false };
        assert_eq!(linear.ticks(6), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
        assert_eq!(linear.at(100.0), 300.0);
        let log = Scale { from: 1.0, to: 100.0, start: 0.0, end: 200.0, log: true };
        assert_eq!(log.ticks(6), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!((log.at(10.0) - 100.0).abs() < 1e-9);
        assert_eq!(
            [top(0.0, 4), top(97.0, 4), top(100.0, 4), top(104.0, 4), top(7.0, 4)],
            [1.0, 100.0, 100.0, 150.0, 8.0]
        );
    }

    proptest! {
        #[test]
        fn the_top_holds_the_value(value in 1e-6f64..1e9, count in 2usize..8) {
            let top = top(value, count);
            prop_assert!(top >= value * 0.999_999 && top <= value * 3.0, "{top}");
            let ticks = Scale { from: 0.0, to: top, start: 0.0, end: 1.0, log: false }.ticks(count);
            prop_assert!((2..=count + 2).contains(&ticks.len()), "{ticks:?}");
        }
    }
}
