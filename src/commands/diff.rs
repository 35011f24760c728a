use clap::Args;

use super::shared;
use crate::object::Object;
use crate::{
    cli::{FlagGroups, Output, StackArgs},
    commands::app::App,
    error::Result,
    image::BuildOptions,
    kube::{
        apply,
        diff::{self, Differences},
    },
    observe,
    plan::{
        applied::as_applied,
        desired_sets, origin,
        up::{gone_instances, owners, stale_objects},
    },
    report::{
        self,
        document::{Diff, Difference},
    },
};

/// Show how the cluster differs from the stack, and change nothing; exit code 11 when it does
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Take fields that another manager has set
    #[arg(long, help_heading = "Apply options")]
    force_conflicts: bool,
    /// Count objects that stackctl did not make as taken over
    #[arg(long, help_heading = "Apply options")]
    adopt: bool,
    /// Count a stack of this name that came from elsewhere as taken over
    #[arg(long, help_heading = "Apply options")]
    take_over: bool,
    /// Count volumes that left the stack too, and definitions and namespaces that others use
    #[arg(long, help_heading = "Removal options")]
    prune_data: bool,
}

pub async fn run(args: DiffArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { stack: Some(&args.stack), ..FlagGroups::default() }.settings(&app.common.target)?;
    let stack = shared::load(&args.stack, &settings, app)?;
    let machine = app.machine(&settings).await?;
    machine.require_cluster().await?;
    let observed = observe::all(&machine, &stack, &BuildOptions::default()).await?;
    let sets = desired_sets(&stack, &observed);
    let live = observed.live.unwrap_or_default();
    origin::check(&stack, &sets, &live, args.take_over)?;
    owners::check(&sets, &live, args.adopt)?;
    let gone = gone_instances(&stack, &sets, &live, args.prune_data);
    let prune: Vec<_> =
        sets.iter().chain(&gone).flat_map(|set| stale_objects(set, &live, args.prune_data).remove).collect();
    let objects = sets.iter().flat_map(|set| set.objects.iter().map(move |object| (set, object)));
    let objects: Vec<_> = objects
        .filter(|(set, object)| !live.leaves_alone(&set.applyset_id(), &object.object.key()))
        .map(|(_, object)| {
            let there = live.live.objects.get(&object.object.key());
            Object { value: as_applied(object, there).into_owned(), origin: object.object.origin.clone() }
        })
        .collect();
    let options =
        apply::ApplyOptions { force_conflicts: args.force_conflicts, adopt: args.adopt, ..Default::default() };
    let diff = machine.kube().await?.diff(&objects, &live.live, &prune, &options);
    let Differences { found, refused } = machine.until_stopped(diff).await?;
    let text = || found.iter().map(|diff| report::diff_text(&diff.text, app.view.paint())).collect::<String>();
    let differences =
        found.iter().map(|diff| Difference { object: diff.key.clone(), diff: diff.text.clone() }).collect();
    let value = Diff { differences };
    let mut refused = refused.into_iter();
    if let Some(first) = refused.next() {
        return app.fail_with(text, &value, first.beside(refused)).await;
    }
    match diff::differences(&found) {
        None => {
            app.show(|| "no differences".to_owned(), &value).await;
            Ok(())
        }
        Some(error) if app.common.output == Output::Text => {
            app.show(text, &value).await;
            app.remark(&error.message).await;
            // A difference is an answer, not a failure: the exit code tells.
            Err(error.shown())
        }
        Some(error) => app.fail_with(text, &value, error).await,
    }
}
