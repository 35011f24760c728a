//! What runs inside the pod: makes the requests and prints what came back.

#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use super::{
    count,
    http::{self, Requester},
    logs, prometheus,
    rbac::{self, ApiServer},
    trace,
    wire::{AgentCheck, AgentResult, millis},
};
use crate::{
    error::{Context, Kind, Result},
    stack::claims::{Access, Check, LoadClaim},
};

/// Between two attempts of an eventual check.
const INTERVAL: Duration = Duration::from_millis(250);

/// Runs the checks one after the other, in their order, and hands on one JSON line for each as soon as it is decided.
///
/// `input`: the JSON list that `pod::build` puts into the environment. `ca_bundle`: PEM file that HTTPS trusts in place
/// of the system's roots. `own_ca`: PEM of what checks with `ca: true` trust. Fails only for input or certificates that
/// cannot be read; a failed check is a result.
pub async fn run_agent(
    input: &str,
    ca_bundle: Option<&Path>,
    own_ca: Option<&str>,
    mut emit: impl FnMut(String),
) -> Result<()> {
    let checks: Vec<AgentCheck> =
        serde_json::from_str(input).context(Kind::Usage, || "the checks could not be read".to_owned())?;
    let requester = Requester::new(ca_bundle, own_ca)?;
    for check in &checks {
        let result = decide(&requester, check).await;
        emit(serde_json::to_string(&result).context(Kind::Unexpected, || "a result could not be written".to_owned())?);
    }
    Ok(())
}

async fn decide(requester: &Requester, check: &AgentCheck) -> AgentResult {
    let start = Instant::now();
    let until = start + check.eventually();
    let mut attempts = 0;
    let mut sent = None;
    let (seen, note) = loop {
        attempts += 1;
        let seen = match attempt(requester, &check.check, &mut sent).await {
            Ok(note) => break (None, note),
            Err(seen) => seen,
        };
        if Instant::now() + INTERVAL > until {
            break (Some(seen), None);
        }
        tokio::time::sleep(INTERVAL).await;
    };
    AgentResult {
        index: check.index,
        name: check.name.clone(),
        passed: seen.is_none(),
        took_ms: millis(start.elapsed()),
        attempts,
        expected: expectation(&check.check),
        seen,
        note,
    }
}

/// What there is to say of it when it passes.
async fn attempt(
    requester: &Requester,
    check: &Check,
    sent: &mut trace::Sent,
) -> std::result::Result<Option<String>, String> {
    let done = match check {
        Check::Http(check) => requester.attempt(check).await,
        Check::Trace(check) => trace::attempt(requester, check, sent).await,
        Check::Promql(check) => prometheus::query(requester, check).await,
        Check::Targets(check) => prometheus::targets(requester, check).await,
        Check::Dashboards(check) => prometheus::dashboards(requester, check).await,
        Check::Alert(check) => prometheus::alert(requester, check).await,
        Check::Count(check) => count::count(requester, check).await,
        Check::Replicas(check) => count::replicas(requester, check).await,
        Check::Rbac(check) => {
            let server = ApiServer::from_env().ok_or("this is no pod of Kubernetes")?;
            let requester = Requester::new(Some(&server.ca()), None).map_err(|error| error.to_string())?;
            rbac::attempt(&requester, &server, check).await
        }
        Check::Number(claim) => return count::number(requester, claim).await.map(|number| Some(number.to_string())),
        Check::Autoscaler(_) | Check::Logs(_) | Check::During(_) => {
            Err("the API server is not asked from here".to_owned())
        }
    };
    done.map(|()| None)
}

/// What must be, in words.
pub fn expectation(check: &Check) -> String {
    match check {
        Check::Http(check) => http::expectation(check),
        Check::Trace(check) => {
            let spans: Vec<String> = check.spans.iter().map(|span| format!("span {span}")).collect();
            format!("{}, and a trace of it with {}", http::expectation(&check.request), spans.join(", "))
        }
        Check::Promql(check) => {
            let bounds = [(check.above, ">"), (check.below, "<")];
            let bounds = bounds.iter().filter_map(|(bound, sign)| bound.map(|bound| format!(" {sign} {bound}")));
            format!("{}{}", check.query, bounds.collect::<Vec<_>>().join(" and"))
        }
        Check::Targets(_) => "every active target is up".to_owned(),
        Check::Dashboards(check) => {
            let what = if check.data { "returns data" } else { "is understood by Prometheus" };
            format!("each of the {} expressions in ConfigMap/{} {what}", check.expressions.len(), check.config_map)
        }
        Check::Rbac(check) => {
            let words = |list: &[Access]| list.iter().map(Access::to_string).collect::<Vec<_>>().join(", ");
            let (may, may_not) = (words(&check.allowed), words(&check.denied));
            format!("ServiceAccount {} may {may}, and may not {may_not}", check.service_account)
        }
        Check::Alert(check) => format!("the alert {} is {}", check.name, check.state),
        Check::Count(check) => {
            let what = http::expectation(&check.claim.request);
            format!("{} requests raise `{}` by {0} ({what})", check.requests, check.claim.number.0)
        }
        Check::Replicas(check) => {
            let minimum = if check.minimum > 1 { format!(", at least {}", check.minimum) } else { String::new() };
            format!("every replica{minimum} is ready and answers {}", http::expectation(&check.request))
        }
        Check::Number(claim) => format!("`{}` in {}", claim.number.0, http::expectation(&claim.request)),
        Check::Autoscaler(check) => format!("HorizontalPodAutoscaler/{} reports {}", check.name, check.metric),
        Check::Logs(check) => logs::expectation(check),
        Check::During(check) => {
            let parts = check.meanwhile.iter().map(|part| ("meanwhile", part));
            let parts = parts.chain(check.after.iter().map(|part| ("afterwards", part)));
            let parts = parts.map(|(when, part)| format!("{when} {}", expectation(&part.check)));
            let load = check.load.iter().map(|load| {
                let LoadClaim { url, max_errors, min_requests, .. } = load;
                format!("at most {max_errors} of at least {min_requests} requests to {url} fail")
            });
            let keeps = check.keeps.iter().map(|keeps| match keeps.by {
                Some(by) => format!("`{}` has become more by {by}", keeps.claim.number.0),
                None => format!("`{}` has not become less", keeps.claim.number.0),
            });
            let claims: Vec<String> = load.chain(parts).chain(keeps).collect();
            format!("while {}: {}", check.disruption, claims.join("; "))
        }
    }
}
