//! What is looked at before anything is made.

use super::{Goal, Options};
use crate::{
    error::Result,
    image::{self, Engine},
    machine::Machine,
    object::Mirror,
    observe::{doctor, doctor::DoctorRequest},
    plan::{Action, Plan, observed::Observed},
    provider::{
        Asked, Choice,
        check::Status,
        local::{ports, proxy},
    },
    stack::model::Stack,
};

/// A run that finds all there skips most of it.
pub async fn check(
    machine: &Machine,
    stack: &Stack,
    options: &Options,
    plan: &Plan,
    observed: &Observed,
) -> Result<()> {
    let asked = match &options.goal {
        Goal::Up(up) => up.asked,
        _ => Asked::default(),
    };
    check_ports(asked, plan, observed)?;
    check_push(machine, stack, plan).await?;
    if !plan.makes_cluster() {
        return Ok(());
    }
    let ports = wanted_ports(asked, &machine.choice)?;
    let request = doctor_request(
        machine.choice.clone(),
        &machine.mirrors,
        machine.registry.clone(),
        machine.engine.result().await.clone(),
        ports,
    );
    let checks = doctor::examine(&request).await;
    let one_node = machine.choice.makes_one_node();
    let warnings = checks.iter().filter(|check| check.status == Status::Warning);
    for check in warnings.filter(|check| !(one_node && check.name == "inotify")) {
        let fix = check.fix.as_deref().unwrap_or_default();
        machine.events.warn(format!("{}: {}; {fix}", check.name, check.found));
    }
    doctor::preflight(&checks)
}

/// Fails before anything is built where somebody else's registry would refuse it.
async fn check_push(machine: &Machine, stack: &Stack, plan: &Plan) -> Result<()> {
    let pushed = plan.steps.iter().find_map(|step| match &step.action {
        Action::Push { service } => Some(service),
        _ => None,
    });
    let Some(service) = pushed else { return Ok(()) };
    let store = machine.store(None, !stack.services.is_empty()).await?;
    store.prepare(&image::repository(&stack.name, service)).await
}

/// A port that was asked for by number is had, or nothing is made.
fn check_ports(asked: Asked, plan: &Plan, observed: &Observed) -> Result<()> {
    let Asked { https, http } = asked;
    let has = observed.provider.proxy.container.as_ref().map(|container| &container.published);
    let ours = |port: &u16| has.is_some_and(|published| published.values().any(|known| known == port));
    match https.into_iter().chain(http).find(|port| !ours(port) && !ports::is_free(*port)) {
        Some(port) if plan.takes_ports() => Err(proxy::taken(port)),
        _ => Ok(()),
    }
}

/// `ports`: of 127.0.0.1, that must be free.
pub fn doctor_request(
    choice: Choice,
    mirrors: &[Mirror],
    registry: Option<String>,
    engine: Result<Engine>,
    ports: Vec<u16>,
) -> DoctorRequest {
    let docker_hub = !mirrors.iter().any(|mirror| mirror.host == "docker.io");
    DoctorRequest { engine, choice, ports, docker_hub, registry }
}

/// Ports of 127.0.0.1 that were asked for by number: for an edge, and in the cluster's own configuration.
pub fn wanted_ports(asked: Asked, choice: &Choice) -> Result<Vec<u16>> {
    // Elsewhere they are ports of a load balancer, or of nobody.
    let asked = if choice.traits().has_proxy() { asked } else { Asked::default() };
    let mut ports: Vec<u16> = asked.https.into_iter().chain(asked.http).collect();
    ports.extend(choice.host_ports()?);
    Ok(ports)
}
