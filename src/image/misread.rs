//! Dockerfiles of which a build took more than was read in them. That should not be; where it is, they are in doubt from
//! then on.

use std::fs;

use crate::state;

fn file(dockerfile: &str) -> Option<std::path::PathBuf> {
    Some(state::cache()?.join("misread").join(&blake3::hash(dockerfile.as_bytes()).to_hex()[..20]))
}

pub fn is_known(dockerfile: &str) -> bool {
    file(dockerfile).is_some_and(|file| file.exists())
}

/// Where that fails, the next run finds out again.
pub fn remember(dockerfile: &str) {
    let Some(file) = file(dockerfile) else { return };
    let folder = file.parent().map_or(Ok(()), state::make_private);
    if let Err(error) = folder.and_then(|()| fs::write(&file, "")) {
        tracing::debug!(%error, file = %file.display(), "not remembered");
    }
}
