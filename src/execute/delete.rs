//! Removal: sets of objects, and all that a local cluster consists of.

use std::{collections::BTreeMap, time::Instant};

use serde_json::Value;

use super::{Done, share};
use crate::{
    cluster::{Removed, audit},
    error::Result,
    event::Progress,
    kube::{
        CREATED_LABEL, Kube, SYSTEM_NAMESPACE, delete::DeleteOptions, inventory::Parent, json, prune::is_namespace,
        pull_secret,
    },
    observe,
    plan::observed::LiveState,
    session::Session,
    stack::{
        desired,
        model::{Key, SetKind},
    },
};

fn removed(session: &Session, things: impl IntoIterator<Item = Removed>) -> Done {
    let things: Vec<Removed> = things.into_iter().collect();
    let done = Done { unchanged: things.is_empty(), note: None };
    session.learn(|learned| learned.removed.extend(things));
    done
}

fn as_removed(keys: &[Key]) -> Vec<Removed> {
    keys.iter().map(|key| Removed { kind: key.kind.clone(), name: key.name.clone() }).collect()
}

pub async fn set(
    session: &Session,
    live: Option<&LiveState>,
    kind: SetKind,
    name: &str,
    progress: &Progress,
) -> Result<Done> {
    match kind {
        SetKind::Component => component(session, live, name, progress).await,
        SetKind::Stack => {
            let done = members(session, live, kind, name, progress).await?;
            session.kube().await?.delete_parent(&desired::parent_name(kind, name)).await?;
            Ok(done)
        }
    }
}

/// Takes the stack off the component's users, and removes what nobody uses then: others may have come and gone since
/// the plan was made. `live`: None if it is to be read.
pub async fn component(session: &Session, live: Option<&LiveState>, name: &str, progress: &Progress) -> Result<Done> {
    let kube = session.kube().await?;
    let parent = desired::parent_name(SetKind::Component, name);
    let left = kube.remove_user(&parent, &session.stack.name).await?.unwrap_or_default();
    if !left.is_empty() {
        return Ok(Done::note(format!("still used by {}", left.into_iter().collect::<Vec<_>>().join(", "))));
    }
    let done = members(session, live, SetKind::Component, name, progress).await?;
    kube.delete_unused_parent(&parent).await?;
    Ok(done)
}

/// Removes the objects of a set.
async fn members(
    session: &Session,
    live: Option<&LiveState>,
    kind: SetKind,
    name: &str,
    progress: &Progress,
) -> Result<Done> {
    let kube = session.kube().await?;
    let id = desired::applyset_id(kind, name);
    let read;
    let live = match live {
        Some(live) => live,
        None => {
            read = observe::recorded_objects(kube).await?;
            &read
        }
    };
    // Backwards through the waves in which it was applied.
    let mut waves: BTreeMap<u8, Vec<Value>> = BTreeMap::new();
    let (shared, rest): (Vec<_>, Vec<_>) = live.live.of_set(&id).partition(|(key, _)| share::is_shareable(key));
    for (key, object) in rest {
        waves.entry(desired::wave(&key.kind, &key.group)).or_default().push(object.clone());
    }
    let waves: Vec<Vec<Value>> = waves.into_values().rev().collect();
    let deadline = Instant::now() + session.settings.timeout;
    let options = DeleteOptions { data: true, foreground: true };
    let mut gone = kube.delete_waves(&waves, options, deadline.into(), progress).await?.removed;
    // Last, and looked at again: whom else they serve may have changed.
    let shared: Vec<Value> = shared.into_iter().map(|(_, object)| object.clone()).collect();
    let (namespaces, secrets): (Vec<_>, Vec<_>) = shared.into_iter().partition(|it| is_namespace(&json::key(it)));
    let namespaces = share::namespaces(kube, &id, namespaces).await;
    let all = secrets.into_iter().chain(namespaces).collect();
    let (alone, stays) = share::hand_over(kube, &desired::parent_name(kind, name), &session.stack.name, all).await?;
    let (namespaces, secrets): (Vec<_>, Vec<_>) = alone.into_iter().partition(|it| is_namespace(&json::key(it)));
    gone.extend(kube.delete_waves(&[secrets, namespaces], options, deadline.into(), progress).await?.removed);
    detach(kube, &gone).await?;
    let done = removed(session, as_removed(&gone));
    Ok(Done { note: (!stays.is_empty()).then(|| stays.join(", ")), ..done })
}

/// Where the Secret of a private registry went and its namespace stays, nothing may name it any more.
pub async fn detach(kube: &Kube, removed: &[Key]) -> Result<()> {
    let is_gone = |namespace: &str| {
        removed.iter().any(|key| key.kind == "Namespace" && key.group.is_empty() && key.name == namespace)
    };
    for namespace in removed.iter().filter_map(|key| key.namespace.as_deref()) {
        if removed.contains(&pull_secret::key(namespace)) && !is_gone(namespace) {
            kube.detach_pull_secret(namespace).await?;
        }
    }
    Ok(())
}

/// The namespace of the sets' records, if we made it and nothing is recorded any more.
pub async fn inventory(session: &Session, progress: &Progress) -> Result<Done> {
    let kube = session.kube().await?;
    let left: BTreeMap<String, Parent> = kube.read_parents().await?;
    let key = Key { group: String::new(), kind: "Namespace".into(), namespace: None, name: SYSTEM_NAMESPACE.into() };
    let namespace = kube.get(&key).await?.filter(|namespace| json::label(namespace, CREATED_LABEL).is_some());
    let Some(namespace) = namespace.filter(|_| left.is_empty()) else {
        return Ok(Done { unchanged: true, note: None });
    };
    let deadline = Instant::now() + session.settings.timeout;
    let options = DeleteOptions { data: true, foreground: false };
    let deleted = kube.delete_waves(&[vec![namespace]], options, deadline.into(), progress).await?;
    Ok(removed(session, as_removed(&deleted.removed)))
}

pub async fn cluster(session: &Session, progress: &Progress) -> Result<Done> {
    Ok(removed(session, session.provider.delete(progress).await?))
}

/// The container that leads to the stack's edge.
pub async fn proxy(session: &Session) -> Result<Done> {
    Ok(removed(session, session.proxy()?.delete().await?))
}

pub async fn images(session: &Session) -> Result<Done> {
    let docker = &session.engine()?.docker;
    Ok(removed(session, audit::remove_images(docker, &session.settings.cluster_name).await?))
}
