use std::path::PathBuf;

use clap::Args;

use super::{
    shared::{self, ImageArgs},
    up_all,
};
use crate::{
    cli::{EdgeArgs, FlagGroups, NewClusterArgs, StackArgs, WaitArgs},
    commands::{app::App, artifacts},
    error::{Error, Result},
    execute::{self, ChangeOptions},
    kube::ownership::holds::Kept,
    machine::Machine,
    observe::{
        certificates,
        entrance::{self, Entrance},
        reach, urls,
    },
    pipeline::{self, Goal, Look, Options, Outcome},
    plan::{self, Action, Plan, summary::Summary},
    provider::Asked,
    report::{
        self,
        document::{self, StackResult, UpResult},
    },
    settings::Settings,
    stack::model::Stack,
};

/// Bring a stack up: cluster, images, objects, and wait until all is ready
///
/// What is there already is left alone: a second run finds nothing to do. A run that was killed is continued by the next.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// All stacks that ship with stackctl, one after the other
    #[arg(long, conflicts_with = "stack")]
    all: bool,
    /// Run the stack's proofs at the end
    #[arg(long, help_heading = None::<&str>)]
    test: bool,
    /// Only print what would be done
    #[arg(long, help_heading = None::<&str>)]
    pub dry_run: bool,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    new_cluster: NewClusterArgs,
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// How objects reach the cluster; `up` and `deploy` share it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Apply options")]
pub struct ApplyArgs {
    /// Give the images this tag too; pods always name the content's hash
    #[arg(long, value_name = "TAG", help_heading = "Build options")]
    pub tag: Option<String>,
    /// Take fields that another manager has set
    #[arg(long)]
    pub force_conflicts: bool,
    /// Take over objects that stackctl did not make; `down` leaves them in place
    #[arg(long)]
    pub adopt: bool,
    /// Take over a stack of this name that came from another folder or repository
    #[arg(long)]
    pub take_over: bool,
    /// Delete and create again what cannot change in place; data goes only with --prune-data
    #[arg(long)]
    pub replace: bool,
    /// Remove volumes that left the stack too, and definitions and namespaces that others use
    #[arg(long, help_heading = "Removal options")]
    pub prune_data: bool,
    /// Remove what left the stack before anything is applied, instead of after it
    #[arg(long, help_heading = "Removal options")]
    pub prune_first: bool,
    /// When it fails, keep events, logs and objects in this folder
    #[arg(long, value_name = "DIR", help_heading = None::<&str>)]
    pub artifacts: Option<PathBuf>,
}

/// What differs between `up` and `deploy`.
pub struct Mode {
    pub make_cluster: bool,
    pub prove: bool,
    pub dry_run: bool,
}

pub async fn run(args: UpArgs, app: &App) -> Result<()> {
    let flags = FlagGroups {
        new_cluster: Some(&args.new_cluster),
        stack: Some(&args.stack),
        wait: Some(&args.wait),
        edge: Some(&args.edge),
        ..FlagGroups::default()
    };
    let settings = flags.settings(&app.common.target)?;
    let mode = Mode { make_cluster: true, prove: args.test, dry_run: args.dry_run };
    if args.all {
        return up_all::run(app, settings, &args.stack.set, &args.apply, &args.images, mode).await;
    }
    bring_up(app, settings, &args.stack, &args.apply, &args.images, mode).await
}

/// Where the stack is reached: through its edge where this machine has a way to it, else by a forward to each Service.
async fn reached(work: &Work<'_>, outcome: &Outcome) -> Result<(Vec<reach::Way>, Vec<urls::Url>)> {
    let Outcome { observed, plan, outputs, .. } = outcome;
    let Some(entrance) = entrance(work.machine, outcome).await? else {
        let options = reach::options(work.stack, work.settings);
        return Ok((reach::ways(work.machine, plan, &options).await, Vec::new()));
    };
    let seen = observed.live.as_ref().map(|live| certificates::foreign(work.stack, &live.certificates));
    let mut foreign = seen.unwrap_or_default();
    foreign.extend(outputs.foreign_certificates());
    let edge = urls::Edge { stack: work.stack, entrance, foreign: foreign.values().next() };
    Ok((Vec::new(), urls::awaited(work.machine, &edge).await?))
}

/// None: this machine has no way to the edge, or the stack has no edge.
async fn entrance(machine: &Machine, outcome: &Outcome) -> Result<Option<Entrance>> {
    let Outcome { observed, plan, outputs, .. } = outcome;
    if let Some(service) = plan::up::edge::balanced(&plan.sets) {
        return entrance::of_service(machine, service).await;
    }
    let declared = plan::up::edge::declared(&plan.sets).filter(|_| observed.traits.has_proxy());
    let published = || match outputs.proxy_ports() {
        ports if !ports.is_empty() => ports,
        _ => {
            observed.provider.proxy.container.as_ref().map(|container| container.published.clone()).unwrap_or_default()
        }
    };
    let of =
        |(set, object): (usize, usize)| Entrance::of_proxy(&plan.sets[set].objects[object].object.value, &published());
    Ok(declared.map(of))
}

/// One stack on its way into a cluster.
pub struct Work<'a> {
    pub machine: &'a Machine,
    pub stack: &'a Stack,
    pub settings: &'a Settings,
    pub apply: &'a ApplyArgs,
}

/// The pipeline, in order: parse, observe, plan, execute, report.
pub async fn bring_up(
    app: &App,
    settings: Settings,
    stack: &StackArgs,
    apply: &ApplyArgs,
    images: &ImageArgs,
    mode: Mode,
) -> Result<()> {
    let mut stack = shared::load(stack, &settings, app)?;
    stack.skip_disruptive_proofs();
    let options = apply.options(&settings, images, &mode)?;
    let machine = app.machine_of(&stack.name, &settings).await?;
    if !mode.dry_run {
        shared::confirm_remote(app, &machine).await?;
    }
    if mode.dry_run {
        let (text, value) = outlined(app, &pipeline::look(&machine, &stack, &options).await?);
        app.show(|| text, &value).await;
        return Ok(());
    }
    let work = Work { machine: &machine, stack: &stack, settings: &settings, apply };
    let look = pipeline::look(&machine, &stack, &options).await?;
    shared::confirm_bill(app, &look)?;
    let told = told(app, &work, pipeline::act(&machine, &stack, &options, look).await?).await?;
    let value = UpResult { stack: told.value, run: app.settle().await };
    for line in told.remarks {
        app.remark(&line).await;
    }
    match told.ended {
        Ok(()) => {
            app.show(|| told.text, &value).await;
            Ok(())
        }
        Err(error) => app.fail_with(|| told.text, &value, error).await,
    }
}

impl ApplyArgs {
    fn change(&self) -> ChangeOptions {
        ChangeOptions {
            force_conflicts: self.force_conflicts,
            replace: self.replace,
            prune_data: self.prune_data,
            adopt: self.adopt,
            take_over: self.take_over,
            delete_adopted: false,
        }
    }

    pub fn options(&self, settings: &Settings, images: &ImageArgs, mode: &Mode) -> Result<Options> {
        let goal = plan::up::Options {
            make_cluster: mode.make_cluster,
            prove: mode.prove,
            await_background: mode.prove,
            tag: self.tag.clone(),
            agent_given: settings.agent_image.is_some(),
            rebuild: images.rebuild(),
            prune_data: self.prune_data,
            prune_first: self.prune_first,
            adopt: self.adopt,
            take_over: self.take_over,
            asked: Asked { https: settings.https_port, http: settings.http_port },
        };
        let build = images.options(settings)?;
        let how = execute::Options { build, change: self.change(), ..shared::how(settings) };
        Ok(Options { goal: Goal::Up(goal), how })
    }
}

/// What a plan would do, for people and for programs.
pub fn outlined<'a>(app: &App, look: &Look) -> (String, document::Plan<'a>) {
    let Look { plan, observed } = look;
    let summary = Summary::of(plan, observed);
    let kept: Vec<String> = plan.kept.iter().map(Kept::to_string).collect();
    let text = match plan.steps.is_empty() {
        true => format!("nothing to do: {} unchanged", report::count(plan.unchanged, "object")),
        false => shared::plan_text(app, std::iter::once(plan), &summary),
    };
    let text = [&[text][..], &kept].concat().join("\n");
    (text, document::Plan { summary, steps: plan.document(), kept, others: &[], stays: &[] })
}

/// What a run of one stack came to, to be told.
pub struct Told {
    pub ended: Result<()>,
    pub value: StackResult,
    pub text: String,
    /// What there is to say besides, where it ended well.
    pub remarks: Vec<String>,
}

impl Told {
    /// Of a stack for which nothing could be begun.
    pub fn failed(stack: &Stack, error: Error) -> Told {
        let value = StackResult { stack: stack.name.clone(), ..StackResult::default() };
        Told { ended: Err(error), value, text: String::new(), remarks: Vec::new() }
    }
}

pub async fn told(app: &App, work: &Work<'_>, outcome: Outcome) -> Result<Told> {
    if let (Err(error), Some(folder)) = (&outcome.ended, &work.apply.artifacts)
        && let Err(unwritten) = artifacts::write(work.machine, work.stack, folder, error).await
    {
        // What went wrong first is what the user has to know.
        app.events.warn(format!("no artifacts: {unwritten}"));
    }
    let (ways, urls) = match &outcome.ended {
        Ok(()) => reached(work, &outcome).await?,
        Err(_) => (Vec::new(), Vec::new()),
    };
    let Outcome { plan, outputs, ended, .. } = outcome;
    let proofs = outputs.proofs();
    let ended = ended.and(urls::all_answered(&urls)).and(reach::all_lead_somewhere(&ways));
    let (starting, stack) = (plan.starting.clone(), work.stack.name.clone());
    let lines = report::proof_lines(&proofs, app.view.paint());
    let table = (!urls.is_empty()).then(|| report::url_table(&urls, report::width()));
    let text = lines.into_iter().chain(ways.iter().map(reach::Way::text)).chain(table).collect::<Vec<_>>().join("\n");
    let remarks = if ended.is_ok() { remarks(&work.stack.name, &plan) } else { Vec::new() };
    let value = StackResult {
        stack,
        unchanged: plan.unchanged,
        starting,
        aside: plan.aside.clone(),
        reach: ways,
        urls,
        proofs,
    };
    Ok(Told { ended, value, text, remarks })
}

fn remarks(stack: &str, plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.steps.is_empty() {
        let count = report::count(plan.unchanged, "object");
        lines.push(format!("{stack} is up, nothing to do: {count} unchanged"));
    }
    // Where something is pruned, that step has told of what stays.
    if !plan.steps.iter().any(|step| matches!(step.action, Action::Prune { .. })) {
        lines.extend(plan.kept.iter().map(Kept::to_string));
    }
    lines.extend(plan.aside.iter().map(ToString::to_string));
    if !plan.starting.is_empty() {
        let names = plan.starting.join(", ");
        lines.push(format!("starting in the background: {names} (`stackctl test` waits for it)"));
    }
    lines
}
