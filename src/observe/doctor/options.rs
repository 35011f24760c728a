//! What the chosen options need besides an engine: a registry that takes our credentials, the helpers that keep them, an
//! existing cluster that answers, git for the tags of commits.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::provider::check::Check;
use crate::{
    error::{Error, Result},
    image::{
        auth::{docker_config::DockerConfig, login},
        store::{
            remote as access,
            remote::{Greeting, RemoteRegistry},
        },
    },
    kube,
    provider::Access,
};

/// The registry of `--registry`, with docker's credentials for it.
pub async fn registry(prefix: &str) -> Vec<Check> {
    let host = access::host_of(prefix);
    let registry = match RemoteRegistry::of(&host).await {
        Ok(registry) => registry,
        Err(error) => return vec![failed("registry", &error)],
    };
    let name = registry.credentials().and_then(|credentials| credentials.username.clone());
    let name = name.map_or_else(|| "an identity token".to_owned(), |name| format!("the login of {name}"));
    vec![match registry.greet().await {
        Ok(Greeting::Open) => Check::ok("registry", format!("{host} asks nobody who they are")),
        Ok(Greeting::Welcome) => Check::ok("registry", format!("{host} takes {name}")),
        Ok(Greeting::Asks) => {
            let refusal = access::Refusal::NoCredentials;
            failed("registry", &refusal.error(&format!("logging in to {host}"), &host))
        }
        Err(refusal) => failed("registry", &refusal.error(&format!("logging in to {host}"), &host)),
    }]
}

fn failed(name: &'static str, error: &Error) -> Check {
    let found = if error.causes.is_empty() { error.message.clone() } else { error.causes.join(": ") };
    Check::failed(name, found, error.hints.join("; "))
}

/// Programs that docker's config.json names. Without them no login can be read; base images are mostly to be had without.
pub fn helpers(registry: Option<&str>) -> Vec<Check> {
    let path = login::config_path();
    match login::config(&path) {
        Ok(config) => judge_helpers(&config, registry, &|name| in_path(name, env::var_os("PATH").as_deref())),
        Err(error) => vec![failed("credential helper", &error)],
    }
}

fn judge_helpers(config: &DockerConfig, registry: Option<&str>, find: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<Check> {
    let host = registry.map(access::host_of);
    let needed = host.as_ref().and_then(|host| config.helper(login::server(host))).map(|helper| helper.name);
    let named = config.cred_helpers.iter().flatten().map(|(_, name)| name).chain(&config.creds_store);
    let named: BTreeSet<&String> = named.filter(|name| !name.is_empty()).collect();
    let judge = |name: &&String| {
        let program = format!("docker-credential-{name}");
        if let Some(path) = find(&program) {
            return Check::ok("credential helper", path.display().to_string());
        }
        let found = format!("{program}, which docker's config.json names, is not on the PATH");
        let fix = "install it, or take it out of `credsStore` or `credHelpers` in config.json and log in again";
        match needed == Some(name.as_str()) {
            true => Check::failed("credential helper", found, fix),
            false => Check::warning("credential helper", found, fix),
        }
    };
    named.iter().map(judge).collect()
}

/// What tags images with the commit that they were built from.
pub fn git() -> Vec<Check> {
    vec![judge_git(in_path("git", env::var_os("PATH").as_deref()))]
}

fn judge_git(found: Option<PathBuf>) -> Check {
    match found {
        Some(path) => Check::ok("git", path.display().to_string()),
        None => Check::warning("git", "not on the PATH", "install it: without it images get no tag of their commit"),
    }
}

/// Amazon's registries, whose helper asks Amazon for a token each time: it needs to know as whom.
pub fn aws(registry: &str) -> Vec<Check> {
    let host = access::host_of(registry);
    let config = login::config(&login::config_path()).unwrap_or_default();
    if !access::is_ecr(&host) || config.helper(&host).map(|helper| helper.name) != Some("ecr-login") {
        return Vec::new();
    }
    vec![judge_aws(&|name| env::var(name).ok().filter(|value| !value.is_empty()), &|path| path.is_file())]
}

fn judge_aws(variable: &dyn Fn(&str) -> Option<String>, is_file: &dyn Fn(&Path) -> bool) -> Check {
    const FIX: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`";
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(_), Some(_)) => return Check::ok("aws", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (Some(_), None) => return Check::failed("aws", "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY", FIX),
        (None, Some(_)) => return Check::failed("aws", "AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID", FIX),
        (None, None) => {}
    }
    for name in ["AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
        if variable(name).is_some() {
            return Check::ok("aws", name);
        }
    }
    let home = PathBuf::from(variable("HOME").unwrap_or_default()).join(".aws");
    let own = |name: &str| variable(name).map(PathBuf::from);
    let credentials = own("AWS_SHARED_CREDENTIALS_FILE").unwrap_or_else(|| home.join("credentials"));
    let config = own("AWS_CONFIG_FILE").unwrap_or_else(|| home.join("config"));
    match [credentials, config].into_iter().find(|path| is_file(path)) {
        Some(path) => Check::ok("aws", path.display().to_string()),
        // A machine of Amazon's own may have a role, which only asking tells.
        None => Check::warning("aws", "no credentials for docker-credential-ecr-login", FIX),
    }
}

/// A cluster that has to be there: a context of a kubeconfig, and an API server that answers.
pub async fn cluster(access: Result<Access>) -> Vec<Check> {
    let at = match access {
        Ok(access) => access,
        Err(error) => {
            let found = if error.causes.is_empty() {
                error.message
            } else {
                format!("{}: {}", error.message, error.causes.join(": "))
            };
            return vec![Check::failed("kubeconfig", found, error.hints.join("; "))];
        }
    };
    let name = format!("context {} of {}", at.context, at.kubeconfig.display());
    let mut checks = vec![Check::ok("kubeconfig", name)];
    checks.push(match kube::connect(&at.kubeconfig, Some(&at.context)).await {
        Ok(kube) => Check::ok("cluster", format!("Kubernetes {}", kube.server_version())),
        Err(error) => {
            let fix = match error.hints.is_empty() {
                true => {
                    "check the address and the credentials of this context, or choose another: --context".to_owned()
                }
                false => error.hints.join("; "),
            };
            Check::failed("cluster", error.to_string(), fix)
        }
    });
    checks
}

/// An executable file of that name in the folders of a PATH.
fn in_path(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(path?).map(|folder| folder.join(name)).find(is_program)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::provider::check::Status;

    #[test]
    fn a_program_is_a_file_that_can_be_run() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |folder: &tempfile::TempDir, mode: u32| {
            let path = folder.path().join("tool");
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(in_path("tool", Some(&path)), None);
        put(&first, 0o644);
        let tool = put(&second, 0o755);
        assert_eq!(in_path("tool", Some(&path)), Some(tool));
        assert_eq!(in_path("tool", None), None);
    }

    #[test]
    fn a_missing_helper_fails_only_where_it_is_asked() {
        let config: DockerConfig = serde_json::from_value(serde_json::json!({
            "credsStore": "pass", "credHelpers": {"r.example": "there", "s.example": "gone"},
        }))
        .unwrap();
        let find = |program: &str| (program == "docker-credential-there").then(|| PathBuf::from("/bin/there"));
        let status = |registry: Option<&str>| {
            let checks = judge_helpers(&config, registry, &find);
            checks.into_iter().map(|check| (check.found, check.status)).collect::<Vec<_>>()
        };
        let all = status(Some("r.example/me"));
        assert_eq!(all.len(), 3);
        assert!(all[0].0.contains("docker-credential-gone") && all[0].1 == Status::Warning, "{all:?}");
        assert!(all[1].0.contains("docker-credential-pass") && all[1].1 == Status::Warning, "{all:?}");
        assert_eq!(all[2], ("/bin/there".to_owned(), Status::Ok));
        assert_eq!(status(Some("s.example"))[0].1, Status::Failed);
        assert!(judge_helpers(&DockerConfig::default(), Some("r.example"), &find).is_empty());
    }

    #[test]
    fn half_a_key_of_amazon_is_none() {
        let judge = |set: &[(&str, &str)], files: &[&str]| {
            let set: Vec<(String, String)> = set.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            judge_aws(&|name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()), &|path| {
                files.iter().any(|file| file == path)
            })
        };
        assert_eq!(judge(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")], &[]).status, Status::Ok);
        assert_eq!(judge(&[("AWS_ACCESS_KEY_ID", "a")], &[]).status, Status::Failed);
        assert_eq!(judge(&[("AWS_SECRET_ACCESS_KEY", "a")], &[]).status, Status::Failed);
        assert_eq!(judge(&[("AWS_PROFILE", "a")], &[]).found, "AWS_PROFILE");
        assert_eq!(judge(&[("HOME", "/home/me")], &["/home/me/.aws/credentials"]).status, Status::Ok);
        assert_eq!(judge(&[("AWS_CONFIG_FILE", "/etc/aws")], &["/etc/aws"]).status, Status::Ok);
        assert_eq!(judge(&[("HOME", "/home/me")], &[]).status, Status::Warning);
    }

    #[test]
    fn without_git_images_lack_a_tag_and_nothing_else() {
        assert_eq!(judge_git(None).status, Status::Warning);
        assert_eq!(judge_git(Some("/usr/bin/git".into())).status, Status::Ok);
    }
}
