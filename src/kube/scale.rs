//! The number of replicas of a workload that an autoscaler rules.

use std::borrow::Cow;

use serde_json::Value;

use super::noop;
use crate::object::json;

/// The object as it is to be applied where an autoscaler rules its replicas: with the number that it has, as long as that
/// is still ours by an earlier apply. Leaving it out would set it to one. The autoscaler owns it from its first change on.
pub fn keeping_replicas<'a>(desired: &'a Value, live: &Value) -> Cow<'a, Value> {
    let has = live.pointer("/spec/replicas").filter(|_| desired.pointer("/spec/replicas").is_none());
    let Some(replicas) = has.filter(|_| owns_replicas(live)) else { return Cow::Borrowed(desired) };
    let mut kept = desired.clone();
    kept["spec"]["replicas"] = replicas.clone();
    Cow::Owned(kept)
}

/// Whether the number is ours by an apply.
pub(super) fn owns_replicas(live: &Value) -> bool {
    noop::entries(live).any(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some())
        && json::int(live, "/spec/replicas").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::MANAGER;

    #[test]
    fn the_number_is_kept_while_it_is_ours() {
        let live = |owned: Value| {
            json!({"spec": {"replicas": 4}, "metadata": {"managedFields": [
                {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": owned}}]}})
        };
        let desired = json!({"spec": {"paused": false}});
        assert_eq!(keeping_replicas(&desired, &live(json!({"f:replicas": {}})))["spec"]["replicas"], 4);
        assert_eq!(*keeping_replicas(&desired, &live(json!({"f:paused": {}}))), desired);
        let given = json!({"spec": {"replicas": 1}});
        assert_eq!(*keeping_replicas(&given, &live(json!({"f:replicas": {}}))), given);
    }
}
