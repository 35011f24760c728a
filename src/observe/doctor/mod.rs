//! Checks of what the chosen options need, each with its fix: shown by `doctor`; what a local cluster needs is enforced
//! before `up` makes one.

mod hub;
mod options;

use std::time::Duration;

use futures::{FutureExt, future::join_all};

use crate::{
    error::{Error, Kind, Result},
    image::Engine,
    provider::{
        Choice,
        check::{Check, Checking, Status},
        local::ports,
    },
};

const CHECK_WITHIN: Duration = Duration::from_secs(10);
/// Several exchanges, one after the other, with a machine far away.
const SLOW_CHECK_WITHIN: Duration = Duration::from_secs(30);

/// What is to be looked at.
#[derive(Clone)]
pub struct DoctorRequest {
    /// The engine, or why there is no connection to it.
    pub engine: Result<Engine>,
    /// Whose clusters are meant: what they need is looked at first.
    pub choice: Choice,
    /// Ports of 127.0.0.1 that must be free.
    pub ports: Vec<u16>,
    /// Images come from Docker Hub itself, not from a mirror.
    pub docker_hub: bool,
    /// Somebody else's registry to push to: `ghcr.io/ORG`.
    pub registry: Option<String>,
}

/// Runs all checks side by side, each with a deadline. In a fixed order; what does not apply is left out.
pub async fn examine(request: &DoctorRequest) -> Vec<Check> {
    let mut checks = request.choice.checks(&request.engine);
    if let Some(access) = request.choice.must_be_there() {
        checks.push(Checking::new("cluster", options::cluster(access).boxed()));
    }
    let registry = request.registry.as_deref();
    checks.push(Checking::new("credential helper", async move { options::helpers(registry) }.boxed()));
    let mut running: Vec<_> = checks.into_iter().map(|check| within(CHECK_WITHIN, check)).collect();
    if let Some(registry) = registry {
        running.push(within(SLOW_CHECK_WITHIN, Checking::new("registry", options::registry(registry).boxed())));
        running.push(within(CHECK_WITHIN, Checking::new("aws", async move { options::aws(registry) }.boxed())));
        running.push(within(CHECK_WITHIN, Checking::new("git", async { options::git() }.boxed())));
    }
    running.push(within(CHECK_WITHIN, Checking::new("ports", async { ports::examine(&request.ports) }.boxed())));
    if request.docker_hub {
        // It has a deadline of its own, after which it has nothing to say.
        running.push(within(SLOW_CHECK_WITHIN, Checking::new("docker hub", hub::examine().boxed())));
    }
    join_all(running).await.into_iter().flatten().collect()
}

async fn within(limit: Duration, check: Checking<'_>) -> Vec<Check> {
    tokio::time::timeout(limit, check.examine).await.unwrap_or_else(|_| {
        let found = format!("no answer within {} s", limit.as_secs());
        vec![Check::failed(check.name, found, "see whether the engine or the machine is overloaded")]
    })
}

/// An error with all failures and their fixes, if there are any.
pub fn preflight(checks: &[Check]) -> Result<()> {
    let failed: Vec<&Check> = checks.iter().filter(|check| check.status == Status::Failed).collect();
    let message = match failed.len() {
        0 => return Ok(()),
        1 => "1 preflight check failed".to_owned(),
        several => format!("{several} preflight checks failed"),
    };
    let error = Error::new(Kind::Preflight, message)
        .details(failed.iter().map(|check| format!("{}: {}", check.name, check.found)));
    Err(failed.iter().filter_map(|check| check.fix.clone()).fold(error, Error::hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preflight_tells_all_failures_and_cures_at_once() {
        let checks = [
            Check::ok("a", "fine"),
            Check::failed("b", "broken", "mend b"),
            Check::warning("c", "odd", "look at c"),
            Check::failed("d", "missing", "get d"),
        ];
        let error = preflight(&checks).unwrap_err();
        assert_eq!(error.kind, Kind::Preflight);
        assert_eq!(error.details, ["b: broken", "d: missing"]);
        assert_eq!(error.hints, ["mend b", "get d"]);
        assert!(preflight(&checks[..1]).is_ok());
    }

    #[tokio::test]
    async fn a_check_that_hangs_fails_at_its_deadline() {
        let checks = within(Duration::from_millis(1), Checking::new("slow", std::future::pending().boxed())).await;
        assert_eq!(checks[0].status, Status::Failed);
    }

    /// Of clusters that kind makes.
    fn request(engine: Result<Engine>, docker_hub: bool) -> DoctorRequest {
        let settings = crate::settings::Settings::resolve(Default::default(), &|_| None).unwrap();
        let choice = crate::machine::choice(&settings);
        DoctorRequest { engine, choice, ports: Vec::new(), docker_hub, registry: None }
    }

    #[tokio::test]
    async fn without_an_engine_the_other_checks_still_run() {
        let none = Err(Error::new(Kind::Preflight, "no engine").hint("start one"));
        let checks = examine(&request(none, false)).await;
        assert_eq!((checks[0].name, checks[0].status), ("engine", Status::Failed));
        assert!(checks.iter().any(|check| check.name == "kind"));
    }

    #[tokio::test]
    async fn engine_the_doctor_is_content() {
        if !crate::testing::has_engine() {
            return;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = request(crate::image::engine::connect(None).await, true);
        let since = std::time::Instant::now();
        let checks = examine(&request).await;
        eprintln!("examine took {:?}: {}", since.elapsed(), serde_json::to_string_pretty(&checks).unwrap());
        preflight(&checks).unwrap();
        for name in ["engine", "cpu", "memory", "cgroup", "disk", "clock", "kind", "inotify"] {
            assert!(checks.iter().any(|check| check.name == name), "{name} is missing");
        }
    }
}
