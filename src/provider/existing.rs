//! A cluster that somebody else made and looks after: it is used, never made, stopped or deleted.

use std::{
    net::ToSocketAddrs,
    path::{Path, PathBuf},
    time::Duration,
};

use ::kube::{Api, api::ListParams, config::Kubeconfig};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;

use super::{
    Access, Answer, ClusterState, EdgeBy, ImagesBy, Lifecycle, Provider, Traits, api,
    local::kubeconfig::UserKubeconfig,
    step::{Acted, Step, StepContext},
};
use crate::{
    error::{Context, Error, Kind, Result, blocking},
    event::Progress,
    object::ProviderObjects,
    state::{Folder, State},
};

/// Nothing is known of the cluster but how it is reached; one that does not answer at once is not ours to wait for.
pub const TRAITS: Traits = Traits {
    lifecycle: Lifecycle::Theirs,
    images_reach_nodes_by: ImagesBy::Registry,
    edge_reached_by: EdgeBy::LoadBalancer,
    pulls_while_made: false,
    nodes_may_grow: Answer::Unknown,
    costs: Answer::Unknown,
    own_objects: ProviderObjects::NONE,
    volumes_outlive_it: false,
    answers_within: Duration::ZERO,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The cluster of a context of the user's kubeconfig.
#[derive(Debug, Clone)]
pub struct ExistingCluster {
    access: Access,
    folder: Folder,
}

impl ExistingCluster {
    /// `context`: None for the current one. With several files in KUBECONFIG, what they say together is written into
    /// the state folder: a context may take its user from another file.
    pub fn new(user: &UserKubeconfig, context: Option<&str>, state: &State) -> Result<Self> {
        let files: Vec<&PathBuf> = user.paths().iter().filter(|path| path.is_file()).collect();
        let Some(first) = files.first() else {
            let looked: Vec<String> = user.paths().iter().map(|path| path.display().to_string()).collect();
            return Err(Error::new(Kind::Usage, "there is no kubeconfig")
                .cause(format!("looked for {}", looked.join(", ")))
                .hint("set KUBECONFIG to yours, or let stackctl make a cluster: --provider kind"));
        };
        let mut all = api::read(first)?;
        for file in &files[1..] {
            all = all
                .merge(api::read(file)?)
                .context(Kind::Usage, || format!("cannot merge the kubeconfig {}", file.display()))?;
        }
        let context = choose(&all, context)?;
        let folder = state.folder(Path::new("contexts").join(folder_name(&context, api::server_of(&all, &context))));
        let kubeconfig = if files.len() == 1 {
            (*first).clone()
        } else {
            let text = serde_yaml::to_string(&all)
                .context(Kind::Unexpected, || "cannot serialise the merged kubeconfig".to_owned())?;
            folder.write("kubeconfig", text.as_bytes())?;
            folder.file("kubeconfig")
        };
        Ok(ExistingCluster { access: Access { kubeconfig, context }, folder })
    }

    /// The kubeconfig and the context in it.
    pub fn where_it_is(&self) -> &Access {
        &self.access
    }

    fn not_ours(&self, verb: &str) -> Error {
        Error::new(Kind::Usage, format!("stackctl does not {verb} the cluster of the context {}", self.access.context))
            .cause("the provider `existing` uses a cluster that somebody else looks after")
    }
}

/// Readable, and different wherever the context or the server that it means is another.
fn folder_name(context: &str, server: Option<&str>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = context.chars().map(plain).take(40).collect();
    let hash = blake3::hash(format!("{context}\0{}", server.unwrap_or_default()).as_bytes()).to_hex();
    format!("{name}-{}", &hash[..16])
}

fn choose(all: &Kubeconfig, context: Option<&str>) -> Result<String> {
    let known: Vec<&str> = all.contexts.iter().map(|context| context.name.as_str()).collect();
    let chosen = context.or(all.current_context.as_deref()).filter(|name| !name.is_empty());
    let Some(chosen) = chosen else {
        return Err(Error::new(Kind::Usage, "your kubeconfig has no current context")
            .hint(format!("name one with --context: {}", known.join(", "))));
    };
    if known.contains(&chosen) {
        return Ok(chosen.to_owned());
    }
    Err(Error::new(Kind::Usage, format!("your kubeconfig has no context {chosen}"))
        .hint(format!("it has: {}", known.join(", "))))
}

#[async_trait]
impl Provider for ExistingCluster {
    fn traits(&self) -> Traits {
        TRAITS
    }

    /// It bears the context's name, for the cluster's name in the settings is of no meaning here.
    fn folder(&self) -> &Folder {
        &self.folder
    }

    async fn observe(&self) -> Result<ClusterState> {
        Ok(match api::ready(&self.access).await {
            Ok(()) => ClusterState::Ours { stopped: false },
            Err(error) => ClusterState::Unreachable { why: error.to_string() },
        })
    }

    async fn act(&self, step: &Step, _context: StepContext<'_>) -> Result<Acted> {
        match step {
            Step::CreateCluster => Err(self.not_ours("make")),
            Step::StartCluster => Err(self.not_ours("start")),
            Step::DeleteCluster => Err(self.not_ours("remove")),
            other => Err(other.is_not_mine("existing")),
        }
    }

    async fn start(&self, _progress: &Progress) -> Result<()> {
        Err(self.not_ours("start"))
    }

    async fn stop(&self, _progress: &Progress) -> Result<()> {
        Err(self.not_ours("stop"))
    }

    async fn access(&self) -> Result<Access> {
        Ok(self.access.clone())
    }

    async fn remote_context(&self) -> Result<Option<String>> {
        let Access { kubeconfig, context } = self.access.clone();
        let remote = blocking(move || is_remote(&kubeconfig, &context)).await?;
        Ok(remote.then(|| self.access.context.clone()))
    }

    async fn platform(&self) -> Result<String> {
        let client = api::client(&self.access, TIMEOUT).await?;
        let nodes = Api::<Node>::all(client).list(&ListParams::default()).await;
        let nodes = nodes.context(Kind::Platform, || format!("cannot list the nodes of {}", self.access.context))?;
        one_platform(&nodes.items).map_err(|error| error.cause(format!("context {}", self.access.context)))
    }
}

fn one_platform(nodes: &[Node]) -> Result<String> {
    let platform = |node: &Node| {
        let info = node.status.as_ref()?.node_info.as_ref()?;
        Some(format!("{}/{}", info.operating_system, info.architecture))
    };
    let mut found: Vec<String> = nodes.iter().filter_map(platform).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::new(Kind::Platform, "cannot tell for which platform to build: the cluster has no nodes")
            .hint("add a node, or wait for the first one, then run this again")),
        several => Err(Error::new(Kind::Usage, "the cluster's nodes have several platforms")
            .cause(several.join(", "))
            .hint("images are built for one platform: use a cluster whose nodes are all of one")
            .hint(
                "or build and push images for all of them yourself (docker buildx build --platform), and name those in the \
                 manifests in place of services; --agent-image names one of stackctl for the proofs",
            )),
    }
}

/// Whether the API server of a context is on another machine, so that a mistake there might hurt others. A host that
/// cannot be resolved counts as remote.
fn is_remote(kubeconfig: &Path, context: &str) -> Result<bool> {
    let all = api::read(kubeconfig)?;
    let context = choose(&all, Some(context))?;
    let server = api::server(kubeconfig, &context)?;
    let url = url::Url::parse(&server)
        .context(Kind::Usage, || format!("the server {server:?} of the context {context} is not a URL"))?;
    let port = url.port_or_known_default().unwrap_or(443);
    Ok(match url.host() {
        Some(url::Host::Ipv4(address)) => !address.is_loopback(),
        Some(url::Host::Ipv6(address)) => !address.is_loopback(),
        Some(url::Host::Domain(name)) => {
            let addresses: Vec<_> = (name, port).to_socket_addrs().into_iter().flatten().collect();
            addresses.is_empty() || !addresses.iter().all(|address| address.ip().is_loopback())
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
             contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn only_loopback_is_not_remote() {
        for (server, remote) in [
            ("https://127.0.0.1:6443", false),
            ("https://[::1]:6443", false),
            ("https://localhost:6443", false),
            ("https://10.0.0.1:6443", true),
            ("https://192.168.49.2:8443", true),
        ] {
            assert_eq!(is_remote(kubeconfig(server).path(), "a").unwrap(), remote, "{server}");
        }
    }

    #[test]
    fn an_unknown_context_is_an_error_that_names_the_known() {
        let file = kubeconfig("https://127.0.0.1:1");
        let user = UserKubeconfig::at([file.path().to_owned()]);
        let state = State::at(file.path().with_extension("state"));
        let error = ExistingCluster::new(&user, Some("b"), &state).unwrap_err();
        assert_eq!((error.kind, error.hints[0].as_str()), (Kind::Usage, "it has: a"));
        assert_eq!(ExistingCluster::new(&user, None, &state).unwrap().access.context, "a");
    }

    #[test]
    fn each_cluster_has_a_folder_of_its_own() {
        let state = State::at("/state");
        let folder = |server: &str| {
            let file = kubeconfig(server);
            let cluster = ExistingCluster::new(&UserKubeconfig::at([file.path().to_owned()]), None, &state).unwrap();
            cluster.folder().path().to_owned()
        };
        assert_eq!(folder("https://10.0.0.1:6443"), folder("https://10.0.0.1:6443"));
        // The context's name is the same, as `kind-stackctl` is on two machines.
        assert_ne!(folder("https://10.0.0.1:6443"), folder("https://10.0.0.2:6443"));
        assert!(folder("https://10.0.0.1:6443").starts_with("/state/contexts"));
        let [one, other] = ["arn:aws:eks:eu/prod", "arn:aws:eks:eu-prod"].map(|name| folder_name(name, None));
        assert!(one.starts_with("arn-aws-eks-eu-prod-") && one != other && !one.contains('/'), "{one}");
        assert!(!folder_name("../x", None).contains('/'));
    }

    #[tokio::test]
    async fn a_context_that_points_nowhere_is_unreachable() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = kubeconfig("https://127.0.0.1:1");
        let user = UserKubeconfig::at([file.path().to_owned()]);
        let cluster = ExistingCluster::new(&user, None, &State::at("/nowhere")).unwrap();
        assert!(matches!(cluster.observe().await.unwrap(), ClusterState::Unreachable { .. }));
    }

    #[test]
    fn nodes_of_two_platforms_cannot_be_built_for() {
        let node = |arch: &str| -> Node {
            let value = serde_json::json!({"metadata": {}, "status": {"nodeInfo": {"operatingSystem": "linux",
                "architecture": arch, "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}});
            serde_json::from_value(value).unwrap()
        };
        assert_eq!(one_platform(&[node("amd64"), node("amd64")]).unwrap(), "linux/amd64");
        let mixed = one_platform(&[node("amd64"), node("arm64")]).unwrap_err();
        assert_eq!(mixed.kind, Kind::Usage);
        assert!(mixed.hints.iter().any(|hint| hint.contains("--agent-image")), "{mixed:?}");
        assert_eq!(one_platform(&[]).unwrap_err().kind, Kind::Platform);
    }
}
