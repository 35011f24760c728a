use clap::Args;

use crate::{
    cli::FlagGroups, commands::app::App, error::Result, execute::actions, report::document::ClusterPower,
    session::Session,
};

/// Stop the cluster's containers; everything in them stays
#[derive(Debug, Args)]
pub struct StopArgs {}

/// Start a stopped cluster again
#[derive(Debug, Args)]
pub struct StartArgs {}

pub async fn stop(_: StopArgs, app: &App) -> Result<()> {
    let session =
        Session::without_stack(FlagGroups::default().settings(&app.common.target)?, &app.events, &app.cancel).await?;
    session.require_cluster().await?;
    session.until_stopped(session.provider.stop(&app.events.progress("cluster"))).await?;
    tell(app, &session, "stopped").await
}

pub async fn start(_: StartArgs, app: &App) -> Result<()> {
    let session =
        Session::without_stack(FlagGroups::default().settings(&app.common.target)?, &app.events, &app.cancel).await?;
    session.require_cluster().await?;
    let progress = app.events.progress("cluster");
    session.until_stopped(session.provider.start(&progress)).await?;
    progress.say("waiting for the network");
    session.until_stopped(Box::pin(actions::network(&session, &progress))).await?;
    tell(app, &session, "started").await
}

async fn tell(app: &App, session: &Session, what: &str) -> Result<()> {
    let name = &session.settings.cluster_name;
    app.show(|| format!("cluster {name} {what}"), &ClusterPower { cluster: name, state: what }).await;
    Ok(())
}
