//! The plans of `build` and `push`.

use super::{
    Action, Graph, Plan,
    observed::{Observed, RegistryState},
};
use crate::error::{Error, Kind, Result};

/// The engine's cache decides what there is to do.
pub fn build(observed: &Observed) -> Plan {
    let mut graph = Graph::default();
    for service in observed.images.keys() {
        graph.add(format!("build:{service}"), &[], Action::Build { service: service.clone() });
    }
    graph.into()
}

/// Builds and pushes what the registry lacks.
pub fn push(observed: &Observed, rebuild: bool) -> Result<Plan> {
    if matches!(observed.registry, RegistryState::Absent | RegistryState::Stopped) {
        return Err(Error::new(Kind::Preflight, "the cluster's registry is not running")
            .hint("`stackctl up` makes it; --registry names another one"));
    }
    let mut graph = Graph::default();
    for (service, _) in observed.images.iter().filter(|(_, image)| rebuild || image.digest.is_none()) {
        let build = graph.add(format!("build:{service}"), &[], Action::Build { service: service.clone() });
        graph.add(format!("push:{service}"), &[build], Action::Push { service: service.clone() });
    }
    Ok(graph.into())
}
