use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, WaitArgs},
    commands::app::App,
    error::{Error, Kind, Result, words::few},
    execute::{self, ChangeOptions},
    image,
    machine::{Machine, choice},
    object::Removed,
    pipeline::{
        self, Goal, Look, Options,
        removal::{self, Meant, Removal},
    },
    plan::{Plan, down, summary::Summary},
    provider::{Answer, sweep::Kept},
    report::{
        self,
        document::{self, RemovalResult},
    },
    settings::{NAMESPACE, Settings},
    stack::{
        self, LoadRequest,
        model::{Scope, SetKind, Stack},
    },
};

/// Remove a stack, with its cluster when nothing else is in it, and look for anything left
///
/// Volumes, and definitions and namespaces in which others have objects, stay unless --prune-data is given.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    stack: Option<String>,
    /// All stacks of the cluster
    #[arg(long, conflicts_with_all = ["stack", "cluster"])]
    all: bool,
    /// Remove the cluster too, whatever else runs in it
    #[arg(long)]
    cluster: bool,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Remove volumes too, also those that outlive the cluster, and definitions and namespaces that others use
    #[arg(long, visible_alias = "delete-data", help_heading = "Removal options")]
    prune_data: bool,
    /// Delete objects that were taken over with --adopt too, instead of leaving them in place
    #[arg(long, help_heading = "Removal options")]
    delete_adopted: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: DownArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { wait: Some(&args.wait), ..FlagGroups::default() }.settings(&app.common.target)?;
    if args.all {
        return Box::pin(all(&args, settings, app)).await;
    }
    // A stack that can no longer be read can still be removed.
    let named = shared::meant(args.stack.as_deref(), app);
    let name = stack::name_of(&named)?;
    let readable = readable(&named, &settings);
    let known = stack::is_known(&named);
    let down = down::Options { instances: readable.iter().flat_map(instances).collect(), known, ..args.goal(name) };
    // A configured namespace may be meant for another stack.
    let is_asked = !args.cluster && app.common.target.has(&NAMESPACE);
    let namespace = settings.namespace.clone().filter(|_| is_asked);
    let meant = Meant { origin: stack::origin_of(&named), namespace };
    let machine = app.machine_of(&down.stack, &settings).await?;
    let work = Work { app, machine: &machine, how: args.how(&settings), down };
    let look = work.look(Some(meant)).await?;
    let stays = down::stays(&work.down, &look.observed);
    let others = down::others(&work.down, &look.observed);
    if args.dry_run {
        let summary = Summary::of(&look.plan, &look.observed);
        show_plans(app, &[(look.plan, summary)], &others, &stays).await;
        return Ok(());
    }
    shared::confirm_remote(app, &machine).await?;
    if !others.is_empty() {
        app.confirm(&format!("the cluster also holds {}. Remove it all?", few(&others)))?;
    }
    if down::is_blind(&look.observed) {
        app.confirm("the cluster's contents cannot be listed. Remove it all?")?;
    } else if args.cluster && others.is_empty() && look.observed.traits.costs == Answer::Yes {
        let (name, stack) = (&machine.name, &work.down.stack);
        app.confirm(&format!("this removes the whole cluster {name}, which the stack {stack} is in. Go on?"))?;
    }
    let receipt = work.remove(&look, readable.as_slice()).await?;
    let (costs, command) = (look.observed.traits.costs == Answer::Yes, work.down.whole_command());
    tell(app, Receipt { stays, costs, command, ..receipt }).await
}

/// `--all`: the cluster with all stacks, where nothing else is in it; else one stack after the other.
async fn all(args: &DownArgs, settings: Settings, app: &App) -> Result<()> {
    if app.common.target.has(&NAMESPACE) {
        return Err(Error::new(Kind::Usage, "--namespace and --all do not go together")
            .hint("each stack is removed from the namespaces in which it has objects"));
    }
    if settings.has_cluster_for_each_stack() {
        return Err(Error::new(Kind::Usage, "--all would look at one of several clusters: each stack has its own")
            .hint("name the stack: stackctl down STACK; or the cluster of all of them: --cluster-name NAME"));
    }
    let machine = app.machine(&settings).await?;
    let down = down::Options { all: true, known: true, ..args.goal(String::new()) };
    let work = Work { app, machine: &machine, how: args.how(&settings), down };
    let look = work.look(None).await?;
    let stacks: Vec<String> = look.observed.live.iter().flat_map(|live| live.stacks()).map(str::to_owned).collect();
    if !args.dry_run {
        shared::confirm_remote(app, &machine).await?;
    }
    if look.plan.removes_cluster() {
        if args.dry_run {
            let summary = Summary::of(&look.plan, &look.observed);
            show_plans(app, &[(look.plan, summary)], &[], &[]).await;
            return Ok(());
        }
        let readable: Vec<Stack> = stacks.iter().filter_map(|stack| readable(stack, &settings)).collect();
        let receipt = work.remove(&look, &readable).await?;
        return tell(app, receipt).await;
    }
    let stays = down::stays(&work.down, &look.observed);
    let (mut plans, mut whole) = (Vec::new(), Receipt::default());
    for stack in stacks {
        let readable = readable(&stack, &settings);
        let instances = readable.iter().flat_map(instances).collect();
        let down = down::Options { instances, known: true, ..args.goal(stack.clone()) };
        let work = Work { app, machine: &machine, how: args.how(&settings), down };
        let Look { observed, plan } = work.look(None).await?;
        let look = Look { observed, plan: plan.of_stack(&stack) };
        match args.dry_run {
            true => {
                let summary = Summary::of(&look.plan, &look.observed);
                plans.push((look.plan, summary));
            }
            false => whole.add(work.remove(&look, readable.as_slice()).await?),
        }
    }
    if args.dry_run {
        show_plans(app, &plans, &[], &stays).await;
        return Ok(());
    }
    let command = work.down.whole_command();
    tell(app, Receipt { stays, command, ..whole }).await
}

impl DownArgs {
    fn how(&self, settings: &Settings) -> execute::Options {
        let change = ChangeOptions {
            prune_data: self.prune_data,
            delete_adopted: self.delete_adopted,
            ..ChangeOptions::default()
        };
        execute::Options { change, ..shared::how(settings) }
    }

    fn goal(&self, stack: String) -> down::Options {
        down::Options {
            stack,
            cluster: self.cluster,
            prune_data: self.prune_data,
            delete_adopted: self.delete_adopted,
            dry_run: self.dry_run,
            ..down::Options::default()
        }
    }
}

/// The removal of one stack, or of all.
pub struct Work<'a> {
    pub app: &'a App,
    pub machine: &'a Machine,
    pub how: execute::Options,
    pub down: down::Options,
}

impl Work<'_> {
    pub async fn look(&self, meant: Option<Meant>) -> Result<Look> {
        let goal = Goal::Down(self.down.clone(), meant);
        let stack = Stack::named(&self.down.stack);
        pipeline::look(self.machine, &stack, &Options { goal, how: self.how.clone() }).await
    }

    /// Executes the plan and looks at everything again. `readable`: the stacks that go, as far as they can be read.
    pub async fn remove(&self, look: &Look, readable: &[Stack]) -> Result<Receipt> {
        let app = self.app;
        let bases: BTreeSet<String> = readable.iter().flat_map(bases).collect();
        let Removal { removed, kept, left } =
            removal::remove(self.machine, &self.down, &self.how, look, &bases).await?;
        let left = match left {
            Ok(left) => left,
            // What was removed is told, even where nobody can look for the rest.
            Err(error) => {
                let receipt =
                    RemovalResult { removed: &removed, kept: &[], stays: &[], left: &[], unseen: BTreeMap::new() };
                let told = app.fail_with(|| report::removed(&removed), &receipt, error).await;
                return told.map(|()| Receipt::default());
            }
        };
        if let Some(blind_spot) = left.blind_spot() {
            app.events.warn(blind_spot);
        }
        if let Some(lookalikes) = left.lookalikes() {
            app.events.warn(lookalikes);
        }
        let objects = kept.iter().map(|key| report::Kept { what: key.place(), bytes: None, per_month: None });
        let thing = |kept: Kept| report::Kept { what: kept.name, bytes: Some(kept.size), per_month: kept.per_month };
        let things = left.kept.into_iter().map(thing);
        let kept: Vec<report::Kept> = objects.chain(things).collect();
        Ok(Receipt { removed, kept, left: left.things, unseen: left.unseen, ..Receipt::default() })
    }
}

async fn show_plans(app: &App, plans: &[(Plan, Summary)], others: &[String], stays: &[String]) {
    let steps: Vec<_> = plans.iter().flat_map(|(plan, _)| plan.document()).collect();
    let summary = Summary::together(plans.iter().map(|(_, summary)| summary.clone()));
    let value = document::Plan { summary, steps, kept: Vec::new(), others, stays };
    let text = || {
        let mut lines = vec![match value.steps.is_empty() {
            true => "nothing to do".to_owned(),
            false => shared::plan_text(app, plans.iter().map(|(plan, _)| plan), &value.summary),
        }];
        lines.extend(others.iter().map(|other| format!("the cluster goes with {other}")));
        lines.extend(stays.iter().map(|other| format!("the cluster stays: it also holds {other}")));
        lines.join("\n")
    };
    app.show(text, &value).await;
}

/// What was removed, what is kept, and after another look at everything what is left.
#[derive(Debug, Default)]
pub struct Receipt {
    removed: Vec<Removed>,
    kept: Vec<report::Kept>,
    /// What keeps the cluster.
    stays: Vec<String>,
    /// Somebody pays for the cluster as long as it stays.
    costs: bool,
    /// What removes the cluster that stays.
    command: String,
    left: Vec<Removed>,
    unseen: BTreeMap<String, String>,
}

impl Receipt {
    pub fn add(&mut self, other: Receipt) {
        self.removed.extend(other.removed);
        self.kept.extend(other.kept);
        self.left.extend(other.left);
        self.unseen.extend(other.unseen);
    }

    pub fn document(&self) -> RemovalResult<'_> {
        let Receipt { removed, kept, stays, left, unseen, .. } = self;
        RemovalResult { removed, kept, stays, left, unseen: unseen.clone() }
    }

    pub fn text(&self) -> String {
        let mut lines = vec![report::receipt(&self.removed, &self.kept, &self.left)];
        if !self.stays.is_empty() {
            let stays = few(&self.stays);
            let command = &self.command;
            lines.push(format!("the cluster stays, because it also holds {stays}; `{command}` removes it all"));
        }
        lines.join("\n")
    }
}

async fn tell(app: &App, receipt: Receipt) -> Result<()> {
    if receipt.costs && !receipt.stays.is_empty() {
        app.events.warn(format!("the cluster stays and goes on costing money; `{}` removes it", receipt.command));
    }
    let value = receipt.document();
    match left_behind(&receipt) {
        None => {
            app.show(|| receipt.text(), &value).await;
            Ok(())
        }
        Some(error) => app.fail_with(|| receipt.text(), &value, error).await,
    }
}

/// What is there after all is a failure.
pub fn left_behind(receipt: &Receipt) -> Option<Error> {
    let number = receipt.left.len();
    (number > 0).then(|| {
        Error::new(Kind::LeftBehind, format!("{} left behind", report::count(number, "thing")))
            .hint("run the same command again; what stays can be removed by these names with docker or kubectl")
    })
}

/// The stack, where it can still be read.
fn readable(stack: &str, settings: &Settings) -> Option<Stack> {
    let request = LoadRequest {
        stack: stack.to_owned(),
        provider: settings.choice.name().to_owned(),
        edge_on_nodes: choice(settings).traits().has_proxy(),
        edge_balanced: shared::balanced(settings),
        without: settings.without.clone(),
        ..LoadRequest::default()
    };
    stack::load(&request).ok()
}

/// The sets of its own components.
fn instances(stack: &Stack) -> Vec<String> {
    let own = stack.sets.iter().filter(|set| set.kind == SetKind::Component && set.scope == Scope::Stack);
    own.map(|set| set.name.clone()).collect()
}

/// The images that the stack's services are built from.
fn bases(stack: &Stack) -> Vec<String> {
    let bases = stack.services.values().filter_map(|service| image::base::of(service).ok());
    bases.flatten().collect()
}
