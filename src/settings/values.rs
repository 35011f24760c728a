//! How the value of each setting is read from its text.

use std::path::PathBuf;

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
