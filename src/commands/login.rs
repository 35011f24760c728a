use clap::Args;

use crate::{
    commands::app::App,
    error::{Error, Kind, Result},
    image::{
        auth::{login, login::Keeper},
        store::{
            remote as access,
            remote::{Greeting, RemoteRegistry},
        },
    },
    report::{
        ask,
        document::{Login, Logout},
    },
};

/// Log in to a registry, to push there (--registry) and for nodes to pull from it
///
/// The token (or password) comes from stdin or a prompt, never from the command line, where other users and the shell's
/// history see it. It is tried at the registry, then kept where docker keeps its own: `docker login` is the same.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Such as ghcr.io, ghcr.io/ORG or 127.0.0.1:5000
    #[arg(value_name = "HOST[/ORG]")]
    registry: String,
    /// Who you are there [default: asked for]
    #[arg(long, short, value_name = "NAME")]
    username: Option<String>,
    /// Read the token from stdin, as is done without a terminal
    #[arg(long, visible_alias = "password-stdin")]
    token_stdin: bool,
    /// Caught, so that nothing repeats it: see `refuse_secrets`.
    #[arg(long, alias = "password", short = 'p', hide = true, num_args = 0..=1, value_name = "TOKEN")]
    token: Option<Option<String>>,
    #[arg(hide = true, value_name = "TOKEN")]
    rest: Vec<String>,
}

/// Forget the login to a registry
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Such as ghcr.io
    #[arg(value_name = "HOST[/ORG]")]
    registry: String,
}

pub async fn login(args: LoginArgs, app: &App) -> Result<()> {
    let host = host(&args.registry)?;
    refuse_secrets(&args, &host)?;
    let interactive = ask::is_possible() && !args.token_stdin;
    let username = match &args.username {
        Some(name) => name.clone(),
        None if interactive => ask::line(&format!("User name at {host}: "), &app.cancel).await?,
        None => {
            return Err(Error::new(Kind::Usage, "who are you there? stdin is for the token")
                .hint(format!("name yourself: stackctl login {host} --username NAME --token-stdin")));
        }
    };
    let token = match interactive {
        true => ask::secret(&format!("Token or password of {username} (not shown): "), &app.cancel).await?,
        false => ask::piped().await?,
    };
    let (username, token) = checked(&username, &token)?;

    let credentials = bollard::auth::DockerCredentials {
        username: Some(username.clone()),
        password: Some(token.clone()),
        ..Default::default()
    };
    let registry = RemoteRegistry::new(&host, Some(credentials))?;
    match registry.greet().await {
        Ok(Greeting::Welcome) => {}
        Ok(Greeting::Open | Greeting::Asks) => {
            return Err(Error::new(
                Kind::Usage,
                format!("{host} asks nobody who they are: there is nothing to log in to"),
            )
            .hint("use it as it is: --registry"));
        }
        Err(refusal) => return Err(refusal.error(&format!("logging in to {host}"), &host)),
    }
    let keeper = login::store(&login::config_path(), &host, &username, &token).await?;
    if let Keeper::File(path) = &keeper {
        app.events.warn(format!(
            "the token is in {} in clear text, as docker keeps it; a credential helper (`credsStore`) keeps it encrypted",
            path.display()
        ));
    }
    let text = || format!("logged in to {host} as {username}; kept by {keeper}");
    app.show(text, &Login { registry: &host, username: &username, kept_by: keeper.to_string() }).await;
    Ok(())
}

pub async fn logout(args: LogoutArgs, app: &App) -> Result<()> {
    let host = host(&args.registry)?;
    let from = login::erase(&login::config_path(), &host).await?;
    let from: Vec<String> = from.iter().map(Keeper::to_string).collect();
    let text = || match from.is_empty() {
        true => format!("there was no login to {host}"),
        false => format!("logged out of {host}; removed from {}", from.join(" and ")),
    };
    app.show(text, &Logout { registry: &host, removed_from: &from }).await;
    Ok(())
}

/// The host of `ghcr.io/ORG`. A word without a dot is more likely a slip than Docker Hub's user of that name.
fn host(registry: &str) -> Result<String> {
    let plain = registry.strip_prefix("https://").unwrap_or(registry).trim_end_matches('/');
    let first = plain.split('/').next().unwrap_or_default();
    let fits = first.contains(['.', ':']) || first == "localhost";
    let clean = plain.chars().all(|c| c.is_ascii_alphanumeric() || "._-:/[]".contains(c));
    match fits && clean && !plain.contains("//") {
        true => Ok(access::host_of(plain)),
        // Not repeated: it may be a token in the wrong place.
        false => Err(Error::new(Kind::Usage, "that is not the name of a registry")
            .hint("such as ghcr.io, docker.io, 127.0.0.1:5000")),
    }
}

fn refuse_secrets(args: &LoginArgs, host: &str) -> Result<()> {
    if args.token.is_none() && args.rest.is_empty() {
        return Ok(());
    }
    let user = args.username.as_deref().unwrap_or("NAME");
    let right = format!("stackctl login {host} --username {user} --token-stdin");
    Err(Error::new(
        Kind::Usage,
        "a token does not belong on the command line: other users and the shell's history see it there",
    )
    .hint(format!("from a file: {right} < FILE; from a variable: printenv TOKEN | {right}"))
    .hint("or leave it out at a terminal, and it is asked for unseen")
    .hint("if it was a real one, consider it known: revoke it and make another"))
}

/// Without the line's end that comes with a pipe.
fn checked(username: &str, token: &str) -> Result<(String, String)> {
    let token = token.trim_end_matches(['\r', '\n']);
    let refused = |why: &str| Err(Error::new(Kind::Usage, why));
    if username.is_empty() || username.contains(':') || username.chars().any(char::is_control) {
        return refused("a user name is not empty and has no colon");
    }
    if token.is_empty() {
        return refused("the token is empty");
    }
    if token.chars().any(char::is_control) {
        return refused("the token has several lines: stdin must hold it alone");
    }
    Ok((username.to_owned(), token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_slips() {
        for (text, host_) in [
            ("ghcr.io", "ghcr.io"),
            ("ghcr.io/ORG", "ghcr.io"),
            ("https://ghcr.io/", "ghcr.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("localhost/x", "localhost"),
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
        ] {
            assert_eq!(host(text).unwrap(), host_, "{text}");
        }
        for text in ["", "ghp_0123456789", "http://ghcr.io", "ghcr.io//x", "a b.c", "me"] {
            let error = host(text).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{text}");
            assert!(text.is_empty() || !error.message.contains("ghp_"));
        }
    }

    #[test]
    fn tokens_lose_the_end_of_their_line_and_nothing_else() {
        assert_eq!(checked("me", "s3cret\r\n").unwrap().1, "s3cret");
        assert_eq!(checked("me", " s3cret ").unwrap().1, " s3cret ");
        for (name, token) in [("", "x"), ("a:b", "x"), ("me", "\n"), ("me", "a\nb\n")] {
            assert_eq!(checked(name, token).unwrap_err().kind, Kind::Usage, "{name:?} {token:?}");
        }
    }
}
