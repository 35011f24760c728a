//! What is looked at before anything is made.

use crate::session::{Session, choice};
use crate::{
    error::Result,
    image::Engine,
    observe::{doctor, doctor::DoctorRequest},
    plan::{Action, Plan, observed::Observed},
    provider::{
        Asked,
        check::Status,
        local::{ports, proxy},
    },
    settings::Settings,
};

impl Session {
    /// Fails before anything is built where somebody else's registry would refuse it.
    pub async fn may_push(&self, plan: &Plan) -> Result<()> {
        let pushed = plan.steps.iter().find_map(|step| match &step.action {
            Action::Push { service } => Some(service),
            _ => None,
        });
        match (&self.remote, pushed) {
            (Some(remote), Some(service)) => remote.may_push(&self.repository(service)).await,
            _ => Ok(()),
        }
    }

    /// What `up` checks before it makes anything. A run that finds all there skips it.
    pub async fn preflight(&self, plan: &Plan, observed: &Observed) -> Result<()> {
        self.preflight_ports(plan, observed)?;
        self.may_push(plan).await?;
        if !plan.makes_cluster() {
            return Ok(());
        }
        let request = doctor_request(&self.settings, self.engine.clone(), wanted_ports(&self.settings)?);
        let checks = doctor::examine(&request).await;
        let one_node = self.settings.control_planes + self.settings.workers == 1;
        let warnings = checks.iter().filter(|check| check.status == Status::Warning);
        for check in warnings.filter(|check| !(one_node && check.name == "inotify")) {
            let fix = check.fix.as_deref().unwrap_or_default();
            self.events.warn(format!("{}: {}; {fix}", check.name, check.found));
        }
        doctor::preflight(&checks)
    }

    /// A port that was asked for by number is had, or nothing is made.
    fn preflight_ports(&self, plan: &Plan, observed: &Observed) -> Result<()> {
        let Asked { https, http } = self.asked_ports();
        let has = observed.provider.proxy.container.as_ref().map(|container| &container.published);
        let ours = |port: &u16| has.is_some_and(|published| published.values().any(|known| known == port));
        match https.into_iter().chain(http).find(|port| !ours(port) && !ports::is_free(*port)) {
            Some(port) if plan.takes_ports() => Err(proxy::taken(port)),
            _ => Ok(()),
        }
    }
}

/// `ports`: of 127.0.0.1, that must be free.
pub fn doctor_request(settings: &Settings, engine: Result<Engine>, ports: Vec<u16>) -> DoctorRequest {
    DoctorRequest {
        engine,
        choice: choice(settings),
        ports,
        docker_hub: !settings.mirrors.iter().any(|mirror| mirror.host == "docker.io"),
        registry: settings.registry.clone(),
    }
}

/// Ports of 127.0.0.1 that were asked for by number: for an edge, and in the cluster's own configuration.
pub fn wanted_ports(settings: &Settings) -> Result<Vec<u16>> {
    let mut ports: Vec<u16> = settings.https_port.into_iter().chain(settings.http_port).collect();
    ports.extend(choice(settings).host_ports()?);
    Ok(ports)
}
