//! What can go wrong, what helps, and which exit code says so: the only file that decides exit codes.

pub mod cause;
pub mod words;

use std::fmt;

use crate::error::cause::Root;

pub type Result<T> = std::result::Result<T, Error>;

/// The kind of a failure. Each has one documented exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unexpected,
    /// Wrong arguments or an invalid stack: nothing was touched.
    Usage,
    Preflight,
    /// The engine, the cluster or the cloud failed.
    Platform,
    Build,
    /// The API server refused an object: conflict, invalid, forbidden.
    Refused,
    NotReady,
    ProofFailed,
    LoadFailed,
    LeftBehind,
    Differences,
    Interrupted,
}

impl Kind {
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Unexpected => 1,
            Kind::Usage => 2,
            Kind::Preflight => 3,
            Kind::Platform => 4,
            Kind::Build => 5,
            Kind::Refused => 6,
            Kind::NotReady => 7,
            Kind::ProofFailed => 8,
            Kind::LoadFailed => 9,
            Kind::LeftBehind => 10,
            Kind::Differences => 11,
            Kind::Interrupted => 130,
        }
    }

    /// The name used in `--output json`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Unexpected => "unexpected",
            Kind::Usage => "usage",
            Kind::Preflight => "preflight",
            Kind::Platform => "platform",
            Kind::Build => "build",
            Kind::Refused => "refused",
            Kind::NotReady => "notReady",
            Kind::ProofFailed => "proofFailed",
            Kind::LoadFailed => "loadFailed",
            Kind::LeftBehind => "leftBehind",
            Kind::Differences => "differences",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// A failure as the user reads it: what failed, why, what was seen, what to do.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    /// From the nearest cause to the root.
    pub causes: Vec<String>,
    /// Evidence, line by line: log lines, events, the differing fields.
    pub details: Vec<String>,
    /// What to do about it, each one sentence or command.
    pub hints: Vec<String>,
    /// What else failed in the same run; the first one decides the exit code.
    pub others: Vec<Error>,
    /// Of objects that are not ready: what it comes from.
    pub roots: Vec<Root>,
    /// The user has read it already; only the exit code is left to say.
    pub shown: bool,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
            others: Vec::new(),
            roots: Vec::new(),
            shown: false,
        }
    }

    /// Marks it as read by the user.
    pub fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// Adds what failed beside it.
    pub fn beside(mut self, others: impl IntoIterator<Item = Error>) -> Self {
        self.others.extend(others);
        self
    }

    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and all its sources, dropping a source that its parent already quotes.
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.causes.last().is_some_and(|above| above.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    pub fn details(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.details.extend(lines.into_iter().map(Into::into));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// One line, for logs and tests; `report` renders the whole.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Fails with `Kind::Usage` where something is wrong: one mistake says all, several stand below what `together` says of
/// their number.
pub fn mistakes(wrong: Vec<String>, together: impl FnOnce(usize) -> String) -> Result<()> {
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(Error::new(Kind::Usage, one.clone())),
        several => Err(Error::new(Kind::Usage, together(several.len())).details(several)),
    }
}

/// Turns a library's error into one of ours, with a sentence that says what was being done.
pub trait Context<T> {
    fn context(self, kind: Kind, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::error::Error + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(kind, message()).caused_by(&error))
    }
}

/// Runs blocking work (file walks, hashing) away from the runtime's own threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Kind::Unexpected, "a background task ended unexpectedly").cause(error))?
}
