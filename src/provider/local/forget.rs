//! What is kept on this machine about a cluster that is gone: its entries in the user's kubeconfig, and its folder.

use super::kubeconfig::UserKubeconfig;
use crate::{
    error::{Result, blocking},
    event::Progress,
    object::Removed,
    state::Folder,
};

/// `context`: of the cluster, in the user's kubeconfig.
pub async fn cluster(
    user: &UserKubeconfig,
    folder: &Folder,
    context: &str,
    progress: &Progress,
) -> Result<Vec<Removed>> {
    let (user, at, name) = (user.clone(), folder.clone(), context.to_owned());
    let taken = blocking(move || user.remove(&name, &at)).await?;
    let mut removed = taken.removed;
    for error in &taken.failures {
        progress.warn(format!("{error}; make it writable, or take the context {context} out of it yourself"));
    }
    // What the file was before stays with what is left of the cluster: the next removal needs it.
    if taken.failures.is_empty() && folder.remove()? {
        removed.push(Removed { kind: "file".to_owned(), name: folder.path().display().to_string() });
    }
    Ok(removed)
}
