use clap::Args;

use super::{
    shared::ImageArgs,
    up::{self, ApplyArgs, Mode},
};
use crate::{
    cli::{FlagGroups, StackArgs, WaitArgs},
    commands::app::App,
    error::Result,
};

/// Build, push and apply a stack to a cluster that is there
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: DeployArgs, app: &App) -> Result<()> {
    let flags = FlagGroups { stack: Some(&args.stack), wait: Some(&args.wait), ..FlagGroups::default() };
    let settings = flags.settings(&app.common.target)?;
    let mode = Mode { make_cluster: false, prove: false, dry_run: false };
    up::bring_up(app, settings, &args.stack, &args.apply, &args.images, mode).await
}
