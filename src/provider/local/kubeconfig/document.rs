//! What a kubeconfig says, as YAML: entries that are looked for, put in and taken out.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_yaml::{Mapping, Value};

use crate::error::{Context, Error, Kind, Result};

pub const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

/// Whether nothing of anybody is left in it: a file that only we had a use for goes.
pub fn is_bare(config: &Mapping) -> bool {
    config.iter().all(|(key, value)| match key.as_str() {
        Some("apiVersion" | "kind") => true,
        _ => match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Sequence(entries) => entries.is_empty(),
            Value::Mapping(fields) => fields.is_empty(),
            _ => false,
        },
    })
}

/// Puts the entries of `ours` in, in the place of those of the same name. What a user added to a context that leads to
/// the same cluster as the same user, such as its namespace, stays.
pub fn put_entries(config: &mut Mapping, list: &str, ours: &Mapping, path: &Path) -> Result<()> {
    let Some(Value::Sequence(new)) = ours.get(list) else { return Ok(()) };
    let slot = config.entry(list.into()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Sequence(Vec::new());
    }
    let Value::Sequence(entries) = slot else {
        return Err(broken(path).cause(format!("its `{list}` is not a list")));
    };
    for entry in new {
        match entries.iter_mut().find(|known| known.get("name") == entry.get("name")) {
            Some(known) if agrees(known, entry) => {}
            Some(known) => *known = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    Ok(())
}

pub fn entries<'a>(config: &'a Mapping, list: &str) -> impl Iterator<Item = &'a Value> {
    config.get(list).and_then(Value::as_sequence).into_iter().flatten()
}

/// The entry of a list that has the name of `like`.
pub fn find<'a>(config: &'a Mapping, list: &str, like: &Value) -> Option<&'a Value> {
    entries(config, list).find(|entry| entry.get("name") == like.get("name"))
}

pub fn has(config: &Mapping, list: &str, name: &str) -> bool {
    entries(config, list).any(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
}

/// Whether any list has an entry of that name.
pub fn holds(config: &Mapping, name: &str) -> bool {
    LISTS.iter().any(|list| has(config, list, name))
}

/// Whether an entry says all that `ours` says; it may say more.
pub fn agrees(known: &Value, ours: &Value) -> bool {
    match (known, ours) {
        (Value::Mapping(known), Value::Mapping(ours)) => {
            ours.iter().all(|(key, value)| known.get(key).is_some_and(|known| agrees(known, value)))
        }
        _ => known == ours,
    }
}

/// Whether it could be used: a file may have been cut short.
pub fn is_whole(content: &[u8]) -> bool {
    let config = parse(content, Path::new("of the cluster")).unwrap_or_default();
    LISTS.iter().all(|list| entries(&config, list).next().is_some())
}

/// The certificate authority of the first cluster, PEM.
pub fn authority(content: &[u8]) -> Option<Vec<u8>> {
    let config = parse(content, Path::new("of the cluster")).ok()?;
    let encoded = entries(&config, "clusters").next()?.get("cluster")?.get("certificate-authority-data")?;
    BASE64_STANDARD.decode(encoded.as_str()?).ok()
}

/// The URL of the first cluster's server.
pub fn server(content: &[u8]) -> Option<String> {
    let config = parse(content, Path::new("of the cluster")).ok()?;
    Some(entries(&config, "clusters").next()?.get("cluster")?.get("server")?.as_str()?.to_owned())
}

pub fn text<'a>(config: &'a Mapping, key: &str) -> Option<&'a str> {
    config.get(key).and_then(Value::as_str)
}

pub fn parse(content: &[u8], path: &Path) -> Result<Mapping> {
    match serde_yaml::from_slice(content) {
        Ok(Value::Null) => Ok(Mapping::new()),
        Ok(Value::Mapping(mapping)) => Ok(mapping),
        Ok(_) => Err(broken(path).cause("it is not a mapping")),
        Err(error) => Err(broken(path).caused_by(&error)),
    }
}

fn broken(path: &Path) -> Error {
    Error::new(Kind::Usage, format!("the kubeconfig {} is broken", path.display()))
        .hint("repair it, or set KUBECONFIG to another file")
}

pub fn serialise(config: &Mapping) -> Result<Vec<u8>> {
    let text =
        serde_yaml::to_string(config).context(Kind::Unexpected, || "cannot serialise the kubeconfig".to_owned())?;
    Ok(text.into_bytes())
}

/// Sets the port of the first cluster's server in a kubeconfig; None: it has that port already.
pub fn with_port(content: &[u8], port: u16) -> Result<Option<Vec<u8>>> {
    let path = Path::new("of the cluster");
    let mut config = parse(content, path)?;
    let server = config.get_mut("clusters").and_then(|list| list.get_mut(0)).and_then(|entry| entry.get_mut("cluster"));
    let server =
        server.and_then(|cluster| cluster.get_mut("server")).ok_or_else(|| broken(path).cause("it names no server"))?;
    let mut url = url::Url::parse(server.as_str().unwrap_or_default())
        .context(Kind::Unexpected, || "the kubeconfig's server is not a URL".to_owned())?;
    if url.port_or_known_default() == Some(port) || url.set_port(Some(port)).is_err() {
        return Ok(None);
    }
    *server = url.as_str().trim_end_matches('/').into();
    serialise(&config).map(Some)
}
