//! Fields that something in the cluster rules: what the files say of them is where it starts, or nothing at all.

use serde_json::{Map, Value};

use crate::object::Key;
use crate::stack::{
    field::{Step, as_text},
    setter::Setter,
};

/// A field that a controller takes over, such as the `caBundle` of a webhook: as declared it is created, and afterwards it
/// stays as the controller has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yielded {
    /// Where to the map that has the field.
    above: Vec<Step>,
    field: String,
}

impl Yielded {
    /// Err: the path ends in an item of a list, or names an item by its position, which says nothing about who owns it.
    pub fn of(setter: &Setter) -> Result<Yielded, String> {
        match setter.path.split_last() {
            Some((Step::Key(field), above)) if !above.iter().any(|step| matches!(step, Step::Index(_))) => {
                Ok(Yielded { above: above.to_vec(), field: field.clone() })
            }
            _ => Err("the path must end in a field, and name the items of lists by a key as in `[name=x]`".to_owned()),
        }
    }

    /// Err: how far the path led, as `it has no webhooks[name=x]`. The field itself may be missing.
    pub fn check(&self, object: &Value) -> Result<(), String> {
        let mut at = object;
        for (index, step) in self.above.iter().enumerate() {
            let walked = || self.above[..=index].iter().fold(String::new(), |path, step| join(&path, step));
            at = step.look(at).ok_or_else(|| format!("it has no {}", walked()))?;
        }
        match at {
            Value::Object(_) => Ok(()),
            _ => Err(format!("there is no map that could have {}", self.field)),
        }
    }

    /// Leaves the field as `live` has it: without it where it is a controller's, and with the same value where it is still
    /// ours, because leaving it out would remove it. `owned`: our fields, as `managedFields` has them.
    pub fn leave(&self, desired: &mut Value, live: &Value, owned: Option<&Map<String, Value>>) {
        let above = |value| self.above.iter().try_fold(value, |at, step| step.look(at));
        let Some(now) = above(live).and_then(|at| at.get(&self.field)).filter(|now| !now.is_null()) else { return };
        let fields = self.above.iter().try_fold(desired, |at, step| step.enter(at));
        let Some(fields) = fields.and_then(Value::as_object_mut) else { return };
        match owned.is_some_and(|owned| self.is_in(owned)) {
            true => _ = fields.insert(self.field.clone(), now.clone()),
            false => _ = fields.remove(&self.field),
        }
    }

    fn is_in(&self, owned: &Map<String, Value>) -> bool {
        let last = Step::Key(self.field.clone());
        let mut at = owned;
        for step in self.above.iter().chain([&last]) {
            // What is owned as a whole lists nothing of what is in it.
            if at.is_empty() {
                return true;
            }
            let below = match step {
                Step::Key(key) => at.get(&format!("f:{key}")),
                Step::Index(_) => None,
                Step::Where(key, wanted) => at.iter().find_map(|(step, below)| {
                    let keys: Map<String, Value> = serde_json::from_str(step.strip_prefix("k:")?).ok()?;
                    keys.get(key).is_some_and(|value| as_text(value) == *wanted).then_some(below)
                }),
            };
            match below.and_then(Value::as_object) {
                Some(below) => at = below,
                None => return false,
            }
        }
        true
    }
}

fn join(path: &str, step: &Step) -> String {
    match step {
        Step::Key(_) if !path.is_empty() => format!("{path}.{step}"),
        step => format!("{path}{step}"),
    }
}

/// The workload that an autoscaler scales. They are of many kinds and all name their target alike.
pub fn scaled_by(autoscaler: &Value) -> Option<Key> {
    let target = autoscaler.pointer("/spec/scaleTargetRef")?;
    let text = |field| target.get(field).and_then(Value::as_str);
    let kind = text("kind").unwrap_or("Deployment");
    let group = match text("apiVersion") {
        Some(version) => version.split_once('/').map_or("", |(group, _)| group),
        None => "",
    };
    // Kinds of `apps` once were elsewhere, and may be named without a group.
    let is_of_apps = matches!(kind, "Deployment" | "ReplicaSet" | "StatefulSet") && matches!(group, "" | "extensions");
    Some(Key {
        group: if is_of_apps { "apps" } else { group }.to_owned(),
        kind: kind.to_owned(),
        namespace: autoscaler.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
        name: text("name")?.to_owned(),
    })
}

/// Takes out `spec.replicas`.
pub fn take_replicas(object: &mut Value) -> Option<i64> {
    object.get_mut("spec")?.as_object_mut()?.remove("replicas")?.as_i64()
}

/// A role that is made of others gets its rules from a controller, whatever its file says.
pub fn leave_aggregated_rules(object: &mut Value) {
    let is_role = object["kind"] == "ClusterRole"
        && object["apiVersion"].as_str().is_some_and(|version| version.starts_with("rbac.authorization.k8s.io/"));
    if is_role
        && object.get("aggregationRule").is_some_and(|rule| !rule.is_null())
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("rules");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_autoscaler_names_its_target_alike() {
        let target = |target: Value| {
            let object = json!({"metadata": {"name": "x", "namespace": "n"}, "spec": {"scaleTargetRef": target}});
            scaled_by(&object).map(|key| (key.group.clone(), key.to_string()))
        };
        let web = Some(("apps".to_owned(), "Deployment/web".to_owned()));
        assert_eq!(target(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})), web);
        assert_eq!(target(json!({"name": "web"})), web, "as KEDA has it");
        assert_eq!(target(json!({"kind": "Deployment", "name": "web"})), web);
        assert_eq!(
            target(json!({"apiVersion": "x.io/v1", "kind": "Fox", "name": "f"})),
            Some(("x.io".to_owned(), "Fox/f".to_owned()))
        );
        assert_eq!(scaled_by(&json!({"spec": {}})), None);
    }

    const CA: &str = "ValidatingWebhookConfiguration/w webhooks[name=a.b].clientConfig.caBundle";

    fn webhook(bundle: Option<&str>) -> Value {
        let mut client = json!({"url": "https://x"});
        if let Some(bundle) = bundle {
            client["caBundle"] = bundle.into();
        }
        json!({"webhooks": [{"name": "a.b", "clientConfig": client}]})
    }

    #[test]
    fn a_field_is_left_to_the_controller_that_has_taken_it_over() {
        let yielded = Yielded::of(&Setter::parse(CA).unwrap()).unwrap();
        let left = |live: Value, owned: Value| {
            let mut desired = webhook(Some("declared"));
            yielded.leave(&mut desired, &live, owned.as_object());
            desired["webhooks"][0]["clientConfig"].get("caBundle").cloned()
        };
        let ours = json!({"f:webhooks": {"k:{\"name\":\"a.b\"}": {"f:clientConfig": {"f:caBundle": {}, "f:url": {}}}}});
        let theirs = json!({"f:webhooks": {"k:{\"name\":\"a.b\"}": {"f:clientConfig": {"f:url": {}}}}});
        let whole = json!({"f:webhooks": {}});
        assert_eq!(left(webhook(Some("injected")), theirs.clone()), None, "it has another owner");
        assert_eq!(left(webhook(Some("declared")), ours.clone()), Some(json!("declared")), "leaving it out removes it");
        assert_eq!(left(webhook(Some("injected")), whole), Some(json!("injected")), "the list is ours as a whole");
        assert_eq!(left(webhook(None), theirs), Some(json!("declared")), "nobody has set it yet");
        let other = Yielded::of(&Setter::parse("D/x webhooks[name=c].clientConfig.caBundle").unwrap()).unwrap();
        let mut desired = webhook(Some("declared"));
        other.leave(&mut desired, &webhook(Some("injected")), ours.as_object());
        assert_eq!(desired, webhook(Some("declared")));
    }

    #[test]
    fn a_path_that_leads_nowhere_or_names_no_owner_is_refused() {
        let yielded = |path: &str| Yielded::of(&Setter::parse(&format!("D/x {path}")).unwrap());
        for wrong in ["webhooks[0].failurePolicy", "webhooks[name=a.b]"] {
            assert!(yielded(wrong).is_err(), "{wrong}");
        }
        let check = |path: &str| yielded(path).unwrap().check(&webhook(None));
        assert_eq!(check("webhooks[name=a.b].clientConfig.caBundle"), Ok(()));
        assert_eq!(check("webhooks[name=c].failurePolicy"), Err("it has no webhooks[name=c]".into()));
        assert_eq!(check("webhooks[name=a.b].name.x"), Err("there is no map that could have x".into()));
    }

    #[test]
    fn only_an_aggregated_role_is_without_rules() {
        let rules = |mut role: Value| {
            leave_aggregated_rules(&mut role);
            role.get("rules").cloned()
        };
        let api = "rbac.authorization.k8s.io/v1";
        let aggregation = json!({"clusterRoleSelectors": []});
        assert_eq!(
            rules(json!({"apiVersion": api, "kind": "ClusterRole", "aggregationRule": aggregation, "rules": []})),
            None
        );
        assert_eq!(rules(json!({"apiVersion": api, "kind": "ClusterRole", "rules": [1]})), Some(json!([1])));
    }
}
