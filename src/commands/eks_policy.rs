use clap::Args;

use crate::{commands::app::App, error::Result, provider::eks, report::document::AccessPolicy};

/// Print the IAM policy with the rights that stackctl needs for clusters on EKS
///
/// It is the least that works: the tests hold it equal to the calls that are made.
#[derive(Debug, Args)]
pub struct EksPolicyArgs {}

pub async fn run(_: EksPolicyArgs, app: &App) -> Result<()> {
    let policy = eks::policy()?;
    let text = format!("{policy:#}");
    app.show(|| text, &AccessPolicy { policy }).await;
    Ok(())
}
