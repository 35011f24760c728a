//! After a refusal no step starts any more. What the server would refuse of the objects that were left is found in a dry
//! run, so that the user learns of all of it at once.

use std::{collections::HashSet, sync::Mutex};

use futures::{StreamExt, stream};

use super::run::Run;
use crate::{
    error::Error,
    event::StepId,
    kube::apply::ApplyOptions,
    object::Object,
    plan::{Action, Step, applied::yielding},
};

/// Requests at a time.
const AT_ONCE: usize = 16;

/// The steps that were begun.
#[derive(Debug, Default)]
pub struct Begun(Mutex<HashSet<StepId>>);

impl Begun {
    pub fn add(&self, step: &Step) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(step.id.clone());
    }

    fn has(&self, step: &Step) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&step.id)
    }
}

/// What would be refused of the objects whose steps were not begun, in the order of the plan.
pub async fn refusals(run: &Run<'_>, begun: &Begun) -> Vec<Error> {
    let Ok(kube) = run.kube().await else { return Vec::new() };
    let live = run.observed.live.as_ref().map(|live| &live.live.objects);
    let options = ApplyOptions {
        force_conflicts: run.options.change.force_conflicts,
        replace: run.options.change.replace,
        dry_run: true,
        ..ApplyOptions::default()
    };
    let plan = run.plan;
    let left = plan.steps.iter().filter(|step| !begun.has(step)).filter_map(|step| match &step.action {
        Action::Apply { set, object } => Some(&plan.sets[*set].objects[*object]),
        _ => None,
    });
    let options = &options;
    let tried = stream::iter(left).map(|desired| async move {
        let there = live.and_then(|live| live.get(&desired.object.key()));
        let value = yielding(desired, there).into_owned();
        let object = Object { value, origin: desired.object.origin.clone() };
        kube.would_refuse(&object, there, options).await
    });
    tried.buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}
