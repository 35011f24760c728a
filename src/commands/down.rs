use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::shared;
use crate::{
    app::App,
    cli::{DEFAULT_STACK, Given, Patience},
    config::Settings,
    error::{Error, Kind, Result},
    image, observe,
    plan::{self, Action},
    report,
    session::{ApplyOptions, ImageOptions, Session},
    stack::{self, LoadRequest},
};

/// Remove a stack, with its cluster when nothing else is in it, and look for anything left
#[derive(Debug, Args)]
pub struct DownArgs {
    /// An embedded stack or a folder with a stack.yaml
    #[arg(default_value = DEFAULT_STACK)]
    stack: String,
    /// Remove the cluster too, whatever else runs in it
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    patience: Patience,
}

pub async fn run(args: DownArgs, app: &App) -> Result<()> {
    let settings = Given { patience: Some(&args.patience), ..Given::default() }.settings(&app.common.target)?;
    // A stack that can no longer be read can still be removed.
    let name = stack::name_of(&args.stack)?;
    let stack = stack::model::Stack::named(&name);
    let session = Session::open(settings, stack, ImageOptions::default(), ApplyOptions::default(), app).await?;
    shared::confirm_remote(app, &session).await?;
    let observed = observe::for_removal(&session).await?;
    let options = plan::down::Options { stack: name, cluster: args.cluster, disposable: session.is_disposable() };
    let plan = plan::down::plan(&options, &observed)?;
    let others = plan::down::others(&options, &observed);
    if !others.is_empty() {
        app.confirm(&format!("the cluster also holds {}. Remove it all?", others.join(", ")))?;
    }
    if plan::down::is_blind(&observed) {
        app.confirm("nobody knows what else the cluster holds. Remove it all?")?;
    }
    session.execute(&plan, &observed).await?;

    let mut removed = session.learn(|learned| std::mem::take(&mut learned.removed));
    let live = || observed.live.iter();
    let name = &session.stack.name;
    let instances: Vec<String> = live().flat_map(|live| live.instances(name)).map(str::to_owned).collect();
    let namespaces: Vec<String> = live().flat_map(|live| live.namespaces(name)).map(str::to_owned).collect();
    let bases = bases(&args.stack, &session.settings);
    let left = match session.audit(plan.has(&Action::DeleteCluster), &instances, &namespaces, &bases).await {
        Ok(left) => left,
        // What was removed is told, even where nobody can look for the rest.
        Err(error) => {
            let receipt = json!({ "removed": removed });
            return app.fail_with(|| report::removed(&removed), &receipt, error).await;
        }
    };
    if let Some(blind_spot) = left.blind_spot() {
        app.events.warn(blind_spot);
    }
    if plan.has(&Action::DeleteInventory) && left.things.is_empty() {
        removed.extend(session.forget_cluster()?);
    }
    let kept: Vec<report::Kept> =
        left.kept.into_iter().map(|kept| report::Kept { what: kept.name, bytes: Some(kept.size) }).collect();
    let receipt = json!({ "removed": removed, "kept": kept, "left": left.things, "unseen": left.unseen });
    let text = || report::receipt(&removed, &kept, &left.things);
    if left.things.is_empty() {
        app.show(text, &receipt).await;
        return Ok(());
    }
    let error = Error::new(Kind::LeftBehind, format!("{} left behind", report::count(left.things.len(), "thing")))
        .hint("run the same command again; what stays can be removed by these names with docker or kubectl");
    app.fail_with(text, &receipt, error).await
}

/// The images that the stack's services are built from, as far as it can still be read.
fn bases(stack: &str, settings: &Settings) -> BTreeSet<String> {
    let request = LoadRequest {
        stack: stack.to_owned(),
        provider: settings.provider.name().to_owned(),
        without: settings.without.clone(),
        ..LoadRequest::default()
    };
    let services = stack::load(&request).map(|stack| stack.services).unwrap_or_default();
    let bases = services.values().filter_map(|service| image::base::of(service).ok());
    bases.flatten().collect()
}
