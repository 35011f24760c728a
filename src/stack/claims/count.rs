//! Claims about a number that requests raise, and about the replicas that answer them.

use serde::{Deserialize, Serialize};

use super::{HttpCheck, Pattern};

/// A number in the answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberClaim {
    pub request: HttpCheck,
    /// With one group, which is the number.
    pub number: Pattern,
}

/// Requests at the same time that raise a number by one each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountCheck {
    #[serde(flatten)]
    pub claim: NumberClaim,
    pub requests: u32,
    /// So many of them are under way at the same time.
    pub concurrency: u32,
}

/// Every pod of a Service is ready and answers as described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicasCheck {
    /// Its host names the Service; it is sent to each pod.
    pub request: HttpCheck,
    /// So many pods at least.
    pub minimum: u32,
    /// With one group, whose text differs from pod to pod.
    #[serde(default)]
    pub distinct: Option<Pattern>,
    /// Filled in when the pods are known.
    #[serde(default)]
    pub replicas: Vec<Replica>,
}

/// A pod and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub pod: String,
    /// `10.244.0.7:8080`
    pub address: String,
}

impl ReplicasCheck {
    /// The Service of the request's host, with its namespace where the host names one, and its port.
    pub fn service(&self) -> Option<(String, Option<String>, u16)> {
        let url = url::Url::parse(&self.request.url).ok()?;
        let mut labels = url.host_str()?.split('.');
        let (name, namespace) = (labels.next()?.to_owned(), labels.next().map(str::to_owned));
        Some((name, namespace, url.port_or_known_default()?))
    }
}
