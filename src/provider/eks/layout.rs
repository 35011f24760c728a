//! The network of a cluster, worked out from what was asked for: zones, subnets, ways out. Pure.

use ipnet::Ipv4Net;

use super::{
    seen::{Seen, Zone},
    spec::{EksSpec, Nat},
    task::{RouteTable, Subnet},
};
use crate::error::{Error, Kind, Result};

/// Zones in which EKS has no control plane, whatever they are called in an account.
const NOT_SERVED: [&str; 3] = ["use1-az3", "usw1-az2", "cac1-az3"];
/// A cluster must be in two zones; in three it survives the loss of one without a squeeze.
const WANTED: usize = 3;
const LEAST: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub subnets: Vec<Subnet>,
    pub tables: Vec<RouteTable>,
    /// Names of NAT gateways, each with the subnet that it stands in.
    pub nats: Vec<(String, String)>,
}

impl Layout {
    /// What is there stays where it is.
    pub fn of(seen: &Seen) -> Result<Layout> {
        let there = |nth: usize| {
            let subnet = |kind: &str| seen.subnets.get(&format!("{kind}-{nth}"));
            subnet("public").or_else(|| subnet("private")).map(|subnet| subnet.zone.clone())
        };
        let zones = zones((1..=WANTED).map(there).collect(), &seen.zones, &seen.region)?;
        // A VPC cannot be given another network: subnets that are still missing lie in the one that it has.
        let has = seen.vpc.as_ref().and_then(|vpc| vpc.cidr.parse().ok());
        Layout::in_zones(&EksSpec { vpc_cidr: has.unwrap_or(seen.spec.vpc_cidr), ..seen.spec.clone() }, &zones)
    }

    fn in_zones(spec: &EksSpec, zones: &[String]) -> Result<Layout> {
        let (private, public) = blocks(spec.vpc_cidr)?;
        let subnet = |kind: &str, nth: usize, cidr: &Ipv4Net| Subnet {
            name: format!("{kind}-{}", nth + 1),
            zone: zones[nth].clone(),
            cidr: cidr.to_string(),
            public: kind == "public",
            addresses: kind == "public" && spec.nat == Nat::None,
        };
        let nths = 0..zones.len();
        let mut subnets: Vec<Subnet> = nths.clone().map(|nth| subnet("public", nth, &public[nth])).collect();
        subnets.extend(nths.clone().map(|nth| subnet("private", nth, &private[nth])));
        let named = |kind: &str, nth: usize| format!("{kind}-{}", nth + 1);
        let all = |kind: &str| nths.clone().map(|nth| named(kind, nth)).collect::<Vec<_>>();
        let mut tables = vec![RouteTable { name: "public".to_owned(), subnets: all("public"), internet: true }];
        let private = |name: String, subnets: Vec<String>| RouteTable { name, subnets, internet: false };
        let nats = match spec.nat {
            Nat::PerZone => {
                tables.extend(nths.clone().map(|nth| private(named("private", nth), vec![named("private", nth)])));
                nths.clone().map(|nth| ((nth + 1).to_string(), named("public", nth))).collect()
            }
            Nat::Single => {
                tables.push(private("private-1".to_owned(), all("private")));
                vec![("1".to_owned(), "public-1".to_owned())]
            }
            Nat::None => {
                tables.push(private("private-1".to_owned(), all("private")));
                Vec::new()
            }
        };
        Ok(Layout { subnets, tables, nats })
    }

    /// In which nodes stand.
    pub fn of_nodes(&self) -> Vec<String> {
        let public = self.nats.is_empty();
        self.subnets.iter().filter(|subnet| subnet.public == public).map(|subnet| subnet.name.clone()).collect()
    }
}

/// Each place keeps the zone that it has; the others get those that are offered and not used.
fn zones(there: Vec<Option<String>>, offered: &[Zone], region: &str) -> Result<Vec<String>> {
    let used: Vec<String> = there.iter().flatten().cloned().collect();
    let served = offered.iter().filter(|zone| !NOT_SERVED.contains(&zone.id.as_str()) && !used.contains(&zone.id));
    let mut free = served.map(|zone| zone.id.clone());
    let zones: Vec<String> = there.into_iter().map_while(|zone| zone.or_else(|| free.next())).collect();
    match zones.len() >= LEAST {
        true => Ok(zones),
        false => Err(Error::new(Kind::Preflight, format!("the region {region} has too few zones for a cluster"))
            .cause(format!("{LEAST} are needed, and {} can be used: {}", zones.len(), zones.join(", ")))
            .hint("choose another region with --region")),
    }
}

/// A quarter for the nodes of each zone, and of the last quarter a quarter for what faces the internet there.
fn blocks(whole: Ipv4Net) -> Result<(Vec<Ipv4Net>, Vec<Ipv4Net>)> {
    let length = whole.prefix_len();
    let refuse = || {
        Error::new(Kind::Usage, format!("{whole} is no network for a VPC"))
            .cause("AWS takes networks of /16 to /28, and three zones need at least a /24")
            .hint("such as --vpc-cidr 10.0.0.0/16")
    };
    if !(16..=24).contains(&length) {
        return Err(refuse());
    }
    let quarters: Vec<Ipv4Net> = whole.subnets(length + 2).map_err(|_| refuse())?.collect();
    let (nodes, last) = quarters.split_at(WANTED);
    let public = last[0].subnets(length + 4).map_err(|_| refuse())?.take(WANTED).collect();
    Ok((nodes.to_vec(), public))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(ids: &[&str]) -> Vec<Zone> {
        ids.iter().map(|id| Zone { id: (*id).to_owned(), name: String::new() }).collect()
    }

    #[test]
    fn zones_are_chosen_by_id_and_those_that_are_used_stay() {
        let chosen = |there: [Option<&str>; 3], ids: &[&str]| {
            zones(there.iter().map(|id| id.map(str::to_owned)).collect(), &offered(ids), "us-east-1")
        };
        let all = ["use1-az4", "use1-az3", "use1-az6", "use1-az1", "use1-az2"];
        let none = [None; 3];
        assert_eq!(chosen(none, &all).unwrap(), ["use1-az4", "use1-az6", "use1-az1"]);
        let second = [None, Some("use1-az4"), None];
        assert_eq!(chosen(second, &all).unwrap(), ["use1-az6", "use1-az4", "use1-az1"]);
        assert_eq!(chosen(none, &["use1-az1", "use1-az2"]).unwrap().len(), 2);
        assert_eq!(chosen(none, &["use1-az1", "use1-az3"]).unwrap_err().kind, Kind::Preflight);
    }

    #[test]
    fn the_subnets_of_a_network_do_not_overlap_and_fill_it() {
        for whole in ["10.0.0.0/16", "192.168.4.0/24"] {
            let whole: Ipv4Net = whole.parse().unwrap();
            let (private, public) = blocks(whole).unwrap();
            let all: Vec<Ipv4Net> = private.iter().chain(&public).copied().collect();
            assert_eq!(all.len(), 6);
            for (at, one) in all.iter().enumerate() {
                assert!(whole.contains(one) && all.iter().skip(at + 1).all(|other| !one.contains(&other.network())));
            }
        }
        for refused in ["10.0.0.0/15", "10.0.0.0/25"] {
            assert_eq!(blocks(refused.parse().unwrap()).unwrap_err().kind, Kind::Usage);
        }
    }
}
