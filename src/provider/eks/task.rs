//! What there is to do on AWS, as plain data: steps of the plan like any other.

use serde::Serialize;

use crate::provider::step::ClusterChange;

/// Making twice is making once: each looks for what it makes before it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "task", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Task {
    Vpc {
        cidr: String,
    },
    InternetGateway,
    Subnet(Subnet),
    RouteTable(RouteTable),
    /// The way to S3, from which images' layers come, that costs nothing.
    S3Endpoint {
        tables: Vec<String>,
    },
    /// With its address; done once it is available.
    NatGateway {
        name: String,
        subnet: String,
    },
    /// The way out of a private route table.
    NatRoute {
        table: String,
        nat: String,
    },
    Role {
        role: Role,
    },
    /// What the control plane says. Made before EKS would make it, for then it would be kept for ever.
    LogGroup,
    /// In which images are kept, without what the names of all of them begin with.
    Repositories {
        names: Vec<String>,
    },
    /// The order for it; EKS takes minutes.
    Cluster {
        subnets: Vec<String>,
        version: Option<String>,
    },
    /// Until the control plane serves.
    AwaitCluster,
    /// The one that claims mean which name none.
    StorageClass,
    /// From where the API server of a cluster that is there may be reached.
    Access {
        cidrs: Vec<String>,
    },
    /// Marks the cluster as whole.
    Complete,
    Remove {
        removal: Removal,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// `public-1`
    pub name: String,
    /// `use1-az4`: a zone's name means another place in each account.
    pub zone: String,
    pub cidr: String,
    pub public: bool,
    /// What starts in it gets a public address.
    pub addresses: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// `public`, `private-1`
    pub name: String,
    pub subnets: Vec<String>,
    /// Straight out and in, as opposed to by NAT.
    pub internet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// What EKS may do in the account.
    Cluster,
    /// What nodes may do.
    Node,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Cluster, Role::Node];

    /// The end of its name.
    pub fn suffix(self) -> &'static str {
        match self {
            Role::Cluster => "cluster",
            Role::Node => "node",
        }
    }

    /// Who may take it.
    pub fn service(self) -> &'static str {
        match self {
            Role::Cluster => "eks.amazonaws.com",
            Role::Node => "ec2.amazonaws.com",
        }
    }

    /// AWS' own policies, which Auto Mode asks for.
    pub fn policies(self) -> &'static [&'static str] {
        match self {
            Role::Cluster => &[
                "AmazonEKSClusterPolicy",
                "AmazonEKSComputePolicy",
                "AmazonEKSBlockStoragePolicy",
                "AmazonEKSLoadBalancingPolicy",
                "AmazonEKSNetworkingPolicy",
            ],
            Role::Node => &["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"],
        }
    }
}

/// A part of the way back to nothing. `teardown::ORDER` says what comes after what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Removal {
    /// Services and Ingresses that have one, until theirs are gone: the cluster never cleans them.
    LoadBalancers,
    /// Claims with their volumes, where data is to go: while nodes are there to detach them.
    Claims,
    /// What runs, and then the pools, until no instance is left: nodes that are alive at its end keep its security group.
    Nodes,
    /// Those that are left of it, where data is to go.
    Volumes,
    Cluster,
    NatGateways,
    Repositories,
    Endpoints,
    Roles,
    /// Interfaces that nobody uses and nobody removed.
    Interfaces,
    SecurityGroups,
    Subnets,
    RouteTables,
    InternetGateway,
    Vpc,
    LogGroup,
    /// What this machine knows of it.
    State,
}

impl Removal {
    pub fn id(self) -> &'static str {
        match self {
            Removal::LoadBalancers => "delete:load-balancers",
            Removal::Claims => "delete:claims",
            Removal::Volumes => "delete:volumes",
            Removal::Nodes => "delete:nodes",
            Removal::Cluster => "delete:cluster",
            Removal::NatGateways => "delete:nat",
            Removal::Repositories => "delete:repositories",
            Removal::Endpoints => "delete:endpoints",
            Removal::Roles => "delete:roles",
            Removal::Interfaces => "delete:interfaces",
            Removal::SecurityGroups => "delete:security-groups",
            Removal::Subnets => "delete:subnets",
            Removal::RouteTables => "delete:route-tables",
            Removal::InternetGateway => "delete:internet-gateway",
            Removal::Vpc => "delete:vpc",
            Removal::LogGroup => "delete:log-group",
            Removal::State => "delete:state",
        }
    }
}

impl Task {
    pub fn change(&self) -> Option<ClusterChange> {
        match self {
            Task::Cluster { .. } => Some(ClusterChange::Create),
            Task::Complete | Task::Access { .. } => Some(ClusterChange::Configure),
            Task::Remove { removal: Removal::Cluster } => Some(ClusterChange::Delete),
            _ => None,
        }
    }
}
