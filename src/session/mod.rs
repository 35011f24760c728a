//! The handles of one run: engine, provider, API server, and what its steps learn on the way.

mod audit;
pub mod images;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::object::{Key, Removed};
use crate::{
    error::{Error, Kind, Result},
    event::{Events, interrupt},
    image::{self, Engine, fingerprint::Sources, store::prefix::Remote},
    kube::{self, Kube, logs::LogLine, noop::known::Known},
    load::order::{LoadOrder, Sent},
    proof::{ProofResult, result::LastProof},
    provider::{
        self, Asked, Choice, ClusterSpec, ClusterState, Provider, local::kubeconfig::UserKubeconfig,
        minikube::MinikubeSpec,
    },
    settings::{DEFAULT_CLUSTER, ProviderName, Settings},
    stack::{self, model::Stack},
    state::{Folder, State},
    tls::{Authority, OwnTrust, authority},
};

const KNOWN_FILE: &str = "known.json";
const PROOFS: &str = "proofs-";

/// How images are built, from the command line.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    pub args: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, PathBuf>,
    pub no_cache: bool,
    pub pull: bool,
}

/// What a run may change of what is there, from the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangeOptions {
    pub force_conflicts: bool,
    pub replace: bool,
    pub prune_data: bool,
    /// Take over objects that somebody else made.
    pub adopt: bool,
    /// Take over a stack that came from elsewhere.
    pub take_over: bool,
    /// Delete what was taken over instead of giving it back.
    pub delete_adopted: bool,
}

pub struct Session {
    pub settings: Settings,
    pub stack: Stack,
    pub images: ImageOptions,
    pub apply: ChangeOptions,
    /// What `loadgen` puts on the stack.
    pub load: Option<LoadOrder>,
    pub events: Events,
    pub cancel: CancellationToken,
    pub provider: Box<dyn Provider>,
    state: State,
    /// An error where no engine answers: an existing cluster needs one only to build.
    pub engine: Result<Engine>,
    kube: OnceCell<Kube>,
    /// Differences that were found to be only apparent.
    pub known: Arc<Known>,
    /// Somebody else's registry, where `--registry` names one and the stack has images.
    pub remote: Option<Remote>,
    /// Requests that change objects, all steps together.
    pub applying: Semaphore,
    learned: Mutex<Learned>,
}

/// What steps find out and later steps need.
#[derive(Debug, Default)]
pub struct Learned {
    pub registry_port: Option<u16>,
    /// What the tags of the services' images stand for.
    pub sources: BTreeMap<String, Sources>,
    /// Reference without and with its digest.
    pub images: BTreeMap<String, String>,
    /// Objects as the API server returned them.
    pub applied: HashMap<Key, Value>,
    /// UIDs of all of them.
    pub applied_uids: HashSet<String>,
    pub agent: Option<String>,
    /// Ports of the edge, in the proxy to on 127.0.0.1.
    pub proxy_ports: BTreeMap<u16, u16>,
    /// Serial numbers by the Secret that holds the certificate.
    pub certificates: BTreeMap<String, String>,
    /// By the Secret that holds a certificate of somebody else: what it says about whom to trust.
    pub foreign_certificates: BTreeMap<String, Option<OwnTrust>>,
    pub proofs: Vec<ProofResult>,
    pub load: Option<Sent>,
    pub job: Option<JobRun>,
    pub removed: Vec<Removed>,
    /// Left in place on purpose by a removal.
    pub kept: Vec<Key>,
}

/// What a run of a job came to.
#[derive(Debug, Default)]
pub struct JobRun {
    pub took: Duration,
    pub log: Vec<LogLine>,
}

impl Session {
    pub async fn open(
        settings: Settings,
        stack: Stack,
        images: ImageOptions,
        apply: ChangeOptions,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Session> {
        let (state, user) = (State::from_env()?, UserKubeconfig::from_env()?);
        let prefix = settings.registry.as_deref().filter(|_| !stack.services.is_empty());
        let (engine, remote) = tokio::join!(image::engine::connect(Some(events)), Remote::look(prefix, events));
        let remote = remote?;
        let stack = pulling(stack, remote.as_ref());
        let provider = provider::open(choice(&settings), &engine, &user, &state, cancel)?;
        let known = Arc::new(Known::load(&provider.folder().file(KNOWN_FILE)));
        Ok(Session {
            settings,
            stack,
            images,
            apply,
            load: None,
            events: events.clone(),
            cancel: cancel.clone(),
            provider,
            state,
            engine,
            kube: OnceCell::new(),
            known,
            remote,
            applying: Semaphore::new(kube::IN_FLIGHT),
            learned: Mutex::default(),
        })
    }

    /// The same for another stack, over the connections that are there.
    pub async fn beside(&self, stack: Stack) -> Result<Session> {
        let user = UserKubeconfig::from_env()?;
        let prefix = self.settings.registry.as_deref().filter(|_| !stack.services.is_empty());
        let remote = Remote::look(prefix, &self.events).await?;
        let stack = pulling(stack, remote.as_ref());
        Ok(Session {
            settings: self.settings.clone(),
            stack,
            images: self.images.clone(),
            apply: self.apply,
            load: None,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            provider: provider::open(choice(&self.settings), &self.engine, &user, &self.state, &self.cancel)?,
            state: self.state.clone(),
            engine: self.engine.clone(),
            kube: OnceCell::new_with(self.kube.get().cloned()),
            known: Arc::clone(&self.known),
            remote,
            applying: Semaphore::new(kube::IN_FLIGHT),
            learned: Mutex::default(),
        })
    }

    /// For commands that are about the cluster alone.
    pub async fn without_stack(settings: Settings, events: &Events, cancel: &CancellationToken) -> Result<Session> {
        Session::open(settings, Stack::named(""), ImageOptions::default(), ChangeOptions::default(), events, cancel)
            .await
    }

    pub fn engine(&self) -> Result<&Engine> {
        self.engine.as_ref().map_err(Clone::clone)
    }

    pub async fn kube(&self) -> Result<&Kube> {
        self.kube.get_or_try_init(|| self.until_stopped(Box::pin(self.connect()))).await
    }

    /// The API server of a cluster that is there may still be starting: it gets as long as its provider says.
    async fn connect(&self) -> Result<Kube> {
        let access = self.provider.access().await?;
        let deadline = Instant::now() + self.provider.traits().answers_within;
        let progress = self.events.progress("connect");
        loop {
            match kube::connect(&access.kubeconfig, Some(&access.context)).await {
                // Nobody may do anything until it has read who may do what.
                Err(error) if matches!(error.kind, Kind::Platform | Kind::Refused) && Instant::now() < deadline => {
                    progress.say("waiting for the API server");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                connected => return connected.map(|kube| kube.waiting(self.settings.timeout)),
            }
        }
    }

    pub fn learn<T>(&self, change: impl FnOnce(&mut Learned) -> T) -> T {
        change(&mut self.learned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is kept about the cluster on this machine.
    pub fn folder(&self) -> &Folder {
        self.provider.folder()
    }

    /// Removes what is kept about a cluster that others look after, once nothing of ours is in it. Last of all, for it
    /// may hold the way there.
    pub fn forget_cluster(&self) -> Result<Option<Removed>> {
        let gone = !self.provider.traits().is_ours() && self.folder().remove()?;
        Ok(gone.then(|| Removed { kind: "file".to_owned(), name: self.folder().path().display().to_string() }))
    }

    pub fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Until the user asks to stop: for what only looks, or can be left at any point and done again.
    pub async fn until_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        interrupt::until_cancelled(&self.cancel, work).await
    }

    /// Fails unless there is a cluster that `up` made.
    pub async fn require_cluster(&self) -> Result<()> {
        match self.provider.observe().await? {
            ClusterState::Ours { .. } => Ok(()),
            ClusterState::Foreign { why } => Err(Error::new(Kind::Preflight, why)),
            ClusterState::Unreachable { why } => Err(Error::new(Kind::Platform, why)),
            ClusterState::Absent | ClusterState::HalfMade { .. } => {
                let name = &self.settings.cluster_name;
                Err(Error::new(Kind::Preflight, format!("there is no cluster {name}")).hint("`stackctl up` makes it"))
            }
        }
    }

    /// Fails unless the cluster is there and not stopped.
    pub async fn require_running(&self) -> Result<()> {
        match self.provider.observe().await? {
            ClusterState::Ours { stopped: false } => Ok(()),
            ClusterState::Ours { stopped: true } => {
                let name = &self.settings.cluster_name;
                let option = if *name == DEFAULT_CLUSTER { String::new() } else { format!(" --cluster-name {name}") };
                Err(Error::new(Kind::Preflight, format!("the cluster {name} is stopped"))
                    .hint(format!("start it again: stackctl start{option}")))
            }
            _ => self.require_cluster().await,
        }
    }

    /// For `status`. That it cannot be kept is no reason to fail.
    pub fn remember_proofs(&self, results: &[ProofResult]) {
        let last = LastProof::new(&self.stack.name, results);
        let content = serde_json::to_vec(&last).unwrap_or_default();
        if let Err(error) = self.folder().write(&format!("{PROOFS}{}.json", self.stack.name), &content) {
            self.events.warn(format!("`status` will not know of these proofs: {error}"));
        }
    }

    pub fn last_proof(&self, stack: &str) -> Option<LastProof> {
        let content = self.folder().read(&format!("{PROOFS}{stack}.json")).ok()??;
        serde_json::from_slice(&content).ok()
    }

    /// Ports of 127.0.0.1 that were asked for.
    pub fn asked_ports(&self) -> Asked {
        Asked { https: self.settings.https_port, http: self.settings.http_port }
    }

    /// The certificate authority of this machine, made if there is none.
    pub async fn authority(&self) -> Result<Authority> {
        let state = self.state.clone();
        crate::error::blocking(move || Authority::ensure(&state, authority::now())).await
    }

    /// None: it was not made yet.
    pub async fn known_authority(&self) -> Result<Option<Authority>> {
        let state = self.state.clone();
        crate::error::blocking(move || Authority::load(&state, authority::now())).await
    }
}

/// The stack with the accounts that need the Secret of a private registry, where there is one.
fn pulling(mut stack: Stack, remote: Option<&Remote>) -> Stack {
    if remote.is_some_and(|remote| remote.secret.is_some()) {
        stack.pull_accounts = stack::pull::accounts(&stack);
    }
    stack
}

/// The provider that the settings name, with what they say for it.
pub fn choice(settings: &Settings) -> Choice {
    match settings.provider {
        ProviderName::Kind => Choice::Kind(cluster_spec(settings)),
        ProviderName::Minikube => Choice::Minikube(minikube_spec(settings).with_profile()),
        ProviderName::Existing => Choice::Existing { context: settings.context.clone() },
    }
}

fn minikube_spec(settings: &Settings) -> MinikubeSpec {
    MinikubeSpec {
        cluster: cluster_spec(settings),
        driver: settings.minikube.driver.clone(),
        container_runtime: settings.minikube.container_runtime.clone(),
        cpus: settings.minikube.cpus,
        memory: settings.minikube.memory.clone(),
        flags: settings.minikube.flags.clone(),
    }
}

fn cluster_spec(settings: &Settings) -> ClusterSpec {
    ClusterSpec {
        name: settings.cluster_name.clone(),
        control_planes: settings.control_planes,
        workers: settings.workers,
        kubernetes_version: settings.kubernetes_version.clone(),
        node_image: settings.node_image.clone(),
        mirrors: settings.mirrors.clone(),
        ca_bundle: settings.ca_bundle.clone(),
        kind_config: settings.kind_config.clone(),
        agent_image: settings.agent_image.clone(),
    }
}
