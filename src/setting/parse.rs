//! How values are read from their texts, where several settings have such values.

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

/// The name of a driver or of a container runtime; which of them there are, the tool that gets it knows.
pub fn word(text: &str) -> Parsed<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.chars().all(fits) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => Err("expected a name of lower-case letters, digits and hyphens".to_owned()),
    }
}

pub fn port(text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("expected a port, 1 to 65535".to_owned()),
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
