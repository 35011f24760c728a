//! The way back to nothing: its order, as data. Pure.

use super::task::{Removal, Task};
use crate::provider::step::{Planned, Step};

/// Each wave begins when all of the wave before it is done. AWS refuses most that comes too early; the rest would be left
/// behind, and cost money. What does not wait for one another stands in one wave: tests/aws swaps all neighbours, and takes
/// it for a fault when that does no harm.
pub const ORDER: [&[Removal]; 8] = [
    // Their controllers may run on the nodes, and do nothing without any.
    &[Removal::LoadBalancers],
    // Nodes that are alive when the cluster ends keep its security group; and they need roles and ways out to leave.
    &[Removal::Nodes],
    &[Removal::Cluster, Removal::NatGateways, Removal::Repositories, Removal::Endpoints],
    // What EKS does with them goes on until it is gone.
    &[Removal::Roles, Removal::Interfaces],
    // An interface holds its groups and its subnet, and with a public address the gateway.
    &[Removal::SecurityGroups, Removal::Subnets, Removal::InternetGateway],
    // A subnet holds its table. A gateway does not: its route leads nowhere then.
    &[Removal::RouteTables],
    // A last line of the control plane makes the log group again: the later, the rarer.
    &[Removal::Vpc, Removal::LogGroup],
    // As long as anything is left, it is known where.
    &[Removal::State],
];

/// All of it, whatever was seen: each part looks for what there is of it. `data`: volumes go, too.
pub fn down(data: bool) -> Vec<Planned> {
    let waves: Vec<Vec<Removal>> = order().into_iter().map(<[Removal]>::to_vec).collect();
    in_order(&if data { with_data(waves) } else { waves })
}

/// Claims go while nodes can still detach their volumes; what is left of these, once no node has them.
fn with_data(waves: Vec<Vec<Removal>>) -> Vec<Vec<Removal>> {
    let around = |wave: Vec<Removal>| match wave.contains(&Removal::Nodes) {
        true => vec![vec![Removal::Claims], wave, vec![Removal::Volumes]],
        false => vec![wave],
    };
    waves.into_iter().flat_map(around).collect()
}

#[cfg(not(debug_assertions))]
fn order() -> Vec<&'static [Removal]> {
    ORDER.to_vec()
}

/// With two neighbours the other way round, where a test asks for it: it must not work then.
#[cfg(debug_assertions)]
fn order() -> Vec<&'static [Removal]> {
    let mut order = ORDER.to_vec();
    let swapped = std::env::var("STACKCTL_EKS_SWAP").ok().and_then(|at| at.parse::<usize>().ok());
    if let Some(at) = swapped.filter(|at| at + 1 < order.len()) {
        order.swap(at, at + 1);
    }
    order
}

fn in_order(waves: &[Vec<Removal>]) -> Vec<Planned> {
    let mut steps = Vec::new();
    let mut before: Vec<&'static str> = Vec::new();
    for wave in waves {
        for removal in wave {
            steps.push(Planned::new(removal.id(), &before, Step::Cloud(Task::Remove { removal: *removal })));
        }
        before = wave.iter().map(|removal| removal.id()).collect();
    }
    steps
}
