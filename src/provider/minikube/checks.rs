//! What `doctor` looks at for clusters that minikube makes.

use std::process::Stdio;

use bollard::Docker;
use futures::FutureExt;
use serde::Deserialize;

use super::{MinikubeSpec, mark, profile, run};
use crate::{
    error::{Context, Kind, Result},
    image::Engine,
    provider::{
        ClusterState,
        check::{Check, Checking},
        local::{checks as engine, host, network},
    },
};

/// `start` takes a network that is there, `image load` a stream, and both tell of their work as events.
const OLDEST: (u32, u32) = (1, 30);
/// Of megabytes; minikube refuses less.
const LEAST_MEMORY: u64 = 1800;

/// The engine that bears the nodes, minikube itself, what the profile asks for, and what has its name already.
pub fn all<'a>(spec: &'a MinikubeSpec, engine: &'a Result<Engine>) -> Vec<Checking<'a>> {
    let mut checks = vec![
        Checking::new("engine", engine::examine(engine, spec.in_engine()).boxed()),
        Checking::new("minikube", async { vec![minikube().await] }.boxed()),
        Checking::new("inotify", async { host::inotify() }.boxed()),
        Checking::new("profile", async move { of_name(spec, engine).await }.boxed()),
    ];
    if spec.in_engine() {
        checks.push(Checking::new("nodes", async move { nodes(spec, engine).await }.boxed()));
    }
    checks
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "minikubeVersion")]
    version: String,
}

/// `v1.38.1`
pub async fn version() -> Result<String> {
    let mut command = tokio::process::Command::new(run::PROGRAM);
    command.args(["version", "--output=json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| run::cannot_run(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let parsed: Version = serde_json::from_str(text.trim())
        .context(Kind::Preflight, || format!("`minikube version` ended with {} and tells no version", output.status))?;
    Ok(parsed.version)
}

async fn minikube() -> Check {
    match version().await {
        Ok(version) => judge_version(&version),
        Err(error) => {
            let found = if error.causes.is_empty() { error.message } else { error.causes.join(": ") };
            Check::failed("minikube", found, run::HOW_TO_GET_MINIKUBE)
        }
    }
}

fn judge_version(version: &str) -> Check {
    Check::version("minikube", version, OLDEST, version, |oldest| {
        format!("upgrade minikube to {oldest} or newer; {}", run::HOW_TO_GET_MINIKUBE)
    })
}

/// What the engine has against what the nodes ask for, all of them together.
async fn nodes(spec: &MinikubeSpec, engine: &Result<Engine>) -> Vec<Check> {
    let Ok(engine) = engine else { return Vec::new() };
    let Ok(info) = engine.docker.info().await else { return Vec::new() };
    let megabytes = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default() >> 20;
    let cpus = info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or_default();
    judge_nodes(spec, megabytes, cpus)
}

fn judge_nodes(spec: &MinikubeSpec, megabytes: u64, cpus: u32) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(error) = spec.to_make("") {
        checks.push(Check::failed("nodes", error.message, error.hints.join("; ")));
    }
    let count = u64::from(spec.cluster.control_planes) + u64::from(spec.cluster.workers);
    if let Some(asked) = spec.megabytes() {
        let found = format!("{count} × {asked} MB asked for, the engine has {megabytes} MB");
        checks.push(match asked {
            ..LEAST_MEMORY => Check::failed("nodes", found, format!("--memory {LEAST_MEMORY} is the least that works")),
            _ if asked * count > megabytes => Check::failed("nodes", found, "ask for less with --memory or --nodes"),
            _ => Check::ok("nodes", found),
        });
    }
    if let Some(asked) = spec.cpus {
        let found = format!("{asked} CPUs asked for, the engine has {cpus}");
        checks.push(match asked {
            ..2 => Check::failed("nodes", found, "--cpus 2 is the least that works"),
            _ if asked > cpus => Check::failed("nodes", found, format!("ask for {cpus} or fewer with --cpus")),
            _ => Check::ok("nodes", found),
        });
    }
    checks
}

/// A profile, or an engine network, of the cluster's name that is not ours.
async fn of_name(spec: &MinikubeSpec, engine: &Result<Engine>) -> Vec<Check> {
    let name = &spec.cluster.name;
    let Ok(engine) = engine else { return Vec::new() };
    match foreign(spec, &engine.docker).await {
        Ok(Some(why)) => {
            let fix = format!("choose another name with --cluster-name, or remove it: minikube delete -p {name}");
            return vec![Check::failed("profile", format!("{name} was not made by stackctl: {why}"), fix)];
        }
        Err(error) => return vec![Check::failed("profile", error.to_string(), error.hints.join("; "))],
        Ok(None) => {}
    }
    let mut checks = vec![Check::ok("profile", format!("{name} is free or stackctl's own"))];
    if network::is_left_over(&engine.docker, name).await.unwrap_or(false) {
        let found = format!("the engine has a network {name} of a minikube cluster that is gone");
        checks.push(Check::warning("network", found, format!("docker network rm {name}")));
    }
    checks
}

async fn foreign(spec: &MinikubeSpec, docker: &Docker) -> Result<Option<String>> {
    let name = &spec.cluster.name;
    let (containers, profile) = (spec.members().containers(docker).await?, profile::read(name)?);
    if spec.in_engine() {
        let judged = mark::judge(name, &containers, profile.as_ref());
        return Ok(match judged {
            ClusterState::Foreign { why } => Some(why),
            _ => network::foreign(docker, &mark::network(name)).await?,
        });
    }
    let unmarked = profile.is_some() && !mark::in_profile(name).exists();
    Ok(unmarked.then(|| "its profile does not have stackctl's mark".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{check::Status, minikube::spec::tests::spec};

    #[test]
    fn an_old_minikube_is_refused_with_the_version_that_is_wanted() {
        assert_eq!(judge_version("v1.38.1").status, Status::Ok);
        let old = judge_version("v1.25.2");
        assert_eq!(old.status, Status::Failed);
        assert!(old.fix.unwrap().contains("1.30"));
        assert_eq!(judge_version("").status, Status::Failed);
    }

    #[test]
    fn the_engine_must_have_what_the_nodes_ask_for() {
        let status = |spec: &MinikubeSpec, megabytes, cpus| {
            judge_nodes(spec, megabytes, cpus).iter().map(|check| check.status).collect::<Vec<_>>()
        };
        assert_eq!(status(&spec(), 8000, 2), [Status::Ok, Status::Ok]);
        assert_eq!(status(&spec(), 2000, 1), [Status::Failed, Status::Failed]);
        let little = MinikubeSpec { memory: Some("500".to_owned()), cpus: Some(1), ..spec() };
        assert_eq!(status(&little, 8000, 4), [Status::Failed, Status::Failed]);
        let cluster = crate::provider::ClusterSpec { control_planes: 2, ..spec().cluster };
        assert_eq!(status(&MinikubeSpec { cluster, ..spec() }, 8000, 2)[0], Status::Failed);
        let nothing = MinikubeSpec { memory: None, cpus: None, ..spec() };
        assert!(status(&nothing, 1, 1).is_empty());
    }
}
