//! What an apply would change, computed by the server itself and shown as YAML.

use std::collections::BTreeSet;

use futures::{StreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use similar::TextDiff;

use super::{
    Kube,
    apply::ApplyOptions,
    discovery::{KindRef, core},
    failure,
    live::Live,
};
use crate::error::{Context, Error, Kind, Result};
use crate::object::{Key, Object};
use crate::{kube::ownership::preview, object::json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Create,
    Update,
    Delete,
}

/// An object that would change, and how.
#[derive(Debug, Clone)]
pub struct ObjectDiff {
    pub key: Key,
    pub change: Change,
    /// A unified diff; Secret values are masked.
    pub text: String,
}

/// What an apply would come to.
#[derive(Debug, Default)]
pub struct Differences {
    pub found: Vec<ObjectDiff>,
    /// Of objects that the server would refuse, why.
    pub refused: Vec<Error>,
}

impl Kube {
    /// Objects that an apply would create or change, in the order given, then those that a prune would remove.
    /// What cannot be tried yet, because its namespace or kind is to be created by the same apply, counts as created.
    pub async fn diff(
        &self,
        desired: &[Object],
        live: &Live,
        prune: &[Value],
        options: &ApplyOptions,
    ) -> Result<Differences> {
        let options = ApplyOptions { dry_run: true, ..options.clone() };
        let namespaces: BTreeSet<String> = desired.iter().filter_map(|object| object.key().namespace).collect();
        let there = try_join_all(namespaces.into_iter().map(async |name| Ok((self.has_namespace(&name).await?, name))));
        let there = there.await?.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect();
        let tried = stream::iter(desired).map(|object| self.diff_one(object, live, &there, &options)).buffered(32);
        let mut differences = Differences::default();
        for diff in tried.collect::<Vec<_>>().await {
            match diff {
                Ok(diff) => differences.found.extend(diff),
                Err(error) if error.kind == Kind::Refused => differences.refused.push(error),
                Err(error) => return Err(error),
            }
        }
        for object in prune {
            differences.found.extend(between(Some(object), None)?);
        }
        Ok(differences)
    }

    /// Why the server would refuse the object, if what is there now is enough to tell: what other objects of the same run
    /// have to make first is not counted.
    pub async fn would_refuse(&self, object: &Object, live: Option<&Value>, options: &ApplyOptions) -> Option<Error> {
        let at = self.resolve_opt(&KindRef::of(object)).await.ok()??;
        let ::kube::Error::Api(status) = self.apply_once(&at, object, options).await.err()? else { return None };
        let counts = match failure::refuser::refuser(&status.message) {
            Some(who) => who.comes_after_validation(),
            None => !status.is_not_found(),
        };
        if !counts {
            return None;
        }
        self.apply(object, live, options).await.err().filter(|error| error.kind == Kind::Refused)
    }

    /// `namespaces`: those that are there, and will be.
    async fn diff_one(
        &self,
        object: &Object,
        live: &Live,
        namespaces: &BTreeSet<String>,
        options: &ApplyOptions,
    ) -> Result<Option<ObjectDiff>> {
        let key = object.key();
        if key.namespace.as_ref().is_some_and(|namespace| !namespaces.contains(namespace)) {
            return between(None, Some(&object.value));
        }
        let Some(at) = self.resolve_opt(&KindRef::of(object)).await? else { return between(None, Some(&object.value)) };
        let before = match live.objects.get(&key) {
            Some(before) => Some(before.clone()),
            None => self
                .get_opt(&at, key.namespace.as_deref(), &key.name)
                .await
                .map_err(|error| failure::request_failed(&format!("get {key}"), &self.server, &error))?,
        };
        // An apply waits until what is being deleted is gone, and creates it then.
        if before.as_ref().is_some_and(json::is_being_deleted) {
            return between(None, Some(&object.value));
        }
        let after = match &before {
            Some(there) if options.adopt && preview::is_foreign(&object.value, there) => {
                self.preview_adoption(&at, object, there).await?
            }
            _ => self.apply(object, before.as_ref(), options).await?.object,
        };
        between(before.as_ref(), Some(&after))
    }

    /// Whoever may not look at it finds out when something is tried in it.
    async fn has_namespace(&self, name: &str) -> Result<bool> {
        match self.get_opt(&core("Namespace"), None, name).await {
            Ok(found) => Ok(found.is_some_and(|namespace| !json::is_being_deleted(&namespace))),
            Err(::kube::Error::Api(status)) if status.is_forbidden() => Ok(true),
            Err(error) => Err(failure::request_failed(&format!("look at namespace {name}"), &self.server, &error)),
        }
    }
}

/// None if nothing that a person decides differs.
fn between(before: Option<&Value>, after: Option<&Value>) -> Result<Option<ObjectDiff>> {
    let Some(shown) = after.or(before) else { return Ok(None) };
    let (masked_before, masked_after) = masked(before, after);
    let (old, new) = (yaml(masked_before.as_ref())?, yaml(masked_after.as_ref())?);
    if old == new {
        return Ok(None);
    }
    let change = match (before, after) {
        (None, _) => Change::Create,
        (_, None) => Change::Delete,
        _ => Change::Update,
    };
    let key = json::key(shown);
    let name = match &key.namespace {
        Some(namespace) => format!("{namespace}/{key}"),
        None => key.to_string(),
    };
    let text = TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("live {name}"), &format!("stack {name}"))
        .to_string();
    Ok(Some(ObjectDiff { key, change, text }))
}

fn yaml(object: Option<&Value>) -> Result<String> {
    match object {
        Some(object) => {
            serde_yaml::to_string(object).context(Kind::Unexpected, || "an object cannot be written as YAML".to_owned())
        }
        None => Ok(String::new()),
    }
}

/// Without what the server keeps for itself, and with Secret values that say only whether they differ.
fn masked(before: Option<&Value>, after: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let (mut before, mut after) = (before.map(stripped), after.map(stripped));
    let is_secret = |object: &Option<Value>| {
        object.as_ref().is_some_and(|object| json::kind(object) == "Secret" && json::group(object).is_empty())
    };
    if is_secret(&before) || is_secret(&after) {
        for field in ["data", "stringData"] {
            let originals =
                [&before, &after].map(|object| object.as_ref().and_then(|object| object.get(field)).cloned());
            let equal = |key: &str| matches!(&originals, [Some(a), Some(b)] if a.get(key) == b.get(key));
            for (object, word) in [(&mut before, "(old value)"), (&mut after, "(new value)")] {
                let data = object.as_mut().and_then(|object| object.get_mut(field)).and_then(Value::as_object_mut);
                for (key, value) in data.into_iter().flatten() {
                    *value = json!(if equal(key) { "(hidden)" } else { word });
                }
            }
        }
    }
    (before, after)
}

fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "managedFields",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "uid",
            "selfLink",
        ] {
            metadata.remove(field);
        }
    }
    object
}

/// `diff` found something: exit code 11.
pub fn differences(found: &[ObjectDiff]) -> Option<Error> {
    let count = |change| found.iter().filter(|diff| diff.change == change).count();
    let (create, update, delete) = (count(Change::Create), count(Change::Update), count(Change::Delete));
    (!found.is_empty())
        .then(|| Error::new(Kind::Differences, format!("{create} to create, {update} to change, {delete} to delete")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "resourceVersion": data, "generation": 3,
            "managedFields": [{"time": data}]}, "data": {"k": data}, "status": {"seen": data}})
    }

    #[test]
    fn only_what_a_person_decides_is_shown() {
        let diff = between(Some(&config("a")), Some(&config("b"))).unwrap().unwrap();
        assert_eq!(diff.change, Change::Update);
        assert!(diff.text.contains("-  k: a") && diff.text.contains("+  k: b"), "{}", diff.text);
        assert!(!diff.text.contains("resourceVersion") && !diff.text.contains("seen"), "{}", diff.text);
        let mut moved = config("a");
        moved["metadata"]["resourceVersion"] = json!("9");
        assert!(between(Some(&config("a")), Some(&moved)).unwrap().is_none());
    }

    #[test]
    fn creation_and_removal_are_whole_objects() {
        assert_eq!(between(None, Some(&config("a"))).unwrap().unwrap().change, Change::Create);
        let gone = between(Some(&config("a")), None).unwrap().unwrap();
        assert_eq!(gone.change, Change::Delete);
        assert!(gone.text.lines().filter(|line| line.starts_with('-')).count() > 4);
        let error = differences(&[gone]).unwrap();
        assert_eq!(error.message, "0 to create, 0 to change, 1 to delete");
    }

    #[test]
    fn secret_values_never_show_but_their_change_does() {
        let secret = |password: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": password, "user": "YWRtaW4="}});
        let diff = between(Some(&secret("b2xk")), Some(&secret("bmV3"))).unwrap().unwrap();
        assert!(
            diff.text.contains("-  password: (old value)") && diff.text.contains("+  password: (new value)"),
            "{}",
            diff.text
        );
        for value in ["b2xk", "bmV3", "YWRtaW4="] {
            assert!(!diff.text.contains(value));
        }
    }
}
