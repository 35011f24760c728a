//! What of a load is a worker's, and whether it sent that. Pure.

use std::time::Duration;

use super::{
    super::{
        engine::Share,
        spec::{Arrivals, Limit},
        stats::WorkerResult,
        wire::Order,
    },
    run::{Until, longest},
};

/// A load that ends this much before its time was ended by something else.
const EARLY: Duration = Duration::from_secs(2);

/// How a worker that was not told to stop fell short of its part, if it did.
pub fn short(order: &Order, until: Until<'_>, worker: u32, result: &WorkerResult) -> Option<String> {
    if result.aborted.is_some() {
        return None;
    }
    match order.spec.limit {
        Limit::Duration { .. } => {
            let longest = longest(order, until)?;
            (result.measured + EARLY < longest).then(|| format!("it ended after {} s", result.measured.as_secs()))
        }
        Limit::Requests { requests } => {
            let own = Share { index: worker, of: order.workers.max(1) }.count(requests);
            let sent = result.requests();
            (sent + result.left_out < own).then(|| format!("it ended after {sent} of its {own} requests"))
        }
    }
}

/// Of the load, 0 to 1: in a closed loop the connections send, in an open one all workers send alike.
pub fn share(order: &Order, worker: u32) -> f64 {
    let workers = f64::from(order.workers.max(1));
    let connections = order.spec.connections;
    match order.spec.arrivals {
        Arrivals::Closed if connections > 0 => {
            let own = connections / order.workers.max(1) + u32::from(worker < connections % order.workers.max(1));
            f64::from(own) / f64::from(connections)
        }
        _ => 1.0 / workers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{failure::Failure, spec, stats::PackedTally};

    #[test]
    fn a_lost_workers_share_is_what_it_would_have_sent() {
        let mut order = Order { spec: spec::fixture(&["/"]), workers: 4, threads: Some(1) };
        order.spec.connections = 10;
        let shares = |order: &Order| (0..4).map(|worker| share(order, worker)).collect::<Vec<_>>();
        assert_eq!(shares(&order), [0.3, 0.3, 0.2, 0.2]);
        order.spec.arrivals = Arrivals::Constant { rate: 5.0 };
        assert_eq!(shares(&order), [0.25; 4]);
    }
    #[test]
    fn a_worker_that_ends_before_its_part_is_sent_fell_short() {
        let mut order = Order { spec: spec::fixture(&["/", "/other"]), workers: 3, threads: Some(1) };
        let sent = |succeeded, failed| {
            let of = |succeeded, failed| PackedTally {
                succeeded,
                errors: [(Failure::Timeout, failed)].into(),
                ..PackedTally::default()
            };
            let paths = vec![of(succeeded, 0), of(0, failed)];
            WorkerResult { measured: Duration::from_secs(7), paths, ..WorkerResult::default() }
        };
        order.spec.limit = Limit::Requests { requests: 10 };
        let fell = |order: &Order, worker, result: &WorkerResult| short(order, Until::Due, worker, result);
        assert_eq!(fell(&order, 0, &sent(3, 1)), None);
        assert_eq!(fell(&order, 1, &sent(2, 1)), None);
        assert_eq!(fell(&order, 0, &sent(2, 1)).as_deref(), Some("it ended after 3 of its 4 requests"));
        assert_eq!(fell(&order, 0, &WorkerResult { left_out: 1, ..sent(2, 1) }), None, "it began late");
        assert_eq!(fell(&order, 0, &WorkerResult { aborted: Some(Failure::Timeout), ..sent(0, 1) }), None);

        order.spec.limit = Limit::Duration { duration: Duration::from_secs(10) };
        assert_eq!(fell(&order, 0, &sent(3, 1)).as_deref(), Some("it ended after 7 s"));
        order.spec.limit = Limit::Duration { duration: Duration::from_secs(8) };
        assert_eq!(fell(&order, 0, &sent(3, 1)), None);
    }
}
