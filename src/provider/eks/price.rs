//! What a cluster costs as long as it is there, by a table of prices with a date. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    seen::Seen,
    spec::{EksSpec, Nat},
};
use crate::error::{Context, Kind, Result};

const TABLE: &str = include_str!("prices.json");
/// Public addresses of an internet-facing load balancer in three zones.
const ADDRESSES_OF_BALANCER: u32 = 3;
/// What Auto Mode starts for a small stack.
const NODES: u32 = 2;

/// In thousandths of a US dollar per hour.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    date: String,
    source: String,
    cluster: u32,
    nat_gateway: u32,
    public_address: u32,
    load_balancer: u32,
    node: u32,
    /// A GiB in a month.
    volume: u32,
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

pub fn of(seen: &Seen) -> Result<Bill> {
    let (lines, as_of) = lines(&seen.spec)?;
    Ok(Bill {
        account: seen.account.clone(),
        region: seen.region.clone(),
        identity: seen.arn.clone(),
        cluster: seen.name.clone(),
        per_hour: lines.iter().map(|line| line.per_hour).sum(),
        lines,
        as_of,
    })
}

/// Thousandths of a US dollar, of one that is so many GiB.
pub fn volume_per_month(size: u32) -> Result<u32> {
    table().map(|table| size * table.volume)
}

fn table() -> Result<Table> {
    serde_json::from_str(TABLE).context(Kind::Unexpected, || "the embedded table of prices is broken".to_owned())
}

fn lines(spec: &EksSpec) -> Result<(Vec<BillLine>, String)> {
    let table = table()?;
    let nats = match spec.nat {
        Nat::Single => 1,
        Nat::PerZone => 3,
        Nat::None => 0,
    };
    let line = |number: u32, what: &str, each: u32| {
        let what = if number == 1 { what.to_owned() } else { format!("{number} × {what}") };
        (number > 0).then(|| BillLine { what, per_hour: number * each })
    };
    let lines = [
        line(1, "control plane", table.cluster),
        line(nats, "NAT gateway with its address", table.nat_gateway + table.public_address),
        line(NODES, "node of the size that Auto Mode starts for little", table.node),
        line(1, "load balancer with its addresses", table.load_balancer + ADDRESSES_OF_BALANCER * table.public_address),
    ];
    Ok((lines.into_iter().flatten().collect(), format!("{}, {}", table.date, table.source)))
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
        let per_hour = |nat| {
            let (lines, _) = lines(&EksSpec { nat, ..spec() }).unwrap();
            lines.iter().map(|line| line.per_hour).sum::<u32>()
        };
        let (none, single, zones) = (per_hour(Nat::None), per_hour(Nat::Single), per_hour(Nat::PerZone));
        assert_eq!((single - none, zones - none), (50, 150));
        assert_eq!(volume_per_month(8).unwrap(), 640);
        assert!(lines(&spec()).unwrap().1.starts_with("2026-"));
        assert_eq!((dollars(100), dollars(1), dollars(2350)), ("$0.10".into(), "$0.01".into(), "$2.35".into()));
    }
}
