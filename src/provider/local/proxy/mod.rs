//! The container through which this machine reaches a local cluster's edge: it publishes ports of 127.0.0.1 and hands
//! their connections to node ports. It can be made again at any time; the cluster does not notice.
//!
//! Its labels say whose it is and what it was made from, its port bindings say where it is; nothing is remembered
//! elsewhere.

pub mod relay;

use std::{collections::BTreeMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HealthConfig, HostConfig},
    query_parameters::InspectContainerOptions,
};
use tokio::net::TcpStream;

use super::{engine, members::Members};
use crate::object::Removed;
use crate::provider::{CLUSTER_LABEL, OWNER, OWNER_LABEL, REGISTRY_HOST};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    provider::local::{ports, proxy::relay::Route},
};

const CONFIG_LABEL: &str = "io.stackctl.config";
const STACK_LABEL: &str = "io.stackctl.stack";
/// Marks the container as a proxy, among all that carries the cluster's labels.
pub const ROLE_LABEL: &str = "io.stackctl.role";
pub const ROLE: &str = "proxy";
/// Counts up when a proxy that an older version made must be replaced.
const REVISION: u32 = 1;
const STOPPED: &str = "it is stopped";
/// Pairs of ports that are tried before any that is free.
const PAIRS: u16 = 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// What is there, as seen without changing anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyState {
    /// Names of the cluster's nodes.
    pub nodes: Vec<String>,
    pub container: Option<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub running: bool,
    /// What `config` gave when it was made.
    pub config: String,
    /// Port inside to port of 127.0.0.1.
    pub published: BTreeMap<u16, u16>,
    /// A container of that name that is not ours: why.
    pub foreign: Option<String>,
}

/// A port of the edge, from this machine to the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Inside the container; also what is preferred on 127.0.0.1.
    pub inside: u16,
    pub node_port: u16,
    /// On 127.0.0.1, where it was asked for.
    pub asked: Option<u16>,
}

/// Which program a proxy runs and where it sends what, in one line.
pub fn config(nodes: &[String], ports: &[Port]) -> String {
    let routes: Vec<String> = routes(nodes, ports).iter().map(Route::to_string).collect();
    format!("{REVISION} {}", routes.join(" "))
}

fn routes(nodes: &[String], ports: &[Port]) -> Vec<Route> {
    let targets = |port: &Port| nodes.iter().map(|node| format!("{node}:{}", port.node_port)).collect();
    ports.iter().map(|port| Route { port: port.inside, targets: targets(port) }).collect()
}

/// The image that a proxy runs from, where none is given: this program's, of this cluster.
pub fn image(cluster: &str) -> String {
    format!("{REGISTRY_HOST}/stackctl/proxy:{cluster}-{}-{REVISION}", env!("CARGO_PKG_VERSION"))
}

impl ProxyState {
    /// Why the container must be made, started or replaced; None: it is as it should be.
    pub fn needs(&self, ports: &[Port]) -> Option<&'static str> {
        let Some(container) = &self.container else { return Some("there is none") };
        let fits = |port: &Port| {
            let published = container.published.get(&port.inside);
            published.is_some() && port.asked.is_none_or(|asked| published == Some(&asked))
        };
        if container.config != config(&self.nodes, ports) {
            return Some("it leads elsewhere");
        }
        if !container.running {
            return Some(STOPPED);
        }
        (!ports.iter().all(fits)).then_some("it has other ports")
    }
}

/// The proxy of one stack's edge in one cluster.
#[derive(Debug, Clone)]
pub struct Proxy {
    docker: Docker,
    members: Members,
    stack: String,
    network: String,
    /// The engine publishes ports on this machine.
    local: bool,
}

impl Proxy {
    /// `endpoint`: as in DOCKER_HOST.
    pub fn new(docker: &Docker, endpoint: &str, members: &Members, stack: &str, network: &str) -> Proxy {
        Proxy {
            docker: docker.clone(),
            members: members.clone(),
            stack: stack.to_owned(),
            network: network.to_owned(),
            local: super::registry::is_local(endpoint),
        }
    }

    pub fn name(&self) -> String {
        format!("{}-proxy-{}", self.members.cluster, self.stack)
    }

    /// Reads only.
    pub async fn observe(&self) -> Result<ProxyState> {
        let (nodes, container) = tokio::try_join!(self.nodes(), self.container())?;
        Ok(ProxyState { nodes, container: container.map(|container| self.judge(&container)) })
    }

    /// Makes the container as it should be, replacing one that is not, and returns its ports: inside to 127.0.0.1.
    pub async fn ensure(&self, image: &str, ports: &[Port], progress: &Progress) -> Result<BTreeMap<u16, u16>> {
        let state = self.observe().await?;
        if let Some(why) = state.container.as_ref().and_then(|container| container.foreign.clone()) {
            return Err(Error::new(Kind::Preflight, format!("cannot use the container {}", self.name()))
                .cause(why)
                .hint("remove or rename that container, or choose another --cluster-name"));
        }
        let before = state.container.as_ref().map(|container| container.published.clone()).unwrap_or_default();
        match state.needs(ports) {
            None => {}
            Some(STOPPED) if self.start().await.is_ok() => {}
            Some(why) => {
                if state.container.is_some() {
                    progress.say(format!("replacing the proxy: {why}"));
                }
                self.delete().await?;
                self.make(image, &state.nodes, ports, &before, progress).await?;
            }
        }
        self.await_running(ports).await
    }

    /// Removes the container, if it is ours.
    pub async fn delete(&self) -> Result<Vec<Removed>> {
        match self.container().await? {
            Some(container) if self.judge(&container).foreign.is_none() => {
                engine::remove_container(&self.docker, &container).await?;
                Ok(vec![Removed { kind: "container".to_owned(), name: self.name() }])
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn start(&self) -> Result<()> {
        engine::start_container(&self.docker, &self.name()).await
    }

    async fn nodes(&self) -> Result<Vec<String>> {
        Ok(self.members.nodes(&self.docker).await?.into_iter().map(|node| node.name).collect())
    }

    async fn container(&self) -> Result<Option<engine::Container>> {
        engine::container(&self.docker, &self.name()).await
    }

    fn judge(&self, container: &engine::Container) -> Container {
        let wanted = [(OWNER_LABEL, OWNER), (CLUSTER_LABEL, &self.members.cluster), (STACK_LABEL, &self.stack)];
        let missing = wanted.iter().find(|(key, value)| container.label(key) != Some(value));
        Container {
            name: container.name.clone(),
            running: container.running,
            config: container.label(CONFIG_LABEL).unwrap_or_default().to_owned(),
            published: container.ports.iter().copied().collect(),
            foreign: missing.map(|(key, value)| format!("it lacks the label {key}={value}")),
        }
    }

    /// Ports that were asked for must be had; others are the ones it had, the preferred ones, or those of the next pair
    /// that is free. Those of other stacks are no surprise; any other program in the way is named.
    async fn make(
        &self,
        image: &str,
        nodes: &[String],
        ports: &[Port],
        before: &BTreeMap<u16, u16>,
        progress: &Progress,
    ) -> Result<()> {
        let is_free = |port: u16| !self.local || ports::is_free(port);
        if let Some(asked) = ports.iter().filter_map(|port| port.asked).find(|asked| !is_free(*asked)) {
            return Err(taken(asked));
        }
        let had = |port: &Port| port.asked.or_else(|| before.get(&port.inside).copied()).filter(|had| is_free(*had));
        let wanted: Vec<u16> = ports.iter().filter(|port| had(port).is_none()).map(|port| port.inside).collect();
        let pair = next_pair(&wanted, is_free);
        if pair != Some(0) {
            let others = of_cluster(&self.docker, &self.members.cluster).await?;
            let is_ours = |port: &u16| others.iter().any(|(_, published)| published.values().any(|it| it == port));
            for port in wanted.iter().filter(|port| !is_free(**port) && !is_ours(port)) {
                let owner = ports::owner(*port).map(|owner| format!(" by {owner}")).unwrap_or_default();
                progress.warn(format!("port {port} of 127.0.0.1 is in use{owner}: the edge gets another one"));
            }
        }
        // One that is chosen here stays the same when the container restarts.
        let chosen = |port: &Port| pair.map(|step| port.inside + step).or_else(ports::any_free).unwrap_or(0);
        let mut published: BTreeMap<u16, u16> =
            ports.iter().map(|port| (port.inside, had(port).unwrap_or_else(|| chosen(port)))).collect();
        match self.try_make(image, nodes, ports, &published).await {
            // Between the look and the start somebody else may have taken a port that nobody asked for.
            Err(error) if is_port_taken(&error) && ports.iter().all(|port| port.asked.is_none()) => {
                self.delete().await?;
                published.values_mut().for_each(|port| *port = 0);
                self.try_make(image, nodes, ports, &published).await
            }
            made => made,
        }
    }

    async fn try_make(
        &self,
        image: &str,
        nodes: &[String],
        ports: &[Port],
        published: &BTreeMap<u16, u16>,
    ) -> Result<()> {
        let mut labels = engine::our_labels(Some(&self.members.cluster));
        labels.insert(STACK_LABEL.to_owned(), self.stack.clone());
        labels.insert(ROLE_LABEL.to_owned(), ROLE.to_owned());
        labels.insert(CONFIG_LABEL.to_owned(), config(nodes, ports));
        let arguments = |last: Option<&str>| -> Vec<String> {
            let routes = routes(nodes, ports);
            let routes = routes.iter().flat_map(|route| ["--listen".to_owned(), route.to_string()]);
            ["agent", "proxy"].map(str::to_owned).into_iter().chain(routes).chain(last.map(str::to_owned)).collect()
        };
        let bindings = published
            .iter()
            .map(|(inside, outside)| (format!("{inside}/tcp"), Some(vec![engine::on_loopback(*outside)])));
        let check = ["CMD".to_owned(), "/stackctl".to_owned()].into_iter().chain(arguments(Some("--check")));
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/stackctl".to_owned()]),
            cmd: Some(arguments(None)),
            labels: Some(labels),
            exposed_ports: Some(published.keys().map(|inside| format!("{inside}/tcp")).collect()),
            healthcheck: Some(HealthConfig {
                test: Some(check.collect()),
                interval: Some(30_000_000_000),
                timeout: Some(5_000_000_000),
                retries: Some(3),
                ..Default::default()
            }),
            ..Default::default()
        };
        let host = HostConfig {
            port_bindings: Some(bindings.collect()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            ..Default::default()
        };
        engine::create_container(&self.docker, &self.name(), engine::on_network(&self.network, body, host)).await?;
        self.start().await
    }

    async fn await_running(&self, ports: &[Port]) -> Result<BTreeMap<u16, u16>> {
        let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
        loop {
            let container = self.container().await?.map(|container| self.judge(&container));
            let published = container.as_ref().filter(|container| container.running).map(|it| it.published.clone());
            if let Some(published) = published
                && ports.iter().all(|port| published.contains_key(&port.inside))
                && self.answers(published.values()).await
            {
                return Ok(published);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(self.ended().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self, ports: impl Iterator<Item = &u16>) -> bool {
        for port in ports {
            if self.local && TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn ended(&self) -> Error {
        let name = self.name();
        let error = Error::new(Kind::Platform, format!("the proxy {name} does not answer"))
            .hint(format!("see what it says: docker logs {name}"));
        let state = self.docker.inspect_container(&name, None::<InspectContainerOptions>).await;
        match state.ok().and_then(|container| container.state).and_then(|state| state.exit_code) {
            Some(code) if code != 0 => error.cause(format!("it ended with status {code}")),
            _ => error,
        }
    }
}

/// The proxies of a cluster that run: stack to ports, inside to 127.0.0.1.
pub async fn of_cluster(docker: &Docker, cluster: &str) -> Result<Vec<(String, BTreeMap<u16, u16>)>> {
    let labels = [(OWNER_LABEL, OWNER), (CLUSTER_LABEL, cluster), (ROLE_LABEL, ROLE)];
    let found = engine::containers(docker, &labels).await?;
    let of_stack = |container: engine::Container| {
        let stack = container.label(STACK_LABEL)?.to_owned();
        Some((stack, container.ports.into_iter().collect()))
    };
    Ok(found.into_iter().filter(|container| container.running).filter_map(of_stack).collect())
}

/// How far above the preferred ports the first are that are all free: 8443 and 8080, 9443 and 9080, 10443 and 10080, …,
/// the pairs between which the edge's redirects lead. None: none of these.
fn next_pair(preferred: &[u16], is_free: impl Fn(u16) -> bool) -> Option<u16> {
    (0..PAIRS).map(|pair| pair * 1000).find(|step| preferred.iter().all(|port| is_free(port + step)))
}

/// A port that was asked for and is somebody else's.
pub fn taken(port: u16) -> Error {
    let owner = ports::owner(port).map(|owner| format!(" by {owner}")).unwrap_or_default();
    Error::new(Kind::Preflight, format!("port {port} of 127.0.0.1 is in use{owner}"))
        .hint("stop that program, choose another port, or name none: then a free one is taken")
}

fn is_port_taken(error: &Error) -> bool {
    error.causes.iter().any(|cause| cause.contains("already allocated") || cause.contains("address already in use"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(inside: u16, asked: Option<u16>) -> Port {
        Port { inside, node_port: 30000 + inside % 1000, asked }
    }

    fn state(ports: &[Port], published: &[(u16, u16)]) -> ProxyState {
        let nodes = vec!["one-control-plane".to_owned(), "one-worker".to_owned()];
        let container = Container {
            name: "one-proxy-hello".to_owned(),
            running: true,
            config: config(&nodes, ports),
            published: published.iter().copied().collect(),
            foreign: None,
        };
        ProxyState { nodes, container: Some(container) }
    }

    #[test]
    fn further_stacks_get_the_next_pair_of_ports() {
        let taken = |taken: &'static [u16]| move |port: u16| !taken.contains(&port);
        assert_eq!(next_pair(&[8443, 8080], taken(&[])), Some(0));
        assert_eq!(next_pair(&[8443, 8080], taken(&[8443])), Some(1000));
        assert_eq!(next_pair(&[8443, 8080], taken(&[8443, 8080, 9080])), Some(2000));
        assert_eq!(next_pair(&[8443, 8080], |_| false), None);
        assert_eq!(next_pair(&[], |_| false), Some(0), "nothing is wanted");
    }

    #[test]
    fn what_fits_is_left_alone_wherever_its_ports_are() {
        let ports = [port(8443, None), port(8080, None)];
        let there = state(&ports, &[(8443, 8443), (8080, 40123)]);
        assert_eq!(there.needs(&ports), None);
        assert_eq!(
            there.container.as_ref().unwrap().config.split(' ').nth(1),
            Some("8443=one-control-plane:30443,one-worker:30443")
        );
        assert_eq!(there.needs(&[port(8443, None), port(8080, Some(40123))]), None);
        assert_eq!(there.needs(&[port(8443, None), port(8080, Some(80))]), Some("it has other ports"));
    }

    #[test]
    fn another_node_port_or_node_replaces_it() {
        let ports = [port(8443, None)];
        let mut there = state(&ports, &[(8443, 8443)]);
        assert_eq!(there.needs(&[Port { node_port: 31999, ..port(8443, None) }]), Some("it leads elsewhere"));
        there.nodes.pop();
        assert_eq!(there.needs(&ports), Some("it leads elsewhere"));
    }

    #[test]
    fn a_stopped_one_is_started() {
        let ports = [port(8443, None)];
        let mut there = state(&ports, &[]);
        there.container.as_mut().unwrap().running = false;
        assert_eq!(there.needs(&ports), Some("it is stopped"));
        assert_eq!(ProxyState::default().needs(&ports), Some("there is none"));
    }
}
