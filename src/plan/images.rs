//! The plans of `build` and `push`.

use super::{Action, Graph, Plan, observed::Observed};
use crate::{
    error::{Error, Kind, Result},
    provider::RegistryState,
};

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
    if matches!(observed.provider.registry, RegistryState::Absent | RegistryState::Stopped) {
        return Err(Error::new(Kind::Preflight, "the cluster's registry is not running")
            .hint("`stackctl up` makes it; --registry names another one"));
    }
    let mut graph = Graph::default();
    for (service, image) in &observed.images {
        let mut last = None;
        if rebuild || !image.is_current() {
            let build = graph.add(format!("build:{service}"), &[], Action::Build { service: service.clone() });
            last = Some(graph.add(format!("push:{service}"), &[build], Action::Push { service: service.clone() }));
        }
        for tag in &image.tags {
            let action = Action::Tag { service: service.clone(), tag: tag.clone() };
            graph.add(format!("tag:{service}:{tag}"), last.as_slice(), action);
        }
    }
    Ok(graph.into())
}
