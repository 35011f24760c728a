//! Removing what a set no longer declares.

use std::{collections::HashSet, fmt, time::Duration};

use ::kube::api::DeleteParams;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    CREATED_LABEL, Kube, PART_OF,
    discovery::KindRef,
    failure::{self, Subject},
    json,
    live::Live,
};
use crate::{error::Result, stack::model::Key};

const GOING: Duration = Duration::from_secs(120);

/// What pruning would do.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    pub remove: Vec<Value>,
    pub keep: Vec<Kept>,
}

/// Left the set and stays all the same.
#[derive(Debug, Clone)]
pub struct Kept {
    pub key: Key,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Data stays unless it is asked for.
    Data,
    /// A namespace: with it this claim would go.
    Holds(Key),
    /// A namespace that was there before us.
    NotOurs,
    /// A namespace in which the set still declares objects.
    StillUsed,
    /// A namespace in which another set, by its parent, has objects.
    Shared(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.why {
            Why::Data => write!(f, "{key} left the stack but keeps its data; --prune-data removes it"),
            Why::Holds(claim) => {
                write!(f, "{key} left the stack but stays: it holds the data of {claim}; --prune-data removes both")
            }
            Why::NotOurs => write!(f, "{key} left the stack but stays: it was there before stackctl"),
            Why::StillUsed => write!(f, "{key} left the stack but stays: the stack has objects in it"),
            Why::Shared(other) => {
                write!(f, "{key} left the stack but stays: {} has objects in it", other.replacen('-', " ", 1))
            }
        }
    }
}

/// Members of the set that are not desired. `shared`: another set's parent that has objects in a namespace. Pure.
pub fn candidates<'a>(
    live: &Live,
    id: &str,
    desired: &HashSet<Key>,
    prune_data: bool,
    shared: impl Fn(&str) -> Option<&'a str>,
) -> Candidates {
    let mut found = Candidates::default();
    let mut members: Vec<_> = live.of_set(id).filter(|(key, _)| !desired.contains(key)).collect();
    members.sort_by_key(|(key, _)| (*key).clone());
    // Of any set that was read: all of them would go with their namespace.
    let claim = |namespace: &str| {
        let mut claims: Vec<_> = live.objects.keys().filter(|key| is_data(key) && is_in(key, namespace)).collect();
        claims.sort();
        claims.first().map(|claim| (*claim).clone()).filter(|_| !prune_data)
    };
    for (key, object) in members {
        let why = if is_data(key) {
            (!prune_data).then_some(Why::Data)
        } else if !may_delete(object) {
            Some(Why::NotOurs)
        } else if is_namespace(key) {
            let name = key.name.as_str();
            let shared = shared(name).map(|other| Why::Shared(other.to_owned()));
            let used = desired.iter().any(|key| is_in(key, name)).then_some(Why::StillUsed);
            shared.or(used).or_else(|| claim(name).map(Why::Holds))
        } else {
            None
        };
        match why {
            Some(why) => found.keep.push(Kept { key: key.clone(), why }),
            None => found.remove.push(object.clone()),
        }
    }
    found
}

pub(super) fn is_data(key: &Key) -> bool {
    key.group.is_empty() && key.kind == "PersistentVolumeClaim"
}

/// What takes data along when it is deleted: a definition all objects of its kind, a volume perhaps its disk.
pub(super) fn holds_data(key: &Key) -> bool {
    let core = matches!(key.kind.as_str(), "PersistentVolumeClaim" | "PersistentVolume" | "Namespace");
    key.group.is_empty() && core || key.kind == "CustomResourceDefinition"
}

pub fn is_namespace(key: &Key) -> bool {
    key.group.is_empty() && key.kind == "Namespace"
}

fn is_in(key: &Key, namespace: &str) -> bool {
    key.namespace.as_deref() == Some(namespace)
}

/// A namespace only if this program made it; anything else that carries our label.
pub(super) fn may_delete(object: &Value) -> bool {
    !is_namespace(&json::key(object)) || json::label(object, CREATED_LABEL).is_some()
}

impl Kube {
    /// Deletes these objects, each only if it still is the one seen and still belongs to the set, and waits until they are
    /// gone. Returns those that were removed.
    pub async fn prune(&self, id: &str, remove: &[Value]) -> Result<Vec<Key>> {
        let deadline = Instant::now() + GOING;
        let removed = stream::iter(remove).map(|object| self.prune_one(id, object, deadline)).buffer_unordered(16);
        let removed: Vec<Option<Key>> = removed.try_collect().await?;
        let mut removed: Vec<Key> = removed.into_iter().flatten().collect();
        removed.sort();
        Ok(removed)
    }

    /// A claim in the namespace that would go with it, whoever made it: those of a StatefulSet's template carry no label.
    pub async fn claim_in(&self, namespace: &str) -> Result<Option<Key>> {
        let claims = self.list_all(&KindRef::any_version("", "PersistentVolumeClaim"), Some(namespace)).await?;
        Ok(claims.iter().find(|claim| !json::is_being_deleted(claim)).map(json::key))
    }

    async fn prune_one(&self, id: &str, seen: &Value, deadline: Instant) -> Result<Option<Key>> {
        let key = json::key(seen);
        let failed = |error: ::kube::Error| {
            failure::refused("delete", &Subject { key: &key, origin: None }, &self.server, &error)
        };
        let Some(at) = self.resolve_opt(&KindRef::of_value(seen)).await? else { return Ok(None) };
        let now = self.get_opt(&at, key.namespace.as_deref(), &key.name).await.map_err(failed)?;
        let ours = |now: &Value| json::uid(now) == json::uid(seen) && json::label(now, PART_OF) == Some(id);
        let Some(now) = now.filter(ours) else { return Ok(None) };
        self.delete_seen(&at, &now, DeleteParams::background()).await.map_err(failed)?;
        self.until_gone(&at, &now, deadline).await?;
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(objects: &[Value]) -> Live {
        Live { objects: objects.iter().map(|object| (json::key(object), object.clone())).collect() }
    }

    fn object(kind: &str, name: &str, id: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {PART_OF: id}}})
    }

    fn names(objects: &[Value]) -> Vec<&str> {
        objects.iter().map(json::name).collect()
    }

    #[test]
    fn only_undesired_members_of_this_set_are_candidates() {
        let live = live(&[
            object("ConfigMap", "old", "a"),
            object("ConfigMap", "wanted", "a"),
            object("ConfigMap", "other", "b"),
        ]);
        let desired = [json::key(&object("ConfigMap", "wanted", "a"))].into();
        let found = candidates(&live, "a", &desired, false, |_| None);
        assert_eq!(names(&found.remove), ["old"]);
        assert!(found.keep.is_empty());
    }

    fn kept(found: &Candidates) -> Vec<(&str, &Why)> {
        found.keep.iter().map(|kept| (kept.key.name.as_str(), &kept.why)).collect()
    }

    fn namespace(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "uid": name, "labels": {PART_OF: "a", CREATED_LABEL: "true"}}})
    }

    #[test]
    fn data_stays_unless_asked_for_and_foreign_namespaces_always() {
        let theirs =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs", "labels": {PART_OF: "a"}}});
        let live = live(&[object("PersistentVolumeClaim", "data", "a"), theirs, namespace("ours")]);
        let found = candidates(&live, "a", &HashSet::new(), false, |_| None);
        assert_eq!(names(&found.remove), ["ours"]);
        assert_eq!(kept(&found), [("theirs", &Why::NotOurs), ("data", &Why::Data)]);
        let found = candidates(&live, "a", &HashSet::new(), true, |_| None);
        assert_eq!(names(&found.remove), ["ours", "data"]);
        assert_eq!(kept(&found), [("theirs", &Why::NotOurs)]);
    }

    #[test]
    fn a_namespace_stays_with_the_claims_in_it_whichever_set_they_are_of() {
        for id in ["a", "b"] {
            let live = live(&[object("PersistentVolumeClaim", "data", id), namespace("n"), namespace("empty")]);
            let found = candidates(&live, "a", &HashSet::new(), false, |_| None);
            assert_eq!(names(&found.remove), ["empty"]);
            let claim = json::key(&object("PersistentVolumeClaim", "data", id));
            assert!(kept(&found).contains(&("n", &Why::Holds(claim))), "{found:?}");
            let found = candidates(&live, "a", &HashSet::new(), true, |_| None);
            assert!(names(&found.remove).contains(&"n"));
        }
    }

    #[test]
    fn a_namespace_stays_while_a_set_has_objects_in_it() {
        let live = live(&[namespace("n"), object("ConfigMap", "wanted", "a")]);
        let desired = [json::key(&object("ConfigMap", "wanted", "a"))].into();
        let found = candidates(&live, "a", &desired, true, |_| None);
        assert_eq!(kept(&found), [("n", &Why::StillUsed)]);
        let found = candidates(&live, "a", &HashSet::new(), true, |name| (name == "n").then_some("stack-other"));
        assert_eq!(names(&found.remove), ["wanted"]);
        assert_eq!(found.keep[0].to_string(), "Namespace/n left the stack but stays: stack other has objects in it");
    }
}
