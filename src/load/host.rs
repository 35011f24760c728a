//! A load that this process sends itself.

use std::time::Instant;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    document::{LoadDocument, Workers},
    engine::{self, Part, Share, Target},
    outcome::{self, About},
    spec::LoadSpec,
    stats::{Timeline, WorkerResult},
};
use crate::{
    error::{Error, Kind, Result},
    event::{Event, Events, LoadTick, interrupt::until_cancelled},
};

/// What a run has left: the record of it, and what it says about the run itself.
#[derive(Debug)]
pub struct Ran {
    pub document: LoadDocument,
    pub result: WorkerResult,
}

/// Fails before anything is sent where no load may be sent: to hosts that are not this one, unless `allowed`.
pub fn permit(target: &Target, base: &str, allowed: bool) -> Result<()> {
    if allowed || target.is_loopback() {
        return Ok(());
    }
    let addresses: Vec<String> = target.addresses().iter().map(ToString::to_string).collect();
    Err(Error::new(Kind::Usage, format!("{base} is not this machine ({})", addresses.join(", ")))
        .cause("a load is an attack on a host whose owner does not want it")
        .hint("--i-own-this-host says that you may do this"))
}

/// Sends the whole load and gives each second to `events`. An interrupted run has its record, too.
pub async fn run(
    spec: &LoadSpec,
    target: &Target,
    threads: Option<u32>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Ran> {
    until_cancelled(cancel, engine::probe(spec, target)).await?;
    let start = engine::soon();
    let begins = start + spec.warmup;
    let started = Timestamp::now() + begins.saturating_duration_since(Instant::now());
    let tick = |phase, second, elapsed| {
        let samples = Vec::new();
        events.send(Event::Load(Box::new(LoadTick { phase, second, elapsed, expected: spec.length(), samples })));
    };
    if !spec.warmup.is_zero() {
        tick("warming up", None, std::time::Duration::ZERO);
    }
    let mut timeline = Timeline::default();
    let part = Part { share: Share::WHOLE, threads, start };
    let result = engine::run(spec, target, part, cancel, |news| {
        timeline.add(&news);
        let elapsed = begins.elapsed();
        let over = spec.length().is_some_and(|length| std::time::Duration::from_secs(news.at.into()) >= length);
        match over {
            true => tick("waiting for the last answers", None, elapsed),
            false => tick("sending", Some(timeline.second(news.at)), elapsed),
        }
    })
    .await?;
    if result.never_connected() {
        let seen = result.examples.values().cloned();
        let count = result.connects_failed;
        return Err(Error::new(Kind::Preflight, format!("{} cannot be reached: no request was sent", spec.base))
            .cause(format!("{count} attempts to connect failed"))
            .details(seen));
    }
    let about = About { from: "host", ..About::default() };
    let workers = Workers { started: 1, lost: Vec::new() };
    let document = outcome::document(&about, spec, started, &result, &timeline, workers);
    Ok(Ran { document, result })
}
