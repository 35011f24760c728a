//! The one place that knows all providers: what was chosen, and how it is opened.

use tokio_util::sync::CancellationToken;

use super::{
    ClusterSpec, DEFAULT_NETWORK, Provider,
    existing::ExistingCluster,
    kind::{self, KindCluster},
    local::kubeconfig::UserKubeconfig,
};
use crate::{error::Result, image::Engine, state::State};

/// Which provider, with what it has to know. Nothing is looked at before it is opened.
#[derive(Debug, Clone)]
pub enum Choice {
    /// A cluster that kind makes.
    Kind(ClusterSpec),
    /// The cluster of a context of the user's kubeconfig; None: of the current context.
    Existing { context: Option<String> },
}

impl Choice {
    /// Whether the program kind makes the cluster, so that it has to be there.
    pub fn needs_kind(&self) -> bool {
        matches!(self, Choice::Kind(_))
    }

    /// The context whose cluster has to be there already; the inner None is the current one.
    pub fn needs_context(&self) -> Option<Option<&str>> {
        match self {
            Choice::Kind(_) => None,
            Choice::Existing { context } => Some(context.as_deref()),
        }
    }

    /// Ports of 127.0.0.1 that the cluster takes once it is made.
    pub fn host_ports(&self) -> Result<Vec<u16>> {
        match self {
            Choice::Kind(spec) => kind::config::host_ports(spec),
            Choice::Existing { .. } => Ok(Vec::new()),
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
        Choice::Existing { context } => Box::new(ExistingCluster::new(user, context.as_deref(), state)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::existing;

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
        };
        let choice = Choice::Kind(spec);
        assert!(choice.needs_kind() && choice.needs_context().is_none());
        let choice = Choice::Existing { context: Some("a".into()) };
        assert!(!choice.needs_kind());
        assert_eq!((choice.needs_context(), choice.host_ports().unwrap()), (Some(Some("a")), Vec::new()));
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
