//! What there is on AWS, as plain data: the plan follows from it.

use std::collections::{BTreeMap, BTreeSet};

use super::{spec::EksSpec, task::Role};
use crate::provider::ClusterState;

/// Who asks, of which account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub account: String,
    pub arn: String,
}

/// Seen without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub spec: EksSpec,
    pub account: String,
    pub region: String,
    /// Who asks.
    pub arn: String,
    /// The cluster's name on EKS.
    pub name: String,
    /// In which something can be made, in the order in which they are to be chosen; empty where nobody has to choose.
    pub zones: Vec<Zone>,
    pub vpc: Option<Vpc>,
    pub gateway: Option<Gateway>,
    /// By name.
    pub subnets: BTreeMap<String, Subnet>,
    pub tables: BTreeMap<String, RouteTable>,
    pub nats: BTreeMap<String, Nat>,
    /// By name, to the id of their allocation.
    pub addresses: BTreeMap<String, String>,
    pub endpoint: Option<String>,
    /// With the names of the policies that they have.
    pub roles: BTreeMap<Role, BTreeSet<String>>,
    /// Those that nobody can take for whom they are: their trust was changed.
    pub distrusted: BTreeSet<Role>,
    pub log_group: Option<LogGroup>,
    /// Names of ours in the registry.
    pub repositories: BTreeSet<String>,
    pub cluster: Option<Cluster>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    pub id: String,
    pub cidr: String,
    /// Names of hosts are given out, without which nodes do not join.
    pub host_names: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    pub id: String,
    pub attached: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub addresses: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    pub id: String,
    /// Ids of subnets, with those of their associations.
    pub associated: BTreeMap<String, String>,
    /// Where all traffic goes that has no other way: the id of a gateway.
    pub way_out: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    pub id: String,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    pub retention: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    pub status: Status,
    /// It bears our tags.
    pub ours: bool,
    /// Its network.
    pub vpc: Option<String>,
    /// All that belongs to it was made.
    pub complete: bool,
    pub version: Option<String>,
    /// The URL of its API server, and its authority in base64.
    pub reached_by: Option<(String, String)>,
    /// From where, beside its network, its API server may be reached.
    pub open_to: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Creating,
    Active,
    Deleting,
    /// EKS could not make it: it has to go.
    Failed,
}

impl Seen {
    /// Nothing was looked for yet.
    pub fn of(spec: &EksSpec, who: &Identity, region: &str, name: &str) -> Seen {
        Seen {
            spec: spec.clone(),
            account: who.account.clone(),
            region: region.to_owned(),
            arn: who.arn.clone(),
            name: name.to_owned(),
            zones: Vec::new(),
            vpc: None,
            gateway: None,
            subnets: BTreeMap::new(),
            tables: BTreeMap::new(),
            nats: BTreeMap::new(),
            addresses: BTreeMap::new(),
            endpoint: None,
            roles: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            log_group: None,
            repositories: BTreeSet::new(),
            cluster: None,
        }
    }

    /// What is there more than once: two runs at the same time have made it.
    pub fn twice(&self) -> Vec<String> {
        let names = |kind: &'static str, names: Vec<&String>| {
            let twice = names.into_iter().filter_map(|name| name.split_once(super::names::TWICE));
            twice.map(|(name, _)| format!("{kind} {name}")).collect::<Vec<_>>()
        };
        [
            names("subnet", self.subnets.keys().collect()),
            names("route table", self.tables.keys().collect()),
            names("NAT gateway", self.nats.keys().collect()),
            names("address", self.addresses.keys().collect()),
        ]
        .concat()
    }

    pub fn is_nothing(&self) -> bool {
        self.cluster.is_none()
            && self.vpc.is_none()
            && self.gateway.is_none()
            && self.nats.is_empty()
            && self.addresses.is_empty()
            && self.roles.is_empty()
            && self.log_group.is_none()
    }

    pub fn state(&self) -> ClusterState {
        let name = &self.name;
        let half = |why: String| ClusterState::HalfMade { why };
        match &self.cluster {
            None if self.is_nothing() => ClusterState::Absent,
            None => half(format!("there is no cluster {name} yet, but something of what it needs")),
            Some(cluster) if !cluster.ours => {
                ClusterState::Foreign { why: format!("the cluster {name} in {} was not made by stackctl", self.region) }
            }
            Some(cluster) => match cluster.status {
                Status::Active => ClusterState::Ours { stopped: false },
                Status::Creating => half(format!("EKS is making the cluster {name}")),
                Status::Deleting => half(format!("EKS is removing the cluster {name}")),
                Status::Failed => half(format!("EKS failed to make the cluster {name}")),
            },
        }
    }
}
