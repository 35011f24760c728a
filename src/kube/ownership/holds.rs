//! What takes data or objects of others along when it is deleted: it stays until that is asked for.

use std::fmt;

use ::kube::{api::ListParams, core::GroupVersionKind, discovery::ApiResource};
use serde_json::Value;

use super::survey::{is_copy, is_made_along, is_somebodys};
use crate::error::{Result, words::few};
use crate::object::Key;
use crate::{
    kube::{CREATED_LABEL, Kube, PART_OF, discovery::Resolved, failure, request::soon},
    object::json,
};

pub fn is_namespace(key: &Key) -> bool {
    key.group.is_empty() && key.kind == "Namespace"
}

pub fn is_definition(key: &Key) -> bool {
    key.kind == "CustomResourceDefinition" && key.group == "apiextensions.k8s.io"
}

/// Whether it is data itself.
pub fn is_data(key: &Key) -> bool {
    key.group.is_empty() && matches!(key.kind.as_str(), "PersistentVolumeClaim" | "PersistentVolume")
}

/// What may take data along when it is deleted: a definition all objects of its kind, a volume perhaps its disk.
pub fn holds_data(key: &Key) -> bool {
    is_data(key) || is_namespace(key) || is_definition(key)
}

/// A namespace only if this program made it; anything else that carries our label.
pub(crate) fn may_delete(object: &Value) -> bool {
    !is_namespace(&json::key(object)) || json::label(object, CREATED_LABEL).is_some()
}

/// What would go along with a definition or a namespace although it is nobody's of those that go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    pub objects: Vec<Key>,
    /// Kinds that nobody could look at, and why.
    pub unseen: Option<String>,
}

impl Holding {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.unseen.is_none()
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.objects.as_slice(), &self.unseen) {
            ([], Some(why)) => write!(f, "perhaps objects that could not be looked at ({why})"),
            ([only], _) => f.write_str(&only.place()),
            (several, _) => write!(f, "{} objects: {}", several.len(), few(several.iter().map(Key::place))),
        }
    }
}

/// Left its set, or its set goes, and stays all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub key: Key,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Data stays unless it is asked for.
    Data,
    /// What would go along with it.
    Holds(Holding),
    /// A namespace that was there before us.
    NotOurs,
    /// A namespace in which the set still declares objects.
    StillUsed,
    /// A namespace in which another set, by its parent, has objects.
    Shared(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stays: ", self.key.in_words())?;
        match &self.why {
            Why::Data => f.write_str("it holds data; --prune-data removes it"),
            Why::Holds(holding) => write!(f, "it holds {holding}; --prune-data removes it with all that it holds"),
            Why::NotOurs => f.write_str("it was there before stackctl"),
            Why::StillUsed => f.write_str("objects that the stack declares need it"),
            Why::Shared(other) => write!(f, "{} has objects in it", other.replacen('-', " ", 1)),
        }
    }
}

/// What a namespace holds.
#[derive(Debug, Default)]
pub struct Contents {
    pub holding: Holding,
    /// Nothing is in it but what comes with every namespace, so it goes without delay.
    pub empty: bool,
}

impl Kube {
    /// What would go along with the object and is not `ours`: objects of a definition's kind, contents of a namespace.
    pub async fn held_by(&self, object: &Value, ours: &(dyn Fn(&Value) -> bool + Sync)) -> Result<Holding> {
        let key = json::key(object);
        match () {
            () if is_definition(&key) => self.instances(object, ours).await,
            () if is_namespace(&key) => Ok(self.contents(&key.name, ours).await?.holding),
            () => Ok(Holding::default()),
        }
    }

    async fn instances(&self, definition: &Value, ours: &(dyn Fn(&Value) -> bool + Sync)) -> Result<Holding> {
        let Some(at) = served_by(definition) else { return Ok(Holding::default()) };
        match self.list_metadata(&at, None, &ListParams::default(), soon()).await {
            Ok(objects) => {
                let others = objects.iter().filter(|object| !ours(object) && !json::is_being_deleted(object));
                Ok(Holding { objects: sorted(others.map(json::key)), unseen: None })
            }
            Err(::kube::Error::Api(status)) if status.code != 401 => {
                Ok(Holding { objects: Vec::new(), unseen: Some(status.message.clone()) })
            }
            Err(error) => Err(failure::request_failed(&format!("list {}", at.resource.plural), &self.server, &error)),
        }
    }

    /// What a namespace holds that is not `ours`. PersistentVolumeClaims count whoever made them: those of a
    /// StatefulSet's template carry no label, and all of them hold data.
    pub async fn contents(&self, namespace: &str, ours: &(dyn Fn(&Value) -> bool + Sync)) -> Result<Contents> {
        let found = self.survey(Some(namespace), "").await?;
        let comes_along = |object: &&Value| {
            let owned = !json::list(object, "/metadata/ownerReferences").is_empty();
            !owned && !is_somebodys(object)
        };
        let empty = found.unseen.is_empty() && found.objects.iter().all(|object| comes_along(&object));
        let others = found.objects.iter().filter(|object| {
            let claim = is_data(&json::key(object));
            !json::is_being_deleted(object) && (claim || is_somebodys(object) && !ours(object))
        });
        let unseen = found.unseen.iter().next().map(|(kind, why)| format!("{kind}: {why}"));
        Ok(Contents { holding: Holding { objects: sorted(others.map(json::key)), unseen }, empty })
    }
}

fn sorted(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<Key> = keys.collect();
    keys.sort();
    keys
}

/// Whether the object is part of one of these sets.
pub fn is_of(object: &Value, ids: &[String]) -> bool {
    json::label(object, PART_OF).is_some_and(|set| ids.iter().any(|id| id == set))
        && (is_made_along(object) || !is_copy(object))
}

/// Where a definition's objects are served.
fn served_by(definition: &Value) -> Option<Resolved> {
    let text = |pointer| json::text(definition, pointer);
    let version = json::list(definition, "/spec/versions").iter().find(|version| version["served"] == true)?;
    let gvk = GroupVersionKind::gvk(text("/spec/group")?, version["name"].as_str()?, text("/spec/names/kind")?);
    let resource = ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural")?);
    Some(Resolved { resource, namespaced: text("/spec/scope") == Some("Namespaced") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::testing::{Fake, discovery, failure};

    fn widget(name: &str, set: &str) -> (String, Value) {
        let object = json!({"apiVersion": "x.io/v1", "kind": "Widget",
            "metadata": {"name": name, "namespace": "n", "labels": {PART_OF: set}}});
        (format!("/apis/x.io/v1/namespaces/n/widgets/{name}"), object)
    }

    fn definition() -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.x.io"},
            "spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{"name": "v1", "served": true}]}})
    }

    #[tokio::test]
    async fn a_definition_holds_the_objects_of_others() {
        let fake = Fake::plain().await;
        for (path, object) in [widget("ours", "a"), widget("theirs", "b"), widget("nobodys", "")] {
            fake.objects().put(&path, object);
        }
        let ours = ["a".to_owned()];
        let held = fake.kube.held_by(&definition(), &|object| is_of(object, &ours)).await.unwrap();
        assert_eq!(held.to_string(), "2 objects: n/Widget/nobodys and n/Widget/theirs");
        let kept = Kept { key: json::key(&definition()), why: Why::Holds(held) };
        assert!(kept.to_string().starts_with("CustomResourceDefinition/widgets.x.io stays: it holds 2 objects"));
        assert!(fake.kube.held_by(&definition(), &|_| true).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_definition_whose_objects_nobody_may_see_stays() {
        let fake = Fake::start(|request, _| {
            request.path.contains("widgets").then(|| failure(403, "Forbidden", "widgets is forbidden"))
        })
        .await;
        let held = fake.kube.held_by(&definition(), &|_| true).await.unwrap();
        assert!(!held.is_empty() && held.to_string().contains("widgets is forbidden"), "{held}");
    }

    #[tokio::test]
    async fn a_namespace_holds_what_somebody_put_there_and_every_claim() {
        let fake = Fake::start(|request, _| {
            discovery(
                request,
                &[("", "configmaps", "ConfigMap"), ("", "persistentvolumeclaims", "PersistentVolumeClaim")],
            )
        })
        .await;
        let put = |plural: &str, kind: &str, name: &str, metadata: Value| {
            let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
            object["metadata"]["name"] = name.into();
            object["metadata"]["namespace"] = "n".into();
            fake.objects().put(&format!("/api/v1/namespaces/n/{plural}/{name}"), object);
        };
        put("configmaps", "ConfigMap", "kube-root-ca.crt", json!({}));
        let ours = ["a".to_owned()];
        let look = async || fake.kube.contents("n", &|object| is_of(object, &ours)).await.unwrap();
        let bare = look().await;
        assert!(bare.empty && bare.holding.is_empty());
        put("configmaps", "ConfigMap", "ours", json!({"labels": {PART_OF: "a"}}));
        put("configmaps", "ConfigMap", "made", json!({"ownerReferences": [{"kind": "Job", "name": "j"}]}));
        let used = look().await;
        assert!(!used.empty && used.holding.is_empty(), "{used:?}");
        put("configmaps", "ConfigMap", "theirs", json!({}));
        put("persistentvolumeclaims", "PersistentVolumeClaim", "data-db-0", json!({}));
        let held = look().await.holding;
        assert_eq!(held.to_string(), "2 objects: n/ConfigMap/theirs and n/PersistentVolumeClaim/data-db-0");
    }

    #[tokio::test]
    async fn a_namespace_of_which_a_part_cannot_be_seen_may_hold_anything() {
        let fake = Fake::start(|request, _| match request.path.contains("/secrets") {
            true => Some(failure(403, "Forbidden", "not you")),
            false => discovery(request, &[("", "secrets", "Secret")]),
        })
        .await;
        let found = fake.kube.contents("n", &|_| true).await.unwrap();
        assert!(!found.empty && found.holding.to_string().contains("secrets: not you"), "{found:?}");
    }
}
