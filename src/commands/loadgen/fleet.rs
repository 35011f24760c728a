//! `loadgen` from inside the cluster: the profile of a stack, workers beside it, and the verdict on both.

use std::time::Duration;

use clap::Args;

use super::LoadgenArgs;
use crate::{
    cli::{AgentArgs, FlagGroups, StackArgs},
    commands::{app::App, shared},
    error::{Error, Kind, Result},
    execute::{self, load},
    load::order::LoadOrder,
    load::{history, permitted, syntax, verdict, wire::Order},
    pipeline::{self, Goal, Look, Options, Outcome},
    plan::{self, summary::Summary},
    report::document,
    settings as config,
    stack::model::{LoadProfile, ScaleUp, Stack, Verdict},
};

const DEFAULT_PROFILE: &str = "default";

/// The stack, and where its load comes from.
#[derive(Debug, Args)]
pub struct FleetArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Where the load comes from [default: cluster; with --url alone host]
    #[arg(long, value_enum, value_name = "PLACE", help_heading = "Load options")]
    from: Option<Place>,
    /// Pods that share the load
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[arg(help_heading = "Load options")]
    workers: u32,
    /// Of the load profiles that the stack declares [default: default, with --url none]
    #[arg(long, value_name = "NAME", help_heading = "Load options")]
    profile: Option<String>,
    #[command(flatten, next_help_heading = "Load options")]
    agent: AgentArgs,
    /// Only print what would be done
    #[arg(long, help_heading = None::<&str>)]
    dry_run: bool,
    #[command(flatten)]
    pub verdict: VerdictArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Place {
    /// Pods beside the stack
    Cluster,
    /// This process
    Host,
}

/// What must hold, beside what the profile says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict options")]
pub struct VerdictArgs {
    /// The largest share of requests that may fail, such as 0.1%
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    max_error_rate: Option<f64>,
    /// The longest that 99 of 100 answers may take
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    max_p99: Option<Duration>,
    /// Requests that must succeed per second
    #[arg(long, value_name = "R", value_parser = syntax::rate)]
    min_rate: Option<f64>,
    /// The autoscaler must add pods, up to N where it is given; the load goes on for up to 3 minutes to see it
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    expect_scale_up: Option<Option<u32>>,
    /// The autoscaler must be back at its minimum after the load; it is waited for
    #[arg(long)]
    expect_scale_down: bool,
    /// No container of the stack may restart
    #[arg(long)]
    no_restarts: bool,
}

fn percentage(text: &str) -> std::result::Result<f64, String> {
    crate::stack::scalar::percentage(text).ok_or_else(|| "expected 0% to 100%, such as 0.1%".to_owned())
}

impl VerdictArgs {
    fn conditions(&self) -> Verdict {
        Verdict {
            max_error_rate: self.max_error_rate,
            max_p99: self.max_p99,
            min_rate: self.min_rate,
            scale_up: self.expect_scale_up.map(|goal| goal.map_or(ScaleUp::Any, ScaleUp::To)),
            scale_down: self.expect_scale_down,
            no_restarts: self.no_restarts,
        }
    }

    /// For a load on something that is in no cluster.
    pub fn without_cluster(&self) -> Result<Verdict> {
        let conditions = self.conditions();
        if conditions.scale_up.is_some() || conditions.scale_down || conditions.no_restarts {
            let what = "--expect-scale-up, --expect-scale-down and --no-restarts are about a stack in a cluster";
            return Err(Error::new(Kind::Usage, what).hint("--from cluster, without --url"));
        }
        Ok(conditions)
    }
}

impl FleetArgs {
    pub fn is_from_cluster(&self, url: bool) -> bool {
        self.from.map_or(!url, |from| from == Place::Cluster)
    }

    /// The profile that is meant: none where another address is given and none is asked for.
    fn profile<'a>(&self, stack: &'a Stack, url: bool) -> Result<Option<(&'a str, &'a LoadProfile)>> {
        if url && self.profile.is_none() {
            return Ok(None);
        }
        let name = self.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        if let Some((name, profile)) = stack.load.get_key_value(name) {
            return Ok(Some((name, profile)));
        }
        let known: Vec<&str> = stack.load.keys().map(String::as_str).collect();
        let error = Error::new(Kind::Usage, format!("stack {} has no load profile {name}", stack.name));
        Err(match known.as_slice() {
            [] => error.hint("declare one under load: in its stack.yaml, or name a Service with --from cluster --url"),
            known => error.hint(format!("its profiles: {}", known.join(", "))),
        })
    }
}

pub async fn run(args: &LoadgenArgs, app: &App) -> Result<()> {
    let fleet = &args.fleet;
    let flags = FlagGroups { stack: Some(&fleet.stack), agent: Some(&fleet.agent), ..FlagGroups::default() };
    let settings = flags.settings(&app.common.target)?;
    let stack = shared::load(&fleet.stack, &settings, app)?;
    let request = request(args, &stack)?;
    let load_options = plan::load::Options {
        agent_given: settings.agent_image.is_some(),
        url: request.order.spec.base.clone(),
        workers: fleet.workers,
        scale_down: request.verdict.scale_down,
    };
    let how = execute::Options { load: Some(request.clone()), ..shared::how(&settings) };
    let options = Options { goal: Goal::Load(load_options), how };
    let machine = app.machine_of(&stack.name, &settings).await?;
    if !fleet.dry_run {
        shared::confirm_remote(app, &machine).await?;
    }
    let look = pipeline::look(&machine, &stack, &options).await?;
    if fleet.dry_run {
        let Look { observed, plan } = &look;
        let summary = Summary::of(plan, observed);
        let value = document::Plan { summary, steps: plan.document(), kept: Vec::new(), others: &[], stays: &[] };
        app.show(|| shared::plan_text(app, std::iter::once(plan), &value.summary), &value).await;
        return Ok(());
    }
    let output = args.output.open()?;
    let Outcome { observed, outputs, ended, .. } = pipeline::act(&machine, &stack, &options, look).await?;
    let Some(sent) = outputs.load() else { return ended };
    let (document, result) = load::document(&machine, &stack, &request, &observed, &sent).await?;
    match history::keep(machine.folder(), &document) {
        Ok(file) => app.events.info(format!("kept for a later --compare {}", file.display())),
        Err(error) => app.events.warn(format!("the run is not kept for comparisons: {error}")),
    }
    let failed = ended.err().or_else(|| load::failure(&document, &result));
    output.show(&document, failed, app).await
}

/// The stack's profile with what the flags say about it.
fn request(args: &LoadgenArgs, stack: &Stack) -> Result<LoadOrder> {
    let fleet = &args.fleet;
    let profile = fleet.profile(stack, args.url.is_some())?;
    let spec = args.spec(profile.map(|(_, profile)| profile))?;
    spec.check()?;
    permitted::from_cluster(stack, &spec.base, args.i_own_this_host)?;
    if spec.connections < fleet.workers {
        let what = format!("{} workers cannot share {} connections", fleet.workers, spec.connections);
        return Err(Error::new(Kind::Usage, what).hint("each needs one: fewer --workers or more --connections"));
    }
    let conditions = profile.map(|(_, profile)| profile.verdict.clone()).unwrap_or_default();
    Ok(LoadOrder {
        // A worker has one core, however many its node has.
        order: Order { spec, workers: fleet.workers, threads: args.load.threads.or(Some(1)) },
        profile: profile.map(|(name, _)| name.to_owned()),
        verdict: verdict::merged(conditions, fleet.verdict.conditions()),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        load::spec::{Arrivals, Limit},
        stack::{self, LoadRequest as StackRequest},
    };

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: LoadgenArgs,
    }

    fn hello() -> Stack {
        let request = StackRequest { stack: "hello".into(), provider: "kind".into(), ..StackRequest::default() };
        stack::load(&request).unwrap()
    }

    fn parse(words: &[&str]) -> LoadgenArgs {
        Line::try_parse_from([&["loadgen"], words].concat()).unwrap().args
    }

    fn asked(words: &[&str]) -> Result<LoadOrder> {
        request(&parse(words), &hello())
    }

    #[test]
    fn the_profile_is_the_default_and_flags_override_it() {
        let plain = asked(&[]).unwrap();
        assert_eq!((plain.profile.as_deref(), plain.order.workers), (Some("default"), 1));
        let spec = &plain.order.spec;
        assert_eq!((spec.base.as_str(), spec.paths[0].path.as_str()), ("http://hello-service:8400", "/"));
        assert_eq!((spec.connections, &spec.arrivals), (100, &Arrivals::Constant { rate: 100.0 }));
        assert_eq!(spec.limit, Limit::Duration { duration: Duration::from_secs(300) });
        assert_eq!((plain.verdict.max_error_rate, plain.verdict.scale_up), (Some(0.001), Some(ScaleUp::Any)));

        let flags =
            ["--rate", "50", "--duration", "60s", "--workers", "4", "--expect-scale-up=5", "--no-restarts", "hello"];
        let changed = asked(&flags).unwrap();
        assert_eq!(changed.order.spec.arrivals, Arrivals::Constant { rate: 50.0 });
        assert_eq!((changed.order.workers, changed.order.spec.connections), (4, 100));
        assert_eq!((changed.verdict.max_error_rate, changed.verdict.scale_up), (Some(0.001), Some(ScaleUp::To(5))));
        assert!(changed.verdict.no_restarts && !changed.verdict.scale_down);
    }

    #[test]
    fn what_cannot_be_is_a_usage_error() {
        for words in [
            &["--profile", "other"][..],
            &["--from", "cluster", "--url", "http://example.com/"],
            &["--connections", "2", "--workers", "3"],
        ] {
            let error = asked(words).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{words:?}: {error}");
            assert!(!error.hints.is_empty());
        }
        let other = ["--from", "cluster", "--url", "http://hello-service:8400/healthz"];
        let plain = asked(&other).unwrap();
        assert_eq!((plain.profile, plain.verdict), (None, Verdict::default()));
        let named = asked(&[&other[..], &["--profile", "default"]].concat()).unwrap();
        assert_eq!(named.order.spec.paths[0].path, "/healthz");
        assert_eq!(named.verdict.scale_up, Some(ScaleUp::Any));
        assert!(Line::try_parse_from(["loadgen", "--max-error-rate", "2"]).is_err());
        assert!(Line::try_parse_from(["loadgen", "--expect-scale-up=0"]).is_err());
    }

    #[test]
    fn a_url_alone_is_loaded_from_here() {
        assert!(parse(&[]).fleet.is_from_cluster(false));
        assert!(!parse(&["--url", "http://127.0.0.1:1"]).fleet.is_from_cluster(true));
        assert!(parse(&["--from", "cluster"]).fleet.is_from_cluster(true));
        assert!(parse(&["--expect-scale-down"]).fleet.verdict.without_cluster().is_err());
        assert!(parse(&["--max-p99", "1s"]).fleet.verdict.without_cluster().is_ok());
    }
}
