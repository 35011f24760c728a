//! Parts of a load.

/// One of so many equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    pub of: u32,
}

impl Share {
    pub const WHOLE: Share = Share { index: 0, of: 1 };

    /// A part of this part. The parts of all parts are equal as long as each is split into as many.
    pub fn part(self, part: Share) -> Share {
        Share { index: self.index + self.of * part.index, of: self.of * part.of }
    }

    /// How many of so many things are this part's; the first parts have those that are left over.
    pub fn count(self, things: u64) -> u64 {
        things / u64::from(self.of) + u64::from(u64::from(self.index) < things % u64::from(self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        for (workers, threads, things) in [(1, 1, 5), (3, 2, 7), (4, 4, 3), (2, 3, 1000)] {
            let mut seen = Vec::new();
            for worker in 0..workers {
                let worker = Share { index: worker, of: workers };
                for thread in 0..threads {
                    let part = worker.part(Share { index: thread, of: threads });
                    seen.push(part.index);
                    assert!(part.count(things).abs_diff(things / u64::from(part.of)) <= 1);
                }
                let sum: u64 = (0..threads).map(|index| worker.part(Share { index, of: threads }).count(things)).sum();
                assert_eq!(sum, worker.count(things));
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..workers * threads).collect::<Vec<_>>());
        }
    }
}
