//! What a user can say about a cluster on EKS.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

/// Everything here is decided before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EksSpec {
    /// What the cluster is for: the stack's name, or what `--cluster-name` says. Its name on EKS is made from it.
    pub base: String,
    /// None: as the user's AWS configuration says.
    pub region: Option<String>,
    /// The only account that may be touched.
    pub account: Option<String>,
    pub vpc_cidr: Ipv4Net,
    pub nat: Nat,
    /// From where the API server may be reached, beside the VPC itself. Empty: from anywhere, with credentials.
    pub public_cidrs: Vec<IpNet>,
    /// After how long what is made may go.
    pub ttl: Option<Duration>,
    /// Of what has a default: whether it was said all the same.
    pub given: Given,
    /// `1.36`; None: what EKS makes by default.
    pub kubernetes_version: Option<String>,
}

/// What was asked for in so many words, so that something else in its place is not what was wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    pub nat: bool,
    pub vpc_cidr: bool,
}

/// How nodes reach the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// One gateway for all zones.
    Single,
    /// One in each zone: none depends on another.
    PerZone,
    /// None: nodes stand in public subnets, with addresses of their own.
    None,
}

impl Nat {
    /// As `--nat` names it.
    pub fn text(self) -> &'static str {
        match self {
            Nat::Single => "single",
            Nat::PerZone => "per-zone",
            Nat::None => "none",
        }
    }
}
