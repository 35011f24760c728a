//! A plan's steps as data for `--output json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Action, Plan, Step};
use crate::{
    event::Group,
    object::{Key, json},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Unique in the plan.
    pub id: String,
    /// What it does, such as `build`, `apply` or `await`; `barrier` does nothing and gathers others.
    pub action: String,
    /// What it belongs to. Absent for barriers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The object that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Key>,
    /// Ids of the steps that come before it.
    pub needs: Vec<String>,
    /// Objects that it deletes, as far as they are known.
    pub deletes: Vec<Key>,
}

impl Plan {
    pub fn document(&self) -> Vec<PlanStep> {
        let id = |step: &Step| step.id.to_string();
        let step = |step: &Step| PlanStep {
            id: id(step),
            action: step.action.name(),
            group: step.group(&self.sets),
            object: self.object_of(&step.action),
            needs: step.needs.iter().map(|&need| id(&self.steps[need])).collect(),
            deletes: step.deletes.clone(),
        };
        self.steps.iter().map(step).collect()
    }

    fn object_of(&self, action: &Action) -> Option<Key> {
        match action {
            Action::Apply { set, object } | Action::Await { set, object } | Action::RelaxWebhook { set, object } => {
                Some(self.sets[*set].objects[*object].object.key())
            }
            Action::CreateSecret { set, secret } => Some(self.sets[*set].secrets[*secret].key()),
            Action::Provider(step) => step.reads().cloned(),
            Action::RunJob { object, .. } => Some(json::key(object)),
            _ => None,
        }
    }
}

impl Action {
    /// As its tag is written.
    fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        // A provider's steps are called by their own names.
        value["step"].as_str().or(value["action"].as_str()).unwrap_or_default().to_owned()
    }
}
