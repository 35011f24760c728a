use clap::Args;

use crate::{cli::FlagGroups, commands::app::App, error::Result, report::document::FleetCosts};

/// Print what the clusters of stackctl in an account of AWS cost as they are now
///
/// AWS is asked what bears stackctl's mark in the account and region; nothing that is kept on this machine is read. Prices
/// are those of a table in this program, which says of which day and region they are.
#[derive(Debug, Args)]
pub struct CostArgs {}

pub async fn run(_: CostArgs, app: &App) -> Result<()> {
    let settings = FlagGroups::default().settings(&app.common.target)?;
    let fleet = Box::pin(settings.choice.fleet()).await?;
    let value = FleetCosts { per_hour: fleet.per_hour(), fleet: &fleet };
    app.show(|| fleet.bill().join("\n"), &value).await;
    Ok(())
}
