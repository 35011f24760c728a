//! What is there of a cluster: from the engine and minikube's files, and from minikube itself where those do not tell.

use super::{ANSWERS_WITHIN, KUBECONFIG_FILE, MinikubeCluster, make, mark, profile::Profile, status};
use crate::{
    error::Result,
    provider::{
        Access, ClusterState, api,
        local::{done, kubeconfig, network},
    },
    state::read_if_there,
};

impl MinikubeCluster {
    pub(super) async fn judge(&self) -> Result<ClusterState> {
        if !self.spec.in_engine() {
            return self.judge_elsewhere().await;
        }
        let (containers, profile) = tokio::try_join!(self.containers(), self.profile())?;
        let state = mark::judge(self.name(), &containers, profile.as_ref());
        match state {
            ClusterState::Absent => return self.place().require_own().await.map(|()| state),
            ClusterState::Foreign { .. } => return Ok(state),
            _ => {}
        }
        if !network::is_of(&self.docker, &self.network, self.name()).await? {
            return Ok(ClusterState::Foreign {
                why: format!("the network {} of its nodes does not carry stackctl's labels", self.network),
            });
        }
        let ClusterState::Ours { stopped } = state else { return Ok(state) };
        if !done::is_complete(&self.docker, self.name()).await? {
            return Ok(ClusterState::HalfMade { why: "its creation did not finish".to_owned() });
        }
        Ok(ClusterState::Ours { stopped: stopped || self.is_paused(profile.as_ref()).await })
    }

    /// Of a cluster without containers: minikube is asked.
    async fn judge_elsewhere(&self) -> Result<ClusterState> {
        if self.profile().await?.is_none() {
            return Ok(ClusterState::Absent);
        }
        if !mark::in_profile(self.name()).exists() {
            return Ok(match self.folder.file(make::MAKING_FILE).exists() {
                true => ClusterState::HalfMade { why: "its creation did not finish".to_owned() },
                false => ClusterState::Foreign { why: "its profile does not have stackctl's mark".to_owned() },
            });
        }
        let nodes = self.status().await?;
        Ok(ClusterState::Ours { stopped: status::is_stopped(&nodes) || status::is_paused(&nodes) })
    }

    pub(super) async fn status(&self) -> Result<Vec<status::Node>> {
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let text = self.minikube(&kubeconfig, &[]).ask(&["status", "--output=json"]).await?;
        Ok(status::read(&text))
    }

    /// minikube is asked only where the API server does not answer at once.
    async fn is_paused(&self, profile: Option<&Profile>) -> bool {
        let answers = async { Some(api::ready(&self.known_access(profile)?).await.is_ok()) };
        match tokio::time::timeout(ANSWERS_WITHIN, answers).await {
            Ok(Some(true)) => false,
            _ => self.status().await.is_ok_and(|nodes| status::is_paused(&nodes)),
        }
    }

    /// What is at hand without asking anybody. None: there is no kubeconfig that fits the profile.
    pub(super) fn known_access(&self, profile: Option<&Profile>) -> Option<Access> {
        let kubeconfig = self.folder.file(KUBECONFIG_FILE);
        let content = read_if_there(&kubeconfig).ok()?.filter(|content| kubeconfig::is_whole(content))?;
        let access = Access { kubeconfig, context: self.name().to_owned() };
        let server = kubeconfig::server(&content)?;
        // Elsewhere than on Linux, minikube leads to its nodes by ports of this machine.
        let fits = server.contains("127.0.0.1") || server.contains("localhost") || {
            let node = profile.and_then(|profile| profile.nodes.first());
            node.is_none_or(|node| server.contains(&format!("//{}:{}", node.ip, node.port)))
        };
        fits.then_some(access)
    }
}
