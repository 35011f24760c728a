//! How many files, and so how many connections, a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Kind, Result};

/// Standard streams, the runtimes' own, libraries.
const OTHERS: u64 = 64;

/// Raises the limit as far as it goes, and fails if that is not enough for so many connections.
pub fn allow(connections: u32) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::from(connections) + OTHERS;
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // Only as far as needed: a limit of billions makes others slow that close each file they could have.
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    let allowed = if set.is_ok() { raised } else { limit.current.unwrap_or(raised) };
    if allowed >= needed {
        return Ok(());
    }
    let possible = allowed.saturating_sub(OTHERS);
    Err(Error::new(Kind::Usage, format!("{connections} connections are more than this process may open"))
        .cause(format!("the limit of open files is {allowed}: {possible} connections are possible"))
        .hint(format!("--connections {possible}, or raise the hard limit (ulimit -Hn)")))
}
