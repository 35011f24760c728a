//! Clusters on AWS, by EKS Auto Mode, with all that they need: network, roles, registries. What is decided is in modules
//! that ask nobody (`layout`, `plan`, `teardown`); what is asked of AWS is looked at first and written down before.

#![cfg_attr(not(feature = "eks"), allow(dead_code, reason = "without the clients of AWS nobody asks for it"))]

mod asked;
#[cfg(feature = "eks")]
mod audit;
#[cfg(feature = "eks")]
mod balancers;
#[cfg(feature = "eks")]
pub mod checks;
#[cfg(feature = "eks")]
mod client;
#[cfg(feature = "eks")]
mod cluster;
#[cfg(feature = "eks")]
mod control_plane;
mod edge;
#[cfg(feature = "eks")]
mod fleet;
#[cfg(feature = "eks")]
mod inside;
mod layout;
#[cfg(feature = "eks")]
mod ledger;
#[cfg(feature = "eks")]
mod look;
#[cfg(feature = "eks")]
mod make;
#[cfg(feature = "eks")]
mod named;
mod names;
#[cfg(feature = "eks")]
mod network;
pub mod plan;
mod policy;
pub mod price;
#[cfg(feature = "eks")]
mod registry;
#[cfg(feature = "eks")]
mod remove;
#[cfg(feature = "eks")]
mod remove_network;
#[cfg(feature = "eks")]
mod remove_roles;
mod seen;
pub mod settings;
#[cfg(feature = "eks")]
mod signing;
mod spec;
#[cfg(feature = "eks")]
mod strangers;
pub mod task;
pub mod teardown;
#[cfg(test)]
mod tests;
mod token;
mod traces;
#[cfg(feature = "eks")]
mod update;
#[cfg(feature = "eks")]
mod volumes;
#[cfg(feature = "eks")]
mod wait;
#[cfg(not(feature = "eks"))]
mod without;

use std::time::Duration;

use super::{Answer, EdgeBy, ImagesBy, Lifecycle, Traits};
use crate::object::ProviderObjects;
#[cfg(feature = "eks")]
pub use cluster::EksCluster;
#[cfg(feature = "eks")]
pub use fleet::fleet;
pub use policy::policy;
pub use seen::Seen;
#[cfg(feature = "eks")]
pub use signing::token;
pub use spec::EksSpec;
#[cfg(not(feature = "eks"))]
pub use without::{fleet, missing, token};

pub const TRAITS: Traits = Traits {
    lifecycle: Lifecycle::Ours,
    images_reach_nodes_by: ImagesBy::OwnRegistry,
    edge_reached_by: EdgeBy::Service(edge::BALANCER),
    pulls_while_made: false,
    nodes_may_grow: Answer::Yes,
    costs: Answer::Yes,
    own_objects: ProviderObjects {
        groups: &["eks.amazonaws.com", "networking.k8s.aws", "vpcresources.k8s.aws"],
        definitions: &["karpenter.sh"],
        objects: &[("NodePool", names::POOLS[0]), ("NodePool", names::POOLS[1])],
        prefixes: &["eks:", "eks-", "vpc-resource-"],
    },
    volumes_outlive_it: true,
    answers_within: Duration::from_secs(60),
};
