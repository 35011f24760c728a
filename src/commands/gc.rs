use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::Result,
    execute::garbage,
    image::store::gc::KEEP,
    observe::images,
    report::{self, document::RemovedImages},
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
    let machine = app.machine(&settings).await?;
    let store = machine.until_stopped(Box::pin(images::where_kept(&machine, &stack))).await?;
    let removed = garbage::collect(&machine, &stack, store.as_ref(), args.keep).await?;
    let value = RemovedImages { removed };
    app.show(|| format!("{} removed", report::count(value.removed.len(), "image")), &value).await;
    Ok(())
}
