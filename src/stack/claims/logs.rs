//! Claims about the lines that pods log.

use std::collections::BTreeSet;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::HttpCheck;

/// Lines that the pods of the stack log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogsCheck {
    /// Sent first, once.
    #[serde(default)]
    pub request: Option<HttpCheck>,
    pub since: Since,
    /// Each of them must hold.
    pub pods: Vec<LogClaim>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Since {
    /// Lines that are written after the proof has begun.
    Start,
    /// All that the containers have logged.
    Pod,
}

/// Lines in the log of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogClaim {
    /// Of labels.
    pub selector: String,
    /// None: any container of the pod.
    #[serde(default)]
    pub container: Option<String>,
    pub matches: Vec<Pattern>,
    /// In every pod, not only in one.
    #[serde(default)]
    pub every: bool,
    /// The lines may come in any order.
    #[serde(default)]
    pub any_order: bool,
}

/// A regular expression in which `$(name)` stands for a text that is known later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(pub String);

impl Pattern {
    /// The names in `$(name)`, in their order.
    pub fn references(&self) -> Vec<&str> {
        self.0.split("$(").skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name).collect()
    }

    /// Its named groups. Err: what is wrong with it.
    pub fn groups(&self) -> Result<BTreeSet<String>, String> {
        let regex = self.filled(|_| Some("x"))?;
        Ok(regex.capture_names().flatten().map(str::to_owned).collect())
    }

    /// With each `$(name)` replaced by the text of that name, literally; one without a text stays as it is.
    pub fn filled<'a>(&self, text: impl Fn(&str) -> Option<&'a str>) -> Result<Regex, String> {
        let mut filled = self.0.clone();
        for name in self.references() {
            if let Some(text) = text(name) {
                filled = filled.replace(&format!("$({name})"), &regex::escape(text));
            }
        }
        Regex::new(&filled).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("`{}` is no regular expression: {why}", self.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    #[test]
    fn what_is_filled_in_is_meant_literally() {
        let wanted = pattern(r"Received: (?<m>\S+) $(id)");
        assert_eq!(wanted.references(), ["id"]);
        assert_eq!(wanted.groups().unwrap(), ["m".to_owned()].into());
        let regex = wanted.filled(|name| (name == "id").then_some("a.b")).unwrap();
        assert!(regex.is_match("x Received: 1 a.b y") && !regex.is_match("Received: 1 axb"));
    }

    #[test]
    fn a_broken_pattern_says_why() {
        assert_eq!(pattern("a(b").groups().unwrap_err(), "`a(b` is no regular expression: unclosed group");
    }
}
