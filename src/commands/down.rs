use clap::Args;
use serde_json::json;

use crate::{
    app::App,
    cli::{Given, Patience},
    error::{Error, Kind, Result},
    observe, plan, report,
    session::Session,
    stack,
};

/// Remove a stack, with its cluster when nothing else is in it, and look for anything left
#[derive(Debug, Args)]
pub struct DownArgs {
    /// An embedded stack or a folder with a stack.yaml
    #[arg(default_value = "hello")]
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
    let session = Session::open(settings, stack::model::Stack::named(&name), Default::default(), Default::default(), app).await?;
    let observed = observe::for_removal(&session).await?;
    let options = plan::down::Options { stack: name, cluster: args.cluster, disposable: session.is_disposable() };
    let plan = plan::down::plan(&options, &observed)?;
    if let Some(others) = plan::down::others(&options, &observed) {
        app.confirm(&format!("the cluster also holds {}. Remove it all?", others.join(", ")))?;
    }
    super::shared::confirm_remote(app, &session)?;
    session.execute(&plan, &observed).await?;

    // The audit reads no state: it asks engine, API server and kubeconfig what is there.
    let removed = session.learn(|learned| std::mem::take(&mut learned.removed));
    let left = session.audit(&options.stack, plan.removes_cluster()).await?;
    let receipt = json!({ "removed": removed, "left": left.things, "kept": left.kept });
    let text = || report::receipt(&removed, &left.things, &left.kept, app.view.paint());
    if left.things.is_empty() {
        app.show(text, &receipt).await;
        return Ok(());
    }
    let error = Error::new(Kind::LeftBehind, format!("{} left behind", report::count(left.things.len(), "thing")))
        .hint("run the same command again; if they stay, `docker` or `kubectl` can remove them by these names");
    app.fail_with(text, &receipt, error).await
}
