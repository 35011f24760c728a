//! The few things that clusters need of a container engine.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    container::LogOutput,
    exec::{StartExecOptions, StartExecResults},
    models::{
        ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, ContainerUpdateBody, EndpointSettings,
        ExecConfig, HostConfig, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
        DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
        UploadToContainerOptionsBuilder,
    },
};
use futures::{StreamExt, TryStreamExt};

use crate::provider::{OWNER, OWNER_LABEL};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

const REMOVE_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN_SECONDS: i32 = 20;
const PULL_WITHIN: Duration = Duration::from_secs(600);

/// A container as the engine lists it, running or not.
#[derive(Debug, Clone, Default)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub labels: HashMap<String, String>,
    pub running: bool,
    /// Frozen by the engine: it cannot be started before it is thawed.
    pub paused: bool,
    pub mounts: Vec<Mount>,
    /// Container port to the host port that it is published at.
    pub ports: Vec<(u16, u16)>,
    pub networks: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Mount {
    pub destination: String,
    pub writable: bool,
}

impl Container {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    pub fn published(&self, port: u16) -> Option<u16> {
        self.ports.iter().find(|(inside, _)| *inside == port).map(|(_, outside)| *outside)
    }
}

impl From<ContainerSummary> for Container {
    fn from(summary: ContainerSummary) -> Self {
        let mount = |mount: bollard::models::MountPoint| Mount {
            destination: mount.destination.unwrap_or_default(),
            writable: mount.rw.unwrap_or(true),
        };
        let names = summary.names.unwrap_or_default();
        Container {
            id: summary.id.unwrap_or_default(),
            name: names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
            labels: summary.labels.unwrap_or_default(),
            running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
            paused: summary.state == Some(ContainerSummaryStateEnum::PAUSED),
            mounts: summary.mounts.unwrap_or_default().into_iter().map(mount).collect(),
            ports: summary
                .ports
                .unwrap_or_default()
                .into_iter()
                .filter_map(|port| Some((port.private_port, port.public_port?)))
                .collect(),
            networks: summary
                .network_settings
                .and_then(|settings| settings.networks)
                .map(|networks| networks.into_keys().collect())
                .unwrap_or_default(),
        }
    }
}

/// Filters as the engine's lists take them: all of `KEY=VALUE` must be there.
pub fn label_filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.iter().map(|(key, value)| format!("{key}={value}")).collect())])
}

/// All containers with these labels, stopped ones too, by name.
pub async fn containers(docker: &Docker, labels: &[(&str, &str)]) -> Result<Vec<Container>> {
    let options = ListContainersOptionsBuilder::default().all(true).filters(&label_filter(labels)).build();
    let found = docker
        .list_containers(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the containers of the engine".to_owned())?;
    let mut found: Vec<Container> = found.into_iter().map(Container::from).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The container of exactly that name.
pub async fn container(docker: &Docker, name: &str) -> Result<Option<Container>> {
    let filters = HashMap::from([("name".to_owned(), vec![format!("^/{name}$")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker
        .list_containers(Some(options))
        .await
        .context(Kind::Platform, || "cannot list the containers of the engine".to_owned())?;
    Ok(found.into_iter().map(Container::from).find(|container| container.name == name))
}

pub async fn has_image(docker: &Docker, image: &str) -> Result<bool> {
    match docker.inspect_image(image).await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(error).context(Kind::Platform, || format!("cannot look at the image {image}")),
    }
}

/// What a container of ours on `network` has to have: it comes back with the engine, and can be reached by its name.
pub fn on_network(network: &str, body: ContainerCreateBody, host: HostConfig) -> ContainerCreateBody {
    let restart = RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), ..Default::default() };
    ContainerCreateBody {
        host_config: Some(HostConfig { network_mode: Some(network.to_owned()), restart_policy: Some(restart), ..host }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), EndpointSettings::default())])),
        }),
        ..body
    }
}

/// A port of 127.0.0.1; 0: any free one.
pub fn on_loopback(port: u16) -> PortBinding {
    let host_port = if port == 0 { String::new() } else { port.to_string() };
    PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(host_port) }
}

pub async fn create_container(docker: &Docker, name: &str, body: ContainerCreateBody) -> Result<()> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let made = docker.create_container(Some(options), body).await;
    made.map(drop).context(Kind::Platform, || format!("cannot make the container {name}"))
}

pub async fn start_container(docker: &Docker, name: &str) -> Result<()> {
    let started = docker.start_container(name, None::<StartContainerOptions>).await;
    started.context(Kind::Platform, || format!("cannot start the container {name}"))
}

pub async fn stop_container(docker: &Docker, container: &Container) -> Result<()> {
    let options = StopContainerOptionsBuilder::default().t(STOP_WITHIN_SECONDS).build();
    let stopped = docker.stop_container(&container.id, Some(options)).await;
    stopped.context(Kind::Platform, || format!("cannot stop the container {}", container.name))
}

pub async fn unpause_container(docker: &Docker, container: &Container) -> Result<()> {
    let thawed = docker.unpause_container(&container.id).await;
    thawed.context(Kind::Platform, || format!("cannot unpause the container {}", container.name))
}

/// Pulls the image unless the engine has it.
pub async fn ensure_image(docker: &Docker, image: &str, progress: &Progress) -> Result<()> {
    if has_image(docker, image).await? {
        return Ok(());
    }
    progress.say(format!("pulling {image}"));
    let options = CreateImageOptionsBuilder::default().from_image(image).build();
    let pull = docker.create_image(Some(options), None, None).try_for_each(|step| {
        if let Some(line) = step.status {
            progress.output(line);
        }
        std::future::ready(Ok(()))
    });
    let pulled = tokio::time::timeout(PULL_WITHIN, pull)
        .await
        .context(Kind::Platform, || format!("the image {image} was not pulled within 10 minutes"))?;
    pulled.map_err(|error| {
        Error::new(Kind::Platform, format!("cannot pull the image {image}")).caused_by(&error).hint(format!(
            "check the engine's access to its registries, or load the image: docker load, docker tag … {image}"
        ))
    })
}

/// Removes a container, running or not, with its anonymous volumes. One that is already gone is fine.
pub async fn remove_container(docker: &Docker, container: &Container) -> Result<()> {
    never_restart(docker, container).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let deadline = tokio::time::Instant::now() + REMOVE_WITHIN;
    loop {
        match docker.remove_container(&container.id, Some(options.clone())).await {
            Ok(()) => return Ok(()),
            Err(error) if status(&error) == Some(404) => return Ok(()),
            // Someone else is removing it: gone once it no longer exists.
            Err(error) if status(&error) == Some(409) => return wait_gone(docker, container).await,
            // "did not receive an exit event": busy, or it has lost track of the container.
            Err(error) if status(&error) == Some(500) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                let failed = Error::new(Kind::Platform, format!("cannot remove the container {}", container.name));
                return Err(failed.caused_by(&error).hint("run it again; if that does not help, restart the engine"));
            }
        }
    }
}

/// An engine that is just starting a container may otherwise kill it, start it again by its restart policy, and then
/// know it no more. This waits until the start is over; that it fails must not keep anybody from removing.
async fn never_restart(docker: &Docker, container: &Container) {
    let policy = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..Default::default() };
    let update = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
    let _ = tokio::time::timeout(REMOVE_WITHIN, docker.update_container(&container.id, update)).await;
}

async fn wait_gone(docker: &Docker, container: &Container) -> Result<()> {
    let gone = async {
        while !matches!(docker.inspect_container(&container.id, None).await, Err(error) if status(&error) == Some(404))
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(REMOVE_WITHIN, gone).await.context(Kind::Platform, || {
        format!(
            "the container {} is being removed, but is still there after {} s",
            container.name,
            REMOVE_WITHIN.as_secs()
        )
    })
}

/// The HTTP status with which the engine refused, if it answered at all.
pub fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

pub fn our_labels(cluster: Option<&str>) -> HashMap<String, String> {
    let mut labels = HashMap::from([(OWNER_LABEL.to_owned(), OWNER.to_owned())]);
    labels.extend(cluster.map(|cluster| (crate::provider::CLUSTER_LABEL.to_owned(), cluster.to_owned())));
    labels
}

/// A file to be put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute, in the container.
    pub path: String,
    pub content: Vec<u8>,
}

/// Writes the files, 0644 and owned by root, making their folders. The container may be stopped.
pub async fn put_files(docker: &Docker, container: &str, files: &[File]) -> Result<()> {
    let archive =
        tar(files).context(Kind::Unexpected, || format!("cannot pack files for the container {container}"))?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    docker
        .upload_to_container(container, Some(options), bollard::body_full(archive.into()))
        .await
        .context(Kind::Platform, || format!("cannot write files into the container {container}"))
}

fn tar(files: &[File]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(file.content.len() as u64);
        archive.append_data(&mut header, file.path.trim_start_matches('/'), file.content.as_slice())?;
    }
    archive.into_inner()
}

/// Whether a container, running or not, has that path. Far cheaper than reading it: an engine asks only its own file
/// system for this, but enters the container to read.
pub async fn has_path(docker: &Docker, container: &str, path: &str) -> Result<bool> {
    let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
    match docker.get_container_archive_info(container, Some(options)).await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => {
            Err(error).context(Kind::Platform, || format!("cannot look for {path} in the container {container}"))
        }
    }
}

/// The content of one file of a container, running or not. None: there is no such file.
pub async fn read_file(docker: &Docker, container: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let archive: Vec<bytes::Bytes> = match docker.download_from_container(container, Some(options)).try_collect().await
    {
        Ok(chunks) => chunks,
        Err(error) if status(&error) == Some(404) => return Ok(None),
        Err(error) => {
            return Err(error).context(Kind::Platform, || format!("cannot read {path} of the container {container}"));
        }
    };
    let mut content = Vec::new();
    let archive = archive.concat();
    let read = |content: &mut Vec<u8>| -> std::io::Result<()> {
        for entry in tar::Archive::new(archive.as_slice()).entries()? {
            std::io::Read::read_to_end(&mut entry?, content)?;
        }
        Ok(())
    };
    read(&mut content).context(Kind::Platform, || {
        format!("the engine's answer for {path} of the container {container} is no archive")
    })?;
    Ok(Some(content))
}

/// The last lines that a container printed, running or not.
pub async fn log(docker: &Docker, container: &str, lines: usize) -> Result<Vec<String>> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let chunks: Vec<LogOutput> = docker
        .logs(container, Some(options))
        .try_collect()
        .await
        .context(Kind::Platform, || format!("cannot read the log of the container {container}"))?;
    let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.into_bytes()).collect();
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// Runs a command in a container and returns what it printed. An exit status other than 0 is an error with the last
/// lines of the output.
pub async fn run(docker: &Docker, container: &str, argv: &[&str], deadline: Duration) -> Result<String> {
    let what = || format!("cannot run `{}` in the container {container}", argv.join(" "));
    let work = async {
        let options = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
            ..Default::default()
        };
        let exec = docker.create_exec(container, options).await.context(Kind::Platform, what)?;
        let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await.context(Kind::Platform, what)?;
        let mut text = String::new();
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(chunk) = output.next().await {
                let chunk: LogOutput = chunk.context(Kind::Platform, what)?;
                text.push_str(&String::from_utf8_lossy(&chunk.into_bytes()));
            }
        }
        match docker.inspect_exec(&exec.id).await.context(Kind::Platform, what)?.exit_code {
            Some(0) => Ok(text),
            code => {
                let code = code.map_or("without a status".to_owned(), |code| format!("with status {code}"));
                let lines: Vec<&str> = text.lines().collect();
                let last = lines[lines.len().saturating_sub(10)..].iter().copied();
                Err(Error::new(Kind::Platform, what()).cause(format!("it ended {code}")).details(last))
            }
        }
    };
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::Platform, what()).cause(format!("it did not end within {} s", deadline.as_secs())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_hold_the_files_without_a_leading_slash() {
        let packed = tar(&[File { path: "/etc/a".to_owned(), content: b"x".to_vec() }]).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("etc/a"));
        assert_eq!(entry.header().mode().unwrap(), 0o644);
        assert_eq!(entry.header().uid().unwrap(), 0);
    }
}
