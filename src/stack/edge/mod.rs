//! The edge of a stack: from routes as declared to the objects that serve them. Pure.

mod gateway;
mod ingress;
mod nginx;
pub mod nginx_conf;
mod proofs;
mod public;
pub mod services;
#[cfg(test)]
pub mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::stack::{
    components::Components,
    declaration::Declaration,
    model::{Edge, EdgeKind, Proof, Route, Set, SkippedProof, SkippedRoute},
    problems::{Problems, suggestion},
    routes::RouteDecl,
};
use crate::{
    object::{Object, Origin},
    tls::wanted::Certificate,
};
pub use public::{Balanced, is_public};
use services::Service;

/// The name of all that the edge consists of, and what `--without` calls it.
pub const NAME: &str = "edge";
/// Of the Secret with the certificate and its key.
pub const SECRET: &str = "edge-tls";
/// Of the ConfigMap with the certificate of the authority, under `ca.crt`.
pub const BUNDLE: &str = "edge-ca";
/// On the Service of the edge, by which it is told from a Service that a stack has of that name.
pub const MARK: &str = "stackctl.io/edge";
/// Ports of the Service `edge`.
pub const HTTPS: u16 = 8443;
pub const HTTP: u16 = 8080;

/// What the edge of a stack is made from.
pub struct Request<'a> {
    pub declaration: &'a Declaration,
    pub components: &'a Components<'a>,
    /// It listens on the nodes, from which the provider leads on to this machine.
    pub on_nodes: bool,
    /// The cluster makes a load balancer that leads to it.
    pub balanced: Option<Balanced>,
    /// `--without edge`
    pub left_out: bool,
    /// Parts of the manifests are not known, so what is missing may be there.
    pub incomplete: bool,
}

#[derive(Default)]
pub struct Assembled {
    pub edge: Option<Edge>,
    pub proofs: Vec<Proof>,
    pub skipped: Vec<SkippedProof>,
}

/// A route and what is known of the service at its end.
#[derive(Debug, Clone)]
pub struct Backend {
    pub route: Route,
    pub service: Service,
}

/// Links routes to services of `sets` and adds the edge's objects to the last one, which is the stack's own.
pub fn assemble(request: &Request, sets: &mut [Set], problems: &mut Problems) -> Assembled {
    let declaration = request.declaration;
    let mut assembled = Assembled::default();
    let mut backends = Vec::new();
    let mut skipped = Vec::new();
    let namespace = sets.last().map(|set| set.namespace.clone()).unwrap_or_default();
    let kind = declaration.edge.as_ref().map_or(EdgeKind::Nginx, |edge| edge.kind);
    if let Some(edge) = declaration.edge.as_ref().filter(|_| declaration.routes.is_empty()) {
        problems.at(edge.origin.clone(), "an edge without routes serves nothing; declare `routes` (edge)");
    }
    for decl in &declaration.routes {
        check_needs(decl, request.components, problems);
        if let Some(component) = decl.needs.iter().find_map(|need| request.components.left_out(&need.value)) {
            assembled.skipped.extend(proofs::skipped(decl, &component));
            skipped.push(SkippedRoute { path: decl.path.value.clone(), component });
            continue;
        }
        // Whoever leaves the edge out may keep its routes: they are checked all the same.
        let Some(backend) = backend(decl, &namespace, kind, sets, request, problems) else { continue };
        match request.left_out || kind == EdgeKind::None {
            true => assembled.skipped.extend(proofs::skipped(decl, NAME)),
            false => assembled.proofs.extend(proofs::proof(decl, kind)),
        }
        backends.push(backend);
    }
    if request.left_out || backends.is_empty() {
        return assembled;
    }
    let input = EdgeInput {
        namespace: &namespace,
        hosts: declaration.edge.as_ref().map(|edge| edge.hosts.as_slice()).unwrap_or_default(),
        class: declaration.edge.as_ref().and_then(|edge| edge.class.as_deref()),
        on_nodes: request.on_nodes,
        balanced: request.balanced.as_ref().filter(|_| kind == EdgeKind::Nginx),
        backends: &backends,
    };
    let origin = backends[0].route.origin.clone();
    if let Some(own) = sets.last_mut() {
        own.objects.extend(input.objects(kind, &origin));
        own.certificate = (kind != EdgeKind::None).then(|| input.certificate(&origin));
    }
    assembled.edge = Some(Edge {
        kind,
        hosts: input.hosts.to_vec(),
        class: input.class.map(str::to_owned),
        namespace: namespace.clone(),
        routes: backends.into_iter().map(|backend| backend.route).collect(),
        skipped,
    });
    assembled
}

fn check_needs(decl: &RouteDecl, components: &Components, problems: &mut Problems) {
    for need in decl.needs.iter().filter(|need| !components.knows(&need.value)) {
        let hint = suggestion(&need.value, components.iter().map(|(name, _)| name));
        let message = format!("the stack has no component `{}`{hint} (routes.needs)", need.value);
        problems.at(need.origin.clone(), message);
    }
}

/// None: it leads nowhere, which is reported.
fn backend(
    decl: &RouteDecl,
    namespace: &str,
    kind: EdgeKind,
    sets: &[Set],
    request: &Request,
    problems: &mut Problems,
) -> Option<Backend> {
    let wanted = &decl.service;
    let (service_namespace, service) = match services::find(&wanted.value, namespace, sets) {
        Some(found) => found,
        None if request.incomplete => return None,
        None => {
            let known = services::names(sets);
            let hint = suggestion(&wanted.value, known.iter().map(String::as_str));
            let message = format!("neither the stack nor its components have a Service `{}`{hint}", wanted.value);
            problems.at(wanted.origin.clone(), format!("{message} (routes.service)"));
            return None;
        }
    };
    let port = match services::port(&service, decl.port) {
        Ok(port) => port,
        Err(why) => {
            let message = format!("Service `{}` {why} (routes.service)", wanted.value);
            problems.at(wanted.origin.clone(), message);
            return None;
        }
    };
    if service_namespace != namespace && matches!(kind, EdgeKind::Ingress | EdgeKind::Gateway) {
        let message = format!(
            "Service `{}` is in namespace {service_namespace}: `edge: {}` reaches services of the stack's own alone",
            wanted.value,
            kind.name()
        );
        problems.at(wanted.origin.clone(), format!("{message} (routes.service)"));
        return None;
    }
    let route = Route {
        path: decl.path.value.clone(),
        service: wanted.value.clone(),
        namespace: service_namespace,
        port,
        strip: decl.strip,
        timeout: decl.timeout,
        origin: decl.origin.clone(),
    };
    Some(Backend { route, service })
}

/// What the objects are generated from.
struct EdgeInput<'a> {
    namespace: &'a str,
    hosts: &'a [String],
    class: Option<&'a str>,
    on_nodes: bool,
    balanced: Option<&'a Balanced>,
    backends: &'a [Backend],
}

impl EdgeInput<'_> {
    fn objects(&self, kind: EdgeKind, origin: &Origin) -> Vec<Object> {
        let values: Vec<Value> = match kind {
            EdgeKind::Nginx => nginx::objects(self),
            EdgeKind::Ingress => ingress::objects(self),
            EdgeKind::Gateway => gateway::objects(self),
            EdgeKind::None => Vec::new(),
        };
        values.into_iter().map(|value| Object { value, origin: origin.clone() }).collect()
    }

    fn certificate(&self, origin: &Origin) -> Certificate {
        let namespace = self.namespace;
        let own = ["localhost", "127.0.0.1", "::1", NAME].map(str::to_owned);
        let service = ["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{NAME}.{namespace}{suffix}"));
        let names: BTreeSet<String> = own.into_iter().chain(service).chain(self.hosts.iter().cloned()).collect();
        Certificate {
            secret: SECRET.to_owned(),
            bundle: BUNDLE.to_owned(),
            namespace: namespace.to_owned(),
            names,
            service: self.balanced.map(|_| public::key(namespace)),
            origin: origin.clone(),
        }
    }
}
