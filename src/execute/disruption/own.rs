//! Which pods and workloads are the stack's own. Pure, but for the look.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    error::{Error, Kind, Result},
    kube::{Kube, PART_OF, discovery::KindRef, selector::stays},
    object::{Key, json},
    stack::{claims::WorkloadName, desired::applyset_id, disruption::own_sets, model::Stack},
};

/// What may control pods.
const CONTROLLERS: [(&str, &str); 5] =
    [("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("apps", "ReplicaSet"), ("batch", "Job")];

/// All controllers of a namespace, and the ids of the stack's own sets.
pub struct Own {
    namespace: String,
    sets: BTreeSet<String>,
    /// By UID.
    controllers: BTreeMap<String, Value>,
}

impl Own {
    pub async fn look(kube: &Kube, stack: &Stack, namespace: &str) -> Result<Own> {
        let kinds = CONTROLLERS.map(|(group, kind)| KindRef::any_version(group, kind));
        let listed = kinds.iter().map(|kind| kube.list_all(kind, Some(namespace)));
        let listed = futures::future::try_join_all(listed).await?;
        let controllers = listed.into_iter().flatten().map(|object| (json::uid(&object).to_owned(), object));
        let sets = own_sets(&stack.sets).map(|set| applyset_id(set.kind, &set.name)).collect();
        Ok(Own { namespace: namespace.to_owned(), sets, controllers: controllers.collect() })
    }

    /// The workload of the stack's own whose pod this is.
    pub fn workload(&self, pod: &Value) -> Option<Key> {
        let mut object = pod;
        // A pod, its ReplicaSet and its Deployment; what is longer is no workload of ours.
        for _ in 0..3 {
            let owners = json::list(object, "/metadata/ownerReferences").iter();
            let owner = owners.filter(|owner| owner["controller"] == true).find_map(|owner| owner["uid"].as_str())?;
            object = self.controllers.get(owner)?;
            if json::label(object, PART_OF).is_some_and(|id| self.sets.contains(id)) {
                return Some(json::key(object));
            }
        }
        None
    }

    /// The pods of the selector that are to stay. Err: there is none, or one is somebody else's.
    pub async fn pods(&self, kube: &Kube, selector: &str) -> Result<Vec<Value>> {
        let pods = kube.selected_pods(&self.namespace, selector).await?;
        let pods: Vec<Value> = pods.into_iter().filter(stays).collect();
        if let Some(foreign) = pods.iter().find(|pod| self.workload(pod).is_none()) {
            let what = format!("pod {} is not the stack's own, so it is left alone", json::name(foreign));
            return Err(Error::new(Kind::Refused, what).cause(format!("the proof selects {selector}")));
        }
        match pods.is_empty() {
            false => Ok(pods),
            true => Err(Error::new(Kind::NotReady, format!("{selector} selects no pod in {}", self.namespace))),
        }
    }

    /// The object of that name. Err: it is not there, or somebody else's.
    pub fn object(&self, wanted: &WorkloadName) -> Result<&Value> {
        let mut all = self.controllers.values();
        let found = all.find(|object| json::kind(object) == wanted.kind && json::name(object) == wanted.name);
        let found =
            found.ok_or_else(|| Error::new(Kind::NotReady, format!("there is no {wanted} in {}", self.namespace)))?;
        match json::label(found, PART_OF).is_some_and(|id| self.sets.contains(id)) {
            true => Ok(found),
            false => Err(Error::new(Kind::Refused, format!("{wanted} is not the stack's own, so it is left alone"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own() -> Own {
        let object = |kind: &str, uid: &str, set: Option<&str>, owner: Option<&str>| {
            let owners: Vec<Value> = owner.iter().map(|owner| json!({"uid": owner, "controller": true})).collect();
            let labels = set.map(|set| json!({PART_OF: set}));
            let value = json!({"apiVersion": "apps/v1", "kind": kind,
                "metadata": {"name": uid, "namespace": "n", "uid": uid, "labels": labels, "ownerReferences": owners}});
            (uid.to_owned(), value)
        };
        let controllers = [
            object("Deployment", "web", Some("a"), None),
            object("ReplicaSet", "web-1", None, Some("web")),
            object("Deployment", "theirs", Some("b"), None),
        ];
        Own { namespace: "n".into(), sets: ["a".to_owned()].into(), controllers: controllers.into() }
    }

    #[test]
    fn a_pod_is_ours_when_its_workload_is() {
        let pod = |owner: &str| json!({"metadata": {"ownerReferences": [{"uid": owner, "controller": true}]}});
        let own = own();
        assert_eq!(own.workload(&pod("web-1")).unwrap().to_string(), "Deployment/web");
        assert_eq!(own.workload(&pod("theirs")), None);
        assert_eq!(own.workload(&pod("gone")), None);
        assert_eq!(own.workload(&json!({"metadata": {}})), None);
    }

    #[test]
    fn what_is_anothers_is_not_disturbed() {
        let name = |name: &str| WorkloadName { kind: "Deployment".into(), name: name.into() };
        let own = own();
        assert_eq!(json::name(own.object(&name("web")).unwrap()), "web");
        assert_eq!(own.object(&name("theirs")).unwrap_err().kind, Kind::Refused);
        assert_eq!(own.object(&name("none")).unwrap_err().message, "there is no Deployment/none in n");
    }
}
