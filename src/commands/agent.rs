use std::path::PathBuf;

use clap::Args;

use crate::{
    app::App,
    error::{Context, Error, Kind, Result},
    load::{wire, worker},
    proof::{agent, pod},
    report,
};

/// Do what has to be done from within the cluster, and tell it in lines of JSON; `test` and `loadgen` start it in pods
#[derive(Debug, Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, clap::Subcommand)]
enum Work {
    /// Checks as JSON from STACKCTL_CHECKS
    Prove,
    /// A worker's share of a load whose order is JSON in STACKCTL_LOAD; SIGTERM ends it early, with its result
    Load {
        /// Read the order from here
        #[arg(long, value_name = "FILE")]
        order: Option<PathBuf>,
    },
}

pub async fn run(args: AgentArgs, app: &App) -> Result<()> {
    match args.work {
        Work::Prove => {
            let checks =
                std::env::var(pod::INPUT).map_err(|_| Error::new(Kind::Usage, format!("{} is not set", pod::INPUT)))?;
            // Each line as soon as it is known: a pod that is stopped has told what it saw until then.
            agent::run_agent(&checks, None, |line| report::data(&line)).await
        }
        Work::Load { order } => {
            let text = match &order {
                Some(file) => std::fs::read_to_string(file)
                    .context(Kind::Usage, || format!("the order {} could not be read", file.display()))?,
                None => std::env::var(wire::ORDER)
                    .map_err(|_| Error::new(Kind::Usage, format!("{} is not set", wire::ORDER)))?,
            };
            let index = match std::env::var(wire::INDEX) {
                Ok(index) => index.parse().context(Kind::Usage, || format!("{} is no number", wire::INDEX))?,
                Err(_) => 0,
            };
            worker::run(&wire::Order::parse(&text)?, index, &app.cancel, |line| report::data(&line)).await
        }
    }
}
