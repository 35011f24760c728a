use crate::pipeline::{self, Look, Outcome};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::shared::{self, ImageArgs};
use crate::{
    cli::{Given, Making, Patience, Ports, StackArgs},
    commands::{app::App, artifacts},
    error::Result,
    kube::ownership::holds::Kept,
    observe::{reach, urls},
    plan::{self, Action, Plan, observed::Observed, summary::Summary},
    report,
    session::{ApplyOptions, Session},
};

/// Bring a stack up: cluster, images, objects, and wait until all is ready
///
/// What is there already is left alone: a second run finds nothing to do. A run that was killed is continued by the next.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    stack: StackArgs,
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
    making: Making,
    #[command(flatten)]
    ports: Ports,
    #[command(flatten)]
    patience: Patience,
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
    let given = Given {
        making: Some(&args.making),
        stack: Some(&args.stack),
        patience: Some(&args.patience),
        ports: Some(&args.ports),
        ..Given::default()
    };
    let settings = given.settings(&app.common.target)?;
    let mode = Mode { make_cluster: true, prove: args.test, dry_run: args.dry_run };
    bring_up(app, settings, &args.stack, &args.apply, &args.images, mode).await
}

/// Where the stack is reached: through its edge where this machine has a way to it, else by a forward to each Service.
async fn reached(session: &Session, plan: &Plan, observed: &Observed) -> Result<(Vec<reach::Way>, Vec<urls::Url>)> {
    let ports = match session.learn(|learned| learned.proxy_ports.clone()) {
        ports if !ports.is_empty() => ports,
        _ => {
            observed.provider.proxy.container.as_ref().map(|container| container.published.clone()).unwrap_or_default()
        }
    };
    match plan::up::edge::declared(&plan.sets) {
        Some((set, object)) if observed.traits.has_proxy() => {
            let service = &plan.sets[set].objects[object].object.value;
            Ok((Vec::new(), urls::awaited(session, service, &ports).await?))
        }
        _ => Ok((reach::ways(session, plan).await, Vec::new())),
    }
}

/// The pipeline, in order: parse, observe, plan, execute, report.
pub async fn bring_up(
    app: &App,
    settings: crate::settings::Settings,
    stack: &StackArgs,
    apply: &ApplyArgs,
    images: &ImageArgs,
    mode: Mode,
) -> Result<()> {
    let mut stack = shared::load(stack, &settings, app)?;
    stack.skip_disruptive_proofs();
    let how = ApplyOptions {
        force_conflicts: apply.force_conflicts,
        replace: apply.replace,
        prune_data: apply.prune_data,
        adopt: apply.adopt,
        take_over: apply.take_over,
        delete_adopted: false,
    };
    let session = Session::open(settings, stack, images.options()?, how, &app.events, &app.cancel).await?;
    if !mode.dry_run {
        shared::confirm_remote(app, &session).await?;
    }
    let options = plan::up::Options {
        make_cluster: mode.make_cluster,
        prove: mode.prove,
        await_background: mode.prove,
        tag: apply.tag.clone(),
        agent_given: session.settings.agent_image.is_some(),
        rebuild: images.rebuild(),
        prune_data: apply.prune_data,
        prune_first: apply.prune_first,
        adopt: apply.adopt,
        take_over: apply.take_over,
        asked: session.asked_ports(),
    };
    if mode.dry_run {
        let Look { plan, observed } = pipeline::look(&session, &options).await?;
        let summary = Summary::of(&plan, &observed);
        let kept: Vec<String> = plan.kept.iter().map(Kept::to_string).collect();
        let value = json!({ "summary": summary, "unchanged": plan.unchanged, "steps": plan.document(), "kept": kept });
        let text = || {
            let summary = match plan.steps.is_empty() {
                true => format!("nothing to do: {} unchanged", report::count(plan.unchanged, "object")),
                false => shared::plan_text(app, &plan, &summary),
            };
            [vec![summary], kept].concat().join("\n")
        };
        app.show(text, &value).await;
        return Ok(());
    }
    let Outcome { observed, plan, ended } = pipeline::reconcile(&session, &options).await?;
    if let (Err(error), Some(folder)) = (&ended, &apply.artifacts)
        && let Err(unwritten) = artifacts::write(&session, folder, error).await
    {
        // What went wrong first is what the user has to know.
        app.events.warn(format!("no artifacts: {unwritten}"));
    }
    let proofs = session.learn(|learned| learned.proofs.clone());
    let (ways, urls) = match &ended {
        Ok(()) => reached(&session, &plan, &observed).await?,
        Err(_) => (Vec::new(), Vec::new()),
    };
    let ended = ended.and(urls::all_answered(&urls)).and(reach::all_lead_somewhere(&ways));
    let value = json!({
        "stack": session.stack.name,
        "unchanged": plan.unchanged,
        "starting": plan.starting,
        "reach": ways,
        "urls": urls,
        "proofs": proofs,
        "run": app.settle().await,
    });
    let text = || {
        let proofs = report::proof_lines(&proofs, app.view.paint());
        let urls = (!urls.is_empty()).then(|| report::url_table(&urls, report::width()));
        proofs.into_iter().chain(ways.iter().map(reach::Way::text)).chain(urls).collect::<Vec<_>>().join("\n")
    };
    match ended {
        Ok(()) => {
            if plan.steps.is_empty() {
                let count = report::count(plan.unchanged, "object");
                app.remark(&format!("{} is up, nothing to do: {count} unchanged", session.stack.name)).await;
            }
            // Where something is pruned, that step has told of what stays.
            if !plan.steps.iter().any(|step| matches!(step.action, Action::Prune { .. })) {
                for kept in &plan.kept {
                    app.remark(&kept.to_string()).await;
                }
            }
            if !plan.starting.is_empty() {
                let names = plan.starting.join(", ");
                app.remark(&format!("starting in the background: {names} (`stackctl test` waits for it)")).await;
            }
            app.show(text, &value).await;
            Ok(())
        }
        Err(error) => app.fail_with(text, &value, error).await,
    }
}
