use clap::Args;

use super::shared::{self, ImageArgs};
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::Result,
    execute,
    pipeline::{self, Goal, Options},
};

/// Build the images of a stack's services
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    work: ImageWork,
}

/// What `build` and `push` take.
#[derive(Debug, Args)]
pub struct ImageWork {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    pub images: ImageArgs,
}

pub async fn run(args: BuildArgs, app: &App) -> Result<()> {
    args.work.run(app, Goal::Build).await
}

impl ImageWork {
    /// Brings it about, and shows the images' references.
    pub async fn run(&self, app: &App, goal: Goal) -> Result<()> {
        let settings = FlagGroups { stack: Some(&self.stack), ..FlagGroups::default() }.settings(&app.common.target)?;
        let stack = shared::load(&self.stack, &settings, app)?;
        let how = execute::Options { build: self.images.options(&settings)?, ..shared::how(&settings) };
        let machine = app.machine(&settings).await?;
        let outcome = pipeline::reconcile(&machine, &stack, &Options { goal, how }).await?;
        outcome.ended?;
        shared::show_images(app, &outcome.observed).await;
        Ok(())
    }
}
