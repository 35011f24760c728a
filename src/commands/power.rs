use clap::Args;

use crate::{
    cli::FlagGroups, commands::app::App, error::Result, execute, machine::Machine, report::document::ClusterPower,
};

/// Stop the cluster's containers; everything in them stays
#[derive(Debug, Args)]
pub struct StopArgs {}

/// Start a stopped cluster again
#[derive(Debug, Args)]
pub struct StartArgs {}

pub async fn stop(_: StopArgs, app: &App) -> Result<()> {
    let machine = app.machine(&FlagGroups::default().settings(&app.common.target)?).await?;
    machine.require_cluster().await?;
    machine.until_stopped(machine.provider.stop(&app.events.progress("cluster"))).await?;
    tell(app, &machine, "stopped").await
}

pub async fn start(_: StartArgs, app: &App) -> Result<()> {
    let machine = app.machine(&FlagGroups::default().settings(&app.common.target)?).await?;
    machine.require_cluster().await?;
    let progress = app.events.progress("cluster");
    machine.until_stopped(machine.provider.start(&progress)).await?;
    progress.say("waiting for the network");
    machine.until_stopped(Box::pin(execute::network(&machine, &progress))).await?;
    tell(app, &machine, "started").await
}

async fn tell(app: &App, machine: &Machine, what: &str) -> Result<()> {
    let name = &machine.name;
    app.show(|| format!("cluster {name} {what}"), &ClusterPower { cluster: name, state: what }).await;
    Ok(())
}
