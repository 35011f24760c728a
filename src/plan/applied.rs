//! An object as it is applied to a cluster in which others have taken over a part of it.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    kube::{noop, scale},
    stack::desired::DesiredObject,
};

/// What is applied where the object is there as `live`: the replicas that an autoscaler rules and the fields that the
/// stack yields to controllers stay as they are.
pub fn as_applied<'a>(desired: &'a DesiredObject, live: Option<&Value>) -> Cow<'a, Value> {
    let yielded = yielding(desired, live);
    let kept = match (live, &yielded) {
        (Some(live), value) if desired.scaled => match scale::keeping_replicas(value, live) {
            Cow::Owned(kept) => Some(kept),
            Cow::Borrowed(_) => None,
        },
        _ => None,
    };
    kept.map_or(yielded, Cow::Owned)
}

/// The same without a word about replicas, of which the apply itself takes care.
pub fn yielding<'a>(desired: &'a DesiredObject, live: Option<&Value>) -> Cow<'a, Value> {
    let mut value = Cow::Borrowed(&desired.object.value);
    if let Some(live) = live {
        for yielded in &desired.yields {
            yielded.leave(value.to_mut(), live, noop::owned(live));
        }
    }
    value
}
