use clap::Args;

use crate::{
    app::App,
    error::{Error, Kind, Result},
    proof::{agent, pod},
    report,
};

/// Run checks from where this process is, and print a line of JSON for each; `test` starts it in a pod
#[derive(Debug, Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, clap::Subcommand)]
enum Work {
    /// Checks as JSON from STACKCTL_CHECKS
    Prove,
}

pub async fn run(args: AgentArgs, _app: &App) -> Result<()> {
    match args.work {
        Work::Prove => {
            let checks =
                std::env::var(pod::INPUT).map_err(|_| Error::new(Kind::Usage, format!("{} is not set", pod::INPUT)))?;
            // Each line as soon as it is known: a pod that is stopped has told what it saw until then.
            let ca = std::env::var(pod::CA).ok();
            agent::run_agent(&checks, None, ca.as_deref(), |line| report::data(&line)).await
        }
    }
}
