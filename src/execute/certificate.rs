//! The certificate of an edge: looked at again, issued if it is due, and its authority told to clients in the cluster.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{Done, outputs::Output, run::Run};
use crate::{
    error::{Error, Kind, Result},
    kube::Kube,
    observe::certificates,
    stack::desired::DesiredSet,
    tls::{Authority, Decision, authority, decide, decision::names},
};

pub async fn issue(run: &Run<'_>, set: &DesiredSet) -> Result<Done> {
    let wanted = set.certificate.as_ref();
    let wanted = wanted.ok_or_else(|| Error::new(Kind::Unexpected, "the set has no certificate"))?;
    let kube = run.kube().await?;
    let authority = run.machine.authority().await?;
    // Another run may have been faster since the plan was made.
    let seen = certificates::certificate(kube, wanted, Some(&authority)).await?;
    let decision = decide(wanted, seen.as_ref());
    let is_foreign = matches!(decision, Decision::KeepForeign { .. });
    let foreign = seen.as_ref().filter(|_| is_foreign).and_then(|seen| seen.own.clone());
    let (serial, note) = match decision {
        Decision::Keep { serial } | Decision::KeepForeign { serial, .. } => (serial, None),
        Decision::Issue(reason) => {
            let host = certificates::host(kube, wanted).await?;
            let names = names(wanted, host.as_deref()).ok_or_else(|| {
                Error::new(Kind::NotReady, "the load balancer that leads to the edge has no name any more")
                    .hint("run the same command again: it waits for one")
            })?;
            let issued = authority.issue(&names, authority::now())?;
            let data = json!({
                "tls.crt": BASE64_STANDARD.encode(&issued.certificate),
                "tls.key": BASE64_STANDARD.encode(&issued.key),
                "ca.crt": BASE64_STANDARD.encode(authority.certificate()),
            });
            let body = json!({"type": "kubernetes.io/tls", "data": data, "metadata": {"labels": set.labels()}});
            kube.put(&wanted.secret_key(), &body, &wanted.origin).await?;
            let until = authority::date(issued.not_after);
            (issued.serial, Some(format!("issued until {until}: {reason}")))
        }
    };
    let bundled = note.is_none() && seen.is_some_and(|seen| seen.bundled);
    if !bundled {
        bundle(kube, set, &authority).await?;
    }
    let output = Output::Certificate { secret: wanted.secret.clone(), serial, foreign };
    Ok(Done { unchanged: bundled, note, output, ..Done::default() })
}

/// Whose signature clients in the cluster have to accept: that of the Secret's own authority where it names one.
async fn bundle(kube: &Kube, set: &DesiredSet, authority: &Authority) -> Result<()> {
    let Some(wanted) = &set.certificate else { return Ok(()) };
    let secret = kube.get(&wanted.secret_key()).await?;
    let named = secret.as_ref().and_then(certificates::named_authority);
    let text = named.unwrap_or_else(|| authority.certificate().to_owned());
    let body = json!({"data": {"ca.crt": text}, "metadata": {"labels": set.labels()}});
    kube.put(&wanted.bundle_key(), &body, &wanted.origin).await.map(|_| ())
}
