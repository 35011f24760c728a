//! Pruning: what left a set goes, except data and what others still need.

use serde_json::Value;

use super::{Done, delete, share};
use crate::{
    error::Result,
    kube::{
        Kube,
        inventory::Write,
        json,
        prune::{Candidates, Kept, Why, is_namespace},
    },
    plan::{
        observed::{LiveState, other_user},
        up,
    },
    session::Session,
    stack::{desired::DesiredSet, model::Key},
};

pub async fn prune(session: &Session, live: Option<&LiveState>, set: &DesiredSet) -> Result<Done> {
    let Some(live) = live else { return Ok(Done { unchanged: true, note: None }) };
    let kube = session.kube().await?;
    let id = set.applyset_id();
    let Candidates { remove, mut keep } = up::stale_objects(set, live, session.apply.prune_data);
    // With a namespace all goes that is in it, so it goes last and only after another look.
    let (namespaces, rest): (Vec<Value>, Vec<Value>) =
        remove.into_iter().partition(|object| is_namespace(&json::key(object)));
    let (secrets, rest): (Vec<Value>, Vec<Value>) =
        rest.into_iter().partition(|object| share::is_shareable(&json::key(object)));
    let (alone, _) = share::hand_over(kube, &set.parent(), "", secrets).await?;
    let rest: Vec<Value> = rest.into_iter().chain(alone).collect();
    let mut removed = kube.prune(&id, &rest).await?;
    let (go, stay) = look_again(session, kube, set, namespaces).await?;
    removed.extend(kube.prune(&id, &go).await?);
    keep.extend(stay);
    delete::detach(kube, &removed).await?;
    for kept in &keep {
        session.events.warn(kept.to_string());
    }
    // What is kept stays on record, or nobody would find it again.
    if keep.is_empty() && set.is_empty() {
        kube.delete_parent(&set.parent()).await?;
    } else if keep.is_empty() {
        kube.write_parent(&up::inventory(set, &session.stack.name), Write::Narrow).await?;
    }
    let names: Vec<_> = removed.iter().map(Key::to_string).collect();
    let note = (!names.is_empty()).then(|| format!("removed {}", names.join(", ")));
    Ok(Done { unchanged: note.is_none() && !set.is_empty(), note })
}

/// Namespaces to remove, and those that another set uses by now or that hold claims which no set knows.
async fn look_again(
    session: &Session,
    kube: &Kube,
    set: &DesiredSet,
    namespaces: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Kept>)> {
    let (mut go, mut stay) = (Vec::new(), Vec::new());
    if namespaces.is_empty() {
        return Ok((go, stay));
    }
    let parents = kube.read_parents().await?;
    for namespace in namespaces {
        let key = json::key(&namespace);
        let why = match other_user(&parents, &set.parent(), &key.name) {
            Some(other) => Some(Why::Shared(other.name.clone())),
            None if session.apply.prune_data => None,
            None => kube.claim_in(&key.name).await?.map(Why::Holds),
        };
        match why {
            Some(why) => stay.push(Kept { key, why }),
            None => go.push(namespace),
        }
    }
    Ok((go, stay))
}
