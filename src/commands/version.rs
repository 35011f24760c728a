use clap::Args;

use crate::{commands::app::App, error::Result, report::document::Version};

/// Print the version
#[derive(Debug, Args)]
pub struct VersionArgs {}

pub async fn run(_: VersionArgs, app: &App) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    app.show(|| format!("stackctl {version}"), &Version { version }).await;
    Ok(())
}
