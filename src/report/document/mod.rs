//! What `--output json` prints: every document has an `apiVersion` and a `kind`, its keys are in camelCase, and a schema
//! is published for each command (`docs/schemas`).

mod results;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

pub use results::*;

use crate::error::Error;

/// Fields are only added to documents of this version.
pub const API_VERSION: &str = "stackctl.dev/v1";

pub trait Document: Serialize + JsonSchema {
    const API_VERSION: &'static str = API_VERSION;
    const KIND: &'static str;
}

/// A document as it is printed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    document: &'a T,
    /// Why the command failed all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument>,
}

impl<'a, T: Document> Envelope<'a, T> {
    fn new(document: &'a T, error: Option<&Error>) -> Self {
        Envelope { api_version: T::API_VERSION, kind: T::KIND, document, error: error.map(ErrorDocument::from) }
    }
}

/// A command that failed before it had anything else to say.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Failure {}

impl Document for Failure {
    const KIND: &'static str = "Failure";
}

/// A failure as the user reads it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDocument {
    /// One for each exit code, such as `usage` or `notReady`.
    kind: &'static str,
    message: String,
    causes: Vec<String>,
    details: Vec<String>,
    /// What to do about it.
    hints: Vec<String>,
    exit_code: u8,
    /// What else failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<ErrorDocument>,
}

impl From<&Error> for ErrorDocument {
    fn from(error: &Error) -> ErrorDocument {
        ErrorDocument {
            kind: error.kind.name(),
            message: error.message.clone(),
            causes: error.causes.clone(),
            details: error.details.clone(),
            hints: error.hints.clone(),
            exit_code: error.kind.exit_code(),
            others: error.others.iter().map(ErrorDocument::from).collect(),
        }
    }
}

/// The document at the end of a command, with the error where it has results and failed all the same.
pub(super) fn pretty(document: &impl Document, error: Option<&Error>) -> String {
    serde_json::to_string_pretty(&Envelope::new(document, error)).unwrap_or_default()
}

/// The document of a command that failed.
pub(super) fn failure(error: &Error) -> String {
    pretty(&Failure {}, Some(error))
}

/// One of several documents, on one line.
pub(super) fn line(document: &impl Document) -> String {
    serde_json::to_string(&Envelope::new(document, None)).unwrap_or_default()
}

pub(super) fn failure_line(error: &Error) -> String {
    serde_json::to_string(&Envelope::new(&Failure {}, Some(error))).unwrap_or_default()
}
