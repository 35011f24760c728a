//! A cluster's context in the user's kubeconfig, and what is said of it.

use super::UserKubeconfig;
use crate::{
    error::{Result, blocking},
    event::Progress,
    provider::Access,
    state::{Folder, read_if_there},
};

impl UserKubeconfig {
    /// Puts the context of a cluster into the user's kubeconfig, saying so where that changes the current one. That it
    /// cannot be is no reason to do without the cluster.
    pub async fn merge_and_tell(
        &self,
        access: &Access,
        folder: &Folder,
        make_current: bool,
        progress: &Progress,
    ) -> Result<()> {
        let private = read_if_there(&access.kubeconfig)?.unwrap_or_default();
        let (user, folder) = (self.clone(), folder.clone());
        match blocking(move || user.merge(&private, make_current, &folder)).await {
            Ok(merged) if merged.switched => {
                let was = merged.switched_from.map(|name| format!(" (was: {name})")).unwrap_or_default();
                let file = merged.file.display();
                progress.info(format!("the current context of {file} is now {}{was}", access.context));
            }
            Ok(_) => {}
            Err(error) => progress.warn(format!(
                "your kubeconfig does not have the context {}: {error}; `stackctl kubeconfig` prints one that has it",
                access.context
            )),
        }
        Ok(())
    }

    /// Whether the context in the user's kubeconfig is missing or leads elsewhere than the private one, the file of that
    /// name in the cluster's folder.
    pub async fn lacks(&self, private: &str, folder: &Folder) -> Result<bool> {
        let private = folder.read(private)?.unwrap_or_default();
        let (user, folder) = (self.clone(), folder.clone());
        blocking(move || Ok(user.is_outdated(&private, &folder))).await
    }
}
