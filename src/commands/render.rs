use clap::Args;

use super::shared;
use crate::{
    app::App,
    cli::{Given, StackArgs},
    error::Result,
    observe, stack,
};

/// Print the stack's objects as plain YAML; needs no engine and no cluster
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    stack: StackArgs,
}

pub async fn run(args: RenderArgs, app: &App) -> Result<()> {
    let settings = Given { stack: Some(&args.stack), ..Given::default() }.settings(&app.common.target)?;
    let stack = shared::load(&args.stack, &settings)?;
    let images = observe::references(&stack, &settings).await?;
    let sets = stack::desired::desired(&stack, &images);
    let objects = || sets.iter().flat_map(|set| &set.objects).map(|object| &object.object.value);
    app.show(|| stack::to_yaml(objects()), &objects().collect::<Vec<_>>()).await;
    Ok(())
}
