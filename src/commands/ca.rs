use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    error::Result,
    state::State,
    tls::{
        Authority,
        authority::now,
        trust::{Outcome, System},
    },
};

/// The certificate authority of this machine, which signs the certificates of edges
///
/// It is made once and kept in the state folder; its key never leaves it. Programs with a store of their own, such as
/// Firefox, Java and Node, are told about it by hand: `stackctl ca path` names the file.
#[derive(Debug, Args)]
pub struct CaArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Print the file with its certificate
    Path,
    /// Let the system accept what it signs
    Trust,
    /// Take that back
    Untrust,
}

pub async fn run(args: CaArgs, app: &App) -> Result<()> {
    let state = State::from_env()?;
    let authority = match args.action {
        Action::Untrust => Authority::load(&state, now())?,
        Action::Path | Action::Trust => Some(Authority::ensure(&state, now())?),
    };
    let Some(authority) = authority else {
        app.show(|| "there is no authority".to_owned(), &json!({ "changed": false })).await;
        return Ok(());
    };
    let file = authority.file().display().to_string();
    let system = System::here();
    let (outcome, text) = match args.action {
        Action::Path => {
            app.show(|| file.clone(), &json!({ "path": file })).await;
            return Ok(());
        }
        Action::Trust => match system.trust(&authority).await? {
            Outcome::Changed => (Outcome::Changed, format!("the system trusts {file}")),
            Outcome::Unchanged => (Outcome::Unchanged, format!("the system trusts {file} already")),
        },
        Action::Untrust => match system.untrust(&authority).await? {
            Outcome::Changed => (Outcome::Changed, format!("the system trusts {file} no longer")),
            Outcome::Unchanged => (Outcome::Unchanged, format!("the system does not trust {file}")),
        },
    };
    app.show(|| text, &json!({ "path": file, "changed": outcome == Outcome::Changed })).await;
    Ok(())
}
