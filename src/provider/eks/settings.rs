//! The settings that only clusters on AWS have.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::{
    EksSpec,
    spec::{Given, Nat},
};
use crate::{
    error::Result,
    provider::settings::{CLUSTER_NAME, KUBERNETES_VERSION},
    quantity::duration,
    setting::{Parsed, Section, Setting, Values, parse},
};

pub static SECTION: Section =
    Section { heading: Some("EKS options"), provider: Some("eks"), settings: &[&VPC_CIDR, &NAT, &PUBLIC_CIDRS, &TTL] };

/// Where its clusters are.
pub static PLACE: Section =
    Section { heading: Some("Cluster options"), provider: Some("eks"), settings: &[&REGION, &ACCOUNT] };

pub const REGION: Setting<String> =
    Setting::new("region", "--region", "NAME", "The region of AWS for eks", parse::word)
        .otherwise("that of your AWS configuration");
const ACCOUNT: Setting<String> =
    Setting::new("account", "--account", "ID", "The only account of AWS that may be touched", account).otherwise("any");
const VPC_CIDR: Setting<Ipv4Net> =
    Setting::new("vpcCidr", "--vpc-cidr", "CIDR", "The network of a VPC that is made for eks", network)
        .with_default("10.0.0.0/16");
const NAT: Setting<Nat> =
    Setting::new("nat", "--nat", "HOW", "NAT gateways on eks: single, per-zone or none", nat).with_default("single");
const PUBLIC_CIDRS: Setting<IpNet> = Setting::new(
    "publicCidrs",
    "--public-cidr",
    "CIDR",
    "From where the API server of eks may be reached; may be repeated",
    any_network,
)
.list()
.otherwise("anywhere, with credentials");

const TTL: Setting<Duration> = Setting::new(
    "ttl",
    "--ttl",
    "DURATION",
    "After how long what is made on eks may go: `sweep --expired` removes it then",
    duration,
)
.otherwise("never");

pub fn spec(values: &Values) -> Result<EksSpec> {
    Ok(EksSpec {
        base: values.required(&CLUSTER_NAME)?,
        region: values.optional(&REGION)?,
        account: values.optional(&ACCOUNT)?,
        vpc_cidr: values.required(&VPC_CIDR)?,
        nat: values.required(&NAT)?,
        public_cidrs: values.list(&PUBLIC_CIDRS)?,
        ttl: values.optional(&TTL)?,
        given: Given { nat: values.optional(&NAT)?.is_some(), vpc_cidr: values.optional(&VPC_CIDR)?.is_some() },
        kubernetes_version: values.optional(&KUBERNETES_VERSION)?.as_deref().map(minor),
    })
}

/// EKS knows `1.36` where others know `v1.36.3`.
fn minor(version: &str) -> String {
    version.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>().join(".")
}

/// `123456789012`
fn account(text: &str) -> Parsed<String> {
    match text.len() == 12 && text.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("expected the twelve digits of an account".to_owned()),
    }
}

/// `10.0.0.0/16`: three zones need a /24, and AWS takes nothing wider than a /16.
fn network(text: &str) -> Parsed<Ipv4Net> {
    match text.parse::<Ipv4Net>() {
        Ok(network) if network.trunc() != network => Err(format!("the network of that address is {}", network.trunc())),
        Ok(network) if (16..=24).contains(&network.prefix_len()) => Ok(network),
        _ => Err("expected a network of /16 to /24, such as 10.0.0.0/16".to_owned()),
    }
}

/// `203.0.113.7/32`
fn any_network(text: &str) -> Parsed<IpNet> {
    text.parse().map_err(|_| "expected a network, such as 203.0.113.7/32".to_owned())
}

fn nat(text: &str) -> Parsed<Nat> {
    match text {
        "single" => Ok(Nat::Single),
        "per-zone" => Ok(Nat::PerZone),
        "none" => Ok(Nat::None),
        _ => Err("expected one of: single, per-zone, none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Kind,
        provider::{Choice, settings::tests::values},
    };

    #[test]
    fn what_is_asked_of_aws_is_checked_before_anybody_is_asked() {
        let flags =
            [("provider", "eks"), ("region", "eu-central-1"), ("nat", "per-zone"), ("kubernetesVersion", "1.36")];
        let variables =
            [("STACKCTL_PUBLIC_CIDRS", "203.0.113.7/32, 2001:db8::/32"), ("STACKCTL_ACCOUNT", "123456789012")];
        let Choice::Eks(spec) = Choice::of(&values(&flags, &variables).unwrap()).unwrap() else {
            panic!("another provider")
        };
        assert_eq!((spec.region.as_deref(), spec.account.as_deref()), (Some("eu-central-1"), Some("123456789012")));
        assert_eq!(
            (spec.nat, spec.vpc_cidr.to_string(), spec.public_cidrs.len()),
            (Nat::PerZone, "10.0.0.0/16".into(), 2)
        );
        assert_eq!(spec.kubernetes_version.as_deref(), Some("1.36"));
        let full = values(&[("kubernetesVersion", "v1.36.3")], &[]).unwrap();
        assert_eq!(super::spec(&full).unwrap().kubernetes_version.as_deref(), Some("1.36"));
        for (key, value, why) in [
            ("region", "US East", "a name of"),
            ("account", "12345", "the twelve digits"),
            ("vpcCidr", "10.0.0.0/8", "/16 to /24"),
            ("vpcCidr", "10.0.7.0/16", "the network of that address is 10.0.0.0/16"),
            ("nat", "two", "single, per-zone, none"),
            ("publicCidrs", "everywhere", "such as 203.0.113.7/32"),
            ("ttl", "tomorrow", "expected a duration"),
        ] {
            let error = values(&[(key, value)], &[]).unwrap_err();
            assert!(error.kind == Kind::Usage && error.message.contains(why), "{key} {value}: {error:?}");
        }
    }
}
