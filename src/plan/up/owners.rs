//! An object belongs to one set, or to whoever made it: it is not taken away from them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::{Key, Origin};
use crate::{
    error::{Error, Kind, Result},
    kube::{
        PART_OF,
        ownership::{adopt, survey},
        pull_secret,
    },
    object::json,
    plan::observed::LiveState,
    stack::{desired::DesiredSet, model::SetKind},
    tls::{self, Decision},
};

/// Fails with `Kind::Preflight` where a set declares what another ApplySet has, ours or anybody's, and what somebody made
/// without one unless that is to be adopted.
pub fn check(sets: &[DesiredSet], live: &LiveState, adopt: bool) -> Result<()> {
    of_other_sets(sets, live)?;
    of_certificates(sets, live)?;
    if adopt { Ok(()) } else { of_nobody(sets, live) }
}

/// What was there before stackctl.
fn of_nobody(sets: &[DesiredSet], live: &LiveState) -> Result<()> {
    let objects = sets.iter().flat_map(|set| set.objects.iter().map(move |object| (set, &object.object)));
    let found = objects.filter_map(|(set, object)| {
        let key = object.key();
        let there = live.others.objects.get(&key)?;
        let foreign = is_nobodys(live, there) && !json::is_being_deleted(there);
        (foreign && !adopt::is_always_there(&key)).then_some((set, key, there, &object.origin))
    });
    let found: Vec<(&DesiredSet, Key, &Value, &Origin)> = found.collect();
    let is_lost = |there: &Value| adopt::lost_its_set(there);
    let labels = found.iter().filter(|(_, _, there, _)| is_lost(there));
    let labels: BTreeSet<String> = labels.map(|(set, key, ..)| label_again(key, set)).collect();
    let (lost, all_lost) = (!labels.is_empty(), found.iter().all(|(_, _, there, _)| is_lost(there)));
    let found: Vec<(&DesiredSet, String, &Origin)> =
        found.iter().map(|(set, key, there, origin)| (*set, adopt::foreign(&key.in_words(), there), *origin)).collect();
    let components = found.iter().map(|(set, ..)| *set).filter(|set| set.kind == SetKind::Component);
    let components = components.map(|set| set.name.rsplit('.').next().unwrap_or(&set.name));
    let error = match found.as_slice() {
        [] => return Ok(()),
        [(_, only, origin)] => Error::new(Kind::Preflight, only.clone()).detail(format!("declared at {origin}")),
        several => {
            let lines = several.iter().map(|(_, line, origin)| format!("{line}; declared at {origin}"));
            let message = match labels.len() {
                0 => format!("{} objects of the stack are there already and were not made by stackctl", several.len()),
                _ => format!("{} objects of the stack are there already and do not belong to it", several.len()),
            };
            Error::new(Kind::Preflight, message).details(lines)
        }
    };
    let error = labels.into_iter().take(3).fold(error, Error::hint);
    let error = if lost { error.hint(adopt::LOST_HINT) } else { error };
    let error = if all_lost { error } else { error.hint(adopt::HINT) };
    let error = error.hint("or give them other names, or another namespace with --namespace");
    let components: BTreeSet<&str> = components.collect();
    Err(components.into_iter().fold(error, |error, name| {
        error.hint(format!("or use what is there, without the stack's own: --without {name}"))
    }))
}

/// How an object that stackctl made becomes part of its set again.
fn label_again(key: &Key, set: &DesiredSet) -> String {
    let (object, label) = (key.for_kubectl(), set.applyset_id());
    format!("to make it part of {} again: kubectl label {object} {PART_OF}={label}", set.name)
}

/// What a certificate would be written into, although somebody else made it. Such a Secret is used while what it holds is
/// valid.
fn of_certificates(sets: &[DesiredSet], live: &LiveState) -> Result<()> {
    for wanted in sets.iter().filter_map(|set| set.certificate.as_ref()) {
        for key in [wanted.secret_key(), wanted.bundle_key()] {
            let there = live.others.objects.get(&key).filter(|there| is_nobodys(live, there));
            let Some(there) = there.filter(|there| !json::is_being_deleted(there)) else { continue };
            let error = Error::new(Kind::Preflight, adopt::foreign(&key.in_words(), there));
            let error = match tls::decide(wanted, live.certificates.get(&wanted.secret_key())) {
                Decision::Issue(reason) if key == wanted.secret_key() => {
                    error.detail(format!("the edge needs another certificate: {reason}"))
                }
                _ if key == wanted.secret_key() => continue,
                _ => error.detail("the edge's certificate authority is written there"),
            };
            return Err(error.hint(format!("if nobody needs it: kubectl delete {}", key.for_kubectl())));
        }
    }
    Ok(())
}

fn of_other_sets(sets: &[DesiredSet], live: &LiveState) -> Result<()> {
    let taken: Vec<(&DesiredSet, Key, &Value)> = sets
        .iter()
        .flat_map(|set| super::keys(set).map(move |key| (set, key)))
        // Two stacks in a namespace pull with the same Secret.
        .filter(|(_, key)| key.name != pull_secret::NAME)
        .filter_map(|(set, key)| live.others.objects.get(&key).map(|there| (set, key, there)))
        .filter(|(.., there)| !is_nobodys(live, there))
        .collect();
    let Some((_, first, there)) = taken.first() else { return Ok(()) };
    let error = match taken.as_slice() {
        [_] => Error::new(Kind::Preflight, format!("{} belongs to {}", first.in_words(), owner(live, there))),
        several => Error::new(Kind::Preflight, format!("{} objects of the stack belong to others", several.len())),
    };
    let lines = taken.iter().map(|(set, key, there)| {
        let declared = set.objects.iter().map(|object| &object.object).find(|object| object.key() == *key);
        let declared = declared.map_or(String::new(), |object| format!(", declared at {}", object.origin));
        format!("{} belongs to {}{declared}", key.in_words(), owner(live, there))
    });
    let hints = taken.iter().map(|(_, key, there)| match stack_of(live, there) {
        Some(stack) => format!(
            "choose another namespace with --namespace, or another name; or remove the other first: stackctl down {stack}"
        ),
        None if known(live, there).is_some() => {
            "the component brings it already: leave it out of the stack, or give it another name".to_owned()
        }
        None => {
            format!("if nobody looks after that set any more: kubectl label {} {PART_OF}-", key.for_kubectl())
        }
    });
    let hints: BTreeSet<String> = hints.collect();
    let error = error.details(lines);
    Err(hints.into_iter().take(3).fold(error, Error::hint))
}

/// Whether it is part of no set: what bears the label of one of ours may be somebody's copy of an object of that set.
pub fn is_nobodys(live: &LiveState, object: &Value) -> bool {
    json::label(object, PART_OF).is_none() || survey::is_copy(object) && known(live, object).is_some()
}

/// The name of the parent of the set that has the object, if it is one of ours.
fn known<'a>(live: &'a LiveState, object: &Value) -> Option<&'a str> {
    let id = json::label(object, PART_OF)?;
    live.parents.values().find(|parent| parent.id == id).map(|parent| parent.name.as_str())
}

fn stack_of<'a>(live: &'a LiveState, object: &Value) -> Option<&'a str> {
    let known = known(live, object)?;
    let instance = known.strip_prefix("component-").and_then(|name| name.split_once('.'));
    known.strip_prefix("stack-").or(instance.map(|(stack, _)| stack))
}

/// `stack a`, `component metrics-server`.
fn owner(live: &LiveState, object: &Value) -> String {
    match known(live, object) {
        Some(parent) => parent.replacen('-', " ", 1),
        None => format!("an ApplySet that is not stackctl's ({})", json::label(object, PART_OF).unwrap_or_default()),
    }
}
