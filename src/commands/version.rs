use clap::Args;
use serde_json::json;

use crate::{commands::app::App, error::Result};

/// Print the version
#[derive(Debug, Args)]
pub struct VersionArgs {}

pub async fn run(_: VersionArgs, app: &App) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    app.show(|| format!("stackctl {version}"), &json!({ "version": version })).await;
    Ok(())
}
