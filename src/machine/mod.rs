//! The handles of one cluster and of this machine, which live as long as the program does: engine, provider, API server,
//! state folder. Knows no stack and no run, so that several of both share one.

mod choice;
mod cluster;
mod images;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use choice::choice;

use crate::{
    error::{Kind, Result, blocking},
    event::{Events, interrupt},
    image::{Engine, engine::Connection, store::remote::Remote},
    kube::{self, Kube, noop::known::Known},
    object::Mirror,
    provider::{self, Choice, Provider, local::kubeconfig::UserKubeconfig},
    settings::Settings,
    state::{Folder, State},
    tls::{Authority, authority},
};

const KNOWN_FILE: &str = "known.json";

pub struct Machine {
    /// Of the cluster, where stackctl makes it.
    pub name: String,
    /// How long is waited for anything.
    pub timeout: Duration,
    /// Somebody else's registry, in which images are kept: `ghcr.io/ORG`.
    pub registry: Option<String>,
    /// Through which nodes pull.
    pub mirrors: Vec<Mirror>,
    pub choice: Choice,
    pub provider: Box<dyn Provider>,
    pub engine: Connection,
    /// Differences that were found to be only apparent.
    pub known: Arc<Known>,
    /// Requests that change objects, those of all runs together.
    pub applying: Semaphore,
    pub events: Events,
    pub cancel: CancellationToken,
    state: State,
    kube: OnceCell<Kube>,
    /// What the registry of `registry` has said to us.
    remote: OnceCell<Remote>,
    /// The prefix of the registry that comes with the cluster's cloud.
    own_registry: OnceCell<String>,
}

impl Machine {
    /// Looks for an engine if the provider needs one; all else is looked at when it is needed.
    pub async fn open(settings: &Settings, events: &Events, cancel: &CancellationToken) -> Result<Machine> {
        let (state, user) = (State::from_env()?, UserKubeconfig::from_env()?);
        let engine = Connection::later(events);
        let choice = choice(settings);
        let provider = provider::open(choice.clone(), &engine, &user, &state, cancel).await?;
        let known = Arc::new(Known::load(&provider.folder().file(KNOWN_FILE)));
        Ok(Machine {
            name: settings.cluster_name.clone(),
            timeout: settings.timeout,
            registry: settings.registry.clone(),
            mirrors: settings.mirrors.clone(),
            choice,
            provider,
            engine,
            known,
            applying: Semaphore::new(kube::IN_FLIGHT),
            events: events.clone(),
            cancel: cancel.clone(),
            state,
            kube: OnceCell::new(),
            remote: OnceCell::new(),
            own_registry: OnceCell::new(),
        })
    }

    /// The engine, or why there is none.
    pub async fn engine(&self) -> Result<&Engine> {
        self.engine.get().await
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
                connected => return connected.map(|kube| kube.waiting(self.timeout)),
            }
        }
    }

    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Until the user asks to stop: for what only looks, or can be left at any point and done again.
    pub async fn until_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        interrupt::until_cancelled(&self.cancel, work).await
    }

    /// What is kept about the cluster on this machine.
    pub fn folder(&self) -> &Folder {
        self.provider.folder()
    }

    /// The certificate authority of this machine, made if there is none.
    pub async fn authority(&self) -> Result<Authority> {
        let state = self.state.clone();
        blocking(move || Authority::ensure(&state, authority::now())).await
    }

    /// None: it was not made yet.
    pub async fn known_authority(&self) -> Result<Option<Authority>> {
        let state = self.state.clone();
        blocking(move || Authority::load(&state, authority::now())).await
    }
}
