use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::shared::{self, ImageArgs};
use crate::{
    app::App,
    artifacts,
    cli::{Given, Making, Patience, StackArgs},
    error::Result,
    execute::{self, actions},
    observe, plan, reach, report,
    session::Session,
};

/// Bring a stack up: cluster, images, objects, and wait until all is ready
///
/// What is there already is left alone: a second run finds nothing to do. A run that was killed is continued by the next.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Run the stack's proofs at the end
    #[arg(long)]
    test: bool,
    /// Only print what would be done
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    patience: Patience,
}

/// How objects reach the cluster; `up` and `deploy` share it.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Give the images this tag too; pods always name the content's hash
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Take fields that another manager has set
    #[arg(long)]
    pub force_conflicts: bool,
    /// Delete and create again what cannot be changed in place
    #[arg(long)]
    pub replace: bool,
    /// Prune claims of volumes that left the stack too, with their data
    #[arg(long)]
    pub prune_data: bool,
    /// When it fails, keep events, logs and objects in this folder
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
}

/// What differs between `up` and `deploy`.
pub struct Mode {
    pub make_cluster: bool,
    pub prove: bool,
    pub dry_run: bool,
}

pub async fn run(args: UpArgs, app: &App) -> Result<()> {
    let given = Given { making: Some(&args.making), stack: Some(&args.stack), patience: Some(&args.patience), ..Given::default() };
    let settings = given.settings(&app.common.target)?;
    let mode = Mode { make_cluster: true, prove: args.test, dry_run: args.dry_run };
    bring_up(app, settings, &args.stack, &args.apply, &args.images, mode).await
}

/// The pipeline, in order: parse, observe, plan, execute, report.
pub async fn bring_up(
    app: &App,
    settings: crate::config::Settings,
    stack: &StackArgs,
    apply: &ApplyArgs,
    images: &ImageArgs,
    mode: Mode,
) -> Result<()> {
    let stack = shared::load(stack, &settings)?;
    let session = Session::open(settings, stack, images.options(apply)?, app).await?;
    let observed = observe::all(&session).await?;
    let options = plan::up::Options {
        make_cluster: mode.make_cluster,
        prove: mode.prove,
        await_background: mode.prove,
        tag: apply.tag.clone(),
        agent_given: session.settings.agent_image.is_some(),
        rebuild: images.rebuild(),
    };
    let plan = plan::up::plan(&session.stack, &options, &observed)?;
    if mode.dry_run {
        let outline = plan.outline();
        app.show(|| report::plan_text(&outline), &json!({ "unchanged": plan.unchanged, "steps": plan.steps_json() })).await;
        return Ok(());
    }
    shared::confirm_remote(app, &session).await?;
    session.preflight(&plan).await?;
    let ended = execute::run(&plan, &session.events, &session.cancel, |step, progress, cancel| {
        Box::pin(actions::act(&session, &plan, step, progress, cancel))
    })
    .await;
    if let (Err(error), Some(folder)) = (&ended, &apply.artifacts) {
        artifacts::write(&session, folder, error).await?;
    }
    ended?;
    session.remember().await;
    shared::show_proofs(app, &session).await?;
    let reach = reach::tried(&session).await;
    let summary = app.settle().await;
    let text = || reach.iter().map(|way| way.text()).collect::<Vec<_>>().join("\n");
    app.show(text, &json!({ "stack": session.stack.name, "unchanged": plan.unchanged, "reach": reach, "run": summary })).await;
    Ok(())
}
