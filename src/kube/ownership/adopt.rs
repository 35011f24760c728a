//! Objects that somebody else made: taken over with their fields, and given back with what was theirs.
//!
//! An object is known as made here by the label of its ApplySet and no mark of adoption; the mark is written together
//! with the label, so that a run that is stopped in between leaves none that looks like our own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::survey::is_copy;
use crate::error::Result;
use crate::object::Key;
use crate::{
    kube::{
        CREATION_MANAGER, Kube, MANAGER, PART_OF,
        discovery::{KindRef, Resolved},
        failure,
        failure::Subject,
    },
    object::json,
};

/// On objects that were taken over: whose they were. They are given back, and deleted only where that is asked for.
const ADOPTED: &str = "stackctl.io/adopted";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Labels that a set puts on its objects.
const LABELS: [&str; 4] =
    [PART_OF, "app.kubernetes.io/managed-by", "app.kubernetes.io/part-of", "app.kubernetes.io/name"];

/// Field managers of what people deploy with, by how their names begin. All else may be a controller, whose fields stay.
const TOOLS: [&str; 14] = [
    "kubectl",
    "helm",
    "argocd",
    "kustomize",
    "kapp",
    "skaffold",
    "tilt",
    "Terraform",
    "HashiCorp",
    "pulumi",
    "werf",
    "flux",
    "before-first-apply",
    "stackctl",
];

/// Parts of Kubernetes that write into objects whoever deploys them.
const SYSTEM: [&str; 6] =
    ["kube-", "kubelet", "cloud-controller-manager", "clusterrole-aggregation-controller", "k3s", "vcluster"];

/// What the mark says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// The field managers whose fields were taken over.
    from: Vec<String>,
    /// Labels that the set's own took the place of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl Record {
    fn of(object: &Value) -> Record {
        json::annotation(object, ADOPTED).and_then(|mark| serde_json::from_str(mark).ok()).unwrap_or_default()
    }
}

/// Whether the object was taken over from somebody else.
pub fn is_adopted(object: &Value) -> bool {
    json::annotation(object, ADOPTED).is_some()
}

/// Made by Kubernetes in every namespace: a stack that declares it means that one.
pub fn is_always_there(key: &Key) -> bool {
    key.group.is_empty()
        && matches!(
            (key.kind.as_str(), key.name.as_str()),
            ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt")
        )
}

/// What to do about an object of somebody else.
pub const HINT: &str =
    "--adopt takes it over, with what its files no longer say taken away; `down` then leaves it in place";

/// The same about one that stackctl made and that has lost its label.
pub const LOST_HINT: &str = "--adopt makes it part of the stack again, as it was; `down` then deletes it";

fn hint(object: &Value) -> &'static str {
    if lost_its_set(object) { LOST_HINT } else { HINT }
}

/// That an object is somebody else's, and whose as far as it tells. `name`: with its namespace.
pub fn foreign(name: &str, object: &Value) -> String {
    if lost_its_set(object) {
        return format!("{name} is there already: stackctl made it, but its label {PART_OF} was taken off since");
    }
    let managers = managers(object).into_iter().map(|manager| format!("\"{manager}\"")).collect::<Vec<_>>();
    match managers.as_slice() {
        [] => format!("{name} is there already and was not made by stackctl"),
        managers => format!("{name} is there already and was made by {}, not by stackctl", managers.join(", ")),
    }
}

/// Whether stackctl applied the object and it bears no set's label any more: what is given back has no field of ours.
pub fn lost_its_set(object: &Value) -> bool {
    let applied = |entry: &Value| entry["manager"] == MANAGER && entry["operation"] == "Apply";
    json::label(object, PART_OF).is_none() && writers(object).any(applied)
}

/// The field managers that wrote the object itself, without its status and the like.
fn managers(object: &Value) -> BTreeSet<&str> {
    writers(object).filter_map(|entry| entry["manager"].as_str()).collect()
}

fn writers(object: &Value) -> impl Iterator<Item = &Value> {
    json::list(object, "/metadata/managedFields").iter().filter(|entry| is_of_object(entry))
}

fn is_of_object(entry: &Value) -> bool {
    entry["subresource"].as_str().unwrap_or_default().is_empty()
}

/// Whether this wrote what somebody deployed, and not what a controller adds.
fn is_deployer(entry: &Value, object: &Value) -> bool {
    let manager = entry["manager"].as_str().unwrap_or_default();
    let begins = |names: &[&str]| names.iter().any(|name| manager.starts_with(name));
    let made_it = entry["time"] == object["metadata"]["creationTimestamp"] && !begins(&SYSTEM);
    // A restart by hand stays, or taking the object over would be another one.
    is_of_object(entry) && manager != "kubectl-rollout" && (begins(&TOOLS) || made_it)
}

/// The entries of `managedFields` after an adoption: what deployers wrote is ours, as if we had applied it.
fn taken_over(object: &Value) -> Vec<Value> {
    let (theirs, rest): (Vec<&Value>, Vec<&Value>) =
        json::list(object, "/metadata/managedFields").iter().partition(|entry| is_deployer(entry, object));
    // A manager has one entry for what it applied, in one version.
    let mut fields: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in theirs {
        let Some(version) = entry["apiVersion"].as_str() else { continue };
        if let Some(more) = entry["fieldsV1"].as_object() {
            unite(fields.entry(version).or_default(), more);
        }
    }
    let largest = fields.into_iter().max_by_key(|(_, fields)| leaves(fields));
    let ours = largest.map(|(version, fields)| {
        json!({"manager": MANAGER, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields})
    });
    rest.into_iter().cloned().chain(ours).collect()
}

/// The fields that an adoption takes over.
pub(crate) fn taken_fields(object: &Value) -> Map<String, Value> {
    let ours = taken_over(object).pop().filter(|entry| entry["manager"] == MANAGER);
    ours.and_then(|entry| entry["fieldsV1"].as_object().cloned()).unwrap_or_default()
}

/// Sets of fields are tries: their union is that of their branches.
fn unite(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (step, below) in more {
        match (into.get_mut(step).and_then(Value::as_object_mut), below.as_object()) {
            (Some(into), Some(below)) => unite(into, below),
            _ => {
                into.insert(step.clone(), below.clone());
            }
        }
    }
}

fn leaves(fields: &Map<String, Value>) -> usize {
    fields.values().map(|below| below.as_object().map_or(1, |below| leaves(below).max(1))).sum()
}

/// What makes the object ours: the set's label, the mark, and the fields. What was ours already gets its label back.
fn adoption(object: &Value, set: &str) -> Value {
    if lost_its_set(object) && !is_adopted(object) {
        let version = &object["metadata"]["resourceVersion"];
        return json!({"metadata": {"resourceVersion": version, "labels": {PART_OF: set}}});
    }
    let from = json::list(object, "/metadata/managedFields").iter().filter(|entry| is_deployer(entry, object));
    let from: BTreeSet<String> = from.filter_map(|entry| Some(entry["manager"].as_str()?.to_owned())).collect();
    let label = |name: &str| Some((name.to_owned(), json::label(object, name)?.to_owned()));
    // A set's own label, on a copy of an object of the set, is none that it returns to.
    let labels = LABELS.into_iter().filter(|name| *name != PART_OF).filter_map(label).collect();
    let record = Record { from: from.into_iter().collect(), labels };
    let mark = serde_json::to_string(&record).unwrap_or_default();
    json!({"metadata": {
        "resourceVersion": object["metadata"]["resourceVersion"],
        "managedFields": or_none(taken_over(object)),
        "labels": {PART_OF: set},
        "annotations": {ADOPTED: mark, LAST_APPLIED: null},
    }})
}

/// What gives the object back: our labels and marks go, what they took the place of returns, and no field is ours.
fn return_of(object: &Value) -> Value {
    let record = Record::of(object);
    let ours = |entry: &&Value| [MANAGER, CREATION_MANAGER].iter().any(|manager| entry["manager"] == *manager);
    let rest = json::list(object, "/metadata/managedFields").iter().filter(|entry| !ours(entry)).cloned();
    let labels: Map<String, Value> =
        LABELS.into_iter().map(|name| (name.to_owned(), json!(record.labels.get(name)))).collect();
    json!({"metadata": {
        "resourceVersion": object["metadata"]["resourceVersion"],
        "managedFields": or_none(rest.collect()),
        "labels": labels,
        "annotations": {ADOPTED: null},
    }})
}

/// An empty list would be taken for one that is left out: a single empty entry says that there is none.
fn or_none(entries: Vec<Value>) -> Vec<Value> {
    if entries.is_empty() { vec![json!({})] } else { entries }
}

impl Kube {
    /// Decides about an object that was there before the set's first apply. Returns it if it was taken over now; it
    /// already is the set's where another run was faster. Fails where it is somebody else's and stays that.
    pub(crate) async fn claim(
        &self,
        at: &Resolved,
        found: Value,
        subject: &Subject<'_>,
        set: &str,
        adopt: bool,
    ) -> Result<Option<Value>> {
        let failed = |error: ::kube::Error| failure::refused("adopt", subject, &self.server, &error);
        let mut found = Some(found);
        while let Some(object) = found {
            match self.owner(&object, set).await? {
                Some(owner) if owner == set => return Ok(None),
                Some(_) => {
                    return Err(subject
                        .error(format!("{} belongs to another ApplySet", subject.name()))
                        .hint("run this again: it tells which one"));
                }
                None if !adopt && !is_always_there(subject.key) => {
                    return Err(subject.error(foreign(&subject.name(), &object)).hint(hint(&object)));
                }
                None => {}
            }
            if let Some(adopted) = self.adopt(at, &object, set).await.map_err(failed)? {
                return Ok(Some(adopted));
            }
            found = self.get_opt(at, json::namespace(&object), json::name(&object)).await.map_err(failed)?;
        }
        Ok(None)
    }

    /// The id of the ApplySet that the object is part of. A label that came along with a copy of an object of one of our
    /// sets says nothing; what another tool applied with an ApplySet of its own belongs to that one.
    async fn owner<'a>(&self, object: &'a Value, set: &str) -> Result<Option<&'a str>> {
        let Some(owner) = json::label(object, PART_OF) else { return Ok(None) };
        if !is_copy(object) {
            return Ok(Some(owner));
        }
        let is_ours = owner == set || self.read_parents().await?.values().any(|parent| parent.id == owner);
        Ok((!is_ours).then_some(owner))
    }

    /// Makes an object that is not ours part of the set. None: it changed meanwhile, and must be looked at again.
    async fn adopt(
        &self,
        at: &Resolved,
        object: &Value,
        set: &str,
    ) -> std::result::Result<Option<Value>, ::kube::Error> {
        let patch = adoption(object, set);
        let done = self.merge(at, json::namespace(object), json::name(object), &patch).await;
        unless_changed(done)
    }

    /// Gives back an object that was taken over: it stays as it is, and nothing of it is ours any more. False: it is
    /// gone, another by now, or part of another set.
    pub async fn release(&self, object: &Value) -> Result<bool> {
        let key = json::key(object);
        let failed = |error: ::kube::Error| {
            failure::refused("release", &Subject { key: &key, origin: None }, &self.server, &error)
        };
        let Some(at) = self.resolve_opt(&KindRef::of_value(object)).await? else { return Ok(false) };
        loop {
            let now = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
            let same = |now: &Value| {
                json::uid(now) == json::uid(object) && json::label(now, PART_OF) == json::label(object, PART_OF)
            };
            let Some(now) = now.filter(same) else { return Ok(false) };
            // What returns is theirs again.
            let record = Record::of(&now);
            let manager = record.from.first().map_or(CREATION_MANAGER, String::as_str);
            let done = self.merge_as(manager, &at, key.namespace.as_deref(), &key.name, &return_of(&now)).await;
            if unless_changed(done).map_err(failed)?.is_some() {
                return Ok(true);
            }
        }
    }
}

fn unless_changed(
    done: std::result::Result<Value, ::kube::Error>,
) -> std::result::Result<Option<Value>, ::kube::Error> {
    match done {
        Ok(object) => Ok(Some(object)),
        Err(::kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::Fake;

    fn by(manager: &str, operation: &str, time: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn settings(entries: Vec<Value>) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "settings", "namespace": "n", "resourceVersion": "7", "creationTimestamp": "T0",
            "labels": {"app.kubernetes.io/managed-by": "Helm"}, "managedFields": entries}})
    }

    #[test]
    fn what_deployers_wrote_becomes_ours_and_what_controllers_wrote_stays() {
        let status = json!({"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "subresource": "status", "fieldsV1": {"f:status": {}}});
        let object = settings(vec![
            by("kubectl-client-side-apply", "Update", "T1", json!({"f:data": {".": {}, "f:a": {}}})),
            by("team-script", "Update", "T0", json!({"f:data": {"f:b": {}}})),
            by("ca-injector", "Update", "T2", json!({"f:data": {"f:c": {}}})),
            by("kube-controller-manager", "Update", "T0", json!({"f:data": {"f:d": {}}})),
            status.clone(),
        ]);
        let entries = taken_over(&object);
        let ours = entries.iter().find(|entry| entry["manager"] == MANAGER).unwrap();
        assert_eq!(ours["fieldsV1"], json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
        assert_eq!((&ours["operation"], entries.len()), (&json!("Apply"), 4));
        assert!(entries.contains(&status));
        assert_eq!(managers(&object).len(), 4);
    }

    #[test]
    fn an_adoption_is_undone_by_a_return() {
        let mut object = settings(vec![by("helm", "Update", "T0", json!({"f:data": {"f:a": {}}}))]);
        let patch = adoption(&object, "applyset-x");
        assert_eq!(patch["metadata"]["labels"], json!({PART_OF: "applyset-x"}));
        assert_eq!(patch["metadata"]["annotations"][LAST_APPLIED], Value::Null);
        object["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
        object["metadata"]["managedFields"] = patch["metadata"]["managedFields"].clone();
        assert!(is_adopted(&object));
        let back = return_of(&object);
        let labels = json!({PART_OF: null, "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/part-of": null, "app.kubernetes.io/name": null});
        assert_eq!(back["metadata"]["labels"], labels);
        assert_eq!(back["metadata"]["managedFields"], json!([{}]));
        assert_eq!(back["metadata"]["annotations"][ADOPTED], Value::Null);
    }

    #[tokio::test]
    async fn only_what_is_still_the_sets_is_released() {
        let fake = Fake::plain().await;
        let path = "/api/v1/namespaces/n/configmaps/settings";
        let mut object = settings(vec![by("helm", "Update", "T0", json!({}))]);
        object["metadata"]["labels"][PART_OF] = "a".into();
        fake.objects().put(path, object);
        let seen = fake.objects().all[path].clone();
        assert!(fake.kube.release(&seen).await.unwrap());
        let mut other = seen.clone();
        other["metadata"]["uid"] = "another".into();
        assert!(!fake.kube.release(&other).await.unwrap());
    }
}
