//! How to reach what a stack serves; tried before it is said.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{Error, Kind, Result},
    kube::forward::{Tried, is_tcp},
    machine::Machine,
    object::json,
    plan::{Action, Plan},
    settings::{Origin, Settings, default_stack},
    stack::{
        self,
        desired::{self, DesiredSet},
        model::{SetKind, Stack},
    },
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A Service and the command that makes it reachable.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    pub service: String,
    pub port: u16,
    pub command: String,
    /// None: it was not tried, because nothing changed, or could not be. False: no pod took a connection just now.
    pub answered: Option<bool>,
    /// Why it is not known to answer.
    pub why: Option<String>,
    /// Pods that serve something do not serve it where the Service says.
    #[serde(skip)]
    broken: bool,
}

impl Way {
    pub fn text(&self) -> String {
        let note = self.why.as_ref().map(|why| format!("  ({why})")).unwrap_or_default();
        format!("reach {} with: {}{note}", self.service, self.command)
    }
}

/// Fails with the Services that lead nowhere although their pods serve something.
pub fn all_lead_somewhere(ways: &[Way]) -> Result<()> {
    let broken: Vec<&Way> = ways.iter().filter(|way| way.broken).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = broken.iter().map(|way| way.service.as_str()).collect();
    let error = Error::new(Kind::NotReady, format!("no connection through {}", names.join(", ")))
        .hint("compare the Service's targetPort with the port that its pods listen on");
    Err(broken.into_iter().filter_map(|way| way.why.as_ref()).fold(error, Error::cause))
}

/// One for each Service of the stack that has pods behind it. What a run did not touch is not tried again. `options`: what
/// a command needs to mean the same stack.
pub async fn ways(machine: &Machine, plan: &Plan, options: &str) -> Vec<Way> {
    let touched = plan.steps.iter().any(|step| matches!(step.action, Action::Apply { .. } | Action::Await { .. }));
    of_sets(machine, &plan.sets, touched, options).await
}

/// The same for a stack of which nothing is known but what it declares: all are tried.
pub async fn of_stack(machine: &Machine, stack: &Stack, options: &str) -> Vec<Way> {
    of_sets(machine, &desired::desired(stack, &BTreeMap::new()), true, options).await
}

async fn of_sets(machine: &Machine, sets: &[DesiredSet], touched: bool, options: &str) -> Vec<Way> {
    let objects = sets.iter().filter(|set| set.kind == SetKind::Stack).flat_map(|set| &set.objects);
    let values = objects.map(|object| &object.object).filter(|object| object.key().kind == "Service");
    let ways = values.filter_map(|object| {
        let key = object.key();
        let port = port(&object.value)?;
        Some(async move {
            let namespace = key.namespace.unwrap_or_default();
            let tried = match touched {
                true => Some(machine.kube().await.ok()?.try_service(&namespace, &key.name, port, TIMEOUT).await),
                false => None,
            };
            Some(Way {
                command: format!("stackctl forward {}:{port}{}", key.name, options),
                answered: tried.as_ref().and_then(|tried| match tried {
                    Tried::Connected => Some(true),
                    Tried::NoPod | Tried::Refused { .. } => Some(false),
                    Tried::Untried(_) => None,
                }),
                why: tried.as_ref().and_then(Tried::remark),
                broken: tried.is_some_and(|tried| tried.is_broken()),
                service: key.name,
                port,
            })
        })
    });
    join_all(ways.collect::<Vec<_>>()).await.into_iter().flatten().collect()
}

/// The port that a forward can lead to; None: it has pods or ports of another kind, or none.
fn port(service: &Value) -> Option<u16> {
    service.pointer("/spec/selector")?;
    let port = json::list(service, "/spec/ports").iter().find(|port| is_tcp(port))?;
    port["port"].as_u64()?.try_into().ok()
}

/// What a copied command needs to mean the same stack in the same cluster.
pub fn options(stack: &Stack, settings: &Settings) -> String {
    let mut options = String::new();
    if stack::name_of(&default_stack()).ok().as_ref() != Some(&stack.namespace) {
        options.push_str(&format!(" --namespace {}", stack.namespace));
    }
    for (key, value, origin) in &settings.provenance {
        if let ("clusterName" | "context" | "provider", Origin::Flag(flag)) = (*key, origin) {
            options.push_str(&format!(" {flag} {value}"));
        }
    }
    options
}
