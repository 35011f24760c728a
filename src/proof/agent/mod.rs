//! What runs inside the pod: makes the requests and prints what came back.

#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use super::{
    http::{self, Requester},
    prometheus,
    rbac::{self, ApiServer},
    trace,
    wire::{AgentCheck, AgentResult, millis},
};
use crate::{
    error::{Context, Kind, Result},
    stack::claims::{Access, Check},
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
    let seen = loop {
        attempts += 1;
        let Err(seen) = attempt(requester, &check.check, &mut sent).await else { break None };
        if Instant::now() + INTERVAL > until {
            break Some(seen);
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
    }
}

async fn attempt(requester: &Requester, check: &Check, sent: &mut trace::Sent) -> std::result::Result<(), String> {
    match check {
        Check::Http(check) => requester.attempt(check).await,
        Check::Trace(check) => trace::attempt(requester, check, sent).await,
        Check::Promql(check) => prometheus::query(requester, check).await,
        Check::Targets(check) => prometheus::targets(requester, check).await,
        Check::Dashboards(check) => prometheus::dashboards(requester, check).await,
        Check::Rbac(check) => {
            let server = ApiServer::from_env().ok_or("this is no pod of Kubernetes")?;
            let requester = Requester::new(Some(&server.ca()), None).map_err(|error| error.to_string())?;
            rbac::attempt(&requester, &server, check).await
        }
        Check::Autoscaler(_) => Err("an autoscaler is not asked from here".to_owned()),
    }
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
        Check::Autoscaler(check) => format!("HorizontalPodAutoscaler/{} reports {}", check.name, check.metric),
    }
}
