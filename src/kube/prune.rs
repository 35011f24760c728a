//! Removing what a set no longer declares.

use std::{collections::HashSet, time::Duration};

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
    /// Data that stays unless it is asked for: PersistentVolumeClaims, and namespaces that were there before us.
    pub keep: Vec<Value>,
}

/// Members of the set that are not desired. Pure.
pub fn candidates(live: &Live, id: &str, desired: &HashSet<Key>, prune_data: bool) -> Candidates {
    let mut found = Candidates::default();
    let mut members: Vec<_> = live.of_set(id).filter(|(key, _)| !desired.contains(key)).collect();
    members.sort_by_key(|(key, _)| (*key).clone());
    for (key, object) in members {
        let stays = is_data(key) && !prune_data || !may_delete(object);
        if stays { &mut found.keep } else { &mut found.remove }.push(object.clone());
    }
    found
}

pub(super) fn is_data(key: &Key) -> bool {
    key.group.is_empty() && key.kind == "PersistentVolumeClaim"
}

/// A namespace only if this program made it; anything else that carries our label.
pub(super) fn may_delete(object: &Value) -> bool {
    json::kind(object) != "Namespace" || !json::group(object).is_empty() || json::label(object, CREATED_LABEL).is_some()
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
        let found = candidates(&live, "a", &desired, false);
        assert_eq!(names(&found.remove), ["old"]);
        assert!(found.keep.is_empty());
    }

    #[test]
    fn data_stays_unless_asked_for_and_foreign_namespaces_always() {
        let mut ours = object("Namespace", "ours", "a");
        ours["metadata"]["labels"][CREATED_LABEL] = json!("true");
        let live = live(&[object("PersistentVolumeClaim", "data", "a"), object("Namespace", "theirs", "a"), ours]);
        let found = candidates(&live, "a", &HashSet::new(), false);
        assert_eq!(names(&found.remove), ["ours"]);
        assert_eq!(names(&found.keep), ["theirs", "data"]);
        let found = candidates(&live, "a", &HashSet::new(), true);
        assert_eq!(names(&found.remove), ["ours", "data"]);
        assert_eq!(names(&found.keep), ["theirs"]);
    }
}
