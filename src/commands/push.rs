use clap::Args;

use super::shared::{self, ImageArgs};
use crate::{
    app::App,
    cli::{Given, StackArgs},
    error::Result,
    observe, plan,
    session::{ApplyOptions, Session},
};

/// Build what is missing and push the images of a stack to its registry
#[derive(Debug, Args)]
pub struct PushArgs {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    images: ImageArgs,
}

pub async fn run(args: PushArgs, app: &App) -> Result<()> {
    let settings = Given { stack: Some(&args.stack), ..Given::default() }.settings(&app.common.target)?;
    let stack = shared::load(&args.stack, &settings)?;
    let session = Session::open(settings, stack, args.images.options()?, ApplyOptions::default(), app).await?;
    let observed = observe::images(&session).await?;
    let plan = plan::images::push(&observed, args.images.rebuild())?;
    session.execute(&plan, &observed).await?;
    shared::show_images(app, &observed).await;
    Ok(())
}
