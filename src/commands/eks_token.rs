use clap::Args;

use crate::{
    cli::FlagGroups,
    commands::app::App,
    error::Result,
    provider::eks,
    report::document::{ExecCredential, ExecCredentialStatus},
    state::State,
};

/// Print a token for a cluster on EKS, as kubectl and its relatives ask for it
///
/// The kubeconfig of such a cluster names this command. The token is made here, from the credentials that AWS's own tools
/// would use (AWS_PROFILE and its relatives), without asking anybody; it is kept until a minute before its end.
#[derive(Debug, Args)]
pub struct EksTokenArgs {
    /// The cluster's name on EKS
    cluster: String,
}

pub async fn run(args: EksTokenArgs, app: &App) -> Result<()> {
    let settings = FlagGroups::default().settings(&app.common.target)?;
    let token = eks::token(&args.cluster, settings.region.as_deref(), &State::from_env()?).await?;
    let credential = token.exec_credential();
    let status = ExecCredentialStatus { expiration_timestamp: token.expires(), token: &token.token };
    app.show(|| credential.to_string(), &ExecCredential { status }).await;
    Ok(())
}
