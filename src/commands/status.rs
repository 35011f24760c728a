use std::time::Duration;

use clap::Args;

use crate::{
    cli::{Given, Output},
    commands::app::App,
    error::Result,
    observe::overview,
    report,
    session::Session,
};

const PAUSE: Duration = Duration::from_secs(2);

/// Show the cluster and its stacks: workloads, images, addresses, the last proof, alerts
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Go on showing it as it changes, until interrupted
    #[arg(long, short)]
    watch: bool,
}

pub async fn run(args: StatusArgs, app: &App) -> Result<()> {
    let session =
        Session::without_stack(Given::default().settings(&app.common.target)?, &app.events, &app.cancel).await?;
    if args.watch {
        return watch(&session, app).await;
    }
    let overview = session.until_stopped(Box::pin(overview::look(&session))).await?;
    app.show(|| report::status_screen(&overview, report::width()), &overview).await;
    Ok(())
}

/// An API server that is away for a while is part of what there is to see.
async fn watch(session: &Session, app: &App) -> Result<()> {
    let cancel = app.end_quietly();
    app.settle().await;
    loop {
        let seen = tokio::select! {
            seen = overview::look(session) => seen,
            () = cancel.cancelled() => return Ok(()),
        };
        match (seen, app.common.output) {
            (Ok(overview), Output::Json) => report::data(&serde_json::to_string(&overview).unwrap_or_default()),
            (Ok(overview), Output::Text) => report::screen(&report::status_screen(&overview, report::width())),
            (Err(error), Output::Json) => report::data(&serde_json::json!({ "error": error.to_string() }).to_string()),
            (Err(error), Output::Text) => report::screen(&error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cancel.cancelled() => return Ok(()),
        }
    }
}
