//! Keeps credentials where docker keeps them: in its credential helper, or in config.json where it has none.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{
    config_file,
    docker_config::{self, DockerConfig, Helper, unreadable},
};
use crate::error::{Context, Error, Kind, Result};
use crate::image::endpoint::Environment;

/// A helper may ask its user to unlock something.
const HELPER: Duration = Duration::from_secs(120);

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// `docker-credential-NAME`
    Helper(String),
    /// In clear text, as docker does it.
    File(PathBuf),
}

impl std::fmt::Display for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Keeper::Helper(name) => write!(f, "docker-credential-{name}"),
            Keeper::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As docker itself names the server of a host.
pub fn server(host: &str) -> &str {
    if host == "docker.io" { super::credentials::HUB } else { host }
}

pub fn config_path() -> PathBuf {
    path(&Environment::current())
}

fn path(environment: &Environment) -> PathBuf {
    let path = docker_config::path(environment);
    // Written beside its target, or a link would become a file.
    path.canonicalize().unwrap_or(path)
}

/// What the file says; one that is not there says nothing.
pub fn config(path: &Path) -> Result<DockerConfig> {
    DockerConfig::parse(path, &read(path)?)
}

/// Keeps the credentials for a host. The secret goes to a helper's stdin, or into a file that only its owner may read.
pub async fn store(path: &Path, host: &str, username: &str, secret: &str) -> Result<Keeper> {
    let server = server(host);
    let config = config(path)?;
    let Some(Helper { name: helper, .. }) = config.helper(server) else {
        let auth = BASE64_STANDARD.encode(format!("{username}:{secret}"));
        change(path, |text| config_file::with_auth(text, server, &json!({ "auth": auth })))?;
        return Ok(Keeper::File(path.to_owned()));
    };
    let input = json!({"ServerURL": server, "Username": username, "Secret": secret}).to_string();
    run(helper, "store", &input).await.map_err(|error| censored(error, secret))?;
    // So does docker: the file then lists the server, and what it held in clear text is gone.
    change(path, |text| config_file::with_auth(text, server, &json!({})))?;
    Ok(Keeper::Helper(helper.to_owned()))
}

/// Forgets what is kept for a host. Returns from where; empty when nothing was.
pub async fn erase(path: &Path, host: &str) -> Result<Vec<Keeper>> {
    let server = server(host);
    let mut from = Vec::new();
    if let Some(Helper { name: helper, .. }) = config(path)?.helper(server) {
        let known = run(helper, "get", server).await;
        match known {
            Ok(_) => {
                run(helper, "erase", server).await?;
                from.push(Keeper::Helper(helper.to_owned()));
            }
            Err(error) if error.causes.iter().any(|cause| cause.contains("credentials not found")) => {}
            Err(error) => return Err(error),
        }
    }
    let names = [server.to_owned(), host.to_owned(), format!("https://{host}")];
    let mut held = false;
    let changed = change(path, |text| {
        let config: Value = serde_json::from_str(text).unwrap_or_default();
        held = names.iter().any(|name| config["auths"][name].as_object().is_some_and(|entry| !entry.is_empty()));
        config_file::without_auth(text, &names)
    })?;
    if changed && held {
        from.push(Keeper::File(path.to_owned()));
    }
    Ok(from)
}

fn read(path: &Path) -> Result<String> {
    Ok(docker_config::text(path)?.unwrap_or_default())
}

/// Replaces the file by what `edit` makes of it, wholly or not at all. Returns whether that differed.
fn change(path: &Path, edit: impl FnOnce(&str) -> Option<String>) -> Result<bool> {
    let text = read(path)?;
    let new = edit(&text).ok_or_else(|| unreadable(path, &"it is not a JSON object, or its `auths` is not one"))?;
    if new == text {
        return Ok(false);
    }
    let what = || format!("cannot write docker's configuration {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).context(Kind::Preflight, what)?;
    // Made with mode 0600.
    let mut file =
        tempfile::Builder::new().prefix(".config.json.").tempfile_in(folder).context(Kind::Preflight, what)?;
    io::Write::write_all(&mut file, new.as_bytes()).context(Kind::Preflight, what)?;
    file.as_file().sync_all().context(Kind::Preflight, what)?;
    file.persist(path).map_err(|error| error.error).context(Kind::Preflight, what)?;
    Ok(true)
}

/// The protocol of docker's credential helpers: a verb as argument, the rest on stdin.
async fn run(helper: &str, verb: &str, input: &str) -> Result<String> {
    let program = format!("docker-credential-{helper}");
    let failed = |cause: String| {
        Error::new(Kind::Preflight, format!("docker's credential helper failed: {program} {verb}")).cause(cause)
    };
    let child = tokio::process::Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed("it is not on the PATH".to_owned()).hint(format!(
                "install {program}, or take `credsStore` or `credHelpers` out of docker's config.json"
            )));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut stdin = child.stdin.take();
    let talk = async {
        if let Some(stdin) = &mut stdin {
            // One that needs no input may have closed it already; its status tells.
            let _ = stdin.write_all(input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
        drop(stdin.take());
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(HELPER, talk).await;
    let output = output.map_err(|_| failed(format!("no answer within {} s", HELPER.as_secs())))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let words = format!("{}{}", said.trim(), String::from_utf8_lossy(&output.stderr).trim());
    Err(failed(format!("{}: {words}", output.status)))
}

/// What a helper says of a failure may quote what it was given.
fn censored(mut error: Error, secret: &str) -> Error {
    let encoded = serde_json::to_string(secret).unwrap_or_default();
    for cause in &mut error.causes {
        *cause = cause.replace(encoded.trim_matches('"'), "…").replace(secret, "…");
    }
    error
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[tokio::test]
    async fn without_a_helper_the_file_holds_it_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker/config.json");
        assert_eq!(store(&path, "ghcr.io", "me", "s3cret").await.unwrap(), Keeper::File(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(config["auths"]["ghcr.io"]["auth"], BASE64_STANDARD.encode("me:s3cret"));
        assert_eq!(erase(&path, "ghcr.io").await.unwrap(), [Keeper::File(path.clone())]);
        assert!(erase(&path, "ghcr.io").await.unwrap().is_empty());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "temporary files stay behind");
        store(&path, "docker.io", "me", "x").await.unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("https://index.docker.io/v1/"));
    }

    #[tokio::test]
    async fn a_file_that_is_world_readable_or_a_link_is_put_right_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
        fs::write(&real, "{\"psFormat\": \"x\"}").unwrap();
        symlink(&real, &link).unwrap();
        let environment = Environment::of(&[("DOCKER_CONFIG", folder.path().to_str().unwrap())]);
        store(&path(&environment), "r.example", "me", "x").await.unwrap();
        assert!(link.is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("\"psFormat\": \"x\""));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_broken_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in ["{", "{\"auths\": 3}"] {
            fs::write(&path, text).unwrap();
            let error = store(&path, "r.example", "me", "s3cret").await.unwrap_err();
            assert_eq!(error.kind, Kind::Preflight);
            assert!(!format!("{error:?}").contains("s3cret"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "{\"credsStore\": \"stackctl-test-none\"}").unwrap();
        let error = store(&path, "r.example", "me", "s3cret").await.unwrap_err();
        assert!(error.message.contains("docker-credential-stackctl-test-none store"), "{error}");
        assert!(error.hints[0].contains("credsStore"), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }

    #[test]
    fn a_quoted_secret_is_taken_out() {
        let error = censored(Error::new(Kind::Preflight, "x").cause("bad: {\"Secret\":\"a\\\"b\"} a\"b"), "a\"b");
        assert!(!error.causes[0].contains("a\\\"b") && !error.causes[0].contains("a\"b"), "{error:?}");
    }
}
