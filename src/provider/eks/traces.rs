//! Clusters of ours, put together from all that bears the mark of one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    names,
    price::{Costs, Prices},
};
use crate::provider::fleet::Found;

/// A thing that bears a cluster's mark: our tag, the tag that EKS puts on what it makes for one, or a name.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The cluster's name.
    pub cluster: String,
    pub kind: &'static str,
    pub tags: BTreeMap<String, String>,
    pub costs: Vec<Costs>,
    /// How it is named where it stays, because it holds data.
    pub stays: Option<String>,
}

const CONTROL_PLANE: &str = "cluster";

impl Trace {
    pub fn new(cluster: impl Into<String>, kind: &'static str) -> Trace {
        Trace { cluster: cluster.into(), kind, tags: BTreeMap::new(), costs: Vec::new(), stays: None }
    }

    pub fn of_control_plane(cluster: impl Into<String>, tags: BTreeMap<String, String>) -> Trace {
        Trace { tags, costs: vec![Costs::ControlPlane], ..Trace::new(cluster, CONTROL_PLANE) }
    }

    pub fn tagged(self, tags: BTreeMap<String, String>) -> Trace {
        Trace { tags, ..self }
    }

    pub fn costs(self, costs: Vec<Costs>) -> Trace {
        Trace { costs, ..self }
    }

    fn tag(&self, key: &str) -> Option<&String> {
        self.tags.get(key)
    }
}

/// Whose traces these are.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub account: &'a str,
    pub region: &'a str,
    pub now: Timestamp,
}

/// `theirs`: clusters of such names that do not bear our tag; what was made for them is not ours either.
pub fn clusters(traces: Vec<Trace>, theirs: &BTreeSet<String>, place: Place<'_>, prices: &Prices) -> Vec<Found> {
    let mut by_name: BTreeMap<String, Vec<Trace>> = BTreeMap::new();
    for trace in traces {
        by_name.entry(trace.cluster.clone()).or_default().push(trace);
    }
    let ours = by_name.into_iter().filter(|(name, _)| !theirs.contains(name));
    ours.filter_map(|(name, traces)| found(name, &traces, place, prices)).collect()
}

fn found(name: String, traces: &[Trace], place: Place<'_>, prices: &Prices) -> Option<Found> {
    let purpose = purpose(&name, traces, place)?;
    let plane = traces.iter().find(|trace| trace.kind == CONTROL_PLANE);
    let said = |key: &str| plane.and_then(|trace| trace.tag(key)).or_else(|| traces.iter().find_map(|it| it.tag(key)));
    let expires = match plane {
        Some(plane) => plane.tag(names::EXPIRES_TAG),
        // Times of one form are in the order of their text.
        None => traces.iter().filter_map(|trace| trace.tag(names::EXPIRES_TAG)).max(),
    };
    let expired =
        expires.and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|expires: Timestamp| expires <= place.now);
    let mut things = BTreeMap::new();
    for trace in traces.iter().filter(|trace| trace.stays.is_none()) {
        *things.entry(trace.kind.to_owned()).or_default() += 1;
    }
    let lines = prices.lines(traces.iter().flat_map(|trace| trace.costs.clone()));
    Some(Found {
        purpose,
        owner: said(names::OWNER_TAG).cloned(),
        created: said(names::CREATED_TAG).cloned(),
        expires: expires.cloned(),
        expired,
        things,
        keeps: traces.iter().filter_map(|trace| trace.stays.clone()).collect(),
        per_hour: lines.iter().map(|line| line.per_hour).sum(),
        lines,
        name,
    })
}

/// From which the name follows in this account and region: a name that does not is none that we have given here.
fn purpose(name: &str, traces: &[Trace], place: Place<'_>) -> Option<String> {
    let tagged = traces.iter().find_map(|trace| trace.tag(names::STACK_TAG)).cloned();
    let told = tagged.into_iter().chain(names::base(name).map(str::to_owned));
    told.into_iter().find(|base| names::cluster(place.account, place.region, base) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(traces: Vec<Trace>, theirs: &[&str]) -> Vec<Found> {
        let place = Place { account: "1", region: "us-east-1", now: "2026-11-30T12:00:00Z".parse().unwrap() };
        let theirs = theirs.iter().map(|name| (*name).to_owned()).collect();
        clusters(traces, &theirs, place, &Prices::of("us-east-1").unwrap())
    }

    fn tags(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_name_that_we_have_not_given_here_is_not_ours() {
        let ours = names::cluster("1", "us-east-1", "hello");
        let elsewhere = names::cluster("1", "eu-west-1", "hello");
        let traces = [ours.as_str(), &elsewhere, "stackctl-hello-000000", "prod"].map(|name| Trace::new(name, "role"));
        let found = all(traces.to_vec(), &[]);
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), [ours.as_str()]);
        assert_eq!(found[0].purpose, "hello");
        // What was made for somebody else's cluster of that very name is theirs.
        assert!(all(traces.to_vec(), &[&ours]).is_empty());
        // The name of a long one does not tell what it is for; its tag does.
        let long = "x".repeat(60);
        let name = names::cluster("1", "us-east-1", &long);
        let found = all(vec![Trace::new(&name, "VPC").tagged(tags(&[(names::STACK_TAG, &long)]))], &[]);
        assert_eq!(found[0].purpose, long);
    }

    #[test]
    fn the_control_plane_says_when_a_cluster_may_go_else_the_latest_of_its_things() {
        let name = names::cluster("1", "us-east-1", "hello");
        let thing = |at: &str| Trace::new(&name, "subnet").tagged(tags(&[(names::EXPIRES_TAG, at)]));
        let (early, late) = ("2026-11-30T11:00:00Z", "2026-11-30T13:00:00Z");
        let found = |traces: Vec<Trace>| all(traces, &[]).remove(0);
        assert!(found(vec![thing(early), thing("2026-11-30T10:00:00Z")]).expired);
        let both = found(vec![thing(early), thing(late)]);
        assert!(!both.expired && both.expires.as_deref() == Some(late));
        let plane = |all: &[(&str, &str)]| Trace::of_control_plane(&name, tags(all));
        assert!(found(vec![thing(late), plane(&[(names::EXPIRES_TAG, early)])]).expired);
        assert!(!found(vec![thing(early), plane(&[])]).expired, "one without an end never expires");
        assert!(!found(vec![plane(&[(names::EXPIRES_TAG, "soon")])]).expired);
    }

    #[test]
    fn what_stays_is_paid_for_and_not_among_what_goes() {
        let name = names::cluster("1", "us-east-1", "hello");
        let volume = Trace { stays: Some("volume v".to_owned()), ..Trace::new(&name, "volume") };
        let found = all(vec![volume.costs(vec![Costs::Volume(730)])], &[]).remove(0);
        assert!(found.things.is_empty() && found.keeps == ["volume v"]);
        assert_eq!(found.per_hour, 80);
    }
}
