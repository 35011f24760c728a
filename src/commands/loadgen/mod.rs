mod fleet;
pub mod output;
pub mod view;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use self::fleet::FleetArgs;
use crate::commands::loadgen::output::LoadOutputArgs;
use crate::{
    commands::app::App,
    error::{Context, Error, Kind, Result},
    load::{
        engine::Target,
        host,
        spec::{Arrivals, Limit, LoadSpec, Stage, WeightedPath},
        syntax, verdict,
    },
    settings as config,
    stack::model::LoadProfile,
};

const DEFAULT_CONNECTIONS: u32 = 50;
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Put a load on a server and measure how it answers
///
/// Without --rate each connection sends its next request when it has the answer to the last one. With --rate, requests
/// are due at their times, whatever the server does, and latencies count from then. Failed is what has no whole answer
/// within the timeout, a status of 400 or more, or one other than --expect-status, or a body without --expect-body.
#[derive(Debug, Args)]
pub struct LoadgenArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Scheme, host, port and, where --path is not given, the path to load
    #[arg(long, value_name = "URL", help_heading = "Load options")]
    url: Option<String>,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    requests: RequestArgs,
    #[command(flatten)]
    output: LoadOutputArgs,
    /// The address is not this machine, and you may put a load on it
    #[arg(long, help_heading = "Load options")]
    i_own_this_host: bool,
}

/// How much is sent, and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load options")]
struct LoadArgs {
    /// Connections, over all workers and threads [default: the profile's, else 50]
    #[arg(long, short, value_name = "N")]
    connections: Option<u32>,
    /// Of the measurement [default: the profile's, else 10s]
    #[arg(long, short, value_name = "DURATION", value_parser = config::duration, conflicts_with = "requests")]
    duration: Option<Duration>,
    /// Send so many requests instead
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// An open loop: requests per second over all connections
    #[arg(long, value_name = "R", value_parser = syntax::rate)]
    rate: Option<f64>,
    /// When the requests of --rate are due: evenly, or as independent users come
    #[arg(long, value_enum, default_value = "constant", value_name = "KIND")]
    arrivals: ArrivalsArg,
    /// An open loop whose rate moves evenly, from 0, to each rate within its duration, such as 30s:50,1m:200
    #[arg(long, value_name = "DURATION:RATE,…", value_parser = syntax::stage, value_delimiter = ',')]
    #[arg(conflicts_with_all = ["rate", "duration", "requests", "arrivals"])]
    stages: Vec<Stage>,
    /// Send so long before the measurement begins; of --stages at the first rate
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    warmup: Option<Duration>,
    /// From when a request is due to the end of its answer
    #[arg(long, value_name = "DURATION", value_parser = config::duration, default_value = "10s")]
    timeout: Duration,
    /// End at the first failure
    #[arg(long)]
    abort_on_fail: bool,
    /// Threads that send [default: one for each core; of each worker in the cluster 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Of random arrivals and of the choice among paths
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// What is sent and what is expected.
#[derive(Debug, Args)]
#[command(next_help_heading = "Request options")]
struct RequestArgs {
    /// May be repeated, with weights: 3:/read/1 is sent three times as often as /write
    #[arg(long = "path", value_name = "[WEIGHT:]/PATH", value_parser = syntax::path)]
    paths: Vec<WeightedPath>,
    /// [default: GET, with a body POST]
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<String>,
    /// `NAME: VALUE`, or @FILE with one on each line, which keeps secrets out of arguments; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The text, or @FILE
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The only status that is no failure [default: each below 400]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..=599))]
    expect_status: Option<u16>,
    /// A text that each body must contain
    #[arg(long, value_name = "TEXT")]
    expect_body: Option<String>,
    /// PEM certificates that HTTPS trusts in place of the system's
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ArrivalsArg {
    Constant,
    Poisson,
}

pub async fn run(args: LoadgenArgs, app: &App) -> Result<()> {
    if args.fleet.is_from_cluster(args.url.is_some()) {
        return fleet::run(&args, app).await;
    }
    let conditions = args.fleet.verdict.without_cluster()?;
    let spec = args.spec(None)?;
    spec.check()?;
    let output = args.output.open()?;
    let target = Target::resolve(&spec).await?;
    host::permit(&target, &spec.base, args.i_own_this_host)?;
    let mut ran = host::run(&spec, &target, args.load.threads, &app.events, &app.cancel).await?;
    let load_end = ran.result.measured.as_secs_f64();
    let totals = &ran.document.totals;
    let run = verdict::Run { totals, samples: &[], scaling: &[], metrics_problem: None, load_end };
    ran.document.verdict = verdict::judge(&conditions, &run);
    let failed = if app.cancel.is_cancelled() {
        Some(Error::new(Kind::Interrupted, "the load was interrupted").cause("what is shown is what it measured"))
    } else {
        let seen = |failure| ran.result.examples.get(failure).cloned().unwrap_or_default();
        ran.result.aborted.as_ref().map(|failure| {
            Error::new(Kind::LoadFailed, format!("the first failure ended the load: {}", failure.sentence()))
                .cause(seen(failure))
        })
    };
    let failed = failed.or_else(|| ran.document.verdict.as_ref().and_then(verdict::failure));
    output.show(&ran.document, failed, app).await
}

impl LoadgenArgs {
    /// What is not said comes from the profile.
    fn spec(&self, profile: Option<&LoadProfile>) -> Result<LoadSpec> {
        let Some(url) = self.url.as_ref().or(profile.map(|profile| &profile.url)) else {
            return Err(Error::new(Kind::Usage, "there is nothing to load").hint("--url http://127.0.0.1:PORT"));
        };
        let split = syntax::split(url);
        let (base, path) = split.ok_or_else(|| Error::new(Kind::Usage, format!("--url {url} is no address")))?;
        let (load, requests) = (&self.load, &self.requests);
        let rate = load.rate.or(profile.map(|profile| profile.rate));
        let rate = rate.map(|rate| match load.arrivals {
            ArrivalsArg::Constant => Arrivals::Constant { rate },
            ArrivalsArg::Poisson => Arrivals::Poisson { rate },
        });
        if rate.is_none() && load.arrivals == ArrivalsArg::Poisson {
            return Err(Error::new(Kind::Usage, "--arrivals poisson needs a rate").hint("--rate R"));
        }
        let (arrivals, duration) = match load.stages.as_slice() {
            [] => {
                let duration = load.duration.or(profile.map(|profile| profile.duration));
                (rate.unwrap_or(Arrivals::Closed), duration.unwrap_or(DEFAULT_DURATION))
            }
            stages => {
                let duration = stages.iter().map(|stage| stage.duration).sum();
                (Arrivals::Stages { stages: stages.to_vec() }, duration)
            }
        };
        let headers: Vec<_> = requests.headers.iter().map(|text| syntax::headers(text)).collect::<Result<_>>()?;
        let body = requests.body.as_deref().map(syntax::body).transpose()?;
        let ca_bundle = |file: &PathBuf| {
            std::fs::read_to_string(file).context(Kind::Usage, || format!("{} could not be read", file.display()))
        };
        Ok(LoadSpec {
            base,
            paths: match requests.paths.as_slice() {
                [] => vec![WeightedPath { path, weight: 1.0 }],
                paths => paths.to_vec(),
            },
            method: requests.method.clone().unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned()),
            headers: headers.concat(),
            body,
            connections: load.connections.or(profile.map(|profile| profile.connections)).unwrap_or(DEFAULT_CONNECTIONS),
            arrivals,
            limit: match load.requests {
                Some(requests) => Limit::Requests { requests },
                None => Limit::Duration { duration },
            },
            warmup: load.warmup.unwrap_or_default(),
            timeout: load.timeout,
            expect_status: requests.expect_status,
            expect_body: requests.expect_body.clone(),
            abort_on_fail: load.abort_on_fail,
            ca_bundle: requests.ca_bundle.as_ref().map(ca_bundle).transpose()?,
            seed: load.seed,
        })
    }
}
