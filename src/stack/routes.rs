//! Reads `routes` and `edge`: which paths of the edge lead to which services.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::object::Origin;
use crate::stack::{
    format::{self, Found, FromFound},
    model::EdgeKind,
    problems::Problems,
    reader::Located,
};

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

impl EdgeDecl {
    /// `edge: nginx`, or a map with `kind`, `hosts` and `class`.
    pub fn read(found: &Found, problems: &mut Problems) -> Option<EdgeDecl> {
        let origin = found.origin.clone();
        let Some(at) = found.section() else {
            let decl = EdgeDecl { kind: EdgeKind::from_found(found)?, hosts: Vec::new(), class: None, origin };
            needs_class(&decl, problems);
            return Some(decl);
        };
        // A wrong word is reported, and no reason to tell anything of the class.
        let kind = at.get("kind")?;
        if let (Some(class), EdgeKind::Nginx | EdgeKind::None) = (at.given("class"), kind) {
            class.problem(problems, "only `ingress` and `gateway` have a class");
        }
        let decl = EdgeDecl { kind, hosts: at.get("hosts")?, class: at.get("class")?, origin };
        needs_class(&decl, problems);
        Some(decl)
    }
}

impl FromFound for EdgeKind {
    fn from_found(found: &Found) -> Option<EdgeKind> {
        EdgeKind::ALL.into_iter().find(|kind| found.text() == Some(kind.name()))
    }
}

/// An Ingress has a default class in most clusters, a Gateway never.
fn needs_class(decl: &EdgeDecl, problems: &mut Problems) {
    if decl.kind == EdgeKind::Gateway && decl.class.is_none() {
        let message = "a Gateway needs a class: `edge: { kind: gateway, class: NAME }` (edge)";
        problems.at(decl.origin.clone(), message);
    }
}

impl FromFound for RouteDecl {
    fn from_found(found: &Found) -> Option<RouteDecl> {
        let at = found.section()?;
        let mut path: Located<String> = at.get("path")?;
        path.value.truncate(path.value.trim_end_matches('/').len().max(1));
        let written: Located<String> = at.get("service")?;
        let (service, port) = format::target(&written.value)?;
        Some(RouteDecl {
            path,
            service: Located { value: service.to_owned(), origin: written.origin.clone() },
            port,
            strip: at.get("strip")?,
            timeout: at.get("timeout")?,
            needs: at.get("needs")?,
            check: at.get("check")?,
            origin: at.origin.clone(),
        })
    }
}

impl FromFound for CheckDecl {
    fn from_found(found: &Found) -> Option<CheckDecl> {
        let at = found.section()?;
        Some(CheckDecl {
            path: at.get("path")?,
            status: at.get("status")?,
            contains: at.get("contains")?,
            json: at.get("json")?,
            eventually: at.get("eventually")?,
        })
    }
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
