//! `up --all`: every embedded stack. All are looked at together; those that lack something are brought up one after the
//! other, because they share a cluster and components.

use std::collections::BTreeSet;

use futures::future::{join_all, try_join_all};

use super::{
    shared::{self, ImageArgs},
    up::{ApplyArgs, Mode, Told, Work, outlined, told},
};
use crate::{
    cli::StackArgs,
    commands::app::App,
    error::{Error, Kind, Result},
    machine::Machine,
    pipeline::{self, Look, Options},
    provider::ClusterState,
    report::document::{Plans, StackPlan, UpAllResult},
    settings::Settings,
    stack::{self, LoadRequest, model::Stack},
};

pub async fn run(
    app: &App,
    settings: Settings,
    set: &[String],
    apply: &ApplyArgs,
    images: &ImageArgs,
    mode: Mode,
) -> Result<()> {
    check(&settings)?;
    let stacks = stacks(app, &settings, set)?;
    if stacks.is_empty() {
        return Err(Error::new(Kind::Usage, "no stack ships with stackctl"));
    }
    let options = apply.options(&settings, images, &mode)?;
    let machine = app.machine(&settings).await?;
    if machine.provider.observe().await? == (ClusterState::Ours { stopped: false }) {
        machine.kube().await?;
    }
    if !mode.dry_run {
        shared::confirm_remote(app, &machine).await?;
    }
    let looks = try_join_all(stacks.iter().map(|stack| look(&machine, stack, &options))).await?;
    if mode.dry_run {
        return show_plans(app, &stacks, &looks).await;
    }
    let mut changed = false;
    let mut outcomes = Vec::new();
    for (stack, seen) in stacks.iter().zip(looks) {
        // What was seen is old once another stack has written something.
        let seen = if changed { look(&machine, stack, &options).await } else { Ok(seen) };
        changed |= seen.as_ref().is_ok_and(|seen| !seen.plan.steps.is_empty());
        let outcome = async { pipeline::act(&machine, stack, &options, seen?).await };
        outcomes.push(outcome.await);
        if app.cancel.is_cancelled() {
            break;
        }
    }
    let works = stacks.iter().map(|stack| Work { machine: &machine, stack, settings: &settings, apply });
    let told = works.zip(outcomes).map(|(work, outcome)| async move {
        let told = async { told(app, &work, outcome?).await };
        told.await.unwrap_or_else(|error| Told::failed(work.stack, error))
    });
    show(app, join_all(told).await).await
}

/// What is about one stack is not about all of them.
fn check(settings: &Settings) -> Result<()> {
    let wrong =
        |what: &str, why: &str| Err(Error::new(Kind::Usage, format!("{what} and --all do not go together")).hint(why));
    if settings.has_cluster_for_each_stack() {
        return Err(Error::new(Kind::Usage, "--all would make a cluster for each stack")
            .hint("name one for all of them: --cluster-name NAME"));
    }
    if settings.namespace.is_some() {
        return wrong("a namespace", "each stack has a namespace of its own: leave --namespace out");
    }
    if settings.https_port.is_some() || settings.http_port.is_some() {
        return wrong("a port", "each stack's edge has ports of its own: leave --https-port and --http-port out");
    }
    Ok(())
}

/// Every stack, each with those of the values that it has. A value that none of them has is an error.
fn stacks(app: &App, settings: &Settings, set: &[String]) -> Result<Vec<Stack>> {
    let (mut stacks, mut unknown): (Vec<Stack>, Option<BTreeSet<String>>) = (Vec::new(), None);
    for known in stack::list() {
        let named = StackArgs { set: set.to_vec(), ..StackArgs::of(Some(known.name)) };
        let request = LoadRequest { for_several: true, ..shared::request(&named, settings, app)? };
        let mut stack = stack::load(&request)?;
        stack.notes.iter().for_each(|note| app.events.info(note));
        stack.skip_disruptive_proofs();
        unknown = Some(match unknown {
            Some(unknown) => &unknown & &stack.ignored_values,
            None => stack.ignored_values.clone(),
        });
        stacks.push(stack);
    }
    match unknown.unwrap_or_default().first() {
        Some(key) => Err(Error::new(Kind::Usage, format!("--set {key}: no stack has such a value"))
            .hint("each stack's stack.yaml lists its values")),
        None => Ok(stacks),
    }
}

async fn look(machine: &Machine, stack: &Stack, options: &Options) -> Result<Look> {
    let Look { observed, plan } = pipeline::look(machine, stack, options).await?;
    Ok(Look { observed, plan: plan.of_stack(&stack.name) })
}

async fn show_plans(app: &App, all: &[Stack], looks: &[Look]) -> Result<()> {
    let (mut texts, mut stacks) = (Vec::new(), Vec::new());
    for (stack, look) in all.iter().zip(looks) {
        let (text, plan) = outlined(app, look);
        texts.push(format!("{}:\n{text}", stack.name));
        stacks.push(StackPlan { stack: &stack.name, plan });
    }
    app.show(|| texts.join("\n"), &Plans { stacks }).await;
    Ok(())
}

/// One document of all of them, and one failure.
async fn show(app: &App, all: Vec<Told>) -> Result<()> {
    let run = app.settle().await;
    let (mut stacks, mut texts, mut failed): (Vec<_>, Vec<String>, Vec<Error>) = Default::default();
    for Told { ended, value, text, remarks } in all {
        for line in remarks {
            app.remark(&line).await;
        }
        let name = &value.stack;
        failed.extend(ended.err().map(|error| Error { message: format!("{name}: {}", error.message), ..error }));
        stacks.push(value);
        texts.extend((!text.is_empty()).then_some(text));
    }
    let value = UpAllResult { stacks, run };
    let mut failed = failed.into_iter();
    match failed.next() {
        None => {
            app.show(|| texts.join("\n"), &value).await;
            Ok(())
        }
        Some(first) => app.fail_with(|| texts.join("\n"), &value, first.beside(failed)).await,
    }
}
