//! What a check of the machine or of a cluster found.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    Ok,
    /// Works, with limits.
    Warning,
    /// `up` cannot work.
    Failed,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub status: Status,
    pub found: String,
    /// What to do about it; on all that is not Ok.
    pub fix: Option<String>,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, status: Status::Ok, found: found.into(), fix: None }
    }

    pub fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { name, status: Status::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    pub fn failed(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { name, status: Status::Failed, found: found.into(), fix: Some(fix.into()) }
    }

    /// Whether `version` is recent enough. `upgrade`: what to do where it is not, given the oldest version that does.
    pub fn version(
        name: &'static str,
        version: &str,
        oldest: (u32, u32),
        found: impl Into<String>,
        upgrade: impl FnOnce(String) -> String,
    ) -> Check {
        match at_least(version, oldest) {
            true => Check::ok(name, found),
            false => Check::failed(name, found, upgrade(format!("{}.{}", oldest.0, oldest.1))),
        }
    }
}

/// A check that has not been made yet.
pub struct Checking<'a> {
    pub name: &'static str,
    pub examine: BoxFuture<'a, Vec<Check>>,
}

impl<'a> Checking<'a> {
    pub fn new(name: &'static str, examine: BoxFuture<'a, Vec<Check>>) -> Checking<'a> {
        Checking { name, examine }
    }
}

/// `1.2.3-rc1` at least `1.2`.
fn at_least(version: &str, wanted: (u32, u32)) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '-', '+']).map_while(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= wanted
}

pub fn gib(bytes: u64) -> String {
    let tenths = bytes / (1024 * 1024 * 1024 / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(at_least("20.10.24+dfsg1", (20, 10)));
        assert!(at_least("v0.33.0", (0, 20)));
        assert!(at_least("29.0.0-rc.1", (20, 10)));
        assert!(!at_least("19.3", (20, 10)));
        assert!(!at_least("0.9.0", (0, 20)));
        assert!(!at_least("unknown", (0, 1)));
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(gib(4 * 1024 * 1024 * 1024), "4.0 GiB");
        assert_eq!(gib(1536 * 1024 * 1024), "1.5 GiB");
    }
}
