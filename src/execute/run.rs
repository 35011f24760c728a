//! What a step of a plan is given.

use super::outputs::{Output, Outputs};
use crate::{
    error::{Error, Kind, Result},
    image::{self, BuildOptions, store::Store},
    kube::Kube,
    load::order::LoadOrder,
    machine::Machine,
    plan::{Plan, Step, observed::Observed},
    provider::RegistryState,
    stack::model::Stack,
};

/// How a plan is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub build: BuildOptions,
    pub change: ChangeOptions,
    /// What proofs and workers run from, in place of an image of this program.
    pub agent_image: Option<String>,
    /// What `loadgen` puts on the stack.
    pub load: Option<LoadOrder>,
}

/// What a run may change of what is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangeOptions {
    pub force_conflicts: bool,
    pub replace: bool,
    pub prune_data: bool,
    /// Take over objects that somebody else made.
    pub adopt: bool,
    /// Take over a stack that came from elsewhere.
    pub take_over: bool,
    /// Delete what was taken over instead of giving it back.
    pub delete_adopted: bool,
}

/// One run of a plan for a stack.
pub struct Run<'a> {
    pub machine: &'a Machine,
    pub stack: &'a Stack,
    pub options: &'a Options,
    pub plan: &'a Plan,
    /// What the plan was made from.
    pub observed: &'a Observed,
    pub outputs: &'a Outputs,
}

impl Run<'_> {
    pub async fn kube(&self) -> Result<&Kube> {
        self.machine.kube().await
    }

    /// The part of a reference between the registry and the tag.
    pub fn repository(&self, service: &str) -> String {
        image::repository(&self.stack.name, service)
    }

    /// Where images are kept, as far as this run has come.
    pub async fn store(&self) -> Result<Box<dyn Store + '_>> {
        let seen = match self.observed.provider.registry {
            RegistryState::Running { port } => Some(port),
            _ => None,
        };
        self.machine.store(self.outputs.registry_port().or(seen), !self.stack.services.is_empty()).await
    }

    /// What the steps have found out that this one needs.
    pub fn needed<T>(&self, step: &Step, wanted: impl Fn(Output) -> Option<T>) -> Option<T> {
        let needs = step.needs.iter().map(|&need| &self.plan.steps[need].id);
        needs.filter_map(|need| self.outputs.of(need)).find_map(wanted)
    }

    /// How pods name the image that proofs and workers run from.
    pub fn agent(&self, step: &Step) -> Result<String> {
        let made = || {
            self.needed(step, |output| match output {
                Output::Agent(image) => Some(image),
                _ => None,
            })
        };
        self.options
            .agent_image
            .clone()
            .or_else(made)
            .ok_or_else(|| Error::new(Kind::Unexpected, "there is no agent image"))
    }

    /// How pods name the image of a service, by the step that has brought it to the store, if one did.
    pub fn pushed(&self, step: &Step) -> Option<String> {
        self.needed(step, |output| match output {
            Output::Image { pinned, .. } => Some(pinned),
            _ => None,
        })
    }
}
