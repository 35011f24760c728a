//! What nodes must know before they pull anything: mirrors, the cluster's registry, a CA bundle.

use std::{fmt::Write, time::Duration};

use bollard::Docker;
use futures::future::{join_all, try_join_all};
use url::Url;

use crate::object::Mirror;
use crate::{
    error::{Context, Error, Kind, Result},
    provider::{
        ClusterSpec, REGISTRY_HOST,
        local::{
            done, engine,
            engine::{Container, File},
            registry,
        },
    },
};

pub const CERTS_FOLDER: &str = "/etc/containerd/certs.d";
const CA_FILE: &str = "/usr/local/share/ca-certificates/stackctl.crt";
/// What stands for no CA bundle where the hash of one could stand.
const NOTHING: &str = "none";
/// First line of each file of ours, by which a later run knows them.
const MADE_BY_US: &str = "# Written by stackctl";
const QUIET_WITHIN: Duration = Duration::from_secs(10);
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// What all nodes of a cluster are given.
#[derive(Debug, Clone)]
pub struct Configuration {
    files: Vec<File>,
}

impl Configuration {
    pub fn new(spec: &ClusterSpec) -> Result<Configuration> {
        let mut files = hosts_files(&spec.name, &spec.mirrors)?;
        if let Some(bundle) = &spec.ca_bundle {
            let content = std::fs::read(bundle)
                .context(Kind::Usage, || format!("cannot read the CA bundle {}", bundle.display()))?;
            if !String::from_utf8_lossy(&content).contains("-----BEGIN CERTIFICATE-----") {
                return Err(Error::new(Kind::Usage, format!("{} holds no certificate in PEM form", bundle.display())));
            }
            files.push(File { path: CA_FILE.to_owned(), content });
        }
        Ok(Configuration { files })
    }

    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            // Lengths first, so that no two lists of files look the same.
            hasher.update(&(file.path.len() as u64).to_le_bytes()).update(file.path.as_bytes());
            hasher.update(&(file.content.len() as u64).to_le_bytes()).update(&file.content);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Writes it to all nodes at the same time. `fresh`: nothing was pulled by these nodes yet.
    pub async fn apply(&self, docker: &Docker, nodes: &[Container], fresh: bool) -> Result<()> {
        try_join_all(nodes.iter().map(|node| self.apply_to(docker, &node.name, fresh))).await?;
        Ok(())
    }

    /// The same for nodes that have an older one, of which none counts as configured meanwhile.
    pub async fn renew(&self, docker: &Docker, nodes: &[Container]) -> Result<()> {
        done::forget_configured(docker, nodes).await?;
        self.apply(docker, nodes, false).await?;
        done::set_configured(docker, nodes, &self.hash()).await
    }

    /// A kill at any point leaves a node that is not marked as trusting what it should, and the next run goes on there.
    async fn apply_to(&self, docker: &Docker, node: &str, fresh: bool) -> Result<()> {
        let known = if fresh { None } else { engine::read_file(docker, node, &trusted_file()).await? };
        let wanted = self.trusted();
        // What a fresh node trusts is known: nothing of ours.
        let in_effect = match &known {
            Some(known) => *known == wanted.as_bytes(),
            None => fresh && wanted == NOTHING,
        };
        if !fresh {
            engine::run(docker, node, &["sh", "-c", &forget_script(in_effect)], COMMAND_WITHIN).await?;
        }
        engine::put_files(docker, node, &self.files).await?;
        if !in_effect {
            // containerd reads the system's certificates once, at its first TLS connection: a fresh one has had none.
            let restart = if fresh { "" } else { " && systemctl restart containerd" };
            let script = format!("update-ca-certificates --fresh{restart}");
            engine::run(docker, node, &["sh", "-c", &script], COMMAND_WITHIN).await.map_err(|error| {
                error.hint("the node image must have update-ca-certificates (package ca-certificates)")
            })?;
        }
        if known.is_none() || !in_effect {
            let mark = File { path: trusted_file(), content: wanted.into_bytes() };
            engine::put_files(docker, node, &[mark]).await?;
        }
        Ok(())
    }

    /// What a node that has all of this trusts.
    fn trusted(&self) -> String {
        let bundle = self.files.iter().find(|file| file.path == CA_FILE);
        bundle.map_or_else(|| NOTHING.to_owned(), |file| blake3::hash(&file.content).to_hex().to_string())
    }
}

/// In a node: the hash of the CA bundle that its programs trust. Written after it took effect and removed before that
/// changes; a node without it may trust anything.
fn trusted_file() -> String {
    format!("{}/trusted", done::FOLDER)
}

/// Lets nodes finish what they are doing to their pods, before they are stopped or killed.
///
/// On cgroup v1 a container that its runtime has frozen for a moment cannot die once that runtime was killed: the node
/// would never end, and the engine would lose track of it. Best effort: a node may be broken, and must still be
/// removable.
pub async fn quiesce(docker: &Docker, nodes: &[Container]) {
    const SCRIPT: &str = "[ -d /sys/fs/cgroup/freezer ] || exit 0; systemctl stop kubelet; \
                          for _ in $(seq 50); do pgrep -x runc >/dev/null || break; sleep 0.1; done";
    let running = nodes.iter().filter(|node| node.running);
    let quiet = running.map(|node| engine::run(docker, &node.id, &["sh", "-c", SCRIPT], QUIET_WITHIN));
    join_all(quiet).await;
}

/// Removes what an earlier run wrote: a mirror that is no longer asked for must not be used. `trusted`: the CA bundle
/// that is in effect stays so.
fn forget_script(trusted: bool) -> String {
    let mark = if trusted { String::new() } else { trusted_file() };
    format!(
        "rm -f {mark} {CA_FILE}; for file in {CERTS_FOLDER}/*/hosts.toml; do \
         if grep -qs '^{MADE_BY_US}' \"$file\"; then rm -f \"$file\"; fi; done"
    )
}

fn hosts_files(cluster: &str, mirrors: &[Mirror]) -> Result<Vec<File>> {
    let own = format!("http://{}:{}", registry::name_for(cluster), registry::PORT);
    let mut files = vec![hosts_file(REGISTRY_HOST, Some(&own), &[&own])?];
    let mut seen: Vec<&str> = Vec::new();
    for mirror in mirrors {
        if seen.contains(&mirror.host.as_str()) {
            continue;
        }
        seen.push(&mirror.host);
        let urls: Vec<&str> =
            mirrors.iter().filter(|other| other.host == mirror.host).map(|mirror| mirror.url.as_str()).collect();
        let server = match mirror.host.as_str() {
            // Docker Hub's registry has another name than its images say.
            "docker.io" => Some("https://registry-1.docker.io".to_owned()),
            "_default" => None,
            host => Some(format!("https://{host}")),
        };
        files.push(hosts_file(&mirror.host, server.as_deref(), &urls)?);
    }
    Ok(files)
}

/// `certs.d/HOST/hosts.toml`: the URLs are asked in order, then the server.
fn hosts_file(host: &str, server: Option<&str>, urls: &[&str]) -> Result<File> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || host.starts_with('.') || !host.chars().all(allowed) {
        return Err(Error::new(Kind::Usage, format!("{host:?} is not the host of a registry"))
            .hint("write mirrors as HOST=URL, such as docker.io=http://192.168.0.2:5000"));
    }
    let mut text = format!("{MADE_BY_US}\n");
    if let Some(server) = server {
        let _ = writeln!(text, "server = \"{server}\"");
    }
    for url in urls {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let parsed = parsed.ok_or_else(|| {
            Error::new(Kind::Usage, format!("the mirror {url:?} of {host} is not an http or https URL"))
                .hint("write mirrors as HOST=URL, such as docker.io=http://192.168.0.2:5000")
        })?;
        // `Url` has percent-encoded quotes and backslashes, so it fits a TOML string as it is.
        let _ = writeln!(
            text,
            "\n[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]",
            parsed.as_str().trim_end_matches('/')
        );
        if parsed.path() != "/" {
            text.push_str("  override_path = true\n");
        }
    }
    Ok(File { path: format!("{CERTS_FOLDER}/{host}/hosts.toml"), content: text.into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(host: &str, url: &str) -> Mirror {
        Mirror { host: host.to_owned(), url: url.to_owned() }
    }

    fn shown(mirrors: &[Mirror]) -> String {
        let files = hosts_files("one", mirrors).unwrap();
        files.iter().map(|file| format!("== {}\n{}", file.path, String::from_utf8_lossy(&file.content))).collect()
    }

    #[test]
    fn the_own_registry_and_mirrors_in_order() {
        insta::assert_snapshot!(shown(&[
            mirror("docker.io", "http://172.17.0.1:5555"),
            mirror("quay.io", "https://mirror.example/v2/quay"),
            mirror("docker.io", "https://second.example"),
        ]), @r#"
        == /etc/containerd/certs.d/registry.stackctl.internal/hosts.toml
        # Written by stackctl
        server = "http://one-registry:5000"

        [host."http://one-registry:5000"]
          capabilities = ["pull", "resolve"]
        == /etc/containerd/certs.d/docker.io/hosts.toml
        # Written by stackctl
        server = "https://registry-1.docker.io"

        [host."http://172.17.0.1:5555"]
          capabilities = ["pull", "resolve"]

        [host."https://second.example"]
          capabilities = ["pull", "resolve"]
        == /etc/containerd/certs.d/quay.io/hosts.toml
        # Written by stackctl
        server = "https://quay.io"

        [host."https://mirror.example/v2/quay"]
          capabilities = ["pull", "resolve"]
          override_path = true
        "#);
    }

    #[test]
    fn what_is_no_host_or_no_url_is_refused() {
        for (host, url) in
            [("docker.io", "mirror:5000"), ("docker.io", "ftp://a"), ("../x", "http://a"), ("", "http://a")]
        {
            assert_eq!(hosts_files("one", &[mirror(host, url)]).unwrap_err().kind, Kind::Usage, "{host} {url}");
        }
    }

    #[test]
    fn what_is_trusted_is_forgotten_before_it_changes_and_only_then() {
        assert!(forget_script(false).starts_with("rm -f /kind/stackctl/trusted /usr/local"));
        assert!(forget_script(true).starts_with("rm -f  /usr/local"));
        let bundle = |text: &str| File { path: CA_FILE.to_owned(), content: text.as_bytes().to_vec() };
        let trusted = |files: Vec<File>| Configuration { files }.trusted();
        assert_eq!(trusted(Vec::new()), NOTHING);
        assert_ne!(trusted(vec![bundle("a")]), trusted(vec![bundle("b")]));
    }

    #[test]
    fn quotes_cannot_leave_the_string() {
        let file = hosts_file("a", None, &["http://b/\"]\nx"]).unwrap();
        assert!(!String::from_utf8_lossy(&file.content).contains("\"]\nx"));
    }
}
