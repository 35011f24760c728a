//! The lock beside a kubeconfig that kubectl and kind take as well.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::{Context, Error, Kind, Result};

pub const WITHIN: Duration = Duration::from_secs(10);

/// `config.lock`, made exclusively, as kubectl and kind do.
pub struct Lock(PathBuf);

impl Lock {
    pub fn take(path: &Path) -> Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let deadline = std::time::Instant::now() + WITHIN;
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Lock(lock)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && std::time::Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::new(Kind::Unexpected, format!("cannot lock the kubeconfig {}", path.display()))
                        .cause(format!("{} has been there for {} s", lock.display(), WITHIN.as_secs()))
                        .hint(format!("if no kubectl or kind is at work: rm {}", lock.display())));
                }
                Err(error) => {
                    return Err(error)
                        .context(Kind::Unexpected, || format!("cannot lock the kubeconfig {}", path.display()));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is ours and was there; if somebody removed it there is nothing left to do.
        let _ = fs::remove_file(&self.0);
    }
}
