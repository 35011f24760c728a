//! The load that is sent while something is disturbed, and what became of it.

use tokio_util::sync::CancellationToken;

use super::super::run::Run;
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    load::{
        failure::Failure,
        fleet::{self, Fleet, Ran, Until, Word},
        spec::{Arrivals, Limit, LoadSpec, WeightedPath},
        syntax,
        watch::Watch,
        wire::Order,
    },
    stack::claims::LoadClaim,
};

/// What became of all requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    pub requests: u64,
    pub failed: u64,
    /// One for each class of failures, the most frequent first.
    pub failures: Vec<String>,
    /// What was not sent, and why.
    pub lost: Vec<String>,
}

impl Sent {
    /// What of the claim does not hold.
    pub fn judge(&self, claim: &LoadClaim) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.failed > claim.max_errors {
            let Sent { requests, failed, .. } = self;
            wrong.push(format!("{failed} of {requests} requests failed: {}", self.failures.join("; ")));
        }
        if self.requests < claim.min_requests {
            wrong.push(format!("only {} requests were answered, of at least {}", self.requests, claim.min_requests));
        }
        wrong.extend(self.lost.iter().map(|why| format!("a part of the load was not sent: {why}")));
        wrong
    }
}

/// Sends until the word is given, and at least for the claim's duration.
pub async fn send(
    run: &Run<'_>,
    image: &str,
    claim: &LoadClaim,
    word: &Word,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<Sent> {
    let kube = run.kube().await?;
    let order = order(claim)?;
    let watch = Watch::start(kube, Vec::new()).await;
    let fleet = Fleet {
        kube,
        namespace: &run.stack.namespace,
        image,
        order: &order,
        until: Until::Word(word),
        starting: run.machine.timeout,
        watch: &watch,
        events: &run.machine.events,
        progress,
    };
    let ran = fleet::run(&fleet, cancel).await;
    // Whoever waits for the first request waits for no more.
    word.begun.cancel();
    ran.map(|ran| sent(&ran))
}

fn sent(ran: &Ran) -> Sent {
    let total = ran.collected.timeline.total();
    let examples = ran.collected.sum().examples;
    let mut errors: Vec<(Failure, u64)> = total.errors.iter().map(|(failure, count)| (*failure, *count)).collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = errors.into_iter().map(|(failure, count)| {
        let example = examples.get(&failure).map(|example| format!(" ({example})")).unwrap_or_default();
        format!("{count} times {}{example}", failure.sentence())
    });
    Sent {
        requests: total.requests(),
        failed: total.failed(),
        failures: told.collect(),
        lost: ran.workers.lost.iter().map(|lost| lost.why.clone()).collect(),
    }
}

fn order(claim: &LoadClaim) -> Result<Order> {
    let (base, path) =
        syntax::split(&claim.url).ok_or_else(|| Error::new(Kind::Usage, format!("{} is no address", claim.url)))?;
    let spec = LoadSpec {
        base,
        paths: vec![WeightedPath { path, weight: 1.0 }],
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: None,
        connections: claim.connections,
        arrivals: Arrivals::Constant { rate: claim.rate },
        limit: Limit::Duration { duration: claim.duration },
        warmup: std::time::Duration::ZERO,
        timeout: claim.timeout,
        expect_status: None,
        expect_body: None,
        abort_on_fail: false,
        ca_bundle: None,
        seed: 1,
    };
    spec.check()?;
    Ok(Order { spec, workers: 1, threads: Some(1) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_and_too_few_requests_are_told() {
        let claim = LoadClaim {
            url: "http://web:8080/x?y=1".into(),
            rate: 100.0,
            connections: 5,
            duration: Duration::from_secs(20),
            max_errors: 1,
            min_requests: 5000,
            timeout: Duration::from_secs(1),
        };
        let spec = order(&claim).unwrap().spec;
        assert_eq!((spec.base.as_str(), spec.paths[0].path.as_str()), ("http://web:8080", "/x?y=1"));
        let fine = Sent { requests: 5000, failed: 1, failures: vec!["1 times x".into()], lost: Vec::new() };
        assert_eq!(fine.judge(&claim), Vec::<String>::new());
        let failed = Sent { requests: 4999, failed: 2, failures: vec!["2 times x".into()], lost: vec!["gone".into()] };
        assert_eq!(
            failed.judge(&claim),
            [
                "2 of 4999 requests failed: 2 times x",
                "only 4999 requests were answered, of at least 5000",
                "a part of the load was not sent: gone"
            ]
        );
    }
}
