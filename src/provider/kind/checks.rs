//! What `doctor` looks at for clusters that kind makes.

use std::process::Stdio;

use futures::FutureExt;

use super::create::HOW_TO_GET_KIND;
use crate::{
    error::Result,
    image::Engine,
    provider::{
        check::{Check, Checking},
        local::{checks as engine, host},
    },
};

const OLDEST_KIND: (u32, u32) = (0, 20);

/// The engine that bears the nodes, kind itself, and the kernel's limits.
pub fn all(engine: &Result<Engine>) -> Vec<Checking<'_>> {
    vec![
        Checking::new("engine", engine::examine(engine, true).boxed()),
        Checking::new("kind", kind().boxed()),
        Checking::new("inotify", async { host::inotify() }.boxed()),
    ]
}

async fn kind() -> Vec<Check> {
    let mut command = tokio::process::Command::new("kind");
    command.arg("version").stdin(Stdio::null()).kill_on_drop(true);
    vec![match command.output().await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::failed("kind", "not on the PATH", HOW_TO_GET_KIND)
        }
        Err(error) => Check::failed("kind", format!("cannot be run: {error}"), HOW_TO_GET_KIND),
        Ok(output) if !output.status.success() => {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Check::failed("kind", format!("`kind version` ended with {}: {words}", output.status), HOW_TO_GET_KIND)
        }
        Ok(output) => kind_version(&String::from_utf8_lossy(&output.stdout)),
    }]
}

/// `kind v0.33.0 go1.26.1 linux/amd64`
fn kind_version(output: &str) -> Check {
    let version = output.split_whitespace().nth(1).unwrap_or("unknown");
    Check::version("kind", version, OLDEST_KIND, version, |oldest| {
        format!("upgrade kind to {oldest} or newer; {HOW_TO_GET_KIND}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::check::Status;

    #[test]
    fn kinds_version_is_read() {
        assert_eq!(kind_version("kind v0.33.0 go1.26.1 linux/amd64\n"), Check::ok("kind", "v0.33.0"));
        assert_eq!(kind_version("kind v0.11.1 go1.16.4 linux/amd64\n").status, Status::Failed);
        assert_eq!(kind_version("").status, Status::Failed);
    }
}
