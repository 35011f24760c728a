//! Making one thing once, whatever happens in between: look, write down, call, and look again where the answer was lost.

use std::time::Duration;

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    client::{Failure, Outcome},
    cluster::EksCluster,
    ledger::{Entry, Event},
    names,
};
use crate::{
    error::Result,
    event::{Progress, interrupt::interrupted},
};

/// Of calls of which nobody knows what became of them, or that were too many.
const ATTEMPTS: u32 = 4;
const THROTTLED_FOR: Duration = Duration::from_secs(2);
/// Between two looks for what a lost call may have made.
const LOOKS: u32 = 12;

/// What a thing is tagged with: key and value.
pub type Tags = Vec<(String, String)>;

/// A thing that is there, and whether this run made it.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: String,
    pub new: bool,
}

impl EksCluster {
    pub fn tags(&self, part: &str, operation: &str) -> Tags {
        let owner = self.who.arn.rsplit(':').next().unwrap_or(&self.who.arn);
        let now = Timestamp::now();
        let at = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let expires = self.spec.ttl.and_then(|ttl| now.checked_add(ttl).ok()).map(at);
        let expires = expires.map(|expires| (names::EXPIRES_TAG.to_owned(), expires));
        let tags = [
            ("Name", format!("{}-{part}", self.name)),
            (names::STACK_TAG, self.spec.base.clone()),
            (names::CLUSTER_TAG, self.name.clone()),
            (names::PART_TAG, part.to_owned()),
            (names::OWNER_TAG, owner.to_owned()),
            (names::CREATED_TAG, at(now)),
            (names::OPERATION_TAG, operation.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        tags.into_iter().chain(expires).collect()
    }

    fn entry(&self, part: &str, operation: &str, event: Event) -> Entry {
        Entry {
            at: Timestamp::now(),
            account: self.who.account.clone(),
            region: self.aws.region.clone(),
            cluster: self.name.clone(),
            part: part.to_owned(),
            operation: operation.to_owned(),
            event,
        }
    }

    /// What is there, by its id, or is made now. `make` gets the tags that it has to put on in the very call that makes
    /// it, and gives the id back.
    pub async fn ensure<Found, Making>(
        &self,
        part: &str,
        find: impl Fn() -> Found,
        make: impl Fn(Tags) -> Making,
    ) -> Result<Made>
    where
        Found: Future<Output = Result<Option<String>>>,
        Making: Future<Output = std::result::Result<String, Failure>>,
    {
        if let Some(id) = find().await? {
            return Ok(self.known(part, id, false));
        }
        self.make_missing(part, find, make).await
    }

    /// The same where the caller has just looked and seen nothing.
    pub async fn make_missing<Found, Making>(
        &self,
        part: &str,
        find: impl Fn() -> Found,
        make: impl Fn(Tags) -> Making,
    ) -> Result<Made>
    where
        Found: Future<Output = Result<Option<String>>>,
        Making: Future<Output = std::result::Result<String, Failure>>,
    {
        // An earlier run made the call, and perhaps did not live to see its answer.
        if let Some(id) = self.shows(&find, self.may_show_for(Some(part))?).await? {
            if let Some(pending) = self.ledger.pending(part)? {
                self.ledger.write(&self.entry(part, &pending.operation, Event::Made { id: id.clone() }))?;
            }
            return Ok(self.known(part, id, false));
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let operation = operation();
            self.ledger.write(&self.entry(part, &operation, Event::Intended))?;
            let failure = match make(self.tags(part, &operation)).await {
                Ok(id) => {
                    self.ledger.write(&self.entry(part, &operation, Event::Made { id: id.clone() }))?;
                    return Ok(self.known(part, id, true));
                }
                Err(failure) => failure,
            };
            if failure.outcome == Outcome::Unknown {
                if let Some(id) = self.shows(&find, self.pace.shows_within()).await? {
                    self.ledger.write(&self.entry(part, &operation, Event::Made { id: id.clone() }))?;
                    return Ok(self.known(part, id, true));
                }
            } else {
                self.ledger.write(&self.entry(part, &operation, Event::Refused { why: failure.message.clone() }))?;
            }
            if failure.outcome == Outcome::Refused || attempt == ATTEMPTS {
                return Err(failure.error(&format!("making {}", in_words(part))));
            }
            if failure.outcome == Outcome::Throttled {
                tokio::time::sleep(THROTTLED_FOR * attempt / self.pace.times()).await;
            }
        }
    }

    /// The answer of a call about what was just made: AWS may not know it everywhere yet, and says then that there is no
    /// such thing.
    pub async fn once_shown<T, E, Answer>(&self, call: impl Fn() -> Answer) -> std::result::Result<T, Failure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        Answer: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let deadline = Instant::now() + self.pace.shows_within();
        loop {
            match call().await.map_err(Failure::of) {
                Err(failure) if failure.is_unknown_thing() && Instant::now() < deadline => {
                    tokio::time::sleep(self.pace.shows_within() / LOOKS).await;
                }
                answer => return answer,
            }
        }
    }

    /// How long it takes at most until all shows that earlier runs have made, or may have made.
    pub(super) fn may_show_for(&self, part: Option<&str>) -> Result<Duration> {
        let Some(last) = self.ledger.last_made(part)? else { return Ok(Duration::ZERO) };
        let since = Timestamp::now().duration_since(last).unsigned_abs();
        Ok(self.pace.shows_within().saturating_sub(since))
    }

    /// What is not seen yet cannot be removed, and would be left.
    pub(super) async fn until_all_shows(&self, progress: &Progress) -> Result<()> {
        let left = self.may_show_for(None)?;
        if left.is_zero() {
            return Ok(());
        }
        progress.say(format!("waiting {} s until AWS shows what an earlier run has begun", left.as_secs() + 1));
        tokio::select! {
            () = self.cancel.cancelled() => Err(interrupted()),
            () = tokio::time::sleep(left) => Ok(()),
        }
    }

    /// What a call made whose answer was lost: it may take a while to show.
    async fn shows<Found>(&self, find: &impl Fn() -> Found, within: Duration) -> Result<Option<String>>
    where
        Found: Future<Output = Result<Option<String>>>,
    {
        let deadline = Instant::now() + within;
        if within.is_zero() {
            return Ok(None);
        }
        loop {
            if let Some(id) = find().await? {
                return Ok(Some(id));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(self.pace.shows_within() / LOOKS).await;
        }
    }
}

fn operation() -> String {
    let number: u128 = rand::random();
    format!("{number:032x}")
}

/// `subnet-public-1` as "the subnet public-1".
fn in_words(part: &str) -> String {
    for kind in ["route-table", "internet-gateway", "s3-endpoint", "log-group"] {
        if let Some(rest) = part.strip_prefix(kind) {
            return format!("the {} {}", kind.replace('-', " "), rest.trim_start_matches('-')).trim_end().to_owned();
        }
    }
    format!("the {}", part.replacen('-', " ", 1))
}
