//! Checks of what the chosen options need, each with its fix: shown by `doctor`; what a local cluster needs is enforced
//! before `up` makes one.

mod hub;
mod options;

use std::{future::Future, time::Duration};

use bollard::Docker;
use futures::future::join_all;

use crate::{
    error::{Error, Kind, Result},
    provider::{
        check::{Check, Status},
        local::{checks as engine, host, ports},
    },
};

const CHECK_WITHIN: Duration = Duration::from_secs(10);
/// Several exchanges, one after the other, with a machine far away.
const SLOW_CHECK_WITHIN: Duration = Duration::from_secs(30);

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct DoctorRequest {
    /// The engine, or why there is no connection to it.
    pub engine: Result<Docker>,
    /// As in DOCKER_HOST.
    pub endpoint: String,
    /// Clusters are made by kind: it must be there, and the machine must bear it.
    pub kind: bool,
    /// Ports of 127.0.0.1 that must be free.
    pub ports: Vec<u16>,
    /// Images come from Docker Hub itself, not from a mirror.
    pub docker_hub: bool,
    /// Somebody else's registry to push to: `ghcr.io/ORG`.
    pub registry: Option<String>,
    /// A cluster that is there, by the context of the kubeconfig; the inner None is the current one.
    pub existing: Option<Option<String>>,
}

/// Runs all checks side by side, each with a deadline. In a fixed order; what does not apply is left out.
pub async fn examine(request: &DoctorRequest) -> Vec<Check> {
    type Running<'a> = std::pin::Pin<Box<dyn Future<Output = Vec<Check>> + Send + 'a>>;
    let mut running: Vec<Running<'_>> = vec![Box::pin(within(
        CHECK_WITHIN,
        "engine",
        engine::examine(&request.engine, &request.endpoint, request.kind),
    ))];
    if request.kind {
        running.push(Box::pin(within(CHECK_WITHIN, "kind", engine::kind())));
        running.push(Box::pin(within(CHECK_WITHIN, "inotify", async { host::inotify() })));
    }
    if let Some(context) = &request.existing {
        running.push(Box::pin(within(CHECK_WITHIN, "cluster", options::existing(context.as_deref()))));
    }
    let registry = request.registry.as_deref();
    running.push(Box::pin(within(CHECK_WITHIN, "credential helper", async move { options::helpers(registry) })));
    if let Some(registry) = registry {
        running.push(Box::pin(within(SLOW_CHECK_WITHIN, "registry", options::registry(registry))));
        running.push(Box::pin(within(CHECK_WITHIN, "aws", async move { options::aws(registry) })));
        running.push(Box::pin(within(CHECK_WITHIN, "git", async { options::git() })));
    }
    running.push(Box::pin(within(CHECK_WITHIN, "ports", async { ports::examine(&request.ports) })));
    if request.docker_hub {
        running.push(Box::pin(hub::examine()));
    }
    join_all(running).await.into_iter().flatten().collect()
}

async fn within(limit: Duration, name: &'static str, check: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    tokio::time::timeout(limit, check).await.unwrap_or_else(|_| {
        let found = format!("no answer within {} s", limit.as_secs());
        vec![Check::failed(name, found, "see whether the engine or the machine is overloaded")]
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
        let checks = within(Duration::from_millis(1), "slow", std::future::pending()).await;
        assert_eq!(checks[0].status, Status::Failed);
    }

    #[tokio::test]
    async fn without_an_engine_the_other_checks_still_run() {
        let request = DoctorRequest {
            engine: Err(Error::new(Kind::Preflight, "no engine").hint("start one")),
            endpoint: "unix:///nowhere".to_owned(),
            kind: true,
            ports: vec![],
            docker_hub: false,
            registry: None,
            existing: None,
        };
        let checks = examine(&request).await;
        assert_eq!((checks[0].name, checks[0].status), ("engine", Status::Failed));
        assert!(checks.iter().any(|check| check.name == "kind"));
    }

    #[tokio::test]
    async fn engine_the_doctor_is_content() {
        if std::env::var("STACKCTL_TEST_ENGINE").as_deref() != Ok("1") {
            eprintln!("skipped: STACKCTL_TEST_ENGINE is not 1");
            return;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = DoctorRequest {
            engine: Ok(Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap()),
            endpoint: std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned()),
            kind: true,
            ports: Vec::new(),
            docker_hub: true,
            registry: None,
            existing: None,
        };
        let since = std::time::Instant::now();
        let checks = examine(&request).await;
        eprintln!("examine took {:?}: {}", since.elapsed(), serde_json::to_string_pretty(&checks).unwrap());
        preflight(&checks).unwrap();
        for name in ["engine", "cpu", "memory", "cgroup", "disk", "clock", "kind", "inotify"] {
            assert!(checks.iter().any(|check| check.name == name), "{name} is missing");
        }
    }
}
