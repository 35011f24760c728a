//! Clusters of ours in a cloud, as the cloud alone shows them: no state of this machine is believed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::eks::price::{BillLine, dollars};

/// All that one identity finds in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    pub account: String,
    pub region: String,
    /// Who asks.
    pub identity: String,
    pub clusters: Vec<Found>,
    /// Of the table of prices, and what it leaves out.
    pub as_of: String,
}

/// A cluster, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// What it is for: a stack, or what `--cluster-name` said.
    pub purpose: String,
    /// In the cloud.
    pub name: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it may go, where `--ttl` said that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    pub expired: bool,
    /// What a removal takes: kinds, and how many there are of each.
    pub things: BTreeMap<String, usize>,
    /// What a removal keeps, because it holds data.
    pub keeps: Vec<String>,
    /// What it costs as it is now.
    pub lines: Vec<BillLine>,
    /// Thousandths of a US dollar.
    pub per_hour: u32,
}

impl Fleet {
    /// Whose clusters these are.
    pub fn place(&self) -> String {
        format!("account  {} in {}, as {}", self.account, self.region, self.identity)
    }

    /// Thousandths of a US dollar.
    pub fn per_hour(&self) -> u32 {
        self.clusters.iter().map(|found| found.per_hour).sum()
    }

    /// What it all costs, line by line.
    pub fn bill(&self) -> Vec<String> {
        let mut lines = vec![self.place()];
        for found in &self.clusters {
            lines.push(format!("{}: {} an hour, {} a day", found.name, dollars(found.per_hour), day(found.per_hour)));
            lines.extend(found.lines.iter().map(|line| {
                format!("  {:>8} an hour {:>9} a day: {}", dollars(line.per_hour), day(line.per_hour), line.what)
            }));
        }
        match self.clusters.is_empty() {
            true => lines.push("nothing of stackctl is there".to_owned()),
            false => {
                let sum = self.per_hour();
                lines.push(format!("all: {} an hour, {} a day", dollars(sum), day(sum)));
                lines.push(format!("prices of {}", self.as_of));
            }
        }
        lines
    }
}

impl Found {
    /// In a few lines: what it is, and what goes with it.
    pub fn outline(&self) -> Vec<String> {
        let owner = self.owner.iter().map(|owner| format!(" by {owner}"));
        let created = self.created.iter().map(|at| format!(", made {at}"));
        let expires = self.expires.iter().map(|at| match self.expired {
            true => format!(", expired {at}"),
            false => format!(", expires {at}"),
        });
        let about: String = created.chain(owner).chain(expires).collect();
        let first = format!("{}{about}; {} an hour, {} a day", self.name, dollars(self.per_hour), day(self.per_hour));
        let things = self.things.iter().map(|(kind, number)| match number {
            1 => kind.clone(),
            number => format!("{number} × {kind}"),
        });
        let mut lines = vec![first, format!("  {}", things.collect::<Vec<_>>().join(", "))];
        lines.extend((!self.keeps.is_empty()).then(|| format!("  stays: {}", self.keeps.join(", "))));
        lines
    }
}

fn day(per_hour: u32) -> String {
    dollars(per_hour * 24)
}
