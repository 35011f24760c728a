use proptest::prelude::*;

use super::*;
use crate::load::spec::fixture;

/// Where one request ended: second, path, its latency or its failure.
type Ended = (u32, usize, Result<u64, Failure>);

fn requests() -> impl Strategy<Value = Vec<Ended>> {
    let failure = prop_oneof![Just(Failure::Timeout), Just(Failure::Status(500)), Just(Failure::Reset)];
    let outcome = prop_oneof![4 => (0..60_000_000_u64).prop_map(Ok), 1 => failure.prop_map(Err)];
    proptest::collection::vec((0..5_u32, 0..2_usize, outcome), 0..200)
}

fn record(tally: &mut Tally, outcome: &Result<u64, Failure>) {
    match outcome {
        Ok(micros) => {
            tally.succeeded += 1;
            tally.latencies.record(*micros);
        }
        Err(failure) => *tally.errors.entry(*failure).or_default() += 1,
    }
    tally.bytes += 100;
}

fn measure(requests: &[Ended]) -> (WorkerResult, Tick) {
    let mut seconds: BTreeMap<u32, Tally> = BTreeMap::new();
    let mut paths = [Tally::default(), Tally::default()];
    for (second, path, outcome) in requests {
        record(seconds.entry(*second).or_default(), outcome);
        record(&mut paths[*path], outcome);
    }
    let seconds = seconds.iter().map(|(at, tally)| SecondTally { at: *at, tally: tally.into() }).collect();
    let result = WorkerResult {
        measured: Duration::from_secs(5),
        paths: paths.iter().map(PackedTally::from).collect(),
        ..WorkerResult::default()
    };
    (result, Tick { at: 5, seconds })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the requests are spread over workers and ticks, the document is the same.
    #[test]
    fn merged_exactly(requests in requests(), workers in 1..4_usize) {
        let spec = fixture(&["/a", "/b"]);
        let (result, tick) = measure(&requests);
        let mut whole = Timeline::default();
        whole.add(&tick);
        let expected = Measured::new(&spec, &result, &whole);

        let (mut sum, mut timeline) = (WorkerResult::default(), Timeline::default());
        for worker in 0..workers {
            let share: Vec<Ended> = requests.iter().skip(worker).step_by(workers).cloned().collect();
            let half = share.len() / 2;
            for part in [&share[..half], &share[half..]] {
                let (result, tick) = measure(part);
                sum.add(&result);
                timeline.add(&tick);
            }
        }
        let seen = Measured::new(&spec, &sum, &timeline);
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(seen.totals.requests, requests.len() as u64);
        prop_assert_eq!(seen.seconds.len(), 5);
        prop_assert_eq!(seen.seconds.iter().map(|second| second.requests).sum::<u64>(), requests.len() as u64);
        prop_assert_eq!(seen.paths.iter().map(|path| path.requests).sum::<u64>(), requests.len() as u64);
        prop_assert_eq!(seen.distribution.iter().map(|bucket| bucket.count).sum::<u64>(), seen.totals.succeeded);
    }
}

#[test]
fn a_second_without_requests_is_there() {
    let (result, tick) = measure(&[(3, 0, Ok(1000))]);
    let mut timeline = Timeline::default();
    timeline.add(&tick);
    let measured = Measured::new(&fixture(&["/a", "/b"]), &result, &timeline);
    assert_eq!(measured.seconds.iter().map(|second| second.requests).collect::<Vec<_>>(), [0, 0, 0, 1, 0]);
    assert_eq!(measured.totals.rate, 0.2);
    assert_eq!(measured.totals.latency.p50, 1.0);
    assert_eq!(measured.paths[1].requests, 0);
}
