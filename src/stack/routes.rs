//! Reads `routes` and `edge`: which paths of the edge lead to which services.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::object::Origin;
use crate::stack::{
    located::Content,
    model::EdgeKind,
    problems::Problems,
    reader::{Item, Located},
    scalar,
};

/// How long a service may take to answer, unless its route says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct EdgeDecl {
    pub kind: EdgeKind,
    /// Names under which the edge is reached, besides those that it always has.
    pub hosts: Vec<String>,
    /// Of an Ingress or a Gateway.
    pub class: Option<String>,
    pub origin: Origin,
}

#[derive(Debug)]
pub struct RouteDecl {
    /// Without a slash at the end; `/` for all that no other route takes.
    pub path: Located<String>,
    pub service: Located<String>,
    /// None: the service's only one.
    pub port: Option<u16>,
    pub strip: bool,
    pub timeout: Duration,
    /// Components without which there is nothing at its end.
    pub needs: Vec<Located<String>>,
    pub check: Option<CheckDecl>,
    pub origin: Origin,
}

/// One request through the edge and what must come back.
#[derive(Debug, Clone)]
pub struct CheckDecl {
    /// Follows the route's path.
    pub path: String,
    pub status: u16,
    pub contains: Option<String>,
    pub json: Option<Value>,
    pub eventually: Option<Duration>,
}

/// `edge: nginx`, or a map with `kind`, `hosts` and `class`.
pub fn edge(item: &Item, problems: &mut Problems) -> Option<EdgeDecl> {
    let kind_of = |item: &Item, problems: &mut Problems| {
        let words = EdgeKind::ALL.map(EdgeKind::name);
        let word = item.one_of(&words, problems)?;
        EdgeKind::ALL.into_iter().find(|kind| kind.name() == word)
    };
    if !matches!(item.node.content, Content::Mapping(_)) {
        let kind = kind_of(item, problems)?;
        let decl = EdgeDecl { kind, hosts: Vec::new(), class: None, origin: item.origin() };
        needs_class(&decl, problems);
        return Some(decl);
    }
    let mut fields = item.fields(problems)?;
    let kind = match fields.get("kind") {
        Some(item) => kind_of(&item, problems),
        None => Some(EdgeKind::Nginx),
    };
    let hosts = fields.get("hosts").map(|item| item.texts(problems)).unwrap_or_default();
    let class = fields.get("class");
    fields.finish(problems);
    for host in hosts.iter().filter(|host| !is_host(&host.value)) {
        problems.at(host.origin.clone(), format!("`{}` is no host name (edge.hosts)", host.value));
    }
    if let (Some(class), Some(EdgeKind::Nginx | EdgeKind::None)) = (&class, kind) {
        class.problem(problems, "only `ingress` and `gateway` have a class");
    }
    let class = class.and_then(|item| item.text(problems));
    let hosts = hosts.into_iter().map(|host| host.value).collect();
    let decl = EdgeDecl { kind: kind?, hosts, class, origin: item.origin() };
    needs_class(&decl, problems);
    Some(decl)
}

/// An Ingress has a default class in most clusters, a Gateway never.
fn needs_class(decl: &EdgeDecl, problems: &mut Problems) {
    if decl.kind == EdgeKind::Gateway && decl.class.is_none() {
        let message = "a Gateway needs a class: `edge: { kind: gateway, class: NAME }` (edge)";
        problems.at(decl.origin.clone(), message);
    }
}

fn is_host(text: &str) -> bool {
    scalar::is_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

pub fn route(item: &Item, problems: &mut Problems) -> Option<RouteDecl> {
    let mut fields = item.fields(problems)?;
    let path = fields.required("path").and_then(|item| path(&item, problems));
    let target = fields.required("service").and_then(|item| target(&item, problems));
    let strip = fields.get("strip").and_then(|item| item.boolean(problems)).unwrap_or(false);
    let timeout = fields.get("timeout").and_then(|item| item.duration(problems)).unwrap_or(TIMEOUT);
    let needs = fields.get("needs").map(|item| item.texts(problems)).unwrap_or_default();
    let check = fields.get("check").and_then(|item| check(&item, problems));
    fields.finish(problems);
    let (service, port) = target?;
    Some(RouteDecl { path: path?, service, port, strip, timeout, needs, check, origin: item.origin() })
}

fn path(item: &Item, problems: &mut Problems) -> Option<Located<String>> {
    let text = item.text(problems)?;
    let wrong = wrong_path(&text);
    if let Some(why) = wrong {
        item.problem(problems, format!("`{text}` is no path of a route: {why}"));
        return None;
    }
    let trimmed = text.trim_end_matches('/');
    Some(item.located(if trimmed.is_empty() { "/" } else { trimmed }.to_owned()))
}

/// What stands in locations, patterns and URLs alike, so that none of them needs escapes.
fn wrong_path(text: &str) -> Option<&'static str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let mut segments = trimmed.split('/').skip(1);
    match () {
        () if !text.starts_with('/') => Some("it starts with `/`"),
        () if !text.chars().all(fine) => Some("letters, digits and `/-_.~` only"),
        () if segments.any(|segment| matches!(segment, "" | "." | "..")) => Some("no empty segment, no `.` and `..`"),
        () => None,
    }
}

/// `NAME:PORT`, or `NAME` where the service has one port.
fn target(item: &Item, problems: &mut Problems) -> Option<(Located<String>, Option<u16>)> {
    let text = item.text(problems)?;
    let (name, port) = match text.split_once(':') {
        None => (text.as_str(), Ok(None)),
        Some((name, port)) => (name, port.parse::<u16>().map(Some)),
    };
    match port {
        Ok(port) if port != Some(0) && scalar::is_label(name) => Some((item.located(name.to_owned()), port)),
        _ => {
            item.problem(problems, format!("`{text}` names no service: write NAME:PORT, such as `hello-service:8400`"));
            None
        }
    }
}

fn check(item: &Item, problems: &mut Problems) -> Option<CheckDecl> {
    let mut fields = item.fields(problems)?;
    let path = fields.get("path");
    let status = fields.get("status").and_then(|item| item.integer_within(100..=599, problems)).unwrap_or(200);
    let contains = fields.get("contains").and_then(|item| item.text(problems));
    let json = fields.get("json").map(|item| item.node.to_value());
    let eventually = fields.get("eventually").and_then(|item| item.duration(problems));
    fields.finish(problems);
    let text = path.as_ref().and_then(|item| item.text(problems)).unwrap_or_else(|| "/".to_owned());
    if let Some(item) = path.filter(|_| !text.starts_with('/')) {
        item.problem(problems, format!("`{text}` does not start with `/`"));
    }
    Some(CheckDecl { path: text, status: u16::try_from(status).ok()?, contains, json, eventually })
}

/// Two routes with one path would leave it to chance which one counts.
pub fn unique(routes: &[RouteDecl], problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
    for RouteDecl { path, .. } in routes {
        match seen.get(path.value.as_str()) {
            Some(first) => {
                let message = format!("two routes have the path `{}`, the first at {first} (routes)", path.value);
                problems.at(path.origin.clone(), message);
            }
            None => {
                seen.insert(&path.value, &path.origin);
            }
        }
    }
}
