//! Reads proofs and load profiles.

mod count;
mod during;
mod load;
mod logs;

use std::time::Duration;

use crate::stack::{
    claims::{
        Access, AlertCheck, AlertState, AutoscalerCheck, Check, DashboardsCheck, HttpCheck, PromqlCheck, RbacCheck,
        SpanClaim, TargetsCheck, Test, TraceCheck, Where,
    },
    declaration::ProofDecl,
    format::{Found, FromFound, Section},
    model::Proof,
    problems::Problems,
};

/// How long lines of a log may take to come, where it is not said.
const LINES: Duration = Duration::from_secs(30);

/// An autoscaler without `namespace:` has an empty one until the set's is known, and dashboards have no expressions.
pub fn proof(at: &Section, problems: &mut Problems) -> Option<ProofDecl> {
    let (needs, set, unset) = (at.get("needs")?, at.get("set")?, at.get("unset")?);
    let check = check(at, problems)?;
    let eventually = eventually(at, &check, problems)?;
    let proof = Proof { name: at.get("name")?, check, eventually, origin: at.origin.clone() };
    Some(ProofDecl { proof, needs, set, unset })
}

/// What is checked, of the one kind that is given.
fn check(at: &Section, problems: &mut Problems) -> Option<Check> {
    let (kind, found) = at.chosen()?;
    let at = found.section()?;
    match kind {
        "http" => http(at, problems).map(Check::Http),
        "trace" => trace(at, problems).map(Check::Trace),
        "promql" => promql(at).map(Check::Promql),
        "targets" => targets(at).map(Check::Targets),
        "dashboards" => dashboards(at).map(Check::Dashboards),
        "alert" => alert(at).map(Check::Alert),
        "rbac" => rbac(at).map(Check::Rbac),
        "count" => count::count(at, problems).map(Check::Count),
        "replicas" => count::replicas(at, problems).map(Check::Replicas),
        "autoscaler" => autoscaler(at).map(Check::Autoscaler),
        "logs" => logs::logs(at, problems).map(Check::Logs),
        "during" => during::during(at, problems).map(|check| Check::During(Box::new(check))),
        _ => None,
    }
}

fn eventually(at: &Section, check: &Check, problems: &mut Problems) -> Option<Option<Duration>> {
    if let (Some(given), Check::During(_)) = (at.given("eventually"), check) {
        given.problem(problems, "a disruption is not repeated; each of its parts may have an `eventually`");
    }
    let given: Option<Duration> = at.get("eventually")?;
    Some(given.or(matches!(check, Check::Logs(_)).then_some(LINES)))
}

fn http(at: &Section, problems: &mut Problems) -> Option<HttpCheck> {
    let check = HttpCheck {
        method: at.get("method")?,
        url: at.get("url")?,
        headers: at.get("headers")?,
        body: at.get("body")?,
        status: at.get("status")?,
        json: at.get("json")?,
        contains: at.get("contains")?,
        wheres: at.get("where")?,
        ca: at.get("ca")?,
        timeout: at.get("timeout")?,
    };
    if check.ca && !check.url.starts_with("https:") {
        at.problem(problems, "`ca` is about https:// URLs");
    }
    Some(check)
}

impl FromFound for Where {
    fn from_found(found: &Found) -> Option<Where> {
        let at = found.section()?;
        let (test, found) = at.chosen()?;
        let test = match test {
            "equals" => Test::Equals(FromFound::from_found(found)?),
            "above" => Test::Above(FromFound::from_found(found)?),
            "below" => Test::Below(FromFound::from_found(found)?),
            "contains" => Test::Contains(FromFound::from_found(found)?),
            "exists" => Test::Exists(FromFound::from_found(found)?),
            _ => return None,
        };
        Some(Where { path: at.get("path")?, test })
    }
}

fn trace(at: &Section, problems: &mut Problems) -> Option<TraceCheck> {
    let request = at.section("request").and_then(|at| http(at, problems));
    Some(TraceCheck { request: request?, jaeger: at.get("jaeger")?, spans: at.get("spans")? })
}

impl FromFound for SpanClaim {
    fn from_found(found: &Found) -> Option<SpanClaim> {
        let at = found.section()?;
        Some(SpanClaim {
            service: at.get("service")?,
            operation: at.get("operation")?,
            attributes: at.get("attributes")?,
            error: at.get("error")?,
        })
    }
}

fn promql(at: &Section) -> Option<PromqlCheck> {
    Some(PromqlCheck {
        url: at.get("url")?,
        query: at.get("query")?,
        above: at.get("above")?,
        below: at.get("below")?,
        timeout: at.get("timeout")?,
    })
}

fn targets(at: &Section) -> Option<TargetsCheck> {
    Some(TargetsCheck { url: at.get("url")?, jobs: at.get("jobs")?, timeout: at.get("timeout")? })
}

fn dashboards(at: &Section) -> Option<DashboardsCheck> {
    Some(DashboardsCheck {
        url: at.get("url")?,
        config_map: at.get("configMap")?,
        data: at.get("data")?,
        expressions: Vec::new(),
        timeout: at.get("timeout")?,
    })
}

fn alert(at: &Section) -> Option<AlertCheck> {
    Some(AlertCheck {
        url: at.get("url")?,
        name: at.get("name")?,
        state: at.get("state")?,
        labels: at.get("labels")?,
        timeout: at.get("timeout")?,
    })
}

impl FromFound for AlertState {
    fn from_found(found: &Found) -> Option<AlertState> {
        match found.text()? {
            "firing" => Some(AlertState::Firing),
            "pending" => Some(AlertState::Pending),
            "inactive" => Some(AlertState::Inactive),
            _ => None,
        }
    }
}

fn rbac(at: &Section) -> Option<RbacCheck> {
    Some(RbacCheck {
        service_account: at.get("serviceAccount")?,
        allowed: at.get("allowed")?,
        denied: at.get("denied")?,
        timeout: at.get("timeout")?,
    })
}

impl FromFound for Access {
    fn from_found(found: &Found) -> Option<Access> {
        let at = found.section()?;
        Some(Access { verb: at.get("verb")?, resource: at.get("resource")? })
    }
}

fn autoscaler(at: &Section) -> Option<AutoscalerCheck> {
    let namespace = at.get::<Option<String>>("namespace")?.unwrap_or_default();
    Some(AutoscalerCheck { name: at.get("name")?, namespace, metric: at.get("metric")? })
}
