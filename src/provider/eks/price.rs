//! What a cluster costs as long as it is there, by a table of prices with a date. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asked,
    seen::Seen,
    spec::{EksSpec, Nat},
};
use crate::error::{Context, Error, Kind, Result};

const TABLE: &str = include_str!("prices.json");
/// Public addresses of an internet-facing load balancer in three zones.
const ADDRESSES_OF_BALANCER: u32 = 3;
/// What Auto Mode starts for a small stack.
const NODES: u32 = 2;
const SMALL_NODE: &str = "c6i.large";
/// What Auto Mode takes for a node beside its own price, in percent.
const FOR_AUTO_MODE: u32 = 12;
const HOURS_OF_MONTH: u32 = 730;

/// In thousandths of a US dollar per hour, where nothing else is said.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    date: String,
    leaves_out: String,
    everywhere: Everywhere,
    /// Whose prices stand for those that are not known.
    model: String,
    regions: BTreeMap<String, OfRegion>,
    /// By family, of the size `large` in the model region: hundred-thousandths of a US dollar per hour.
    nodes: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Everywhere {
    cluster: u32,
    public_address: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfRegion {
    nat_gateway: u32,
    load_balancer: u32,
    /// A GiB in a month.
    volume: u32,
    /// Nodes cost there what they cost in the model region.
    #[serde(default)]
    nodes_as_in_model: bool,
}

/// Of one region.
#[derive(Debug, Clone)]
pub struct Prices {
    cluster: u32,
    public_address: u32,
    region: OfRegion,
    nodes: BTreeMap<String, u32>,
    /// Of which day and place they are, and what they leave out.
    pub as_of: String,
}

/// What somebody pays for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Costs {
    ControlPlane,
    NatGateway,
    LoadBalancer,
    PublicAddress,
    /// `c6a.large`
    Node(String),
    /// In GiB.
    Volume(u32),
}

/// Whose money it is, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    pub account: String,
    pub region: String,
    /// Who asks.
    pub identity: String,
    pub cluster: String,
    pub lines: Vec<BillLine>,
    /// Thousandths of a US dollar.
    pub per_hour: u32,
    /// Of the table of prices, and what it leaves out.
    pub as_of: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillLine {
    pub what: String,
    /// Thousandths of a US dollar.
    pub per_hour: u32,
}

impl Prices {
    /// Thousandths of a US dollar, of a volume that is so many GiB.
    pub fn volume_per_month(&self, size: u32) -> u32 {
        size * self.region.volume
    }

    /// Where a price of the region is not known for certain, it is that of the model region, which is said.
    pub fn of(region: &str) -> Result<Prices> {
        let table: Table = serde_json::from_str(TABLE)
            .context(Kind::Unexpected, || "the embedded table of prices is broken".to_owned())?;
        let Table { date, leaves_out, everywhere, model, mut regions, nodes } = table;
        let known = regions.remove(region);
        let whose = match &known {
            Some(known) if known.nodes_as_in_model => region.to_owned(),
            Some(_) => format!("{region}, of nodes as in {model} (an estimate)"),
            None => format!("{model}, as an estimate"),
        };
        let region = known.or_else(|| regions.remove(&model));
        let region = region.ok_or_else(|| Error::new(Kind::Unexpected, format!("there are no prices of {model}")))?;
        let Everywhere { cluster, public_address } = everywhere;
        Ok(Prices { cluster, public_address, region, nodes, as_of: format!("{date}, {whose}, {leaves_out}") })
    }

    /// In hundred-thousandths of a US dollar per hour.
    fn exact(&self, costs: &Costs) -> u32 {
        let thousandths = match costs {
            Costs::ControlPlane => self.cluster,
            Costs::NatGateway => self.region.nat_gateway,
            Costs::LoadBalancer => self.region.load_balancer,
            Costs::PublicAddress => self.public_address,
            Costs::Node(kind) => return self.node(kind),
            Costs::Volume(size) => return (size * self.region.volume * 100).div_ceil(HOURS_OF_MONTH),
        };
        thousandths * 100
    }

    /// Sizes of a family cost in proportion.
    fn node(&self, kind: &str) -> u32 {
        let (family, size) = kind.split_once('.').unwrap_or((kind, "large"));
        let usual = SMALL_NODE.split_once('.').and_then(|(family, _)| self.nodes.get(family));
        let large = self.nodes.get(family).or(usual).copied().unwrap_or_default();
        let (times, part) = match size {
            "medium" => (1, 2),
            "small" => (1, 4),
            "xlarge" => (2, 1),
            larger => match larger.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok()) {
                Some(times) => (2 * times, 1),
                None => (1, 1),
            },
        };
        large * times * (100 + FOR_AUTO_MODE) / 100 / part
    }

    /// Those of a kind are one line.
    pub fn lines(&self, all: impl IntoIterator<Item = Costs>) -> Vec<BillLine> {
        let mut kinds: BTreeMap<(u8, String), (u32, u32)> = BTreeMap::new();
        for costs in all {
            let (rank, what) = match &costs {
                Costs::ControlPlane => (0, "control plane".to_owned()),
                Costs::NatGateway => (1, "NAT gateway".to_owned()),
                Costs::LoadBalancer => (2, "load balancer".to_owned()),
                Costs::PublicAddress => (3, "public address".to_owned()),
                Costs::Node(kind) => (4, format!("node {kind}")),
                Costs::Volume(_) => (5, "GiB of volumes".to_owned()),
            };
            let number = if let Costs::Volume(size) = costs { size } else { 1 };
            let (so_far, price) = kinds.entry((rank, what)).or_default();
            *so_far += number;
            *price += self.exact(&costs);
        }
        let line = |((_, what), (number, price)): ((u8, String), (u32, u32))| {
            let what = if number == 1 { what } else { format!("{number} × {what}") };
            BillLine { what, per_hour: price.div_ceil(100) }
        };
        kinds.into_iter().map(line).collect()
    }
}

pub fn of(seen: &Seen) -> Result<Bill> {
    let prices = Prices::of(&seen.region)?;
    let lines = expected(&asked::settled(seen).spec, &prices);
    Ok(Bill {
        account: seen.account.clone(),
        region: seen.region.clone(),
        identity: seen.arn.clone(),
        cluster: seen.name.clone(),
        per_hour: lines.iter().map(|line| line.per_hour).sum(),
        lines,
        as_of: prices.as_of,
    })
}

/// Of a cluster that is not there yet.
fn expected(spec: &EksSpec, prices: &Prices) -> Vec<BillLine> {
    let nats = match spec.nat {
        Nat::Single => 1,
        Nat::PerZone => 3,
        Nat::None => 0,
    };
    let line = |number: u32, what: &str, each: &[Costs]| {
        let what = if number == 1 { what.to_owned() } else { format!("{number} × {what}") };
        let exact: u32 = each.iter().map(|costs| prices.exact(costs)).sum();
        (number > 0).then(|| BillLine { what, per_hour: (number * exact).div_ceil(100) })
    };
    let address = || Costs::PublicAddress;
    let balancer: Vec<Costs> =
        std::iter::once(Costs::LoadBalancer).chain((0..ADDRESSES_OF_BALANCER).map(|_| address())).collect();
    let lines = [
        line(1, "control plane", &[Costs::ControlPlane]),
        line(nats, "NAT gateway with its address", &[Costs::NatGateway, address()]),
        line(NODES, "node of the size that Auto Mode starts for little", &[Costs::Node(SMALL_NODE.to_owned())]),
        line(1, "load balancer with its addresses", &balancer),
    ];
    lines.into_iter().flatten().collect()
}

/// `$0.10`
pub fn dollars(thousandths: u32) -> String {
    let cents = thousandths.div_ceil(10);
    format!("${}.{:02}", cents / 100, cents % 100)
}

impl Bill {
    /// `about $0.38 an hour, $9.09 a day`
    pub fn sum(&self) -> String {
        format!("about {} an hour, {} a day", dollars(self.per_hour), dollars(self.per_hour * 24))
    }

    pub fn text(&self) -> Vec<String> {
        let mut lines = vec![format!("account  {} in {}, as {}", self.account, self.region, self.identity)];
        lines.push(format!("cluster  {}", self.cluster));
        lines.push(format!("cost     {}", self.sum()));
        let each = |line: &BillLine| format!("         {} an hour: {}", dollars(line.per_hour), line.what);
        lines.extend(self.lines.iter().map(each));
        lines.push(format!("         prices of {}", self.as_of));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::spec, *};

    #[test]
    fn each_nat_gateway_is_on_the_bill() {
        let prices = Prices::of("us-east-1").unwrap();
        let per_hour =
            |nat| expected(&EksSpec { nat, ..spec() }, &prices).iter().map(|line| line.per_hour).sum::<u32>();
        let (none, single, zones) = (per_hour(Nat::None), per_hour(Nat::Single), per_hour(Nat::PerZone));
        assert_eq!((single - none, zones - none), (50, 150));
        assert_eq!(prices.volume_per_month(8), 640);
        assert_eq!((dollars(100), dollars(1), dollars(2350)), ("$0.10".into(), "$0.01".into(), "$2.35".into()));
    }

    #[test]
    fn a_price_that_is_not_known_for_certain_is_told_as_an_estimate() {
        let as_of = |region| Prices::of(region).unwrap().as_of;
        assert!(as_of("us-west-2").contains("us-west-2") && !as_of("us-west-2").contains("estimate"));
        assert!(as_of("eu-central-1").contains("nodes as in us-east-1 (an estimate)"));
        assert!(as_of("sa-east-1").contains("us-east-1, as an estimate"), "{}", as_of("sa-east-1"));
        let nat = |region| Prices::of(region).unwrap().lines([Costs::NatGateway])[0].per_hour;
        assert_eq!((nat("us-east-2"), nat("ap-northeast-1"), nat("sa-east-1")), (45, 62, 45));
    }

    #[test]
    fn things_of_a_kind_are_one_line_and_sizes_cost_in_proportion() {
        let prices = Prices::of("us-east-1").unwrap();
        let nodes = [Costs::Node("m5.large".into()), Costs::Node("m5.large".into()), Costs::Node("m5.2xlarge".into())];
        let all = nodes.into_iter().chain([Costs::Volume(80), Costs::Volume(8)]);
        let lines: Vec<(String, u32)> = prices.lines(all).into_iter().map(|line| (line.what, line.per_hour)).collect();
        let expected = [("node m5.2xlarge", 431), ("2 × node m5.large", 216), ("88 × GiB of volumes", 10)];
        assert_eq!(lines, expected.map(|(what, price)| (what.to_owned(), price)));
        assert_eq!(prices.lines([Costs::Node("unheard.of".into())])[0].per_hour, 96);
    }
}
