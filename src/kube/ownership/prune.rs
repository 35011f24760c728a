//! What a set no longer declares: what of it goes, and what stays.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{
    adopt,
    holds::{Holding, Kept, Why, is_data, is_definition, is_namespace, may_delete},
};
use crate::kube::live::Live;
use crate::object::Key;

/// What pruning would do.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    pub remove: Vec<Value>,
    /// Taken over from somebody else once, and given back.
    pub release: Vec<Value>,
    pub keep: Vec<Kept>,
}

impl Candidates {
    /// Whether there is nothing to do about them.
    pub fn is_done(&self) -> bool {
        self.remove.is_empty() && self.release.is_empty()
    }
}

/// Members of the set that are not desired. `shared`: another set's parent that has objects in a namespace. `holdings`:
/// what would go along with definitions and namespaces. Pure.
pub fn candidates<'a>(
    live: &Live,
    id: &str,
    desired: &HashSet<Key>,
    prune_data: bool,
    shared: impl Fn(&str) -> Option<&'a str>,
    holdings: &BTreeMap<Key, Holding>,
) -> Candidates {
    let mut found = Candidates::default();
    let mut members: Vec<_> = live.of_set(id).filter(|(key, _)| !desired.contains(key)).collect();
    members.sort_by_key(|(key, _)| (*key).clone());
    // Of any set that was read: all of them would go with their namespace.
    let claims = |namespace: &str| {
        let mut claims: Vec<Key> =
            live.objects.keys().filter(|key| is_data(key) && is_in(key, namespace)).cloned().collect();
        claims.sort();
        (!claims.is_empty()).then_some(Holding { objects: claims, unseen: None })
    };
    for (key, object) in members {
        if adopt::is_adopted(object) {
            found.release.push(object.clone());
            continue;
        }
        let held = || {
            let known = holdings.get(key).filter(|holding| !holding.is_empty()).cloned();
            let held = known.or_else(|| is_namespace(key).then(|| claims(&key.name)).flatten());
            held.filter(|_| !prune_data).map(Why::Holds)
        };
        let why = if is_data(key) {
            (!prune_data).then_some(Why::Data)
        } else if !may_delete(object) {
            Some(Why::NotOurs)
        } else if is_namespace(key) {
            let name = key.name.as_str();
            let shared = shared(name).map(|other| Why::Shared(other.to_owned()));
            let used = desired.iter().any(|key| is_in(key, name)).then_some(Why::StillUsed);
            shared.or(used).or_else(held)
        } else if is_definition(key) && desired.iter().any(|key| is_instance(key, object)) {
            Some(Why::StillUsed)
        } else {
            held()
        };
        match why {
            Some(why) => found.keep.push(Kept { key: key.clone(), why }),
            None => found.remove.push(object.clone()),
        }
    }
    found
}

/// Whether the definition is that of the object's kind.
fn is_instance(key: &Key, definition: &Value) -> bool {
    let says = |path: &str| definition.pointer(path).and_then(Value::as_str);
    says("/spec/group") == Some(&key.group) && says("/spec/names/kind") == Some(&key.kind)
}

fn is_in(key: &Key, namespace: &str) -> bool {
    key.namespace.as_deref() == Some(namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        kube::{CREATED_LABEL, PART_OF},
        object::json,
    };

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
    fn a_definition_stays_while_an_object_of_its_kind_is_declared() {
        let definition = |kind: &str| {
            let names = json!({"group": "x.io", "names": {"kind": kind}});
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": names,
                "metadata": {"name": kind, "uid": kind, "labels": {PART_OF: "a"}}})
        };
        let live = live(&[definition("Fox"), definition("Hen")]);
        let fox = json!({"apiVersion": "x.io/v1", "kind": "Fox", "metadata": {"name": "f", "namespace": "n"}});
        let desired = [json::key(&fox)].into();
        let found = candidates(&live, "a", &desired, true, |_| None, &BTreeMap::new());
        assert_eq!(names(&found.remove), ["Hen"]);
    }

    #[test]
    fn only_undesired_members_of_this_set_are_candidates() {
        let live = live(&[
            object("ConfigMap", "old", "a"),
            object("ConfigMap", "wanted", "a"),
            object("ConfigMap", "other", "b"),
        ]);
        let desired = [json::key(&object("ConfigMap", "wanted", "a"))].into();
        let found = candidates(&live, "a", &desired, false, |_| None, &BTreeMap::new());
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
        let found = candidates(&live, "a", &HashSet::new(), false, |_| None, &BTreeMap::new());
        assert_eq!(names(&found.remove), ["ours"]);
        assert_eq!(kept(&found), [("theirs", &Why::NotOurs), ("data", &Why::Data)]);
        let found = candidates(&live, "a", &HashSet::new(), true, |_| None, &BTreeMap::new());
        assert_eq!(names(&found.remove), ["ours", "data"]);
        assert_eq!(kept(&found), [("theirs", &Why::NotOurs)]);
    }

    #[test]
    fn a_namespace_stays_with_the_claims_in_it_whichever_set_they_are_of() {
        for id in ["a", "b"] {
            let live = live(&[object("PersistentVolumeClaim", "data", id), namespace("n"), namespace("empty")]);
            let found = candidates(&live, "a", &HashSet::new(), false, |_| None, &BTreeMap::new());
            assert_eq!(names(&found.remove), ["empty"]);
            let claim = json::key(&object("PersistentVolumeClaim", "data", id));
            assert!(
                kept(&found).contains(&("n", &Why::Holds(Holding { objects: vec![claim], unseen: None }))),
                "{found:?}"
            );
            let found = candidates(&live, "a", &HashSet::new(), true, |_| None, &BTreeMap::new());
            assert!(names(&found.remove).contains(&"n"));
        }
    }

    #[test]
    fn a_namespace_stays_while_a_set_has_objects_in_it() {
        let live = live(&[namespace("n"), object("ConfigMap", "wanted", "a")]);
        let desired = [json::key(&object("ConfigMap", "wanted", "a"))].into();
        let found = candidates(&live, "a", &desired, true, |_| None, &BTreeMap::new());
        assert_eq!(kept(&found), [("n", &Why::StillUsed)]);
        let found = candidates(
            &live,
            "a",
            &HashSet::new(),
            true,
            |name| (name == "n").then_some("stack-other"),
            &BTreeMap::new(),
        );
        assert_eq!(names(&found.remove), ["wanted"]);
        assert_eq!(found.keep[0].to_string(), "Namespace/n stays: stack other has objects in it");
    }

    #[test]
    fn a_definition_stays_while_others_have_objects_of_it() {
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.x.io", "uid": "1", "labels": {PART_OF: "a"}}});
        let key = json::key(&definition);
        let live = live(&[definition]);
        let holding = Holding { objects: vec![json::key(&object("Widget", "theirs", "b"))], unseen: None };
        let holdings = BTreeMap::from([(key, holding)]);
        let found = candidates(&live, "a", &HashSet::new(), false, |_| None, &holdings);
        assert!(found.remove.is_empty());
        assert!(found.keep[0].to_string().contains("n/Widget/theirs"), "{}", found.keep[0]);
        assert_eq!(candidates(&live, "a", &HashSet::new(), true, |_| None, &holdings).remove.len(), 1);
        assert_eq!(candidates(&live, "a", &HashSet::new(), false, |_| None, &BTreeMap::new()).remove.len(), 1);
    }
}
