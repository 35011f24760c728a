use clap::Args;

use crate::{
    cli::FlagGroups,
    commands::app::App,
    error::{Context, Kind, Result},
    report::document::Kubeconfig,
};

/// Print the kubeconfig of the cluster
#[derive(Debug, Args)]
pub struct KubeconfigArgs {
    /// Print where it is instead
    #[arg(long)]
    path: bool,
}

pub async fn run(args: KubeconfigArgs, app: &App) -> Result<()> {
    let machine = app.machine(&FlagGroups::default().settings(&app.common.target)?).await?;
    machine.require_cluster().await?;
    let access = machine.provider.access().await?;
    let path = access.kubeconfig.display().to_string();
    let value = Kubeconfig { path: &path, context: &access.context };
    if args.path {
        app.show(|| path.clone(), &value).await;
        return Ok(());
    }
    let text = std::fs::read_to_string(&access.kubeconfig).context(Kind::Platform, || format!("cannot read {path}"))?;
    app.show(|| text, &value).await;
    Ok(())
}
