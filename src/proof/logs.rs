//! Whether pods log what they should.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{lines::Search, result::ProofResult};
use crate::{
    error::Result,
    event::Progress,
    kube::{Kube, logs::LogOptions, selector::stays},
    object::json,
    stack::claims::{HttpCheck, LogClaim, LogsCheck, Since},
};

/// How soon it is looked which pods there are.
const LOOK: Duration = Duration::from_millis(500);
/// The logs are read for this long at least.
const SHORTEST: Duration = Duration::from_secs(2);

/// A proof about logs whose request, if it has one, was answered as it should.
pub struct Logged<'a> {
    pub kube: &'a Kube,
    pub namespace: &'a str,
    pub name: &'a str,
    pub check: &'a LogsCheck,
    /// When the proof began.
    pub began: Instant,
    /// How long the lines may take to come.
    pub timeout: Duration,
    pub limit: Instant,
    pub progress: &'a Progress,
}

impl Logged<'_> {
    /// Reads until all that is claimed was seen, or the time has passed.
    pub async fn prove(&self) -> Result<ProofResult> {
        let until = (Instant::now() + self.timeout.max(SHORTEST)).min(self.limit);
        let all = self.check.pods.iter().map(|claim| self.look_for(claim, until));
        let seen: Vec<String> = futures::future::try_join_all(all).await?.into_iter().flatten().collect();
        let (took, expected) = (self.began.elapsed(), expectation(self.check));
        Ok(match seen.is_empty() {
            true => ProofResult::passed(self.name, took, expected, None),
            false => ProofResult::failed(self.name, took, expected, seen.join("\n")),
        })
    }

    /// What is missing of one claim at the end; None: nothing.
    async fn look_for(&self, claim: &LogClaim, until: Instant) -> Result<Option<String>> {
        // The API server counts whole seconds.
        let since = (self.check.since == Since::Start).then(|| self.began.elapsed() + Duration::from_secs(1));
        let options = LogOptions { follow: true, since, container: claim.container.clone(), ..LogOptions::default() };
        let mut logs = self.kube.logs(self.namespace, &claim.selector, options).await?;
        let mut search = Search::new(claim);
        let mut pods = self.pods(claim).await?;
        let mut look = Instant::now() + LOOK;
        loop {
            match timeout_at(look.min(until), logs.next()).await {
                Ok(Some(line)) => search.line(&line.pod, &line.container, &line.line),
                Ok(None) => return Ok((!search.holds(&pods)).then(|| search.missing(&pods))),
                Err(_) => {
                    pods = self.pods(claim).await?;
                    look = Instant::now() + LOOK;
                    self.progress.say(format!("{}: waiting for lines of {}", self.name, claim.selector));
                }
            }
            if search.holds(&pods) {
                return Ok(None);
            }
            if Instant::now() >= until {
                return Ok(Some(search.missing(&pods)));
            }
        }
    }

    async fn pods(&self, claim: &LogClaim) -> Result<Vec<String>> {
        let pods = self.kube.selected_pods(self.namespace, &claim.selector).await?;
        Ok(pods.iter().filter(|pod| stays(pod)).map(|pod| json::name(pod).to_owned()).collect())
    }
}

/// What must be logged, in words.
pub fn expectation(check: &LogsCheck) -> String {
    let claims = check.pods.iter().map(|claim| {
        let lines: Vec<String> = claim.matches.iter().map(|pattern| format!("`{}`", pattern.0)).collect();
        let pods = if claim.every { "every pod" } else { "a pod" };
        let order = if claim.any_order { " in any order" } else { "" };
        format!("{pods} of {} logs {}{order}", claim.selector, lines.join(", then "))
    });
    let request = check.request.as_ref().map(|HttpCheck { method, url, .. }| format!("after {method} {url}: "));
    format!("{}{}", request.unwrap_or_default(), claims.collect::<Vec<_>>().join("; "))
}
