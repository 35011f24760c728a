use crate::pipeline;
use clap::Args;

use super::shared::{self, ImageArgs};
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::Result,
    observe,
    plan::{self, Plan, observed::Observed},
    session::{ChangeOptions, Session},
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
    args.work.run(app, |observed| Ok(plan::images::build(observed))).await
}

impl ImageWork {
    /// Looks at sources and registry, runs the plan made from that, and shows the images' references.
    pub async fn run(&self, app: &App, plan: impl FnOnce(&Observed) -> Result<Plan>) -> Result<()> {
        let settings = FlagGroups { stack: Some(&self.stack), ..FlagGroups::default() }.settings(&app.common.target)?;
        let stack = shared::load(&self.stack, &settings, app)?;
        let session =
            Session::open(settings, stack, self.images.options()?, ChangeOptions::default(), &app.events, &app.cancel)
                .await?;
        let observed = observe::images(&session).await?;
        let plan = plan(&observed)?;
        session.may_push(&plan).await?;
        pipeline::execute(&session, &plan, &observed).await?;
        shared::show_images(app, &observed).await;
        Ok(())
    }
}
