//! Components that step aside where somebody else's objects of the same names are there already.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::owners::is_nobodys;
use crate::{
    kube::ownership::adopt::{is_always_there, lost_its_set},
    object::{Key, json},
    plan::observed::LiveState,
    stack::desired::DesiredSet,
};

/// A component that is not brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aside {
    pub component: String,
    /// What is there in its place, such as `kube-system/Deployment/metrics-server`.
    pub found: String,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Aside { component, found } = self;
        write!(f, "{component} is left to what is there already and was not made by stackctl: {found}")
    }
}

/// Takes out of `sets` those that say so (`foreign: use`) and of which somebody else has an object. One that is there as
/// ours, whole or in part, stays ours.
pub fn take(sets: &mut Vec<DesiredSet>, live: &LiveState) -> Vec<Aside> {
    let mut aside = Vec::new();
    sets.retain(|set| {
        let found = || set.objects.iter().map(|object| object.object.key()).find(|key| is_foreign(key, live));
        let is_ours = live.has_members(set.kind, &set.name);
        let Some(found) = (set.steps_aside && !is_ours).then(found).flatten() else { return true };
        aside.push(Aside { component: set.name.clone(), found: found.place() });
        false
    });
    for set in sets {
        set.needs.retain(|need| !aside.iter().any(|aside| aside.component == *need));
    }
    aside
}

fn is_foreign(key: &Key, live: &LiveState) -> bool {
    let there: Option<&Value> = live.others.objects.get(key);
    let foreign = |there: &&Value| is_nobodys(live, there) && !lost_its_set(there) && !json::is_being_deleted(there);
    !is_always_there(key) && there.filter(foreign).is_some()
}
