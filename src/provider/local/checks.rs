//! The container engine and what it says of the machine it runs on.

use std::{path::Path, time::Duration};

use bollard::models::SystemInfo;

use super::host;
use crate::provider::check::{Check, gib};
use crate::{error::Result, image::Engine};

const OLDEST_ENGINE: (u32, u32) = (20, 10);
const ENOUGH_DISK: u64 = 5 << 30;
const ENOUGH_MEMORY: u64 = 4 << 30;
const TOO_LITTLE_MEMORY: u64 = 2 << 30;
const CLOCKS_AGREE_WITHIN: Duration = Duration::from_secs(30);

/// `nodes`: the engine must bear the nodes of a cluster.
pub async fn examine(engine: &Result<Engine>, nodes: bool) -> Vec<Check> {
    let Engine { docker, endpoint, .. } = match engine {
        Ok(engine) => engine,
        Err(error) => {
            let fix = if error.hints.is_empty() { HOW_TO_GET_ENGINE.to_owned() } else { error.hints.join("; ") };
            return vec![Check::failed("engine", error.to_string(), fix)];
        }
    };
    let asked = jiff::Timestamp::now();
    match docker.info().await {
        Ok(info) => judge(endpoint, nodes, &info, asked),
        Err(error) => {
            vec![Check::failed("engine", format!("{} does not answer: {error}", endpoint), HOW_TO_GET_ENGINE)]
        }
    }
}

const HOW_TO_GET_ENGINE: &str = "start the engine (systemctl start docker, or Docker Desktop), or point DOCKER_HOST at one; \
     without permission on its socket: add yourself to the group docker";

fn judge(endpoint: &str, nodes: bool, info: &SystemInfo, asked: jiff::Timestamp) -> Vec<Check> {
    let mut checks = vec![version(info, endpoint)];
    // An engine elsewhere, a virtual machine on this computer included, has a file system and a memory of its own.
    let here = host::hostname().is_some() && info.name.as_deref() == host::hostname().as_deref();
    if nodes {
        checks.push(cpus(info));
        checks.push(memory(info, here.then(host::available_memory).flatten()));
        checks.push(cgroup(info));
    }
    let root = info.docker_root_dir.as_deref().filter(|_| here);
    checks.extend(root.and_then(|root| disk(root, host::free_disk(Path::new(root))?)));
    checks.extend(clock(info, asked));
    checks
}

fn version(info: &SystemInfo, endpoint: &str) -> Check {
    let version = info.server_version.as_deref().unwrap_or("unknown");
    let rootless = info.security_options.iter().flatten().any(|option| option.contains("rootless"));
    let found = format!("{version} at {endpoint}{}", if rootless { ", rootless" } else { "" });
    Check::version("engine", version, OLDEST_ENGINE, found, |oldest| format!("upgrade the engine to {oldest} or newer"))
}

fn cpus(info: &SystemInfo) -> Check {
    match info.ncpu.unwrap_or_default() {
        few @ ..2 => Check::failed("cpu", few.to_string(), "give the engine 2 CPUs or more: Kubernetes needs them"),
        enough => Check::ok("cpu", enough.to_string()),
    }
}

/// `available`: bytes, where the engine runs on this machine; else only its total is known.
fn memory(info: &SystemInfo, available: Option<u64>) -> Check {
    let total = info.mem_total.and_then(|total| u64::try_from(total).ok()).unwrap_or_default();
    let free = available.unwrap_or(total);
    let found = match available {
        Some(free) => format!("{} of {} available", gib(free), gib(total)),
        None => format!("{} in all", gib(total)),
    };
    let fix = "close other programs, or give the engine more memory: 4 GiB is comfortable";
    match free {
        ..TOO_LITTLE_MEMORY => Check::failed("memory", found, fix),
        TOO_LITTLE_MEMORY..ENOUGH_MEMORY => Check::warning("memory", found, fix),
        _ => Check::ok("memory", found),
    }
}

fn disk(root: &str, free: u64) -> Option<Check> {
    let found = format!("{} free at {root}", gib(free));
    Some(if free < ENOUGH_DISK {
        Check::failed("disk", found, "free 5 GiB: `stackctl gc` and `docker system prune` remove what nobody uses")
    } else {
        Check::ok("disk", found)
    })
}

fn cgroup(info: &SystemInfo) -> Check {
    match info.cgroup_version.map(|version| version.to_string()).unwrap_or_default().as_str() {
        "1" => Check::warning(
            "cgroup",
            "version 1",
            "Kubernetes 1.35 and later refuse it unless told otherwise: boot with systemd.unified_cgroup_hierarchy=1",
        ),
        "" => Check::ok("cgroup", "version unknown to the engine"),
        version => Check::ok("cgroup", format!("version {version}")),
    }
}

/// The engine's clock against ours, as it was when we asked. None: the engine does not tell.
fn clock(info: &SystemInfo, asked: jiff::Timestamp) -> Option<Check> {
    let theirs: jiff::Timestamp = info.system_time.as_deref()?.parse().ok()?;
    Some(skew("the engine", theirs, asked))
}

pub fn skew(whose: &str, theirs: jiff::Timestamp, ours: jiff::Timestamp) -> Check {
    let difference = Duration::try_from(theirs.duration_since(ours).abs()).unwrap_or_default();
    if difference <= CLOCKS_AGREE_WITHIN {
        return Check::ok("clock", format!("agrees with that of {whose}"));
    }
    let found = format!("{} s away from that of {whose}", difference.as_secs());
    Check::warning(
        "clock",
        found,
        "set the clock (timedatectl set-ntp true; restart Docker Desktop): certificates fail otherwise",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::check::Status;

    fn info() -> SystemInfo {
        SystemInfo {
            ncpu: Some(2),
            mem_total: Some(8 << 30),
            server_version: Some("20.10.24".to_owned()),
            ..Default::default()
        }
    }

    #[test]
    fn each_limit_is_kept() {
        assert_eq!(version(&info(), "unix:///x").status, Status::Ok);
        let old = SystemInfo { server_version: Some("19.03.1".to_owned()), ..info() };
        assert_eq!(version(&old, "unix:///x").status, Status::Failed);
        assert_eq!(cpus(&info()).status, Status::Ok);
        assert_eq!(cpus(&SystemInfo { ncpu: Some(1), ..info() }).status, Status::Failed);
        assert_eq!(memory(&info(), None).status, Status::Ok);
        assert_eq!(memory(&info(), Some(3 << 30)).status, Status::Warning);
        assert_eq!(memory(&info(), Some(1 << 30)).status, Status::Failed);
        assert_eq!(disk("/", 4 << 30).unwrap().status, Status::Failed);
        assert_eq!(disk("/", 6 << 30).unwrap().status, Status::Ok);
    }

    #[test]
    fn clocks_half_a_minute_apart_still_agree() {
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(skew("x", now + Duration::from_secs(29), now).status, Status::Ok);
        let late = skew("x", now - Duration::from_secs(90), now);
        assert_eq!((late.status, late.found.as_str()), (Status::Warning, "90 s away from that of x"));
    }
}
