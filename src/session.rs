//! The handles of one run: engine, provider, API server, and what its steps learn on the way.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    cluster::{self, ClusterSpec, Provider, Removed, existing::Existing, kind::Kind as KindProvider},
    config::{ProviderName, Settings},
    error::{Error, Kind, Result},
    event::Events,
    image::{self, BuildSpec, engine::Engine},
    kube::{self, Kube},
    proof::ProofResult,
    stack::model::Stack,
    state::State,
};

/// The host by which pods on local clusters name images; each node maps it to the cluster's registry.
const LOCAL_REGISTRY: &str = "registry.stackctl.internal";

/// How images are built and objects applied, from the command line.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    pub args: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, PathBuf>,
    pub no_cache: bool,
    pub pull: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions {
    pub force_conflicts: bool,
    pub replace: bool,
    pub prune_data: bool,
}

pub struct Session {
    pub settings: Settings,
    pub stack: Stack,
    pub images: ImageOptions,
    pub apply: ApplyOptions,
    pub events: Events,
    pub cancel: CancellationToken,
    pub state: State,
    /// None for an existing cluster where no engine answers: it is needed only to build.
    engine: Result<Arc<Engine>>,
    pub provider: Arc<dyn Provider>,
    kube: OnceCell<Kube>,
    pub learned: Mutex<Learned>,
}

/// What steps find out and later steps need.
#[derive(Debug, Default)]
pub struct Learned {
    pub registry_port: Option<u16>,
    /// By service: reference without and with digest.
    pub images: BTreeMap<String, String>,
    pub agent: Option<String>,
    pub proofs: Vec<ProofResult>,
    pub removed: Vec<Removed>,
}

impl Session {
    pub async fn open(settings: Settings, stack: Stack, images: ImageOptions, apply: ApplyOptions, app: &App) -> Result<Session> {
        let engine = image::engine::connect().await.map(Arc::new);
        let state = State::from_env()?;
        let provider = provider(&settings, engine.as_ref().ok(), &state)?;
        let provider = match provider {
            Some(provider) => provider,
            None => return Err(engine.err().unwrap_or_else(|| Error::new(Kind::Unexpected, "no provider"))),
        };
        Ok(Session {
            settings,
            stack,
            images,
            apply,
            events: app.events.clone(),
            cancel: app.cancel.clone(),
            state,
            engine,
            provider,
            kube: OnceCell::new(),
            learned: Mutex::new(Learned::default()),
        })
    }

    pub fn engine(&self) -> Result<&Engine> {
        self.engine.as_deref().map_err(Clone::clone)
    }

    pub async fn kube(&self) -> Result<&Kube> {
        self.kube
            .get_or_try_init(|| async {
                let access = self.provider.access().await?;
                kube::connect(&access.kubeconfig, Some(&access.context)).await
            })
            .await
    }

    pub fn learn<T>(&self, change: impl FnOnce(&mut Learned) -> T) -> T {
        change(&mut self.learned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `hello/hello`, `agent`: the part of a reference between the registry and the tag.
    pub fn repository(&self, service: &str) -> String {
        format!("{}/{service}", self.stack.name)
    }

    /// How pods name an image.
    pub fn pod_reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.settings.registry.as_deref().unwrap_or(LOCAL_REGISTRY))
    }

    /// How the engine pushes it: local registries are reached through their port on loopback.
    pub fn push_reference(&self, repository: &str, tag: &str) -> Result<String> {
        match (&self.settings.registry, self.learn(|learned| learned.registry_port)) {
            (Some(prefix), _) => Ok(format!("{prefix}/{repository}:{tag}")),
            (None, Some(port)) => Ok(format!("127.0.0.1:{port}/{repository}:{tag}")),
            (None, None) => Err(Error::new(Kind::Platform, "the local registry has no port")),
        }
    }

    pub fn build_spec(&self, service: &str, platform: &str) -> Result<BuildSpec> {
        let declared = self.stack.services.get(service).ok_or_else(|| {
            let known: Vec<_> = self.stack.services.keys().map(String::as_str).collect();
            Error::new(Kind::Usage, format!("stack {} has no service {service}", self.stack.name))
                .hint(format!("its services: {}", known.join(", ")))
        })?;
        let mut args = declared.args.clone();
        args.extend(self.images.args.clone());
        Ok(BuildSpec {
            service: service.to_owned(),
            context: declared.context.clone(),
            dockerfile: declared.dockerfile.clone(),
            target: declared.target.clone(),
            args,
            secrets: self.images.secrets.clone(),
            ca_bundle: self.settings.ca_bundle.clone(),
            platform: platform.to_owned(),
            no_cache: self.images.no_cache,
            pull: self.images.pull,
        })
    }
}

pub fn cluster_spec(settings: &Settings) -> ClusterSpec {
    ClusterSpec {
        name: settings.cluster_name.clone(),
        control_planes: settings.control_planes,
        workers: settings.workers,
        kubernetes_version: settings.kubernetes_version.clone(),
        node_image: settings.node_image.clone(),
        mirrors: settings.mirrors.clone(),
        ca_bundle: settings.ca_bundle.clone(),
        kind_config: settings.kind_config.clone(),
    }
}
