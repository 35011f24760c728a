//! The image registry of a local cluster: one container, published on a free port of 127.0.0.1.
//!
//! Its labels say whose it is and its port binding says where it is; nothing is remembered elsewhere.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, VolumeCreateRequest},
    query_parameters::{InspectContainerOptions, RemoveVolumeOptionsBuilder},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{engine, network};
use crate::object::Removed;
use crate::provider::{CLUSTER_LABEL, OWNER, OWNER_LABEL};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

pub const DEFAULT_IMAGE: &str = "registry:2";
/// The port inside the container, at which nodes reach it by name.
pub const PORT: u16 = 5000;
/// What the container was made from, to notice one that an older version made differently.
const CONFIG_LABEL: &str = "io.stackctl.config";
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Absent,
    Stopped,
    /// Listens on this port of 127.0.0.1 of the engine's host.
    Running {
        port: u16,
    },
    /// Ours, but not as it should be: to be replaced.
    Outdated {
        why: String,
    },
    /// A container of that name that does not carry our label.
    Foreign {
        why: String,
    },
}

/// The registry of one cluster.
#[derive(Debug, Clone)]
pub struct Registry {
    docker: Docker,
    cluster: String,
    network: String,
    image: String,
    /// The engine publishes ports on this machine, so that its answer can be awaited from here.
    local: bool,
}

/// `NAME-registry`: the container, its volume, and the host name by which nodes know it.
pub fn name_for(cluster: &str) -> String {
    format!("{cluster}-registry")
}

impl Registry {
    /// `endpoint`: as in DOCKER_HOST.
    pub fn new(docker: &Docker, endpoint: &str, cluster: &str, network: &str) -> Self {
        Registry {
            docker: docker.clone(),
            cluster: cluster.to_owned(),
            network: network.to_owned(),
            image: DEFAULT_IMAGE.to_owned(),
            local: is_local(endpoint),
        }
    }

    #[cfg(test)]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    pub fn name(&self) -> String {
        name_for(&self.cluster)
    }

    /// Reads only.
    pub async fn observe(&self) -> Result<State> {
        Ok(match self.container().await? {
            None => State::Absent,
            Some(container) => self.judge(&container),
        })
    }

    /// Makes or starts the registry and returns the port of 127.0.0.1 at which it answers.
    pub async fn ensure(&self, progress: &Progress) -> Result<u16> {
        match self.observe().await? {
            State::Running { port } if self.answers(port).await => return Ok(port),
            State::Running { .. } => {}
            State::Stopped => self.start().await?,
            State::Absent => self.make(progress).await?,
            State::Outdated { why } => {
                progress.say(format!("replacing the registry: {why}"));
                self.remove_container().await?;
                self.make(progress).await?;
            }
            State::Foreign { why } => {
                return Err(Error::new(Kind::Preflight, format!("cannot use the container {}", self.name()))
                    .cause(why)
                    .hint("remove or rename that container, or choose another --cluster-name"));
            }
        }
        self.await_answer(progress).await
    }

    pub async fn start(&self) -> Result<()> {
        engine::start_container(&self.docker, &self.name()).await
    }

    /// Removes the container and its volume, as far as they carry our label.
    pub async fn delete(&self) -> Result<Vec<Removed>> {
        let mut removed = Vec::new();
        if self.remove_container().await? {
            removed.push(Removed { kind: "container".to_owned(), name: self.name() });
        }
        if self.remove_volume().await? {
            removed.push(Removed { kind: "volume".to_owned(), name: self.name() });
        }
        Ok(removed)
    }

    async fn container(&self) -> Result<Option<engine::Container>> {
        engine::container(&self.docker, &self.name()).await
    }

    fn judge(&self, container: &engine::Container) -> State {
        let name = self.name();
        if container.label(OWNER_LABEL) != Some(OWNER) || container.label(CLUSTER_LABEL) != Some(&self.cluster) {
            return State::Foreign {
                why: format!(
                    "{name} exists without the labels {OWNER_LABEL}={OWNER} and {CLUSTER_LABEL}={}",
                    self.cluster
                ),
            };
        }
        if container.label(CONFIG_LABEL) != Some(&self.config()) {
            return State::Outdated { why: "it was made with other settings".to_owned() };
        }
        if !container.running {
            return State::Stopped;
        }
        match container.published(PORT) {
            Some(port) => State::Running { port },
            None => State::Outdated { why: "it has no published port".to_owned() },
        }
    }

    fn config(&self) -> String {
        format!("1,{},{}", self.image, self.network)
    }

    async fn make(&self, progress: &Progress) -> Result<()> {
        network::ensure(&self.docker, &self.network).await?;
        engine::ensure_image(&self.docker, &self.image, progress).await?;
        self.ensure_volume().await?;
        let name = self.name();
        let mut labels = engine::our_labels(Some(&self.cluster));
        labels.insert(CONFIG_LABEL.to_owned(), self.config());
        let port = format!("{PORT}/tcp");
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            labels: Some(labels),
            env: Some(vec!["REGISTRY_STORAGE_DELETE_ENABLED=true".to_owned()]),
            exposed_ports: Some(vec![port.clone()]),
            ..Default::default()
        };
        let host = HostConfig {
            binds: Some(vec![format!("{name}:/var/lib/registry")]),
            port_bindings: Some(HashMap::from([(port, Some(vec![engine::on_loopback(0)]))])),
            ..Default::default()
        };
        let made = engine::create_container(&self.docker, &name, engine::on_network(&self.network, body, host)).await;
        if let Err(error) = made {
            // Another process may have been faster: the same registry serves both.
            match self.observe().await? {
                State::Stopped | State::Running { .. } => {}
                _ => return Err(error),
            }
        }
        self.start().await
    }

    async fn ensure_volume(&self) -> Result<()> {
        let request = VolumeCreateRequest {
            name: Some(self.name()),
            labels: Some(engine::our_labels(Some(&self.cluster))),
            ..Default::default()
        };
        // Engines answer with the volume that is there already, whatever its labels.
        let volume = self
            .docker
            .create_volume(request)
            .await
            .context(Kind::Platform, || format!("cannot make the volume {}", self.name()))?;
        if volume.labels.get(OWNER_LABEL).map(String::as_str) != Some(OWNER) {
            return Err(Error::new(
                Kind::Preflight,
                format!("the engine has a volume {} that stackctl did not make", self.name()),
            )
            .hint(format!("remove it if nobody needs it: docker volume rm {}", self.name())));
        }
        Ok(())
    }

    async fn remove_container(&self) -> Result<bool> {
        match self.container().await? {
            Some(container) if !matches!(self.judge(&container), State::Foreign { .. }) => {
                engine::remove_container(&self.docker, &container).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn remove_volume(&self) -> Result<bool> {
        let name = self.name();
        let gone = |error: &bollard::errors::Error| engine::status(error) == Some(404);
        match self.docker.inspect_volume(&name).await {
            Ok(volume) if volume.labels.get(OWNER_LABEL).map(String::as_str) != Some(OWNER) => return Ok(false),
            Ok(_) => {}
            Err(error) if gone(&error) => return Ok(false),
            Err(error) => return Err(error).context(Kind::Platform, || format!("cannot look at the volume {name}")),
        }
        match self.docker.remove_volume(&name, Some(RemoveVolumeOptionsBuilder::default().build())).await {
            Ok(()) => Ok(true),
            Err(error) if gone(&error) => Ok(false),
            Err(error) => Err(error).context(Kind::Platform, || format!("cannot remove the volume {name}")),
        }
    }

    async fn await_answer(&self, progress: &Progress) -> Result<u16> {
        progress.say("waiting for the registry to answer");
        let wait = async {
            loop {
                match self.observe().await? {
                    State::Running { port } if self.answers(port).await => return Ok(port),
                    State::Stopped => return Err(self.ended().await),
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, wait).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Platform, format!("the registry {} does not answer", self.name()))
                .cause(format!("no answer to GET /v2/ within {} s", ANSWER_WITHIN.as_secs()))
                .hint(format!("see what it says: docker logs {}", self.name())))
        })
    }

    async fn ended(&self) -> Error {
        let error = Error::new(Kind::Platform, format!("the registry {} ended by itself", self.name()))
            .hint(format!("see what it said: docker logs {}", self.name()));
        let state = self.docker.inspect_container(&self.name(), None::<InspectContainerOptions>).await;
        match state.ok().and_then(|container| container.state).and_then(|state| state.exit_code) {
            Some(code) => error.cause(format!("exit status {code}")),
            None => error,
        }
    }

    /// Whether `GET /v2/` is answered with 200. Where the engine is elsewhere its ports are too: running must do.
    async fn answers(&self, port: u16) -> bool {
        if !self.local {
            return true;
        }
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.write_all(b"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await?;
            std::io::Result::Ok(head.ends_with(b" 200"))
        };
        matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
    }
}

/// Whether an engine's endpoint (as in DOCKER_HOST) publishes ports on this machine.
pub(crate) fn is_local(endpoint: &str) -> bool {
    match url::Url::parse(endpoint) {
        Ok(url) if url.scheme() == "unix" || url.scheme() == "npipe" => true,
        Ok(url) => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_behind_a_socket_or_loopback_are_local() {
        for endpoint in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375"] {
            assert!(is_local(endpoint), "{endpoint}");
        }
        for endpoint in ["tcp://10.0.0.3:2375", "ssh://me@host"] {
            assert!(!is_local(endpoint), "{endpoint}");
        }
    }

    fn registry() -> Registry {
        let docker = Docker::connect_with_http("127.0.0.1:1", 1, bollard::API_DEFAULT_VERSION).unwrap();
        Registry::new(&docker, "unix:///run/docker.sock", "one", "net")
    }

    fn container(registry: &Registry) -> engine::Container {
        let mut labels = engine::our_labels(Some("one"));
        labels.insert(CONFIG_LABEL.to_owned(), registry.config());
        engine::Container { running: true, labels, ports: vec![(5000, 41000)], ..Default::default() }
    }

    #[tokio::test]
    async fn the_binding_says_where_it_is() {
        let registry = registry();
        assert_eq!(registry.judge(&container(&registry)), State::Running { port: 41000 });
    }

    #[tokio::test]
    async fn a_container_of_another_cluster_or_of_nobody_is_foreign() {
        let registry = registry();
        let mut other = container(&registry);
        other.labels.insert(CLUSTER_LABEL.to_owned(), "two".to_owned());
        assert!(matches!(registry.judge(&other), State::Foreign { .. }));
        other.labels.clear();
        assert!(matches!(registry.judge(&other), State::Foreign { .. }));
    }

    #[tokio::test]
    async fn other_settings_mean_replacement() {
        let registry = registry();
        let found = container(&registry);
        let changed = registry.clone().image("registry:3");
        assert!(matches!(changed.judge(&found), State::Outdated { .. }));
    }
}
