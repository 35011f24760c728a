//! Against a real engine and a real kind: only where STACKCTL_TEST_ENGINE=1 says that there are some.
//! STACKCTL_CONFIG names the node image and the mirrors to use, as it does for the program.

mod failures;

use std::{path::PathBuf, time::Instant};

use ::kube::{Api, api::PostParams};
use bollard::{
    models::ContainerCreateBody,
    query_parameters::{
        CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder,
    },
};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::object::{Mirror, Removed};
use crate::provider::{CLUSTER_LABEL, OWNER, OWNER_LABEL, REGISTRY_HOST};
use crate::{
    event::Events,
    provider::local::{
        audit,
        registry::{self, Registry},
    },
    tls::authority::{self, Authority},
};

const NAME: &str = "stackctl-itself";
/// An image that every node image brings along, so that the engine of a test's machine has it as well.
const SMALL_IMAGE: &str = "registry.k8s.io/pause:3.10.2";
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct World {
    docker: Docker,
    endpoint: String,
    home: tempfile::TempDir,
    spec: ClusterSpec,
    progress: Progress,
}

impl World {
    /// None: no engine is offered to the tests.
    async fn new() -> Option<World> {
        if !crate::testing::has_engine() {
            return None;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
        let settings = std::env::var("STACKCTL_CONFIG").map(|file| std::fs::read_to_string(file).unwrap());
        let settings: serde_yaml::Value = serde_yaml::from_str(&settings.unwrap_or_default()).unwrap();
        let mirrors = settings.get("registryMirrors").and_then(|list| list.as_sequence()).cloned().unwrap_or_default();
        let mirror = |text: &str| {
            let (host, url) = text.split_once('=').unwrap();
            Mirror { host: host.to_owned(), url: url.to_owned() }
        };
        let text = |key: &str| settings.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let spec = ClusterSpec {
            node_image: text("nodeImage"),
            mirrors: mirrors.iter().map(|text| mirror(text.as_str().unwrap())).collect(),
            ca_bundle: text("caBundle").map(PathBuf::from),
            ..ClusterSpec::named(NAME)
        };
        let (events, mut said) = Events::channel();
        tokio::spawn(async move {
            while let Some(event) = said.recv().await {
                eprintln!("{}", serde_json::to_string(&event).unwrap());
            }
        });
        let progress = events.progress("cluster:kind");
        let world = World { docker, endpoint, home: tempfile::tempdir().unwrap(), spec, progress };
        world.cluster().delete(&gladly, &world.progress).await.unwrap();
        Some(world)
    }

    fn user_file(&self) -> PathBuf {
        self.home.path().join("kube/config")
    }

    /// The second file is somebody else's, and nobody can lock it: its lock is a folder.
    fn user(&self) -> UserKubeconfig {
        let other = self.home.path().join("other");
        std::fs::create_dir_all(other.with_extension("lock")).unwrap();
        std::fs::write(&other, "kind: Config\n").unwrap();
        UserKubeconfig::at([self.user_file(), other])
    }

    fn state(&self) -> State {
        State::at(self.home.path().join("state"))
    }

    fn cluster(&self) -> KindCluster {
        KindCluster::new(self.spec.clone(), &self.docker, &self.endpoint, NAME, self.user(), &self.state())
    }

    fn registry(&self) -> Registry {
        Registry::new(&self.docker, &self.endpoint, NAME, NAME)
    }

    async fn leftovers(&self, ports: &[u16]) -> Vec<Removed> {
        let (cluster, user, folder) = (self.cluster(), self.user(), self.state().cluster(NAME));
        let context = cluster.context();
        let traces = audit::Traces { user: &user, context: &context, folder: &folder };
        audit::leftovers(&cluster.place(), &traces, ports).await.unwrap()
    }

    /// Pushes a small image to the registry at `port` and has the cluster run it under its name there.
    async fn push_and_run(&self, port: u16, tag: &str) {
        let repository = format!("127.0.0.1:{port}/test/pause");
        let options = TagImageOptionsBuilder::default().repo(&repository).tag(tag).build();
        self.docker.tag_image(SMALL_IMAGE, Some(options)).await.unwrap();
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        self.docker.push_image(&repository, Some(options), None).try_collect::<Vec<_>>().await.unwrap();
        let named = format!("{repository}:{tag}");
        self.docker.remove_image(&named, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();

        let access = self.cluster().access().await.unwrap();
        let client = api::client(&access, Duration::from_secs(10)).await.unwrap();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": format!("pause-{tag}"), "namespace": "default" },
            "spec": {
                "automountServiceAccountToken": false,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "pause", "image": format!("{}/test/pause:{tag}", REGISTRY_HOST),
                                 "imagePullPolicy": "Always" }],
            },
        }))
        .unwrap();
        let pods = Api::<Pod>::namespaced(client, "default");
        // The default service account comes a moment after the API server.
        let within = Instant::now() + Duration::from_secs(90);
        while let Err(error) = pods.create(&PostParams::default(), &pod).await {
            assert!(Instant::now() < within, "{error}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        loop {
            let status = pods.get_status(&format!("pause-{tag}")).await.unwrap().status.unwrap();
            if status.phase.as_deref() == Some("Running") {
                break;
            }
            assert!(Instant::now() < within, "{status:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// The second waits for the first, and uses its cluster.
    async fn is_made_once_by_two(&self) {
        let (first, second, progress) = (self.cluster(), self.cluster(), self.progress.clone());
        let creating = first.clone();
        let task = tokio::spawn(async move { creating.create(&progress).await });
        let within = Instant::now() + Duration::from_secs(60);
        while first.containers().await.unwrap().is_empty() {
            assert!(Instant::now() < within, "kind made no container");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let made: Vec<String> = first.containers().await.unwrap().into_iter().map(|it| it.id).collect();
        second.create(&self.progress).await.unwrap();
        assert!(task.is_finished(), "the second did not wait");
        task.await.unwrap().unwrap();
        let there: Vec<String> = second.containers().await.unwrap().into_iter().map(|it| it.id).collect();
        assert_eq!(there, made, "the first one's nodes were replaced");
    }

    /// An image with our labels, as a build would leave it.
    async fn make_image(&self) {
        let options =
            CommitContainerOptionsBuilder::default().container(&self.registry().name()).repo(NAME).tag("built");
        let changes = format!("LABEL {OWNER_LABEL}={OWNER} {CLUSTER_LABEL}={NAME}");
        let options = options.changes(&changes).build();
        self.docker.commit_container(options, bollard::models::ContainerConfig::default()).await.unwrap();
    }

    async fn hosts_of(&self, host: &str) -> Option<String> {
        self.file_of_node(&format!("/etc/containerd/certs.d/{host}/hosts.toml")).await
    }

    /// What the nodes' programs accept certificates from.
    async fn trusts(&self, certificate: &str) -> bool {
        let trusted = self.file_of_node("/etc/ssl/certs/ca-certificates.crt").await.unwrap();
        trusted.contains(certificate.trim())
    }

    /// What a kill leaves between two steps, and what another machine's removal and creation of the cluster leaves here.
    async fn is_repaired_after_a_kill_or_somebody_else(&self, cluster: &KindCluster, before: &str, certificate: &str) {
        assert!(!cluster.kubeconfig_outdated().await.unwrap());
        std::fs::write(self.user_file(), before).unwrap();
        assert!(!cluster.kubeconfig_outdated().await.unwrap(), "who takes it out wants it so");
        UserKubeconfig::forget_merge(&cluster.folder).unwrap();
        assert!(cluster.kubeconfig_outdated().await.unwrap());
        cluster.merge_kubeconfig(&self.progress).await.unwrap();
        assert!(!cluster.kubeconfig_outdated().await.unwrap());

        let other = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).unwrap();
            let line = text.lines().find(|line| line.contains("certificate-authority-data:")).unwrap();
            let indent = &line[..line.len() - line.trim_start().len()];
            std::fs::write(&file, text.replace(line, &format!("{indent}certificate-authority-data: YQ=="))).unwrap();
        };
        other(self.user_file());
        assert!(cluster.kubeconfig_outdated().await.unwrap());
        cluster.merge_kubeconfig(&self.progress).await.unwrap();
        assert!(!cluster.kubeconfig_outdated().await.unwrap());
        other(cluster.private_kubeconfig());
        cluster.folder.write("kubeconfig.node", b"another").unwrap();
        api::ready(&cluster.access().await.unwrap()).await.unwrap();
        // What was edited by others cannot come back byte by byte.
        std::fs::write(self.user_file(), before).unwrap();
        UserKubeconfig::forget_merge(&cluster.folder).unwrap();
        cluster.merge_kubeconfig(&self.progress).await.unwrap();

        let killed = "mv /usr/local/share/ca-certificates/stackctl.crt /new && update-ca-certificates --fresh && \
                      mv /new /usr/local/share/ca-certificates/stackctl.crt && rm /kind/stackctl/trusted /kind/stackctl/configured-*";
        engine::run(&self.docker, &mark::first_node(NAME), &["sh", "-c", killed], Duration::from_secs(60))
            .await
            .unwrap();
        assert!(!self.trusts(certificate).await);
        assert!(cluster.configure(&self.progress).await.unwrap());
        assert!(self.trusts(certificate).await);
        assert!(!cluster.outdated().await.unwrap());
    }

    async fn file_of_node(&self, path: &str) -> Option<String> {
        let content = engine::read_file(&self.docker, &mark::first_node(NAME), path).await.unwrap();
        content.map(|content| String::from_utf8(content).unwrap())
    }
}

fn timed<T>(what: &str, since: Instant, value: T) -> T {
    eprintln!("{what} took {:?}", since.elapsed());
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_a_cluster_lives_and_leaves_nothing() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut world) = World::new().await else { return };
    std::fs::create_dir(world.home.path().join("kube")).unwrap();
    let bundle = tempfile::tempdir().unwrap();
    let signer = Authority::ensure(&State::at(bundle.path().to_owned()), authority::now()).unwrap();
    let certificate = signer.certificate().to_owned();
    let file = bundle.path().join("bundle.pem");
    std::fs::write(&file, &certificate).unwrap();
    world.spec.ca_bundle = Some(file);
    let before = "# mine\napiVersion: v1\nkind: Config\n";
    std::fs::write(world.user_file(), before).unwrap();
    let (cluster, local) = (world.cluster(), world.registry());
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Absent);
    assert_eq!(local.observe().await.unwrap(), registry::State::Absent);

    let since = Instant::now();
    let ((), port) = tokio::join!(world.is_made_once_by_two(), local.ensure(&world.progress));
    let port = timed("create", since, port.unwrap());
    let since = Instant::now();
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Ours { stopped: false });
    timed("observe", since, ());
    assert_eq!(local.observe().await.unwrap(), registry::State::Running { port });
    assert_eq!(cluster.platform().await.unwrap().split_once('/').unwrap().0, "linux");
    assert!(std::fs::read_to_string(world.user_file()).unwrap().contains("current-context: kind-stackctl-itself"));
    assert!(world.trusts(&certificate).await);

    let since = Instant::now();
    cluster.create(&world.progress).await.unwrap();
    timed("create again", since, ());
    assert_eq!(local.ensure(&world.progress).await.unwrap(), port);
    let since = Instant::now();
    world.push_and_run(port, "first").await;
    timed("push and run", since, ());

    world.is_repaired_after_a_kill_or_somebody_else(&cluster, before, &certificate).await;

    let since = Instant::now();
    cluster.stop(&world.progress).await.unwrap();
    timed("stop", since, ());
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Ours { stopped: true });
    assert_eq!(local.observe().await.unwrap(), registry::State::Stopped);
    let since = Instant::now();
    cluster.start(&world.progress).await.unwrap();
    timed("start", since, ());
    assert_eq!(cluster.observe().await.unwrap(), ClusterState::Ours { stopped: false });
    let port = local.ensure(&world.progress).await.unwrap();
    world.push_and_run(port, "second").await;

    std::fs::remove_file(cluster.private_kubeconfig()).unwrap();
    api::ready(&cluster.access().await.unwrap()).await.unwrap();

    let mut changed = world.spec.clone();
    changed.ca_bundle = None;
    changed.mirrors = vec![Mirror { host: "quay.io".to_owned(), url: "http://192.0.2.1:5000".to_owned() }];
    let changed = KindCluster::new(changed, &world.docker, &world.endpoint, NAME, world.user(), &world.state());
    assert!(!cluster.configure(&world.progress).await.unwrap());
    let since = Instant::now();
    assert!(changed.configure(&world.progress).await.unwrap());
    timed("configure", since, ());
    assert!(!changed.configure(&world.progress).await.unwrap());
    assert!(world.hosts_of("quay.io").await.unwrap().contains("192.0.2.1"));
    assert_eq!(world.hosts_of("docker.io").await, None);
    assert!(world.hosts_of(REGISTRY_HOST).await.is_some());
    assert!(!world.trusts(&certificate).await);

    world.make_image().await;
    let api_port = cluster.api_port(&cluster.containers().await.unwrap()).unwrap();
    let left = world.leftovers(&[port, api_port]).await;
    for kind in ["container", "volume", "image", "kubeconfig context", "file", "port"] {
        assert!(left.iter().any(|item| item.kind == kind), "{kind} is missing in {left:?}");
    }
    let since = Instant::now();
    let removed = cluster.delete(&gladly, &world.progress).await.unwrap();
    timed("delete", since, ());
    eprintln!("{removed:?}");
    let images = audit::remove_images(&world.docker, NAME).await.unwrap();
    assert_eq!(images, [Removed { kind: "image".to_owned(), name: "stackctl-itself:built".to_owned() }]);
    let names = [SMALL_IMAGE.to_owned(), "no.such/image:1".to_owned()];
    let kept = audit::kept(&world.docker, &world.endpoint, &names).await.unwrap();
    assert!(kept[0].name == SMALL_IMAGE && kept[0].size > 0, "{kept:?}");
    assert_eq!(world.leftovers(&[port, api_port]).await, []);
    assert_eq!(std::fs::read_to_string(world.user_file()).unwrap(), before);
    assert!(!world.state().root().exists());
    assert_eq!(cluster.delete(&gladly, &world.progress).await.unwrap(), []);
}

fn gladly<'a>() -> futures::future::BoxFuture<'a, Result<()>> {
    Box::pin(async { Ok(()) })
}
