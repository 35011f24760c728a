//! A tool that makes a cluster, as a process group: it ends with this process, or at the hands of the next run.

use serde::{Deserialize, Serialize};

use crate::{client, error::Result, event::Progress, state::Folder};

/// In the cluster's state folder: the child that is at work.
const FILE: &str = "creating.json";

/// A child that may outlive us, so that the next run can tell it from a stranger with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Child {
    id: i32,
    /// In clock ticks since boot: ids are used again, this is not.
    started: u64,
}

/// A process group that ends with this value.
pub struct Group(Option<i32>);

impl Group {
    /// Of a child that was started in a group of its own. The cluster's folder remembers it until `forget`.
    pub fn remembered(child: &tokio::process::Child, folder: &Folder) -> Result<Group> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Group(id);
        if let Some(remembered) = id.and_then(|id| Some(Child { id, started: started(id)? })) {
            let text = serde_json::to_vec(&remembered).unwrap_or_default();
            folder.write(FILE, &text)?;
        }
        Ok(group)
    }

    /// `ended`: by itself, so that its id may soon be another's. Else it is ended, where it stands.
    pub fn forget(mut self, ended: bool, folder: &Folder) -> Result<()> {
        if ended {
            self.0 = None;
        }
        drop(self);
        folder.remove_file(FILE).map(drop)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(rustix::process::Pid::from_raw) {
            // It may have ended just before: then there is nobody to signal.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// The tools hand on to their nodes what they are told about proxies. `near`: hosts that nodes must reach without one.
pub fn tell_of_proxies(command: &mut tokio::process::Command, near: &[String], progress: &Progress) {
    let Some(told) = client::for_nodes(near, |name| std::env::var(name).ok()) else { return };
    for (name, value) in &told.variables {
        for name in [name.to_string(), name.to_lowercase()] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    if let Some(proxy) = told.out_of_reach {
        progress.info(format!(
            "the cluster's nodes pull without the proxy {proxy}: they cannot reach this machine's loopback"
        ));
    }
}

/// Ends a child that an earlier run of ours left at work. Only under the cluster's lock: the child of a run that lives is
/// no leftover.
pub fn end_leftover(folder: &Folder) -> Result<()> {
    let Some(content) = folder.read(FILE)? else { return Ok(()) };
    let child: Option<Child> = serde_json::from_slice(&content).ok();
    if let Some(child) = child.filter(|child| started(child.id) == Some(child.started)) {
        drop(Group(Some(child.id)));
    }
    folder.remove_file(FILE)?;
    Ok(())
}

/// When a process that runs was started: field 22 of `/proc/ID/stat`. None where there is no such process (or no /proc).
fn started(id: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may itself hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use super::*;
    use crate::state::State;

    #[test]
    fn a_leftover_child_is_ended_and_a_stranger_is_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path()).cluster("one");
        let mut sleeper = std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let id = i32::try_from(sleeper.id()).unwrap();
        let real = Child { id, started: started(id).unwrap() };

        let stranger = Child { started: real.started + 1, ..real.clone() };
        folder.write(FILE, &serde_json::to_vec(&stranger).unwrap()).unwrap();
        end_leftover(&folder).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none(), "a stranger was killed");

        folder.write(FILE, &serde_json::to_vec(&real).unwrap()).unwrap();
        end_leftover(&folder).unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        assert!(!folder.file(FILE).exists());
    }
}
