use std::path::PathBuf;

use clap::Args;

use super::shared;
use crate::{
    cli::{AgentArgs, FlagGroups, StackArgs, WaitArgs},
    commands::app::App,
    error::{Context, Error, Kind, Result},
    pipeline::{self, Goal, Options, Outcome},
    report,
};

/// Prove that a running stack does what it declares
///
/// The checks run from inside the cluster, through its DNS and Services. A failed one says what was seen instead.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Only the proofs of this name or kind (http, trace, promql, …); may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Proof options")]
    proof: Vec<String>,
    /// Then run the proofs that disturb the stack too: by pods deleted, workloads restarted or scaled, nodes drained
    #[arg(long)]
    disruptive: bool,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE", help_heading = "Proof options")]
    junit: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Proof options")]
    agent: AgentArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: TestArgs, app: &App) -> Result<()> {
    let flags = FlagGroups {
        stack: Some(&args.stack),
        wait: Some(&args.wait),
        agent: Some(&args.agent),
        ..FlagGroups::default()
    };
    let settings = flags.settings(&app.common.target)?;
    let mut stack = shared::load(&args.stack, &settings, app)?;
    if stack.proofs.is_empty() {
        return Err(Error::new(Kind::Usage, format!("stack {} declares no proofs", stack.name)));
    }
    stack.choose_proofs(&args.proof)?;
    if !args.disruptive {
        stack.skip_disruptive_proofs();
    }
    let machine = app.machine_of(&stack.name, &settings).await?;
    shared::confirm_remote(app, &machine).await?;
    let options = Options { goal: Goal::Test, how: shared::how(&settings) };
    let Outcome { outputs, ended, .. } = pipeline::reconcile(&machine, &stack, &options).await?;
    let results = outputs.proofs();
    let written = args.junit.as_ref().map_or(Ok(()), |file| {
        std::fs::write(file, report::junit(&stack.name, &results))
            .context(Kind::Usage, || format!("cannot write {}", file.display()))
    });
    if let (Err(_), Err(unwritten)) = (&ended, &written) {
        app.events.warn(unwritten.to_string());
    }
    shared::show_proofs(app, &stack.name, &results, ended.and(written)).await
}
