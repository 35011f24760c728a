//! What several sets use and one of them has: namespaces, and the Secret in them with which nodes pull. Whoever goes
//! leaves it to another.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::Key;
use crate::{
    error::Result,
    kube::{
        CREATED_LABEL, Kube, PART_OF,
        discovery::KindRef,
        ownership::{
            holds::is_namespace,
            inventory::{Parent, Write},
        },
        pull_secret,
    },
    object::json,
    plan::observed::{LiveState, new_owner},
    stack::desired,
};

/// Whether a namespace that is there becomes part of this ApplySet. `live`: what the plan had seen.
pub fn may_take(live: Option<&LiveState>, namespace: &Value, id: &str) -> bool {
    let seen = live.and_then(|live| live.namespace_owners.get(json::name(namespace)));
    json::label(namespace, CREATED_LABEL).is_some()
        && match json::label(namespace, PART_OF) {
            // Of a set that is on record no more: the plan would have left it alone otherwise.
            Some(owner) => owner == id || seen.is_some_and(|seen| seen == owner),
            None => true,
        }
}

/// Whether other sets may need the object too.
pub fn is_shareable(key: &Key) -> bool {
    is_namespace(key) || key.namespace.as_deref().is_some_and(|namespace| *key == pull_secret::key(namespace))
}

/// Namespaces that are part of a set by now: another one may have left it one since it was looked at.
pub async fn namespaces(kube: &Kube, id: &str, seen: Vec<Value>) -> Vec<Value> {
    match kube.live(&[id], &[KindRef::any_version("", "Namespace")], &[]).await {
        Ok(now) => now.objects.into_values().collect(),
        // Not everyone may list them.
        Err(_) => seen,
    }
}

/// Gives back what was taken over from somebody else. Returns a line for each.
pub async fn release(kube: &Kube, adopted: Vec<Value>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for object in adopted {
        if kube.release(&object).await? {
            lines.push(format!("{} stays: it was there before stackctl", json::key(&object)));
        }
    }
    Ok(lines)
}

/// Hands over what sets that stay need as well. Returns what nobody else needs, and a line for each of the others.
/// `parent`: of the set that goes; `leaving`: the stack that goes, if one does.
pub async fn hand_over(
    kube: &Kube,
    parent: &str,
    leaving: &str,
    objects: Vec<Value>,
) -> Result<(Vec<Value>, Vec<String>)> {
    let (mut alone, mut lines) = (Vec::new(), Vec::new());
    if objects.is_empty() {
        return Ok((alone, lines));
    }
    let parents: BTreeMap<String, Parent> = kube.read_parents().await?;
    for object in objects {
        let key = json::key(&object);
        let namespace = key.namespace.as_deref().unwrap_or(&key.name);
        // A namespace that we did not make stays as it is anyway.
        let may_go = !is_namespace(&key) || json::label(&object, CREATED_LABEL).is_some();
        let Some(new_owner) = new_owner(&parents, parent, namespace, leaving).filter(|_| may_go) else {
            alone.push(object);
            continue;
        };
        // On record first, or its new owner would not find it.
        let kind = KindRef::any_version(&key.group, &key.kind);
        if !new_owner.kinds.contains(&kind) {
            let mut wider = new_owner.clone();
            wider.kinds.insert(kind);
            kube.write_parent(&wider, Write::Widen).await?;
        }
        let mut labels = desired::labels_of_parent(&new_owner.name);
        // What the files say about it in place of the old set's labels stays.
        let ours = desired::labels_of_parent(parent);
        labels
            .retain(|label, _| label == PART_OF || json::label(&object, label) == ours.get(label).map(String::as_str));
        if kube.hand_over(&object, &labels).await? {
            lines.push(format!("{key} stays: {} uses it", new_owner.name.replacen('-', " ", 1)));
        }
    }
    Ok((alone, lines))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{kube::testing::Fake, stack::model::SetKind};

    fn namespace(owner: Option<&str>, created: bool) -> Value {
        let mut labels = json!({});
        if let Some(owner) = owner {
            labels[PART_OF] = owner.into();
        }
        if created {
            labels[CREATED_LABEL] = "true".into();
        }
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev", "labels": labels}})
    }

    #[test]
    fn a_namespace_is_taken_only_from_nobody() {
        assert!(may_take(None, &namespace(Some("a"), true), "a"));
        assert!(may_take(None, &namespace(None, true), "a"));
        assert!(!may_take(None, &namespace(None, false), "a"));
        assert!(!may_take(None, &namespace(Some("b"), true), "a"), "made since the plan");
        let live = LiveState { namespace_owners: [("dev".into(), "gone".into())].into(), ..LiveState::default() };
        assert!(may_take(Some(&live), &namespace(Some("gone"), true), "a"));
        assert!(!may_take(Some(&live), &namespace(Some("b"), true), "a"));
    }

    #[tokio::test]
    async fn a_namespace_goes_with_the_last_stack_in_it() {
        let fake = Fake::plain().await;
        let id = |stack: &str| desired::applyset_id(SetKind::Stack, stack);
        let parent = |stack: &str| Parent {
            name: format!("stack-{stack}"),
            id: id(stack),
            namespaces: ["dev".to_owned()].into(),
            ..Parent::default()
        };
        for stack in ["a", "b"] {
            fake.kube.write_parent(&parent(stack), Write::Widen).await.unwrap();
        }
        let (dev, _) = fake.kube.namespace("dev", &desired::labels_of_parent("stack-a"), None).await.unwrap();
        let (alone, lines) = hand_over(&fake.kube, "stack-a", "a", vec![dev]).await.unwrap();
        assert!(alone.is_empty());
        assert_eq!(lines, ["Namespace/dev stays: stack b uses it"]);
        fake.kube.delete_parent("stack-a").await.unwrap();

        assert!(namespaces(&fake.kube, &id("a"), Vec::new()).await.is_empty());
        let theirs = namespaces(&fake.kube, &id("b"), Vec::new()).await;
        assert_eq!(theirs.iter().map(json::name).collect::<Vec<_>>(), ["dev"]);
        let (alone, lines) = hand_over(&fake.kube, "stack-b", "b", theirs).await.unwrap();
        assert_eq!((alone.len(), lines.len()), (1, 0));
    }
}
