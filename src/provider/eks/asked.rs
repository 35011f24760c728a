//! What is asked for beside what is there already: what nobody has named stays as it is, and what cannot change in place is
//! refused with the flag that fits. Pure.

use std::collections::BTreeSet;

use super::{
    seen::{Seen, Status},
    spec::{EksSpec, Nat},
};
use crate::error::{Error, Kind, Result};

/// The same with what is there in place of what was not asked for.
pub fn settled(seen: &Seen) -> Seen {
    let mut spec = seen.spec.clone();
    if let Some(nat) = nat(seen).filter(|_| !spec.given.nat) {
        spec.nat = nat;
    }
    if let Some(cidr) = seen.vpc.as_ref().and_then(|vpc| vpc.cidr.parse().ok()).filter(|_| !spec.given.vpc_cidr) {
        spec.vpc_cidr = cidr;
    }
    Seen { spec, ..seen.clone() }
}

/// Fails with all that was asked for and cannot be had on what is there.
pub fn check(seen: &Seen) -> Result<()> {
    let EksSpec { nat: wanted, vpc_cidr, kubernetes_version, given, .. } = &seen.spec;
    let mut wrong = Vec::new();
    let mut fits = Vec::new();
    if let Some(there) = nat(seen).filter(|there| given.nat && there != wanted) {
        wrong.push(format!("its way out is --nat {}, and {} is asked for", there.text(), wanted.text()));
        fits.push(format!("--nat {}", there.text()));
    }
    let cidr = seen.vpc.as_ref().map(|vpc| vpc.cidr.as_str());
    if let Some(there) = cidr.filter(|there| given.vpc_cidr && *there != vpc_cidr.to_string()) {
        wrong.push(format!("its network is {there}, and {vpc_cidr} is asked for"));
        fits.push(format!("--vpc-cidr {there}"));
    }
    let version = seen.cluster.as_ref().filter(|cluster| cluster.status != Status::Failed);
    let version = version.and_then(|cluster| cluster.version.as_ref());
    if let (Some(there), Some(wanted)) = (version, kubernetes_version)
        && there != wanted
    {
        wrong.push(format!("it runs Kubernetes {there}, and {wanted} is asked for"));
        fits.push(format!("--kubernetes-version {there}"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Preflight, format!("the cluster {} is another one than is asked for", seen.name))
        .details(wrong)
        .hint(format!("what fits it is {}, or nothing of that at all", fits.join(" ")))
        .hint("stackctl changes none of that in place: `stackctl down` and `up` make it anew"))
}

/// From where the API server is to be reached, where that is asked for and is not so.
pub fn opening(seen: &Seen) -> Option<Vec<String>> {
    let cluster = seen.cluster.as_ref().filter(|cluster| cluster.status == Status::Active)?;
    let wanted: BTreeSet<String> = seen.spec.public_cidrs.iter().map(ToString::to_string).collect();
    let there: BTreeSet<String> = cluster.open_to.iter().cloned().collect();
    (!wanted.is_empty() && wanted != there).then(|| wanted.into_iter().collect())
}

/// How nodes reach the internet, as parts tell that only one way has. Of a cluster that is half made nothing tells the other
/// two apart yet: their gateway may only not be there so far.
fn nat(seen: &Seen) -> Option<Nat> {
    if seen.tables.contains_key("private-2") {
        return Some(Nat::PerZone);
    }
    seen.cluster.as_ref().filter(|cluster| cluster.complete)?;
    let public = seen.subnets.iter().any(|(name, subnet)| name.starts_with("public") && subnet.addresses);
    match public && seen.nats.is_empty() && seen.addresses.is_empty() {
        true => Some(Nat::None),
        false => Some(Nat::Single),
    }
}
