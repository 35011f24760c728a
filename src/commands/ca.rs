use clap::{Args, Subcommand};

use crate::{
    commands::app::App,
    error::Result,
    report::document::CertificateAuthority,
    state::State,
    tls::{
        Authority,
        authority::now,
        trust::{System, TrustChange},
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
    let system = System::here();
    let anchor = match args.action {
        // Also of one that cannot be used any more: that is when trust is taken back.
        Action::Untrust => Authority::kept(&state)?,
        Action::Path | Action::Trust => Some(Authority::ensure(&state, now())?.anchor()),
    };
    let Some(anchor) = anchor else {
        return nothing_kept(app, &system).await;
    };
    let file = anchor.file.display().to_string();
    let (outcome, text) = match args.action {
        Action::Path => {
            app.show(
                || file.clone(),
                &CertificateAuthority { path: Some(file.clone()), ..CertificateAuthority::default() },
            )
            .await;
            return Ok(());
        }
        Action::Trust => match system.trust(&anchor).await? {
            TrustChange::Changed => (TrustChange::Changed, format!("the system trusts {file}")),
            TrustChange::Unchanged => (TrustChange::Unchanged, format!("the system trusts {file} already")),
        },
        Action::Untrust => match system.untrust(&anchor).await? {
            TrustChange::Changed => (TrustChange::Changed, format!("the system trusts {file} no longer")),
            TrustChange::Unchanged => (TrustChange::Unchanged, format!("the system does not trust {file}")),
        },
    };
    let changed = outcome == TrustChange::Changed;
    let value = CertificateAuthority { path: Some(file), changed, ..CertificateAuthority::default() };
    app.show(|| text, &value).await;
    Ok(())
}

/// Without the authority nobody knows which anchor was its own; several users of a machine may have one each.
async fn nothing_kept(app: &App, system: &System) -> Result<()> {
    let found = system.anchors();
    let anchors: Vec<String> = found.iter().map(|(path, _)| path.display().to_string()).collect();
    let text = || match found.is_empty() {
        true => "there is no authority, and the system trusts none of stackctl's".to_owned(),
        false => {
            let commands: Vec<&str> = found.iter().map(|(_, command)| command.as_str()).collect();
            format!(
                "there is no authority here any more; these end what the system trusts of stackctl's, of any user; run those \
                 that are yours:\n  {}",
                commands.join("\n  ")
            )
        }
    };
    app.show(text, &CertificateAuthority { anchors, ..CertificateAuthority::default() }).await;
    Ok(())
}
