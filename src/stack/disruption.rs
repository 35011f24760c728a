//! Which workloads and pods of a stack a proof can be about, and which of them it may disturb.

use serde_json::Value;

use crate::{
    object::{Object, podspec},
    stack::{
        claims::{Disruption, WorkloadName},
        model::{Scope, Set, SetKind, Stack},
    },
};

/// Its own set and its instances of components; what it shares with other stacks is not its to disturb.
pub fn own_sets(sets: &[Set]) -> impl Iterator<Item = &Set> {
    sets.iter().filter(|set| set.kind == SetKind::Stack || set.scope == Scope::Stack)
}

/// The namespaces in which the stack has objects of its own.
pub fn own_namespaces(stack: &Stack) -> std::collections::BTreeSet<String> {
    own_sets(&stack.sets).flat_map(|set| &set.objects).filter_map(|object| object.key().namespace).collect()
}

/// Some workload must have pods of these labels. The pods that a custom resource brings are not known.
pub fn has_pods(selector: &str, sets: &[Set], namespace: &str) -> Result<(), String> {
    let objects = || sets.iter().flat_map(|set| &set.objects);
    let is_custom = |object: &Object| {
        let group = object.key().group;
        group.contains('.') && !group.ends_with(".k8s.io")
    };
    match objects().any(|object| has_pods_of(object, selector, namespace)) || objects().any(is_custom) {
        true => Ok(()),
        false => Err(format!("no pods of the stack in {namespace} have the labels {selector}")),
    }
}

fn has_pods_of(object: &Object, selector: &str, namespace: &str) -> bool {
    let labels = podspec::template(&object.value).and_then(|template| template.pointer("/metadata/labels"));
    let has =
        |(key, value): (&str, &str)| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value);
    object.key().namespace.as_deref() == Some(namespace)
        && selector.split(',').all(|part| part.split_once('=').is_some_and(has))
}

/// What is to be disturbed must be the stack's own. Err: what is not.
pub fn check(disruption: &Disruption, sets: &[Set], namespace: &str) -> Result<(), String> {
    match disruption {
        Disruption::DeletePods { selector, .. } | Disruption::Drain { node_of: selector } => {
            let mut own = own_sets(sets).flat_map(|set| &set.objects);
            match own.any(|object| has_pods_of(object, selector, namespace)) {
                true => Ok(()),
                false => {
                    Err(format!("no workload of the stack's own in {namespace} has pods with the labels {selector}"))
                }
            }
        }
        Disruption::Restart(objects) => objects.iter().try_for_each(|object| is_own(object, sets, namespace)),
        Disruption::Scale { object, .. } => is_own(object, sets, namespace),
    }
}

fn is_own(wanted: &WorkloadName, sets: &[Set], namespace: &str) -> Result<(), String> {
    let mut own = own_sets(sets).flat_map(|set| &set.objects).map(Object::key);
    let found = own
        .any(|key| key.kind == wanted.kind && key.name == wanted.name && key.namespace.as_deref() == Some(namespace));
    if found { Ok(()) } else { Err(format!("the stack has no {wanted} of its own in {namespace}")) }
}
