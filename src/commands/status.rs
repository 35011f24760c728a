use std::time::Duration;

use clap::Args;

use crate::{
    cli::{FlagGroups, Output},
    commands::app::App,
    error::Result,
    machine::Machine,
    observe::overview,
    report, settings, stack,
};

const PAUSE: Duration = Duration::from_secs(2);

/// Show the cluster and its stacks: workloads, images, addresses, the last proof, alerts
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this stack and what it uses [default: the stack.yaml of this folder, else all stacks]
    stack: Option<String>,
    /// All stacks, although this folder has a stack.yaml
    #[arg(long, conflicts_with = "stack")]
    all: bool,
    /// Go on showing it as it changes, until interrupted
    #[arg(long, short)]
    watch: bool,
}

pub async fn run(args: StatusArgs, app: &App) -> Result<()> {
    let machine = app.machine(&FlagGroups::default().settings(&app.common.target)?).await?;
    let only = args.only(app)?;
    if args.watch {
        return watch(&machine, only.as_deref(), app).await;
    }
    let overview = machine.until_stopped(Box::pin(overview::look(&machine, only.as_deref()))).await?;
    app.show(|| report::status_screen(&overview, report::width()), &overview).await;
    Ok(())
}

impl StatusArgs {
    /// The one stack to show. One that nobody named is said, or the others would seem to be gone.
    fn only(&self, app: &App) -> Result<Option<String>> {
        let here = settings::folder_stack().filter(|_| self.stack.is_none() && !self.all);
        let Some(stack) = self.stack.as_deref().or(here) else { return Ok(None) };
        let name = stack::name_of(stack)?;
        if self.stack.is_none() {
            app.events.info(format!("only {name}, the stack of this folder; --all shows all stacks"));
        }
        Ok(Some(name))
    }
}

/// An API server that is away for a while is part of what there is to see.
async fn watch(machine: &Machine, only: Option<&str>, app: &App) -> Result<()> {
    let cancel = app.end_quietly();
    app.settle().await;
    loop {
        let seen = tokio::select! {
            seen = overview::look(machine, only) => seen,
            () = cancel.cancelled() => return Ok(()),
        };
        match (seen, app.common.output) {
            (Ok(overview), Output::Json) => report::document_line(&overview),
            (Ok(overview), Output::Text) => report::screen(&report::status_screen(&overview, report::width())),
            (Err(error), Output::Json) => report::failure_line(&error),
            (Err(error), Output::Text) => report::screen(&error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cancel.cancelled() => return Ok(()),
        }
    }
}
