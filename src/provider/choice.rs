//! The one place that knows all providers: what was chosen, and how it is opened.

use tokio_util::sync::CancellationToken;

use super::{
    Access, ClusterSpec, DEFAULT_NETWORK, Provider, Traits,
    check::Checking,
    existing::{self, ExistingCluster},
    kind::{self, KindCluster},
    local::{checks, kubeconfig::UserKubeconfig},
    minikube::{self, MinikubeCluster, MinikubeSpec},
};
use crate::{error::Result, image::Engine, state::State};
use futures::FutureExt;

/// Which provider, with what it has to know. Nothing is looked at before it is opened.
#[derive(Debug, Clone)]
pub enum Choice {
    /// A cluster that kind makes.
    Kind(ClusterSpec),
    /// A cluster that minikube makes.
    Minikube(MinikubeSpec),
    /// The cluster of a context of the user's kubeconfig; None: of the current context.
    Existing { context: Option<String> },
}

impl Choice {
    /// What its clusters are like.
    pub fn traits(&self) -> Traits {
        match self {
            Choice::Kind(_) => kind::TRAITS,
            Choice::Minikube(spec) => spec.traits(),
            Choice::Existing { .. } => existing::TRAITS,
        }
    }

    /// What has to be looked at before a cluster is made, the engine first. `engine`: an error where none answers.
    pub fn checks<'a>(&'a self, engine: &'a Result<Engine>) -> Vec<Checking<'a>> {
        match self {
            Choice::Kind(_) => kind::checks::all(engine),
            Choice::Minikube(spec) => minikube::checks::all(spec, engine),
            Choice::Existing { .. } => vec![Checking::new("engine", checks::examine(engine, false).boxed())],
        }
    }

    /// The cluster that has to be there already, or why it cannot be told which; None: it may have to be made.
    pub fn must_be_there(&self) -> Option<Result<Access>> {
        match self {
            Choice::Kind(_) | Choice::Minikube(_) => None,
            Choice::Existing { context } => {
                let opened = State::from_env()
                    .and_then(|state| ExistingCluster::new(&UserKubeconfig::from_env()?, context.as_deref(), &state));
                Some(opened.map(|cluster| cluster.where_it_is().clone()))
            }
        }
    }

    /// Ports of the host that belong to the cluster already.
    pub async fn published(&self, engine: &Engine) -> Result<Vec<u16>> {
        match self {
            Choice::Kind(spec) => kind::mark::members(&spec.name).published(&engine.docker).await,
            Choice::Minikube(spec) => spec.members().published(&engine.docker).await,
            Choice::Existing { .. } => Ok(Vec::new()),
        }
    }

    /// Whether the cluster has a single node once it is made.
    pub fn makes_one_node(&self) -> bool {
        let spec = match self {
            Choice::Kind(spec) => spec,
            Choice::Minikube(spec) => &spec.cluster,
            Choice::Existing { .. } => return false,
        };
        spec.control_planes + spec.workers == 1
    }

    /// Ports of 127.0.0.1 that the cluster takes once it is made.
    pub fn host_ports(&self) -> Result<Vec<u16>> {
        match self {
            Choice::Kind(spec) => kind::config::host_ports(spec),
            Choice::Minikube(_) | Choice::Existing { .. } => Ok(Vec::new()),
        }
    }
}

/// `engine`: an error where none answers, which is the caller's error only if the provider needs one.
pub fn open(
    choice: Choice,
    engine: &Result<Engine>,
    user: &UserKubeconfig,
    state: &State,
    cancel: &CancellationToken,
) -> Result<Box<dyn Provider>> {
    Ok(match choice {
        Choice::Kind(spec) => {
            let Engine { docker, endpoint, .. } = engine.as_ref().map_err(Clone::clone)?;
            let cluster = KindCluster::new(spec, docker, endpoint, DEFAULT_NETWORK, user.clone(), state);
            Box::new(cluster.cancelled_by(cancel))
        }
        Choice::Minikube(spec) => {
            let Engine { docker, endpoint, .. } = engine.as_ref().map_err(Clone::clone)?;
            Box::new(MinikubeCluster::new(spec, docker, endpoint, user.clone(), state).cancelled_by(cancel))
        }
        Choice::Existing { context } => Box::new(ExistingCluster::new(user, context.as_deref(), state)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_says_what_has_to_be_there_before_it_is_opened() {
        let spec = ClusterSpec {
            name: "one".into(),
            control_planes: 1,
            workers: 0,
            kubernetes_version: None,
            node_image: None,
            mirrors: Vec::new(),
            ca_bundle: None,
            kind_config: None,
            agent_image: None,
        };
        let engine = Err(crate::error::Error::new(crate::error::Kind::Platform, "no engine"));
        let names = |choice: &Choice| choice.checks(&engine).iter().map(|check| check.name).collect::<Vec<_>>();
        let choice = Choice::Kind(spec);
        assert_eq!(names(&choice), ["engine", "kind", "inotify"]);
        assert!(choice.must_be_there().is_none());
        let choice = Choice::Existing { context: Some("a".into()) };
        assert_eq!((names(&choice), choice.host_ports().unwrap()), (vec!["engine"], Vec::new()));
        assert!(choice.must_be_there().is_some());
    }

    #[test]
    fn only_what_needs_an_engine_fails_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: \
                    'https://127.0.0.1:1'}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nusers: [{name: u, \
                    user: {}}]\n";
        std::fs::write(&file, text).unwrap();
        let (user, state) = (UserKubeconfig::at([file]), State::at(folder.path().join("state")));
        let engine = Err(crate::error::Error::new(crate::error::Kind::Platform, "no engine"));
        let opened = open(Choice::Existing { context: None }, &engine, &user, &state, &CancellationToken::new());
        assert_eq!(opened.unwrap().traits(), existing::TRAITS);
    }
}
