//! From nothing to a whole cluster: kind makes the nodes, then they learn what they must before they pull.

use std::time::Duration;

use tokio::time::Instant;

use super::{API_WITHIN, KindCluster, OWNER_FOLDER, access, config, create, failure, mark};
use crate::provider::local::nodes;
use crate::{
    error::Result,
    event::Progress,
    provider::{
        Provider, REGISTRY_HOST, api,
        local::{child, done, hold, kubeconfig::UserKubeconfig, network, registry},
    },
};

const CONFIG_FILE: &str = "kind.yaml";
/// In the cluster's state folder: all that kind and the nodes said when the cluster could not be made.
const LOG_FILE: &str = "kind-create.log";
/// A second attempt that would be cut short for sure is not made.
const WORTH_AN_ATTEMPT: Duration = Duration::from_secs(120);

impl KindCluster {
    pub(super) async fn make(&self, progress: &Progress) -> Result<()> {
        let configuration = nodes::Configuration::new(&self.spec)?;
        let owner = self.folder.file(OWNER_FOLDER);
        let config = config::generate(&self.spec, &owner)?.to_yaml()?;
        child::end_leftover(&self.folder)?;
        self.folder.make()?;
        self.folder
            .write(&format!("{OWNER_FOLDER}/{}", mark::OWNER_FILE), mark::owner_file(&self.spec.name).as_bytes())?;
        self.folder.write(CONFIG_FILE, config.as_bytes())?;
        // One of an earlier cluster would be merged into.
        self.folder.remove_file(access::KUBECONFIG_FILE)?;
        self.folder.remove_file(LOG_FILE)?;
        UserKubeconfig::forget_merge(&self.folder)?;
        // kind makes a network of its own where there is none of that name, and it would not carry our label.
        hold::take(&self.docker, &self.network, &self.spec.name).await?;
        let made = self.run_kind_on_network(progress).await;
        if let Err(error) = hold::release(&self.docker, &self.spec.name).await {
            progress.warn(format!("the network {} stays when its last cluster goes: {error}", self.network));
        }
        made?;
        progress.say("configuring the nodes");
        let access = self.access().await?;
        tokio::try_join!(self.configure_new_nodes(), api::await_ready(&access, API_WITHIN))?;
        done::set_configured(&self.docker, &self.nodes().await?, &configuration.hash()).await?;
        // Last of all: from here on the cluster is whole.
        done::set_complete(&self.docker, &mark::first_node(&self.spec.name)).await?;
        self.merge_into_users(true, progress).await
    }

    async fn run_kind_on_network(&self, progress: &Progress) -> Result<()> {
        network::ensure(&self.docker, &self.network).await?;
        self.run_kind(progress).await
    }

    /// What is known to pass on a busy machine is tried once more. Nodes of a failed attempt stay: they are evidence,
    /// and the next run replaces them.
    async fn run_kind(&self, progress: &Progress) -> Result<()> {
        let image = config::node_image(&self.spec);
        let creation = create::Creation {
            cluster: &self.spec.name,
            endpoint: &self.endpoint,
            network: &self.network,
            config: &self.folder.file(CONFIG_FILE),
            kubeconfig: &self.private_kubeconfig(),
            image: image.as_deref(),
            unproxied: &self.unproxied(),
        };
        let deadline = Instant::now() + create::WITHIN;
        let mut log = String::new();
        let mut is_second = false;
        loop {
            let kubelets = failure::tell_of_kubelets(self, progress);
            let made = tokio::select! {
                made = create::create(&creation, &self.folder, deadline, progress) => made?,
                never = kubelets => match never {},
            };
            let Some(failed) = made else {
                self.folder.remove_file(LOG_FILE)?;
                return Ok(());
            };
            progress.say("reading what the nodes say");
            let nodes = failure::examine(&self.docker, &self.nodes().await?).await;
            log.push_str(&failure::log(&failed, &nodes));
            self.folder.write(LOG_FILE, log.as_bytes())?;
            let may_pass = failure::may_pass(&failed, &nodes, self.spec.kind_config.is_some());
            if is_second || !may_pass || Instant::now() + WORTH_AN_ATTEMPT > deadline {
                return Err(failure::error(&self.spec.name, &failed, &nodes, &self.folder.file(LOG_FILE)));
            }
            is_second = true;
            progress.warn(format!(
                "kind could not make the cluster {}: {}; this passes on a busy machine, so it is tried once more",
                self.spec.name,
                failure::reason(&failed)
            ));
            self.remove_nodes().await?;
            self.folder.remove_file(access::KUBECONFIG_FILE)?;
        }
    }

    /// Each node once, as the engine lists them, whoever needs it first: what is pulled early, or the making's last
    /// part.
    pub(super) async fn configure_new_nodes(&self) -> Result<()> {
        let mut configured = self.configured.lock().await;
        let mut nodes = self.nodes().await?;
        nodes.retain(|node| !configured.contains(&node.id));
        nodes::Configuration::new(&self.spec)?.apply(&self.docker, &nodes, true).await?;
        configured.extend(nodes.into_iter().map(|node| node.id));
        Ok(())
    }

    /// Hosts near the nodes, to be reached without a proxy.
    fn unproxied(&self) -> Vec<String> {
        let mut hosts = vec![registry::name_for(&self.spec.name), REGISTRY_HOST.to_owned()];
        hosts.extend(self.spec.mirrors.iter().filter_map(|mirror| {
            let url = url::Url::parse(&mirror.url).ok()?;
            match url.host()? {
                url::Host::Ipv4(address) if address.is_private() || address.is_loopback() => Some(address.to_string()),
                _ => None,
            }
        }));
        hosts
    }
}
