//! How the value of each setting is read from its text.

use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};

use super::Parsed;
use crate::object::Mirror;

pub fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

pub fn path(text: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(text);
    match path.is_file() {
        true => Ok(path),
        false => Err("no such file".to_owned()),
    }
}

/// The name of a driver or of a container runtime; which of them there are, the tool that gets it knows.
pub fn word(text: &str) -> Parsed<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.chars().all(fits) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => Err("expected a name of lower-case letters, digits and hyphens".to_owned()),
    }
}

/// `123456789012`
pub fn account(text: &str) -> Parsed<String> {
    match text.len() == 12 && text.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("expected the twelve digits of an account".to_owned()),
    }
}

/// `10.0.0.0/16`: three zones need a /24, and AWS takes nothing wider than a /16.
pub fn cidr(text: &str) -> Parsed<Ipv4Net> {
    match text.parse::<Ipv4Net>() {
        Ok(cidr) if cidr.trunc() != cidr => Err(format!("the network of that address is {}", cidr.trunc())),
        Ok(cidr) if (16..=24).contains(&cidr.prefix_len()) => Ok(cidr),
        _ => Err("expected a network of /16 to /24, such as 10.0.0.0/16".to_owned()),
    }
}

/// `203.0.113.7/32`
pub fn any_cidr(text: &str) -> Parsed<IpNet> {
    text.parse().map_err(|_| "expected a network, such as 203.0.113.7/32".to_owned())
}

pub fn nat(text: &str) -> Parsed<String> {
    match ["single", "per-zone", "none"].contains(&text) {
        true => Ok(text.to_owned()),
        false => Err("expected one of: single, per-zone, none".to_owned()),
    }
}

pub fn cpus(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(cpus) if cpus > 0 => Ok(cpus),
        _ => Err("expected a number of CPUs, such as 2".to_owned()),
    }
}

/// `4096`, `4096mb`, `4g`
pub fn memory(text: &str) -> Parsed<String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    match number.parse::<u32>().is_ok_and(|number| number > 0) && ["", "m", "mb", "g", "gb"].contains(&unit.as_str()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected a size in megabytes or with a unit, such as 4096 or 4g".to_owned()),
    }
}

/// What stackctl itself tells minikube is not to be said twice.
pub fn minikube_flag(text: &str) -> Parsed<String> {
    const OURS: [(&str, &str); 9] = [
        ("profile", "--cluster-name"),
        ("network", "--cluster-name"),
        ("output", "--output"),
        ("driver", "--driver"),
        ("container-runtime", "--container-runtime"),
        ("cpus", "--cpus"),
        ("memory", "--memory"),
        ("nodes", "--nodes"),
        ("kubernetes-version", "--kubernetes-version"),
    ];
    let name = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or_default());
    match name.filter(|name| !name.is_empty()) {
        None => Err("expected a flag of `minikube start`, such as --disk-size=40g".to_owned()),
        Some(name) => match OURS.iter().find(|(theirs, _)| *theirs == name) {
            Some((_, ours)) => Err(format!("stackctl sets --{name} itself, from its own {ours}")),
            None => Ok(text.to_owned()),
        },
    }
}

pub fn port(text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("expected a port, 1 to 65535".to_owned()),
    }
}

/// kind appends `-control-plane2` and the node's name is a DNS label of 63 characters at most.
pub fn cluster_name(text: &str) -> Parsed<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    match text.len() <= 40 && text.chars().all(fits) && edges(text.chars().next()) && edges(text.chars().last()) {
        true => Ok(text.to_owned()),
        false => Err("a cluster's name has at most 40 lower-case letters, digits and inner hyphens".to_owned()),
    }
}

/// `1`: one node that does everything; `1+2`: one control plane, two workers.
pub fn nodes(text: &str) -> Parsed<(u8, u8)> {
    let (control_planes, workers) = text.split_once('+').unwrap_or((text, "0"));
    match (control_planes.parse::<u8>(), workers.parse::<u8>()) {
        (Ok(control_planes @ 1..=9), Ok(workers @ 0..=99)) => Ok((control_planes, workers)),
        _ => Err("expected CONTROL-PLANES or CONTROL-PLANES+WORKERS, such as 1 or 1+2".to_owned()),
    }
}

pub fn kubernetes_version(text: &str) -> Parsed<String> {
    let version = text.strip_prefix('v').unwrap_or(text);
    let parts: Vec<_> = version.split('.').collect();
    match parts.len() == 3 && parts.iter().all(|part| part.parse::<u16>().is_ok()) {
        true => Ok(format!("v{version}")),
        false => Err("expected a full version, such as v1.36.3".to_owned()),
    }
}

pub fn mirror(text: &str) -> Parsed<Mirror> {
    let usage = "expected HOST=URL, such as docker.io=http://mirror.example:5000";
    let (host, url) = text.split_once('=').ok_or(usage)?;
    let parsed = url::Url::parse(url).map_err(|error| format!("{usage}: {error}"))?;
    let host_fits = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
    match host_fits && matches!(parsed.scheme(), "http" | "https") && parsed.host().is_some() {
        true => Ok(Mirror { host: host.to_owned(), url: url.trim_end_matches('/').to_owned() }),
        false => Err(usage.to_owned()),
    }
}
