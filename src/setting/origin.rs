use std::path::PathBuf;

use serde::Serialize;

/// Where a value came from, as `doctor` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    Flag(&'static str),
    Variable(String),
    File(PathBuf),
    /// It follows from another setting, which came from there.
    Implied(Box<Origin>),
    Default,
}

impl Origin {
    /// Which of two wins.
    pub fn strength(&self) -> u8 {
        match self {
            Origin::Flag(_) => 3,
            Origin::Variable(_) => 2,
            Origin::File(_) => 1,
            Origin::Implied(by) => by.strength(),
            Origin::Default => 0,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Implied(by) => write!(f, "implied by {by}"),
            Origin::Default => f.write_str("default"),
        }
    }
}
