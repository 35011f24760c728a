use clap::Args;

use super::build::ImageWork;
use crate::{commands::app::App, error::Result, pipeline::Goal};

/// Build what is missing and push the images of a stack to its registry
#[derive(Debug, Args)]
pub struct PushArgs {
    #[command(flatten)]
    work: ImageWork,
}

pub async fn run(args: PushArgs, app: &App) -> Result<()> {
    let rebuild = args.work.images.rebuild();
    args.work.run(app, Goal::Push { rebuild }).await
}
