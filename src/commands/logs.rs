use clap::Args;

use super::shared::OfStack;
use crate::{
    cli::{FlagGroups, Output},
    commands::app::App,
    error::{Error, Kind, Result},
    kube::logs::LogOptions,
    report::{self, document::LogLine},
    settings as config,
};

/// Print the logs of all pods of a service, or of the whole stack
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A service of the stack, or a workload or Service by its own name; all pods of the stack where absent
    service: Option<String>,
    #[command(flatten)]
    stack: OfStack,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// Only lines younger than this, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    since: Option<std::time::Duration>,
    /// Only the last lines of each container
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// Of the run before the current one
    #[arg(long, short)]
    previous: bool,
}

pub async fn run(args: LogsArgs, app: &App) -> Result<()> {
    let cancel = app.end_quietly();
    let settings = FlagGroups::default().settings(&app.common.target)?;
    let namespace = args.stack.namespace(&settings, app)?;
    let machine = app.machine(&settings).await?;
    machine.require_running().await?;
    let kube = machine.kube().await?;
    let selector = match &args.service {
        None => String::new(),
        Some(service) => kube.pods_of(&namespace, service).await?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("namespace {namespace} has no workload or service {service}"))
                .hint("`stackctl status` shows what there is; --stack names another stack")
        })?,
    };
    let options = LogOptions {
        follow: args.follow,
        since: args.since,
        tail: args.tail,
        previous: args.previous,
        ..LogOptions::default()
    };
    let mut logs = kube.logs(&namespace, &selector, options).await?;
    app.settle().await;
    let mut colors = report::Prefixes::new(app.view.paint());
    loop {
        let line = tokio::select! {
            line = logs.next() => line,
            () = cancel.cancelled() => None,
        };
        let Some(line) = line else { return Ok(()) };
        match app.common.output {
            Output::Text => report::data(&format!("{} {}", colors.of(&line.pod, &line.container), line.line)),
            Output::Json => {
                report::document_line(&LogLine { pod: &line.pod, container: &line.container, line: &line.line });
            }
        }
    }
}
