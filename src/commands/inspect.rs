use std::path::PathBuf;

use clap::Args;

use crate::{
    commands::app::App, error::Result, image::context::Context, report::document::BuildContext, stack::model::Source,
};

/// Print what of a folder would be sent to the engine, one entry a line
#[derive(Debug, Args)]
pub struct InspectArgs {
    folder: PathBuf,
    #[arg(long, default_value = "Dockerfile")]
    dockerfile: String,
}

pub async fn run(args: InspectArgs, app: &App) -> Result<()> {
    let entries = Context::load(&Source::Folder(args.folder), &args.dockerfile)?.describe()?;
    app.show(|| entries.join("\n"), &BuildContext { entries: &entries }).await;
    Ok(())
}
