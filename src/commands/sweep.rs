use clap::Args;

use super::{
    down::{Receipt, Work, left_behind},
    shared,
};
use crate::{
    cli::{FlagGroups, WaitArgs},
    commands::app::App,
    error::{Error, Result},
    machine::Machine,
    plan::down,
    provider::{
        fleet::{Fleet, Found},
        settings::CLUSTER_NAME,
    },
    report::document::SweepResult,
    settings::Settings,
};

/// Find the clusters of stackctl in an account of AWS, and remove them with all that belongs to them
///
/// For whoever has lost what this machine knew of them: AWS is asked what bears stackctl's mark in the account and region,
/// and nothing else is touched. What is found is listed with what it costs; then each goes as `down --cluster` removes it.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Only those whose time has come, as `up --ttl` has said
    #[arg(long)]
    expired: bool,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: SweepArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { wait: Some(&args.wait), ..FlagGroups::default() }.settings(&app.common.target)?;
    let all = Box::pin(settings.choice.fleet()).await?;
    let named = app.common.target.values(&CLUSTER_NAME).first();
    let meant = |found: &Found| {
        !found.things.is_empty()
            && (found.expired || !args.expired)
            && named.is_none_or(|named| found.purpose == *named || found.name == *named)
    };
    let clusters = all.clusters.iter().filter(|found| meant(found)).cloned().collect();
    let fleet = Fleet { clusters, ..all };
    if args.dry_run || fleet.clusters.is_empty() {
        let nothing = Receipt::default();
        app.show(|| listed(&fleet), &SweepResult { fleet: &fleet, removal: nothing.document() }).await;
        return Ok(());
    }
    app.confirm(&format!("{}\nRemove all of it?", listed(&fleet)))?;
    let (mut whole, mut failed) = (Receipt::default(), None::<Error>);
    for found in &fleet.clusters {
        app.events.info(format!("removing {}", found.name));
        match Box::pin(remove(found, settings.clone(), app)).await {
            Ok(receipt) => whole.add(receipt),
            // The others go all the same: each costs money as long as it is there.
            Err(error) if app.cancel.is_cancelled() => return Err(error),
            Err(error) => {
                failed = Some(match failed {
                    Some(first) => first.beside([error]),
                    None => error,
                });
            }
        }
    }
    let value = SweepResult { fleet: &fleet, removal: whole.document() };
    let text = || whole.text();
    match failed.or_else(|| left_behind(&whole)) {
        None => {
            app.show(text, &value).await;
            Ok(())
        }
        Some(error) => app.fail_with(text, &value, error).await,
    }
}

async fn remove(found: &Found, settings: Settings, app: &App) -> Result<Receipt> {
    let settings = settings.of_cluster(&found.purpose);
    let machine = Machine::open(&settings, &app.events, &app.cancel).await?;
    let stack = found.purpose.clone();
    let down = down::Options { stack, cluster: true, known: true, ..down::Options::default() };
    let work = Work { app, machine: &machine, how: shared::how(&settings), down };
    let look = work.look(None).await?;
    work.remove(&look, &[]).await
}

fn listed(fleet: &Fleet) -> String {
    let mut lines = vec![fleet.place()];
    match fleet.clusters.is_empty() {
        true => lines.push("nothing to remove".to_owned()),
        false => {
            lines.extend(fleet.clusters.iter().flat_map(Found::outline));
            lines.push(format!("prices of {}", fleet.as_of));
        }
    }
    lines.join("\n")
}
