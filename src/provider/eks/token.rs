//! What a cluster on EKS takes for a proof of who asks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A token, and until when it is to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub token: String,
    pub until: Timestamp,
}

impl Token {
    /// As kubectl and its relatives take it from a program that they run.
    pub fn exec_credential(&self) -> Value {
        json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": { "expirationTimestamp": self.expires(), "token": self.token },
        })
    }

    /// Without fractions of a second, which are no part of Kubernetes' times.
    pub fn expires(&self) -> String {
        self.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_gets_what_it_asks_for() {
        let token = Token { token: "t".to_owned(), until: "2026-11-30T12:00:00.5Z".parse().unwrap() };
        let value = token.exec_credential();
        assert_eq!(value["status"]["expirationTimestamp"], "2026-11-30T12:00:00Z");
        assert_eq!((&value["kind"], &value["status"]["token"]), (&json!("ExecCredential"), &json!("t")));
    }
}
