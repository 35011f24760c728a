use clap::Args;

use super::up::{self, UpArgs};
use crate::{commands::app::App, error::Result};

/// Show what `up` would do, and change nothing (the same as `up --dry-run`)
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    up: UpArgs,
}

pub async fn run(mut args: PlanArgs, app: &App) -> Result<()> {
    args.up.dry_run = true;
    up::run(args.up, app).await
}
