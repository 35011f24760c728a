//! Why a request failed, as a class that is counted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// In the order in which a request can meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Failure {
    /// No connection: refused, unreachable, not within the timeout.
    Connect,
    /// The handshake: an unknown issuer, a name that does not match.
    Tls,
    /// No whole answer within the timeout.
    Timeout,
    /// The connection was reset before the answer was whole.
    Reset,
    /// The connection was closed before the answer was whole.
    Closed,
    /// What came is no HTTP/1.1 answer.
    Protocol,
    /// A whole answer with a status that was not expected.
    Status(u16),
    /// A whole answer whose body does not hold what was expected.
    Body,
}

const NAMES: [(Failure, &str); 7] = [
    (Failure::Connect, "connect"),
    (Failure::Tls, "tls"),
    (Failure::Timeout, "timeout"),
    (Failure::Reset, "reset"),
    (Failure::Closed, "closed"),
    (Failure::Protocol, "protocol"),
    (Failure::Body, "body"),
];

impl Failure {
    /// What happened, for people; the name is for documents.
    pub fn sentence(self) -> String {
        match self {
            Failure::Connect => "no connection could be made".to_owned(),
            Failure::Tls => "the TLS handshake failed".to_owned(),
            Failure::Timeout => "no whole answer came within the timeout".to_owned(),
            Failure::Reset => "the connection was reset before the answer was whole".to_owned(),
            Failure::Closed => "the connection was closed before the answer was whole".to_owned(),
            Failure::Protocol => "what came was no HTTP/1.1 answer".to_owned(),
            Failure::Status(status) => format!("the answer had status {status}"),
            Failure::Body => "the body did not contain the expected text".to_owned(),
        }
    }

    /// The sentence for a class of a document, which may be of a later version.
    pub fn sentence_of(class: &str) -> String {
        class.parse().map_or_else(|_| class.to_owned(), Failure::sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(failure, _)| failure == self)) {
            (Failure::Status(status), _) => write!(f, "status {status}"),
            (_, Some((_, name))) => f.write_str(name),
            (_, None) => f.write_str("unknown"),
        }
    }
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Failure, String> {
        if let Some(status) = text.strip_prefix("status ").and_then(|status| status.parse().ok()) {
            return Ok(Failure::Status(status));
        }
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(failure, _)| *failure).ok_or_else(|| format!("no class of failures: {text}"))
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        failure.to_string()
    }
}

impl TryFrom<String> for Failure {
    type Error = String;

    fn try_from(text: String) -> Result<Failure, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_survives_its_name() {
        for failure in NAMES.iter().map(|(failure, _)| *failure).chain([Failure::Status(503)]) {
            assert_eq!(failure.to_string().parse(), Ok(failure));
        }
        assert_eq!(Failure::Status(404).to_string(), "status 404");
        assert!("status x".parse::<Failure>().is_err());
    }
}
