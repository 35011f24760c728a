//! What `check` of a route promises, as proofs that go through the edge.

use std::{collections::BTreeMap, time::Duration};

use super::{HTTPS, NAME};
use crate::stack::{
    claims::{Check, HttpCheck},
    model::{EdgeKind, Proof, SkippedProof},
    routes::RouteDecl,
};

fn name(decl: &RouteDecl) -> String {
    format!("route {}", decl.path.value)
}

pub fn skipped(decl: &RouteDecl, because: &str) -> Option<SkippedProof> {
    decl.check.as_ref().map(|_| SkippedProof {
        name: name(decl),
        kind: "http",
        reason: format!("{because} is left out"),
    })
}

/// A request over TLS, verified against the authority, as clients in the cluster send it. An Ingress and a Gateway are
/// reached at addresses that only their controllers know.
pub fn proof(decl: &RouteDecl, kind: EdgeKind) -> Option<Proof> {
    let check = decl.check.as_ref().filter(|_| kind == EdgeKind::Nginx)?;
    let path = decl.path.value.trim_end_matches('/');
    let http = HttpCheck {
        method: "GET".to_owned(),
        url: format!("https://{NAME}:{HTTPS}{path}{}", check.path),
        headers: BTreeMap::new(),
        body: None,
        status: check.status,
        json: check.json.clone(),
        contains: check.contains.clone(),
        wheres: Vec::new(),
        ca: true,
        timeout: Duration::from_secs(10),
    };
    let origin = decl.origin.clone();
    Some(Proof { name: name(decl), check: Check::Http(http), eventually: check.eventually, origin })
}
