//! Reads what is claimed about a disturbance.

use super::{check, count, eventually};
use crate::stack::{
    claims::{Disruption, DuringCheck, Keeps, LoadClaim, Part, WorkloadName},
    format::{Found, FromFound, Section},
    problems::Problems,
};

pub fn during(at: &Section, problems: &mut Problems) -> Option<DuringCheck> {
    let mut parts = |key| at.sections(key).filter_map(|at| part(at, problems)).collect::<Vec<_>>();
    let (before, meanwhile, after) = (parts("before"), parts("meanwhile"), parts("after"));
    let keeps = at.section("keeps").map(|at| keeps(at, problems));
    Some(DuringCheck {
        disruption: at.get("disrupt")?,
        before,
        meanwhile,
        after,
        load: at.get("load")?,
        keeps: keeps.map_or(Some(None), |read| read.map(Some))?,
    })
}

impl FromFound for Disruption {
    fn from_found(found: &Found) -> Option<Disruption> {
        let (kind, found) = found.section()?.chosen()?;
        if kind == "restart" {
            return FromFound::from_found(found).map(Disruption::Restart);
        }
        let at = found.section()?;
        match kind {
            "deletePods" => Some(Disruption::DeletePods { selector: at.get("selector")?, force: at.get("force")? }),
            "scale" => Some(Disruption::Scale { object: at.get("object")?, to: at.get("to")? }),
            "drain" => Some(Disruption::Drain { node_of: at.get("nodeOf")? }),
            _ => None,
        }
    }
}

impl FromFound for WorkloadName {
    fn from_found(found: &Found) -> Option<WorkloadName> {
        let (kind, name) = found.text()?.split_once('/')?;
        Some(WorkloadName { kind: kind.to_owned(), name: name.to_owned() })
    }
}

/// A proof of any kind but this one, which may do without a name.
fn part(at: &Section, problems: &mut Problems) -> Option<Part> {
    let check = check(at, problems)?;
    let eventually = eventually(at, &check, problems)?.unwrap_or_default();
    let name = at.get::<Option<String>>("name")?.unwrap_or_else(|| check.kind().to_owned());
    Some(Part { name, check, eventually })
}

impl FromFound for LoadClaim {
    fn from_found(found: &Found) -> Option<LoadClaim> {
        let at = found.section()?;
        Some(LoadClaim {
            url: at.get("url")?,
            rate: at.get("rate")?,
            connections: at.get("connections")?,
            duration: at.get("duration")?,
            max_errors: at.get("maxErrors")?,
            min_requests: at.get("minRequests")?,
            timeout: at.get("timeout")?,
        })
    }
}

fn keeps(at: &Section, problems: &mut Problems) -> Option<Keeps> {
    let claim = count::number(at, problems);
    Some(Keeps { claim: claim?, by: at.get("by")? })
}
