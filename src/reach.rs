//! How to reach what a stack serves; tried before it is said.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    cli::DEFAULT_STACK,
    config::Origin,
    kube::json,
    plan::{Action, Plan},
    session::Session,
    stack::{
        desired::{self, DesiredSet},
        model::SetKind,
    },
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A Service and the command that makes it reachable.
#[derive(Debug, Serialize)]
pub struct Way {
    pub service: String,
    pub port: u16,
    pub command: String,
    /// None: nothing changed since it last worked. False: it did not answer just now.
    pub answered: Option<bool>,
}

impl Way {
    pub fn text(&self) -> String {
        let note = match self.answered {
            Some(false) => "  (it did not answer when tried)",
            _ => "",
        };
        format!("reach {} with: {}{note}", self.service, self.command)
    }
}

/// One for each Service of the stack that has pods behind it. What a run did not touch is not tried again.
pub async fn ways(session: &Session, plan: &Plan) -> Vec<Way> {
    let touched = plan.steps.iter().any(|step| matches!(step.action, Action::Apply { .. } | Action::Await { .. }));
    of_sets(session, &plan.sets, touched).await
}

/// The same for a stack of which nothing is known but what it declares: all are tried.
pub async fn of_stack(session: &Session) -> Vec<Way> {
    of_sets(session, &desired::desired(&session.stack, &BTreeMap::new()), true).await
}

async fn of_sets(session: &Session, sets: &[DesiredSet], touched: bool) -> Vec<Way> {
    let services = sets.iter().filter(|set| set.kind == SetKind::Stack).flat_map(|set| &set.objects);
    let mut ways = Vec::new();
    for object in services.map(|object| &object.object).filter(|object| object.key().kind == "Service") {
        let Some(port) = json::int(&object.value, "/spec/ports/0/port").and_then(|port| port.try_into().ok()) else {
            continue;
        };
        if object.value.pointer("/spec/selector").is_none() {
            continue;
        }
        let key = object.key();
        ways.push(Way {
            command: format!("stackctl forward {}:{port}{}", key.name, options(session)),
            answered: if touched {
                Some(answers(session, &key.namespace.unwrap_or_default(), &key.name, port).await)
            } else {
                None
            },
            service: key.name,
            port,
        });
    }
    ways
}

/// What a copied command needs to mean the same stack in the same cluster.
fn options(session: &Session) -> String {
    let mut options = String::new();
    if session.stack.namespace != DEFAULT_STACK {
        options.push_str(&format!(" --namespace {}", session.stack.namespace));
    }
    for (key, value, origin) in &session.settings.provenance {
        if let ("clusterName" | "context" | "provider", Origin::Flag(flag)) = (*key, origin) {
            options.push_str(&format!(" {flag} {value}"));
        }
    }
    options
}

/// Whether anything comes back through the very forward that the command makes.
async fn answers(session: &Session, namespace: &str, service: &str, port: u16) -> bool {
    let attempt = async {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let forward =
            session.kube().await.ok()?.forward(namespace, service, Some(&port.to_string()), listen).await.ok()?;
        let address = forward.address;
        let progress = session.events.progress("forward");
        let talk = async {
            let mut stream = TcpStream::connect(address).await.ok()?;
            let request = format!("HEAD / HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut first = [0; 1];
            (stream.read(&mut first).await.ok()? > 0).then_some(())
        };
        tokio::select! {
            talked = talk => talked,
            _ = forward.run(&progress) => None,
        }
    };
    tokio::time::timeout(PATIENCE, attempt).await.ok().flatten().is_some()
}
