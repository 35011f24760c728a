//! What this machine's kernel says of itself.

use std::{fs, path::Path};

use crate::provider::check::Check;

const INSTANCES: (&str, u64) = ("fs.inotify.max_user_instances", 512);
const WATCHES: (&str, u64) = ("fs.inotify.max_user_watches", 524_288);

/// Bytes that can be had without swapping. None: not Linux.
pub fn available_memory() -> Option<u64> {
    meminfo_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn meminfo_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes that an ordinary user may still write to the file system of a path.
pub fn free_disk(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

pub fn hostname() -> Option<String> {
    Some(rustix::system::uname().nodename().to_str().ok()?.to_owned())
}

/// Nodes share the kernel's limits with everything else on the machine. Empty: the kernel does not tell.
pub fn inotify() -> Vec<Check> {
    let read =
        |name: &str| fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?.trim().parse().ok();
    match (read(INSTANCES.0), read(WATCHES.0)) {
        (Some(instances), Some(watches)) => vec![judge_inotify(instances, watches)],
        _ => Vec::new(),
    }
}

fn judge_inotify(instances: u64, watches: u64) -> Check {
    let found = format!("{instances} instances, {watches} watches per user");
    let low: Vec<String> = [(INSTANCES, instances), (WATCHES, watches)]
        .into_iter()
        .filter(|((_, wanted), has)| has < wanted)
        .map(|((name, wanted), _)| format!("{name}={wanted}"))
        .collect();
    if low.is_empty() {
        return Check::ok("inotify", found);
    }
    Check::warning("inotify", found, format!("clusters of several nodes need more: sudo sysctl {}", low.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::check::Status;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let text = "MemTotal:       24576000 kB\nMemFree:  100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(meminfo_available(text), Some(2048 * 1024));
        assert_eq!(meminfo_available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_cure_names_just_the_limits_that_are_too_low() {
        assert_eq!(judge_inotify(512, 524_288).status, Status::Ok);
        let check = judge_inotify(128, 524_288);
        assert_eq!(check.status, Status::Warning);
        assert!(check.fix.unwrap().ends_with("sysctl fs.inotify.max_user_instances=512"));
    }

    #[test]
    fn there_is_some_disk_here() {
        assert!(free_disk(&std::env::temp_dir()).unwrap() > 0);
        assert_eq!(free_disk(Path::new("/no/such/path")), None);
    }
}
