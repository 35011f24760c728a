use crate::execute::garbage;
use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::Result,
    image::store::gc::KEEP,
    observe,
    report::{self, document::RemovedImages},
    session::{ChangeOptions, ImageOptions, Session},
};

/// Remove old image tags; the newest of each service and those that run stay
#[derive(Debug, Args)]
pub struct GcArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// How many tags of each service stay
    #[arg(long, default_value_t = KEEP, value_name = "N", help_heading = None::<&str>)]
    keep: usize,
}

pub async fn run(args: GcArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { stack: Some(&args.stack), ..FlagGroups::default() }.settings(&app.common.target)?;
    let stack = shared::load(&args.stack, &settings, app)?;
    let session =
        Session::open(settings, stack, ImageOptions::default(), ChangeOptions::default(), &app.events, &app.cancel)
            .await?;
    observe::all(&session).await?;
    let removed = garbage::collect(&session, args.keep).await?;
    let value = RemovedImages { removed };
    app.show(|| format!("{} removed", report::count(value.removed.len(), "image")), &value).await;
    Ok(())
}
