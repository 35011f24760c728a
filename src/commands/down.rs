use crate::pipeline;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, WaitArgs},
    commands::app::App,
    error::{Error, Kind, Result, words::few},
    image,
    object::Removed,
    observe,
    plan::{self, Action, Plan, down::Options, observed::Observed, summary::Summary},
    provider::ClusterState,
    report::{
        self,
        document::{self, RemovalResult},
    },
    session::{ChangeOptions, ImageOptions, Session, choice},
    settings::{NAMESPACE, Settings},
    stack::{
        self, LoadRequest,
        model::{Scope, SetKind, Stack},
    },
};

/// Whether another run has removed the cluster.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);

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
    /// Remove volumes too, and definitions and namespaces that others use
    #[arg(long, help_heading = "Removal options")]
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
    let session = args.session(settings, &name, app).await?;
    let known = stack::is_known(&named);
    let options = Options { instances: readable.iter().flat_map(instances).collect(), known, ..args.options(name) };
    let observed = observe::for_removal(&session, &options).await?;
    if let Some(live) = &observed.live {
        plan::origin::check_removal(&options.stack, stack::origin_of(&named).as_deref(), live)?;
        // A configured namespace may be meant for another stack.
        let asked =
            session.settings.namespace.as_deref().filter(|_| !args.cluster && app.common.target.has(&NAMESPACE));
        plan::origin::check_namespace(&options.stack, asked, live)?;
    }
    let plan = plan::down::plan(&options, &observed)?;
    let stays = plan::down::stays(&options, &observed);
    if args.dry_run {
        let summary = Summary::of(&plan, &observed);
        show_plans(app, &[(plan, summary)], &plan::down::others(&options, &observed), &stays).await;
        return Ok(());
    }
    shared::confirm_remote(app, &session).await?;
    let others = plan::down::others(&options, &observed);
    if !others.is_empty() {
        app.confirm(&format!("the cluster also holds {}. Remove it all?", few(&others)))?;
    }
    if plan::down::is_blind(&observed) {
        app.confirm("the cluster's contents cannot be listed. Remove it all?")?;
    }
    let receipt = remove(app, &session, &options, &plan, &observed, readable.as_slice()).await?;
    tell(app, Receipt { stays, ..receipt }).await
}

/// `--all`: the cluster with all stacks, where nothing else is in it; else one stack after the other.
async fn all(args: &DownArgs, settings: Settings, app: &App) -> Result<()> {
    if app.common.target.has(&NAMESPACE) {
        return Err(Error::new(Kind::Usage, "--namespace and --all do not go together")
            .hint("each stack is removed from the namespaces in which it has objects"));
    }
    let session = args.session(settings.clone(), "", app).await?;
    let options = Options { all: true, known: true, ..args.options(String::new()) };
    let observed = observe::for_removal(&session, &options).await?;
    let plan = plan::down::plan(&options, &observed)?;
    let stacks: Vec<String> = observed.live.iter().flat_map(|live| live.stacks()).map(str::to_owned).collect();
    if !args.dry_run {
        shared::confirm_remote(app, &session).await?;
    }
    if plan.removes_cluster() {
        if args.dry_run {
            let summary = Summary::of(&plan, &observed);
            show_plans(app, &[(plan, summary)], &[], &[]).await;
            return Ok(());
        }
        let readable: Vec<Stack> = stacks.iter().filter_map(|stack| readable(stack, &settings)).collect();
        let receipt = remove(app, &session, &options, &plan, &observed, &readable).await?;
        return tell(app, receipt).await;
    }
    let stays = plan::down::stays(&options, &observed);
    let (mut plans, mut whole) = (Vec::new(), Receipt::default());
    for stack in stacks {
        let readable = readable(&stack, &settings);
        let session = args.session(settings.clone(), &stack, app).await?;
        let instances = readable.iter().flat_map(instances).collect();
        let options = Options { instances, known: true, ..args.options(stack.clone()) };
        let observed = observe::for_removal(&session, &options).await?;
        let plan = plan::down::plan(&options, &observed)?.of_stack(&stack);
        match args.dry_run {
            true => {
                let summary = Summary::of(&plan, &observed);
                plans.push((plan, summary));
            }
            false => whole.add(remove(app, &session, &options, &plan, &observed, readable.as_slice()).await?),
        }
    }
    if args.dry_run {
        show_plans(app, &plans, &[], &stays).await;
        return Ok(());
    }
    tell(app, Receipt { stays, ..whole }).await
}

impl DownArgs {
    async fn session(&self, settings: Settings, stack: &str, app: &App) -> Result<Session> {
        let how = ChangeOptions {
            prune_data: self.prune_data,
            delete_adopted: self.delete_adopted,
            ..ChangeOptions::default()
        };
        Session::open(settings, Stack::named(stack), ImageOptions::default(), how, &app.events, &app.cancel).await
    }

    fn options(&self, stack: String) -> Options {
        Options {
            stack,
            cluster: self.cluster,
            prune_data: self.prune_data,
            delete_adopted: self.delete_adopted,
            dry_run: self.dry_run,
            ..Options::default()
        }
    }
}

/// Whether the cluster went too. Of several that go at the same time each sees the others' records and leaves the cluster
/// to them: the last one takes it along.
async fn execute(session: &Session, options: &Options, plan: &Plan, observed: &Observed) -> Result<bool> {
    let others = observed.live.as_ref().filter(|live| observed.traits.is_ours() && !options.is_last(live));
    if others.is_none() || plan.removes_cluster() {
        pipeline::execute(session, plan, observed).await?;
        return Ok(plan.removes_cluster());
    }
    let work = async {
        pipeline::execute(session, plan, observed).await?;
        let left = session.kube().await?.read_parents().await?;
        if left.keys().any(|parent| parent.starts_with("stack-")) {
            return Ok(None);
        }
        // This one is on record no more, and is asked for all the same.
        let options = Options { known: true, ..options.clone() };
        let observed = observe::for_removal(session, &options).await?;
        let plan = plan::down::plan(&options, &observed)?;
        Ok(plan.removes_cluster().then_some((plan, observed)))
    };
    match unless_gone(session, Box::pin(work)).await? {
        Some(None) => Ok(false),
        Some(Some((plan, observed))) => pipeline::execute(session, &plan, &observed).await.map(|()| true),
        None => Ok(true),
    }
}

/// None: another run has removed the cluster meanwhile.
async fn unless_gone<T>(session: &Session, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    let is_gone = async || session.provider.observe().await.is_ok_and(|state| state == ClusterState::Absent);
    let gone = async {
        while !is_gone().await {
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    };
    tokio::select! {
        done = work => match done {
            Ok(done) => Ok(Some(done)),
            Err(_) if is_gone().await => Ok(None),
            Err(error) => Err(error),
        },
        () = gone => Ok(None),
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
struct Receipt {
    removed: Vec<Removed>,
    kept: Vec<report::Kept>,
    /// What keeps the cluster.
    stays: Vec<String>,
    left: Vec<Removed>,
    unseen: BTreeMap<String, String>,
}

impl Receipt {
    fn add(&mut self, other: Receipt) {
        self.removed.extend(other.removed);
        self.kept.extend(other.kept);
        self.left.extend(other.left);
        self.unseen.extend(other.unseen);
    }
}

/// Executes the plan and looks at everything again. `readable`: the stacks that go, as far as they can be read.
async fn remove(
    app: &App,
    session: &Session,
    options: &Options,
    plan: &Plan,
    observed: &Observed,
    readable: &[Stack],
) -> Result<Receipt> {
    let whole = execute(session, options, plan, observed).await?;
    let (mut removed, kept) = session.learn(|learned| (std::mem::take(&mut learned.removed), learned.kept.clone()));
    let live = || observed.live.iter();
    let name = &session.stack.name;
    let recorded = live().flat_map(|live| live.instances(name)).map(str::to_owned);
    let instances: Vec<String> = recorded.chain(options.instances.iter().cloned()).collect();
    let namespaces: Vec<String> = live().flat_map(|live| live.namespaces(name)).map(str::to_owned).collect();
    // Images that services are built from.
    let bases: BTreeSet<String> = readable.iter().flat_map(bases).collect();
    let left = match session.audit(whole, &instances, &namespaces, &bases).await {
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
    // The records of the sets went too.
    if plan.has(&Action::DeleteInventory) && left.things.is_empty() && kept.is_empty() {
        removed.extend(session.forget_cluster()?);
    }
    let objects = kept.iter().map(|key| report::Kept { what: key.place(), bytes: None });
    let things = left.kept.into_iter().map(|kept| report::Kept { what: kept.name, bytes: Some(kept.size) });
    let kept: Vec<report::Kept> = objects.chain(things).collect();
    Ok(Receipt { removed, kept, stays: Vec::new(), left: left.things, unseen: left.unseen })
}

async fn tell(app: &App, receipt: Receipt) -> Result<()> {
    let Receipt { removed, kept, stays, left, unseen } = receipt;
    let value = RemovalResult { removed: &removed, kept: &kept, stays: &stays, left: &left, unseen };
    let text = || {
        let mut lines = vec![report::receipt(&removed, &kept, &left)];
        if !stays.is_empty() {
            let stays = few(&stays);
            lines.push(format!(
                "the cluster stays, because it also holds {stays}; `stackctl down --cluster` removes it all"
            ));
        }
        lines.join("\n")
    };
    if left.is_empty() {
        app.show(text, &value).await;
        return Ok(());
    }
    let error = Error::new(Kind::LeftBehind, format!("{} left behind", report::count(left.len(), "thing")))
        .hint("run the same command again; what stays can be removed by these names with docker or kubectl");
    app.fail_with(text, &value, error).await
}

/// The stack, where it can still be read.
fn readable(stack: &str, settings: &Settings) -> Option<Stack> {
    let request = LoadRequest {
        stack: stack.to_owned(),
        provider: settings.choice.name().to_owned(),
        edge_on_nodes: choice(settings).traits().has_proxy(),
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
