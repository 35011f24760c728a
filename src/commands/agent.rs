use clap::Args;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    commands::app::App,
    error::{Error, Kind, Result},
    load::{
        engine::{self, Part, Share, Target},
        fleet::worker,
        wire::{self, Line, Order},
    },
    proof::{agent, pod},
    provider::local::proxy::{
        relay as proxy,
        relay::{Proxy, Route},
    },
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
    /// A share of a load, as it is told to send it
    Load {
        /// Of loopback, to be told on
        #[arg(long, value_name = "PORT")]
        control: u16,
    },
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
            let ca = std::env::var(pod::CA).ok();
            agent::run_agent(&checks, None, ca.as_deref(), |line| report::data(&line)).await
        }
        Work::Load { control } => {
            let index = std::env::var(wire::INDEX).ok().and_then(|index| index.parse().ok()).unwrap_or(0);
            let load = |ready, start, stop| send(ready, index, start, stop, &app.cancel);
            worker::serve(control, &app.cancel, prepare, load).await
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

/// Finds what is to be loaded before the start, so that whatever is wrong with it is known by then.
async fn prepare(order: Order) -> Result<(Order, Target)> {
    let target = Target::resolve(&order.spec).await?;
    engine::probe(&order.spec, &target).await?;
    Ok((order, target))
}

/// Sends a worker's share, and prints a line for each second and one at the end.
///
/// `killed`: by a signal, as when its node is drained. What it has sent until then counts, but it is no whole share.
async fn send(
    ready: (Order, Target),
    worker: u32,
    start: Instant,
    stop: CancellationToken,
    killed: &CancellationToken,
) -> Result<()> {
    let (order, target) = ready;
    let share = Share { index: worker, of: order.workers };
    let part = Part { share, threads: order.threads, start: start.into_std() };
    let mut unwritten = None;
    let result = engine::run(&order.spec, &target, part, &stop, |tick| match (Line::Tick { worker, tick }).text() {
        Ok(line) => report::data(&line),
        Err(error) => unwritten = Some(error),
    });
    let result = Box::new(result.await?);
    if killed.is_cancelled() {
        return Err(Error::new(Kind::Interrupted, "the worker was stopped before its load ended"));
    }
    if let Some(error) = unwritten {
        return Err(error);
    }
    report::data(&Line::Result { worker, result }.text()?);
    Ok(())
}
