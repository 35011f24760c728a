use clap::Args;

use crate::{
    app::App,
    error::{Error, Kind, Result},
    proof::{agent, pod},
    proxy::{self, Proxy, Route},
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
    /// Forward TCP to the first of several targets that answers, until told to end
    Proxy {
        /// May be repeated
        #[arg(long, required = true, value_name = "PORT=HOST:PORT,HOST:PORT")]
        listen: Vec<Route>,
        /// Only say whether these ports accept connections
        #[arg(long)]
        check: bool,
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
        Work::Proxy { listen, check: true } => proxy::is_healthy(&listen).await,
        Work::Proxy { listen, check: false } => {
            let cancel = app.end_quietly();
            let proxy = Proxy::listen(&listen).await?;
            proxy.run(&app.events.progress("proxy"), &cancel).await;
            Ok(())
        }
    }
}
