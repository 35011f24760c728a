use std::collections::BTreeMap;

use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, StackArgs, WaitArgs},
    commands::app::App,
    error::{Error, Kind, Result},
    pipeline::{self, Goal, Options, Outcome},
    plan,
    report::{
        self,
        document::{JobDescription, JobList, JobPlan, JobResult, LogLine},
    },
    settings::{Settings, TIMEOUT},
    stack::{
        self, closest,
        model::{Job, Stack},
    },
};

/// Run a job that a stack declares, and wait for its end; without JOB, list them
///
/// Its log is shown as it comes. The Kubernetes Job that is made for it is removed at the end, however it ended.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    stack: Option<String>,
    /// The job's name
    job: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Run the job `backup` of a stack (short for `run STACK backup`)
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    stack: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Run the job `restore` of a stack (short for `run STACK restore`)
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    stack: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Set a parameter of the job; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only print the Job that would be made
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: RunArgs, app: &App) -> Result<()> {
    let stack = shared::meant(args.stack.as_deref(), app);
    match args.job {
        Some(job) => named(&stack, &job, &args.how, app).await,
        None => list(&stack, &args.how, app).await,
    }
}

pub async fn backup(args: BackupArgs, app: &App) -> Result<()> {
    named(&shared::meant(args.stack.as_deref(), app), "backup", &args.how, app).await
}

pub async fn restore(args: RestoreArgs, app: &App) -> Result<()> {
    named(&shared::meant(args.stack.as_deref(), app), "restore", &args.how, app).await
}

fn load(stack: &str, how: &How, app: &App) -> Result<(Settings, Stack)> {
    let settings = FlagGroups { wait: Some(&how.wait), ..FlagGroups::default() }.settings(&app.common.target)?;
    // What `--set` says here is about the job: of the stack it is what the cluster has.
    let named = StackArgs::of(Some(stack.to_owned()));
    let stack = shared::load(&named, &settings, app)?;
    Ok((settings, stack))
}

fn find<'a>(stack: &'a Stack, name: &str) -> Result<&'a Job> {
    stack.jobs.get(name).ok_or_else(|| {
        let names = || stack.jobs.keys().map(String::as_str);
        let mut error = Error::new(Kind::Usage, format!("stack {} has no job {name}", stack.name));
        if let Some(near) = closest(name, names()) {
            error = error.hint(format!("did you mean {near}?"));
        }
        error.hint(match names().collect::<Vec<_>>().as_slice() {
            [] => "it declares none; docs/stack-yaml.md shows how".to_owned(),
            names => format!("its jobs: {}", names.join(", ")),
        })
    })
}

async fn named(stack: &str, name: &str, how: &How, app: &App) -> Result<()> {
    let (settings, stack) = load(stack, how, app)?;
    let job = find(&stack, name)?.clone();
    let given: BTreeMap<String, String> =
        how.set.iter().map(|text| shared::pair("--set", text)).collect::<Result<_>>()?;
    let asked = how.wait.has(&TIMEOUT).then_some(settings.timeout);
    let timeout = asked.or(job.timeout).unwrap_or(settings.timeout);
    let chosen = plan::job::Options { chosen: job.choose(&given)?, timeout };
    let options = Options { goal: Goal::Job(Box::new(job.clone()), chosen), how: shared::how(&settings) };
    let machine = app.machine_of(&stack.name, &settings).await?;
    if !how.dry_run {
        shared::confirm_remote(app, &machine).await?;
    }
    let look = pipeline::look(&machine, &stack, &options).await?;
    if how.dry_run {
        let plan = &look.plan;
        let objects = || plan.steps.iter().filter_map(|step| step.action.job());
        app.show(|| stack::to_yaml(objects()), &JobPlan { steps: plan.document() }).await;
        return Ok(());
    }
    let Outcome { outputs, ended, .. } = pipeline::act(&machine, &stack, &options, look).await?;
    let done = outputs.job().unwrap_or_default();
    let value = JobResult {
        stack: &stack.name,
        job: &job.name,
        took_ms: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
        log: done
            .log
            .iter()
            .map(|line| LogLine { pod: &line.pod, container: &line.container, line: &line.line })
            .collect(),
    };
    match ended {
        Ok(()) => {
            let took = done.took.as_secs_f64();
            app.show(|| format!("{} of {} has succeeded after {took:.1} s", job.name, stack.name), &value).await;
            Ok(())
        }
        Err(error) => app.fail_with(String::new, &value, error).await,
    }
}

/// The jobs of a stack, with what can be said to each.
async fn list(stack: &str, how: &How, app: &App) -> Result<()> {
    if !how.set.is_empty() || how.dry_run {
        return Err(Error::new(Kind::Usage, "no job is named").hint(format!("stackctl run {stack} JOB")));
    }
    let (_, stack) = load(stack, how, app)?;
    let parameters = |job: &Job| {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let named = job.parameters().map(|(name, default)| match default {
            Some(default) => format!("{name}={}", text(default)),
            None => name.to_owned(),
        });
        named.collect::<Vec<_>>().join(", ")
    };
    let rows: Vec<[String; 3]> = stack
        .jobs
        .values()
        .map(|job| [job.name.clone(), job.description.clone().unwrap_or_default(), parameters(job)])
        .collect();
    let jobs = stack.jobs.values().map(|job| JobDescription {
        name: &job.name,
        description: job.description.as_deref(),
        parameters: job.parameters().collect(),
    });
    let value = JobList { stack: &stack.name, jobs: jobs.collect() };
    if rows.is_empty() {
        app.remark(&format!("stack {} declares no jobs", stack.name)).await;
    }
    let text = || match rows.is_empty() {
        true => String::new(),
        false => report::table(["job", "what", "parameters"], &rows, report::width()),
    };
    app.show(text, &value).await;
    Ok(())
}
