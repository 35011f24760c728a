//! Proofs that disturb the stack: what holds before, while and after it. Whatever happens, it is brought back.

mod act;
mod own;
mod record;
mod traffic;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    act::{Act, Unfit},
    record::Record,
    traffic::Sent,
};
use super::run::Run;
use crate::{
    error::{Error, Kind, Result},
    event::{
        Progress,
        interrupt::{interrupted, until_cancelled},
    },
    load::fleet::Word,
    proof::{self, Place, ProofResult},
    stack::{
        claims::{Check, DuringCheck, Keeps, Part},
        model::Proof,
    },
};

pub use record::restore;

/// How long the number that is kept may take to be answered, before and after.
const NUMBER: Duration = Duration::from_secs(60);

/// Decides one such proof. What does not hold is a result, as it is for other proofs.
pub async fn prove(
    run: &Run<'_>,
    place: Place<'_>,
    proof: &Proof,
    cancel: &CancellationToken,
    progress: &Progress,
) -> Result<ProofResult> {
    let began = Instant::now();
    let proof = proof::with_id(proof);
    let Check::During(check) = &proof.check else {
        return Err(Error::new(Kind::Unexpected, format!("proof {} disturbs nothing", proof.name)));
    };
    let expected = || proof::expectation(&proof.check);
    let during = During { run, place, proof: &proof, check, cancel, progress };
    Ok(match Box::pin(during.course()).await? {
        Course::Unfit(why) => ProofResult::skipped(&proof.name, why),
        Course::Held(note) => ProofResult::passed(&proof.name, began.elapsed(), expected(), Some(note)),
        Course::Wrong(seen) => ProofResult::failed(&proof.name, began.elapsed(), expected(), seen.join("\n")),
    })
}

enum Course {
    Unfit(String),
    /// With what was measured.
    Held(String),
    Wrong(Vec<String>),
}

struct During<'a> {
    run: &'a Run<'a>,
    place: Place<'a>,
    proof: &'a Proof,
    check: &'a DuringCheck,
    cancel: &'a CancellationToken,
    progress: &'a Progress,
}

impl During<'_> {
    async fn course(&self) -> Result<Course> {
        match self.prepared().await {
            Ok(Ok(_)) => {}
            Ok(Err(Unfit(why))) => return Ok(Course::Unfit(why)),
            Err(error) => return wrong(error).map(Course::Wrong),
        }
        let missing = self.parts("before", &self.check.before).await?;
        if !missing.is_empty() {
            return Ok(Course::Wrong(missing));
        }
        let before = match self.number("before").await? {
            Ok(number) => number,
            Err(seen) => return Ok(Course::Wrong(vec![seen])),
        };
        let (sent, (mut seen, away)) = Box::pin(self.under_load()).await?;
        if let (Some(claim), Some(sent)) = (&self.check.load, &sent) {
            seen.extend(sent.judge(claim));
        }
        if seen.is_empty() {
            seen.extend(self.parts("afterwards", &self.check.after).await?);
        }
        if seen.is_empty() {
            seen.extend(self.kept(before).await?);
        }
        if !seen.is_empty() {
            return Ok(Course::Wrong(seen));
        }
        let mut note = sent.map(|sent| format!("{} requests, {} failed; ", sent.requests, sent.failed));
        note.get_or_insert_default().push_str(&format!("ready again after {:.1} s", away.as_secs_f64()));
        Ok(Course::Held(note.unwrap_or_default()))
    }

    /// What is to be done, as far as it can be done here.
    async fn prepared(&self) -> Result<std::result::Result<Act<'_>, Unfit>> {
        let deadline = Instant::now() + self.run.machine.timeout;
        let prepare = Act::prepare(self.run, &self.check.disruption, deadline, self.progress);
        until_cancelled(self.cancel, prepare).await
    }

    /// The disturbance, with requests that are sent before it begins and until all is ready again.
    async fn under_load(&self) -> Result<(Option<Sent>, (Vec<String>, Duration))> {
        let Some(claim) = &self.check.load else { return Ok((None, Box::pin(self.disturbed()).await?)) };
        let word = Word::default();
        // An error of the one ends the other, which takes away what it has made.
        let stop = self.cancel.child_token();
        let send = async {
            let sent = traffic::send(self.run, self.place.agent_image, claim, &word, &stop, self.progress);
            let sent = Box::pin(sent).await;
            if sent.is_err() {
                stop.cancel();
            }
            sent
        };
        let disturb = async {
            word.begun.cancelled().await;
            let disturbed = match stop.is_cancelled() {
                true => Err(interrupted()),
                false => Box::pin(self.disturbed()).await,
            };
            word.end.cancel();
            if disturbed.is_err() {
                stop.cancel();
            }
            disturbed
        };
        match futures::join!(send, disturb) {
            (Ok(sent), Ok(disturbed)) => Ok((Some(sent), disturbed)),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            // What was only told to stop has nothing to add.
            (Err(one), Err(other)) => Err(if one.kind == Kind::Interrupted { other } else { one }),
        }
    }

    /// Disturbs, checks meanwhile, and brings back. What did not hold, and how long it took until all was ready again.
    async fn disturbed(&self) -> Result<(Vec<String>, Duration)> {
        let began = Instant::now();
        // Pods may have come and gone since it was looked whether it can be done at all.
        let act = match self.prepared().await {
            Ok(Ok(act)) => act,
            Ok(Err(Unfit(why))) => return Ok((vec![why], began.elapsed())),
            Err(error) => return Ok((wrong(error)?, began.elapsed())),
        };
        let record = Record { kube: self.run.kube().await?, stack: &self.run.stack.name };
        let changes = act.changes();
        if let Some(changes) = &changes {
            record.write(changes).await?;
        }
        let disturbing = Box::pin(async {
            act.disturb().await?;
            self.progress.say(format!("{}: {}", self.proof.name, self.check.disruption));
            self.parts("meanwhile", &self.check.meanwhile).await
        });
        let ended = until_cancelled(self.cancel, disturbing).await;
        if let Some(changes) = &changes {
            record.undo(changes).await?;
        }
        let mut seen = ended.or_else(wrong)?;
        match until_cancelled(self.cancel, Box::pin(act.recovered())).await {
            Ok(()) => {}
            Err(error) => seen.extend(wrong(error)?),
        }
        Ok((seen, began.elapsed()))
    }

    /// What of these does not hold.
    async fn parts(&self, when: &str, parts: &[Part]) -> Result<Vec<String>> {
        let proofs: Vec<Proof> = parts.iter().map(|part| self.part(part)).collect();
        let results = self.checked(&proofs).await?;
        let failed = results.iter().filter(|result| !result.passed);
        Ok(failed
            .map(|result| {
                let seen = result.seen.as_deref().unwrap_or_default();
                format!(
                    "{when} {}: expected {}, saw {seen}",
                    result.name,
                    result.expected.as_deref().unwrap_or_default()
                )
            })
            .collect())
    }

    fn part(&self, part: &Part) -> Proof {
        let eventually = Some(part.eventually).filter(|time| !time.is_zero());
        let (name, check) = (part.name.clone(), part.check.clone());
        Proof { name, check, eventually, origin: self.proof.origin.clone() }
    }

    async fn checked(&self, proofs: &[Proof]) -> Result<Vec<ProofResult>> {
        if proofs.is_empty() {
            return Ok(Vec::new());
        }
        let kube = self.run.kube().await?;
        let longest = proofs.iter().filter_map(|proof| proof.eventually).max().unwrap_or_default();
        let deadline = self.run.machine.timeout.max(longest * 2);
        Box::pin(proof::run(kube, self.place, proofs, deadline, self.cancel, self.progress)).await
    }

    /// The number that is to be kept; None: none is. Err of the inner one: what was seen instead.
    async fn number(&self, when: &str) -> Result<std::result::Result<Option<u64>, String>> {
        let Some(Keeps { claim, .. }) = &self.check.keeps else { return Ok(Ok(None)) };
        let check = Check::Number(claim.clone());
        let part = Part { name: "the number".to_owned(), check, eventually: NUMBER };
        let results = self.checked(&[self.part(&part)]).await?;
        let note = results.first().and_then(|result| result.note.as_ref()?.parse().ok());
        let seen = || results.iter().find_map(|result| result.seen.clone()).unwrap_or_default();
        Ok(note.map(Some).ok_or_else(|| format!("the number {when} could not be read: {}", seen())))
    }

    async fn kept(&self, before: Option<u64>) -> Result<Option<String>> {
        let (Some(before), Some(keeps)) = (before, &self.check.keeps) else { return Ok(None) };
        let after = match self.number("afterwards").await? {
            Ok(Some(after)) => after,
            Ok(None) => return Ok(None),
            Err(seen) => return Ok(Some(seen)),
        };
        Ok(lost(before, after, keeps.by))
    }
}

/// Why a number was not kept, if it was not.
fn lost(before: u64, after: u64, by: Option<u64>) -> Option<String> {
    match by {
        None if after < before => Some(format!("the number was {before} before and is {after} afterwards")),
        Some(by) if before.checked_add(by) != Some(after) => {
            Some(format!("the number was {before} before and is {after} afterwards, not {by} more"))
        }
        _ => None,
    }
}

/// What did not come in time, or is not there to be disturbed, is what was seen; other errors stay errors.
fn wrong(error: Error) -> Result<Vec<String>> {
    match error.kind {
        Kind::NotReady | Kind::Refused => {
            let causes = error.causes.iter().map(|cause| format!(": {cause}"));
            Ok(vec![format!("{}{}", error.message, causes.collect::<String>())])
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_when_it_is_not_less_or_exactly_as_much_more() {
        assert_eq!(lost(5, 5, None), None);
        assert_eq!(lost(5, 9, None), None);
        assert_eq!(lost(5, 0, None).unwrap(), "the number was 5 before and is 0 afterwards");
        assert_eq!(lost(5, 6, Some(1)), None);
        assert_eq!(lost(5, 7, Some(1)).unwrap(), "the number was 5 before and is 7 afterwards, not 1 more");
    }

    #[test]
    fn what_is_not_ready_in_time_is_what_was_seen() {
        let late = Error::new(Kind::NotReady, "Deployment/web was not ready").cause("0 of 2");
        assert_eq!(wrong(late).unwrap(), ["Deployment/web was not ready: 0 of 2"]);
        assert_eq!(wrong(interrupted()).unwrap_err().kind, Kind::Interrupted);
    }
}
